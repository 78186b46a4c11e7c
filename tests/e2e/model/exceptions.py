"""Provokes each exception that KMS's model gives an operation, or says why it is not provoked here.

The model is botocore's `service-2.json`. Run by model.rs with kms-sim's address.
"""

import http.client
import json
import pathlib
import re
import sys

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

REGION, ELSEWHERE = "us-east-1", "eu-west-1"


kms = boto3.client(
    "kms", endpoint_url=f"http://{sys.argv[1]}", region_name=REGION, aws_access_key_id="111122223333",
    aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
)
model = botocore.session.get_session().get_component("data_loader").load_service_model("kms", "service-2")

# Of every operation: what a simulator has not.
NOWHERE = {
    "DependencyTimeoutException": "KMS has dependencies that time out; kms-sim has none",
    "KMSInternalException": "a defect of kms-sim, or a system without random bytes",
    "KeyUnavailableException": "KMS's own material is always there",
}
# Of one operation.
EXCEPTIONS = {
    "CreateKey LimitExceededException": "100,000 keys take too long for every run",
    "CreateAlias LimitExceededException": "10,000 aliases take too long for every run; KMS's quotas of aliases are not kept",
    "UpdateAlias LimitExceededException": "as for CreateAlias",
    "CreateGrant LimitExceededException": "50,000 grants take too long for every run",
    "EnableKey LimitExceededException": "KMS documents no limit that it is for",
    "ReplicateKey LimitExceededException": "100,000 keys take too long for every run",
    "TagResource LimitExceededException": "KMS says TagException of too many tags",
    "RotateKeyOnDemand ConflictException": "rotation on demand is done at once, so none is in progress",
    "CreateKey InvalidArnException": "the policy's principals are not looked up",
    "ListRetirableGrants InvalidArnException": "a principal is not looked up: one without grants has an empty list",
    "ListRetirableGrants NotFoundException": "as above",
    "ListGrants InvalidGrantIdException": "an unknown GrantId has an empty list",
    "RetireGrant InvalidGrantIdException": "an unknown GrantId is NotFoundException",
    "RevokeGrant InvalidGrantIdException": "an unknown GrantId is NotFoundException",
    "GetPublicKey InvalidKeyUsageException": "keys of every usage have a public key, or none: UnsupportedOperationException",
    "PutKeyPolicy UnsupportedOperationException": "every key has a policy",
    "UntagResource TagException": "a tag that is not there is removed with success, whatever its name",
    "DeleteImportedKeyMaterial KMSInvalidStateException": "for a moment alone: Creating and Updating, in key_state_tests.rs",
} | {
    f"{operation} KMSInvalidStateException": "the key-state table of KMS's guide lets it succeed in every state"
    for operation in (
        "DeleteAlias", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies", "ListKeyRotations",
        "PutKeyPolicy", "RetireGrant", "RevokeGrant",
    )
} | {
    f"{operation} InvalidGrantTokenException": "a token that names no grant permits nothing, and is no mistake"
    for operation, shape in model["operations"].items() if operation != "RetireGrant"
}
# With a cluster or a proxy: asserted by the tests of kms-sim, which must name them, or by class in scenario.json.
STORES = (
    "CloudHsmCluster", "CustomKeyStore", "IncorrectTrustAnchor", "XksKey", "XksProxy",
)
STORE_OPERATIONS = (
    "ConnectCustomKeyStore", "CreateCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore", "UpdateCustomKeyStore",
)


def create(**arguments):
    return kms.create_key(**arguments)["KeyMetadata"]["Arn"]


def new(kind):
    """A new key of a kind, alone in the world."""
    made = {
        "symmetric": {},
        "rsa": {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
        "sign": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        "mac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
        "agree": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"},
        "kem": {"KeySpec": "ML_KEM_512", "KeyUsage": "ENCAPSULATE_DECAPSULATE"},
        "external": {"Origin": "EXTERNAL"},
        "multi-region": {"MultiRegion": True},
    }
    return create(**made[kind])


PEER = kms.get_public_key(KeyId=new("agree"))["PublicKey"]
OTHER = new("symmetric")
# The kind of key of an operation, and the rest of a valid request of it.
KEYS = {
    "CancelKeyDeletion": ("symmetric", {}),
    "CreateAlias": ("symmetric", {"AliasName": "alias/new"}),
    "CreateGrant": ("symmetric", {"GranteePrincipal": "arn:aws:iam::111122223333:user/B", "Operations": ["Encrypt"]}),
    "Decapsulate": ("kem", {"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": b"x" * 768}),
    "Decrypt": ("symmetric", {}),
    "DeleteImportedKeyMaterial": ("external", {}),
    "DeriveSharedSecret": ("agree", {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER}),
    "DescribeKey": ("symmetric", {}),
    "DisableKey": ("symmetric", {}),
    "DisableKeyRotation": ("symmetric", {}),
    "EnableKey": ("symmetric", {}),
    "EnableKeyRotation": ("symmetric", {}),
    "Encapsulate": ("kem", {"EncapsulationAlgorithm": "ML_KEM"}),
    "Encrypt": ("symmetric", {"Plaintext": b"x"}),
    "GenerateDataKey": ("symmetric", {"KeySpec": "AES_256"}),
    "GenerateDataKeyPair": ("symmetric", {"KeyPairSpec": "ECC_NIST_P256"}),
    "GenerateDataKeyPairWithoutPlaintext": ("symmetric", {"KeyPairSpec": "ECC_NIST_P256"}),
    "GenerateDataKeyWithoutPlaintext": ("symmetric", {"KeySpec": "AES_256"}),
    "GenerateMac": ("mac", {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
    "GetKeyLastUsage": ("symmetric", {}),
    "GetKeyPolicy": ("symmetric", {}),
    "GetKeyRotationStatus": ("symmetric", {}),
    "GetParametersForImport": ("external", {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}),
    "GetPublicKey": ("sign", {}),
    "ImportKeyMaterial": ("external", {"ImportToken": b"x", "EncryptedKeyMaterial": b"x"}),
    "ListAliases": ("symmetric", {}),
    "ListGrants": ("symmetric", {}),
    "ListKeyPolicies": ("symmetric", {}),
    "ListKeyRotations": ("symmetric", {}),
    "ListResourceTags": ("symmetric", {}),
    "PutKeyPolicy": ("symmetric", {"Policy": kms.get_key_policy(KeyId=OTHER)["Policy"]}),
    "ReEncrypt": ("symmetric", {}),
    "ReplicateKey": ("multi-region", {"ReplicaRegion": ELSEWHERE}),
    "RetireGrant": ("symmetric", {"GrantId": "0" * 64}),
    "RevokeGrant": ("symmetric", {"GrantId": "0" * 64}),
    "RotateKeyOnDemand": ("symmetric", {}),
    "ScheduleKeyDeletion": ("symmetric", {}),
    "Sign": ("sign", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
    "TagResource": ("symmetric", {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    "UntagResource": ("symmetric", {"TagKeys": ["a"]}),
    "UpdateAlias": ("symmetric", {"AliasName": "alias/there"}),
    "UpdateKeyDescription": ("symmetric", {"Description": "x"}),
    "UpdatePrimaryRegion": ("multi-region", {"PrimaryRegion": ELSEWHERE}),
    "Verify": ("sign", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": b"x"}),
    "VerifyMac": ("mac", {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256", "Mac": b"x"}),
}
# The member that names the key, where it is another.
MEMBER = {"CreateAlias": "TargetKeyId", "UpdateAlias": "TargetKeyId", "ReEncrypt": "DestinationKeyId"}
kms.create_alias(AliasName="alias/there", TargetKeyId=OTHER)


def request(operation, key, **more):
    """A request that would succeed with a key of the right kind in the right state."""
    arguments = dict(KEYS[operation][1])
    if operation in ("Decrypt", "ReEncrypt"):
        # Of the key itself, which the ciphertext names, as long as it can encrypt.
        source = key if operation == "Decrypt" else OTHER
        arguments["CiphertextBlob"] = BLOBS.get(source) or kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    return arguments | {MEMBER.get(operation, "KeyId"): key} | more


BLOBS = {}


def unusable(operation, spoil):
    """A request with a key that was spoilt."""
    kind = KEYS[operation][0]
    key = new(kind)
    if operation == "Decrypt":
        BLOBS[key] = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    spoil(key)
    return request(operation, key)


def disabled(operation):
    return unusable(operation, lambda key: kms.disable_key(KeyId=key))


def invalid_state(operation):
    if operation == "CancelKeyDeletion":
        return request(operation, OTHER)
    return unusable(operation, lambda key: kms.schedule_key_deletion(KeyId=key))


def wrong_usage(operation):
    if operation == "ReEncrypt":
        return request(operation, new("sign"))
    if operation == "Decrypt":
        return request(operation, OTHER) | {"KeyId": new("sign"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    if operation == "GetPublicKey":
        return None
    return request(operation, new("sign" if KEYS[operation][0] != "sign" else "mac"))


def unsupported(operation):
    if operation in ("DisableKeyRotation", "EnableKeyRotation", "GetKeyRotationStatus", "ListKeyRotations", "RotateKeyOnDemand"):
        return request(operation, new("sign"))
    if operation == "CreateKey":
        return {"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}
    if operation == "GenerateDataKeyPair" or operation == "GenerateDataKeyPairWithoutPlaintext":
        return request(operation, OTHER, KeyPairSpec="SM2")
    if operation == "PutKeyPolicy":
        return None
    if operation == "GenerateRandom":
        return {"NumberOfBytes": 1, "Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}
    return request(operation, OTHER)


def rotated_25_times(operation):
    key = new("symmetric")
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key)
    return {"KeyId": key}


def replicated(operation):
    key = new("multi-region")
    kms.replicate_key(KeyId=key, ReplicaRegion=ELSEWHERE)
    return request(operation, key)


def wrapped(material, **more):
    key = new("external")
    parameters = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = serialization.load_der_public_key(parameters["PublicKey"])
    text = public.encrypt(material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    return {"KeyId": key, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": text,
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"} | more


def expired_token(operation):
    arguments = wrapped(b"x" * 32)
    connection = http.client.HTTPConnection(sys.argv[2], timeout=60)
    connection.request("POST", "/control/v1/clock/advance", json.dumps({"By": "24h"}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return arguments


UNKNOWN = "1234abcd-12ab-34cd-56ef-1234567890ab"
BAD_ARN = "arn:aws:kms:us-east-1"
# Of an exception: what provokes it, by operation; `*` for all others.
PROVOKE = {
    "NotFoundException": {
        "DeleteAlias": lambda _: {"AliasName": "alias/nowhere"},
        "DeleteCustomKeyStore": None,
        "ListAliases": lambda _: {"KeyId": UNKNOWN},
        "ListRetirableGrants": None,
        "*": lambda operation: request(operation, OTHER) | {MEMBER.get(operation, "KeyId"): UNKNOWN},
    },
    "InvalidArnException": {
        "ListRetirableGrants": None,
        "*": lambda operation: request(operation, OTHER) | {MEMBER.get(operation, "KeyId"): BAD_ARN},
    },
    "DisabledException": {"*": disabled},
    "KMSInvalidStateException": {"*": invalid_state},
    "DryRunOperationException": {
        "RetireGrant": lambda operation: grant(operation) | {"DryRun": True},
        "RevokeGrant": lambda operation: grant(operation) | {"DryRun": True},
        "*": lambda operation: request(operation, new(KEYS[operation][0]), DryRun=True),
    },
    "InvalidKeyUsageException": {"*": wrong_usage},
    "UnsupportedOperationException": {"*": unsupported},
    "InvalidGrantTokenException": {
        "RetireGrant": lambda _: {"GrantToken": "no-token"},
        "*": lambda operation: request(operation, new(KEYS[operation][0]), GrantTokens=["no-token"]),
    },
    "InvalidGrantIdException": {
        "*": lambda operation: request(operation, OTHER) | {"GrantId": "!" if operation == "ListGrants" else "none"},
    },
    "InvalidMarkerException": {
        "*": lambda operation: (
            request(operation, OTHER) if operation in KEYS else {"RetiringPrincipal": "arn:aws:iam::111122223333:user/B"}
            if operation == "ListRetirableGrants" else {}
        ) | {"Marker": "no marker"},
    },
    "MalformedPolicyDocumentException": {
        "CreateKey": lambda _: {"Policy": "{"},
        "*": lambda operation: request(operation, new(KEYS[operation][0]), Policy="{"),
    },
    "TagException": {
        "CreateKey": lambda _: {"Tags": [{"TagKey": "aws:a", "TagValue": ""}]},
        "UntagResource": lambda _: {"KeyId": OTHER, "TagKeys": ["aws:a"]},
        "*": lambda operation: request(operation, new(KEYS[operation][0]), Tags=[{"TagKey": "aws:a", "TagValue": ""}]),
    },
    "AlreadyExistsException": {
        "CreateAlias": lambda _: {"AliasName": "alias/there", "TargetKeyId": OTHER},
        "ReplicateKey": replicated,
    },
    "InvalidAliasNameException": {"CreateAlias": lambda _: {"AliasName": "alias/aws/x", "TargetKeyId": OTHER}},
    "LimitExceededException": {
        "RotateKeyOnDemand": rotated_25_times,
        "PutKeyPolicy": lambda _: {"KeyId": OTHER, "Policy": '{"Statement": []' + " " * 33_000 + "}"},
    },
    "InvalidCiphertextException": {
        "Decapsulate": lambda operation: request(operation, new("kem"), SharedSecretCiphertextBlob=b"x"),
        "Decrypt": lambda _: {"CiphertextBlob": b"x"},
        "ReEncrypt": lambda _: {"CiphertextBlob": b"x", "DestinationKeyId": OTHER},
        "ImportKeyMaterial": lambda _: wrapped(b"x" * 32, EncryptedKeyMaterial=b"x" * 256),
    },
    "IncorrectKeyException": {
        "Decrypt": lambda operation: request(operation, OTHER) | {"KeyId": new("symmetric")},
        "ReEncrypt": lambda operation: request(operation, OTHER) | {"SourceKeyId": new("symmetric")},
    },
    "IncorrectKeyMaterialException": {"*": lambda _: wrapped(b"x" * 31)},
    "InvalidImportTokenException": {
        "*": lambda operation: request(operation, new("external"), ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE"),
    },
    "ExpiredImportTokenException": {"*": expired_token},
    "KMSInvalidSignatureException": {"*": lambda operation: request(operation, new("sign"))},
    "KMSInvalidMacException": {"*": lambda operation: request(operation, new("mac"))},
}


def grant(operation):
    made = kms.create_grant(KeyId=OTHER, GranteePrincipal="arn:aws:iam::111122223333:user/B", Operations=["Encrypt"])
    return {"KeyId": OTHER, "GrantId": made["GrantId"]}


def named_elsewhere():
    """What the tests say that have clusters and proxies."""
    tests = (path for path in pathlib.Path("kms-sim").glob("**/*.rs") if "test" in str(path))
    return "".join(path.read_text() for path in (pathlib.Path("tests/e2e/scenario.json"), *tests))


def is_elsewhere(operation, exception):
    return exception.startswith(STORES) or operation in STORE_OPERATIONS


def provoke(operation, exception):
    """Why the exception was not provoked; nothing if it was."""
    by_operation = PROVOKE.get(exception, {})
    make = by_operation[operation] if operation in by_operation else by_operation.get("*")
    if make is None:
        return "nothing is said of how to provoke it"
    try:
        arguments = make(operation)
    except KeyError as error:
        return f"nothing is said of a valid request of {error}"
    if arguments is None:
        return "nothing is said of how to provoke it"
    try:
        getattr(kms, botocore.xform_name(operation))(**arguments)
    except ClientError as error:
        if isinstance(error, getattr(kms.exceptions, exception)):
            return ""
        return f"found {error}"
    return "it succeeded"


TESTS = named_elsewhere()
# The token's day passes last.
pairs = [
    (operation, error["shape"])
    for operation, shape in sorted(model["operations"].items()) for error in shape.get("errors", [])
]
pairs.sort(key=lambda pair: pair[1] == "ExpiredImportTokenException")
provoked, listed, elsewhere, failures = 0, 0, 0, []
for operation, exception in pairs:
    name = f"{operation} {exception}"
    if exception in NOWHERE:
        listed += 1
    elif is_elsewhere(operation, exception):
        elsewhere += 1
        if not re.search(rf"\b{exception}\b", TESTS):
            failures.append(f"{name}: no test of kms-sim names it, nor does scenario.json")
    else:
        problem = provoke(operation, exception)
        if not problem:
            provoked += 1
        if problem and name in EXCEPTIONS:
            listed += 1
        elif problem:
            failures.append(f"{name}: {problem}")
        elif name in EXCEPTIONS:
            failures.append(f"{name} is in the list of exceptions and was provoked")
print(f"{len(pairs)} exceptions: {provoked} provoked, {elsewhere} with stores, {listed} listed, {len(failures)} failures")
for failure in failures:
    print(f"FAIL  {failure}")
sys.exit(1 if failures or provoked < 200 else 0)
