"""The external key store of the story: its client, its arguments, looks at its state, the messages that KMS documents."""

import sys

from checks import Story

NOT_CONNECTED = (
    "This KMS key is in a custom key store that is not connected to its external key store proxy. "
    "Connect the external key store and try the request again."
)
NO_COMMUNICATION = (
    "AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. "
    "If you see this error repeatedly, verify that your external key store proxy is active and is connected to the "
    "network, and that its endpoint URI is correct in your external key store."
)
TOO_LATE = (
    "AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. "
    "If you see this error repeatedly, report it to your external key store proxy administrator."
)
BAD_CIPHERTEXT = (
    "The external key store proxy rejected the request because the specified ciphertext or encryption context is "
    "corrupted, missing, or otherwise invalid."
)
CONTEXT = {"department": "marketing", "project": "nile", "ä": "ö"}
SAME_CONTEXT = dict(reversed(CONTEXT.items()))
PLAINTEXT = b"not one byte of this is a secret"

story = Story(sys.argv[1])
given = story.given
kms = story.client()
error = kms.exceptions
equal, true, works, raises = story.equal, story.true, story.works, story.raises


def store(store_id):
    return kms.describe_custom_key_stores(CustomKeyStoreId=store_id)["CustomKeyStores"][0]


def connection_state(store_id):
    return store(store_id)["ConnectionState"]


def key_state(key_id):
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


def proxy_arguments(endpoint="proxy_uri_endpoint", **changes):
    credential = {"AccessKeyId": given["access_key_id"], "RawSecretAccessKey": given["secret_access_key"]}
    return {
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": given[endpoint],
        "XksProxyUriPath": given["proxy_uri_path"],
        "XksProxyAuthenticationCredential": credential,
    } | changes


WRONG_CREDENTIAL = {"AccessKeyId": "A" * 20, "RawSecretAccessKey": "b" * 43}


def create_key(store_id, external_key_id=None):
    return {
        "Origin": "EXTERNAL_KEY_STORE",
        "CustomKeyStoreId": store_id,
        "XksKeyId": external_key_id or given["external_key_id"],
    }


def connect(store_id):
    works("ConnectCustomKeyStore", kms.connect_custom_key_store, CustomKeyStoreId=store_id)
    seen = story.wait("the store becomes CONNECTED", lambda: connection_state(store_id), "CONNECTED")
    equal("on the way it was CONNECTING and nothing else", seen, ["CONNECTING"])


def disconnect(store_id):
    works("DisconnectCustomKeyStore", kms.disconnect_custom_key_store, CustomKeyStoreId=store_id)
    seen = story.wait("the store becomes DISCONNECTED", lambda: connection_state(store_id), "DISCONNECTED")
    equal("on the way it was DISCONNECTING and nothing else", seen, ["DISCONNECTING"])


def blob_of(answer):
    return {"CiphertextBlob": answer["CiphertextBlob"]}
