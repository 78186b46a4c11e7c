"""The AWS Encryption SDK on a key in an external key store: what its users see of a disconnect.

Both of its ways to KMS: keyrings, and the older master key providers, which find kms-sim by AWS_ENDPOINT_URL_KMS alone.
Expected: the exceptions that the SDK documents, with KMS's inside. Run by story.rs, like main.py.
"""

import logging
import os

from key_store import (
    NOT_CONNECTED, connect, create_key, disconnect, equal, error, given, kms, proxy_arguments, story, true, works,
)

# As a program has them that nobody wrote for kms-sim; before the SDK makes its clients.
os.environ.update({
    "AWS_ENDPOINT_URL_KMS": given["kms_endpoint_url"], "AWS_DEFAULT_REGION": given["region"],
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_MAX_ATTEMPTS": "1",
})

from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders  # noqa: E402
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig  # noqa: E402
from aws_cryptographic_material_providers.mpl.errors import ComAmazonawsKms  # noqa: E402
from aws_cryptographic_material_providers.mpl.models import (  # noqa: E402
    CreateAwsKmsKeyringInput, CreateAwsKmsMultiKeyringInput,
)
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient, StrictAwsKmsMasterKeyProvider  # noqa: E402
from aws_encryption_sdk.exceptions import (  # noqa: E402
    AWSEncryptionSDKClientError, DecryptKeyError, GenerateKeyError,
)

# The SDK logs the failures that are wanted here, with their whole tracebacks.
logging.getLogger("aws_encryption_sdk").setLevel(logging.CRITICAL)

PLAINTEXT = b"a document of several frames" * 1000
CONTEXT = {"purpose": "test", "ä": "ö"}
sdk = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def encrypted(**how):
    return sdk.encrypt(source=PLAINTEXT, encryption_context=CONTEXT, **how)[0]


def decrypts(what, message, **how):
    plaintext, header = sdk.decrypt(source=message, **how)
    true(f"{what} decrypts", plaintext == PLAINTEXT)
    equal(f"{what}: its context", {name: header.encryption_context.get(name) for name in CONTEXT}, CONTEXT)


def fails(what, exception, call, *arguments, **how):
    """The SDK raises that type; what it raised."""
    try:
        call(*arguments, **how)
    except exception as raised:
        equal(f"{what}: {exception.__name__}", type(raised), exception)
        return raised
    equal(what, "success", exception.__name__)


def store_with_key():
    story.chapter("a key in an external key store, and one of KMS's own")
    nile = works("CreateCustomKeyStore", kms.create_custom_key_store, CustomKeyStoreName="nile",
                 **proxy_arguments())["CustomKeyStoreId"]
    connect(nile)
    external = works("CreateKey in the store", kms.create_key, **create_key(nile))["KeyMetadata"]["Arn"]
    own = works("CreateKey", kms.create_key)["KeyMetadata"]["Arn"]
    return nile, external, own


nile, external, own = store_with_key()
keyring = providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=external, kms_client=kms))
both = providers.create_aws_kms_multi_keyring(CreateAwsKmsMultiKeyringInput(generator=external, kms_key_ids=[own]))
other = providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=own, kms_client=kms))
provider = StrictAwsKmsMasterKeyProvider(key_ids=[external])

story.chapter("connected")
message, message_of_both, old_message = encrypted(keyring=keyring), encrypted(keyring=both), encrypted(key_provider=provider)
decrypts("the external key's message", message, keyring=keyring)
decrypts("the message for both keys", message_of_both, keyring=both)
decrypts("the message for both keys, with the external key alone,", message_of_both, keyring=keyring)
decrypts("the message for both keys, with KMS's own key alone,", message_of_both, keyring=other)
decrypts("a master key provider's message", old_message, key_provider=provider)
fails("another key's keyring", AWSEncryptionSDKClientError, sdk.decrypt, source=message, keyring=other)
changed = bytearray(message)
changed[-1] ^= 1
try:
    sdk.decrypt(source=bytes(changed), keyring=keyring)
except Exception as refused:
    true("a changed message is refused", not isinstance(refused, ComAmazonawsKms))
else:
    equal("a changed message", "success", "refused")

story.chapter("disconnected")
disconnect(nile)
raised = fails("encrypt", ComAmazonawsKms, encrypted, keyring=keyring)
equal("encrypt: KMS's message", str(raised), NOT_CONNECTED)
fails("encrypt for both keys: the generator is in the store", ComAmazonawsKms, encrypted, keyring=both)
fails("decrypt", AWSEncryptionSDKClientError, sdk.decrypt, source=message, keyring=keyring)
decrypts("the message for both keys, by the key that is outside of the store,", message_of_both, keyring=both)
raised = fails("encrypt with a master key provider", GenerateKeyError, encrypted, key_provider=provider)
# The provider has a client of its own, and each client makes its own classes.
equal("its cause is KMS's exception", type(raised.__cause__).__name__, error.KMSInvalidStateException.__name__)
fails("decrypt with a master key provider", DecryptKeyError, sdk.decrypt, source=old_message, key_provider=provider)

story.chapter("connected again")
connect(nile)
decrypts("the external key's message", message, keyring=keyring)
decrypts("a master key provider's message", old_message, key_provider=provider)
decrypts("a new message", encrypted(keyring=both), keyring=keyring)
story.end()
