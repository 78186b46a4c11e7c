"""Who may do what: two accounts, a user who may only disconnect, a session of a role, a root; all of them those of
kms-sim/docs/accounts.example.toml, with which the simulator was started.

boto3 signs, with secrets and a session token of its own; nothing here knows how.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from checks import Story

story = Story(sys.argv[1])
given, equal, works, true = story.given, story.equal, story.works, story.true


def session(access_key_id, secret, token=None, service="kms"):
    return boto3.client(
        service, endpoint_url=given["kms_endpoint_url"], region_name=given["region"], aws_access_key_id=access_key_id,
        aws_secret_access_key=secret, aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5))


ADMIN = ("AKIAADMINEXAMPLE0001", "adminSecretadminSecretadminSecret+EXAMPLE")
OPERATOR = ("AKIAOPERATOREXAMPLE1", "operatorSecretoperatorSecret+EXAMPLE+1")
PAYROLL = ("ASIAPAYROLLEXAMPLE01", "payrollSecretpayrollSecretpayrollSecret+EX", "an-opaque-session-token")
PARTNER = ("AKIAPARTNEREXAMPLE01", "partnerSecretpartnerSecretpartner+EXAMPLE")
ROOT = ("AKIAROOTEXAMPLE00001", "rootSecretrootSecretrootSecret+EXAMPLE+01")
admin, operator, payroll, partner, root = (session(*who) for who in (ADMIN, OPERATOR, PAYROLL, PARTNER, ROOT))

USER = "User: {} is not authorized to perform: kms:{}"
OPERATOR_ARN = "arn:aws:iam::111122223333:user/on-call/StoreOperator"
PARTNER_ARN = "arn:aws:iam::444455556666:user/Partner"
PAYROLL_ARN = "arn:aws:sts::111122223333:assumed-role/Payroll/worker-1"
HIDDEN = (" on this resource because the resource does not exist in this Region, no resource-based policies allow access, "
          "or a resource-based policy explicitly denies access")


def refused(what, code, message, call, **arguments):
    """The call fails with that error, which the model of the operation may not have, and HTTP status 400."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        equal(f"{what}: {code}", (found["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]), (code, 400))
        if message.endswith("…"):
            equal(f"{what}: its message", found["Message"][:len(message) - 1], message[:-1])
        else:
            equal(f"{what}: its message", found["Message"], message)
    else:
        equal(f"{what}: {code}", f"success: {answer}", code)


def denied(what, arn, action, because, call, **arguments):
    refused(what, "AccessDeniedException", USER.format(arn, action) + because, call, **arguments)


def no_identity_policy(action, resource):
    return f" on resource: {resource} because no identity-based policy allows the kms:{action} action"


def signatures():
    story.chapter("who signs")
    for who, arn, user_id in [
        (ADMIN, "arn:aws:iam::111122223333:user/Admin", "AIDA"), (PAYROLL, PAYROLL_ARN, "AROA"),
        (ROOT, "arn:aws:iam::111122223333:root", "1111"),
    ]:
        identity = works(f"GetCallerIdentity of {arn}", session(*who, service="sts").get_caller_identity)
        equal("who that is", (identity["Arn"], identity["UserId"][:4]), (arn, user_id))
    invalid = "The security token included in the request is invalid."
    refused("an unknown access key", "UnrecognizedClientException", invalid,
            session("AKIAUNKNOWNUNKNOWN01", "x" * 40).list_keys)
    refused("temporary credentials without their token", "UnrecognizedClientException", invalid,
            session(*PAYROLL[:2]).list_keys)
    refused("another secret", "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
            "Key and signing method. Consult the service documentation for details.…",
            session(ADMIN[0], "x" * 40).list_keys)


def stores():
    story.chapter("an operator who may disconnect a store, and nothing else")
    store = works("CreateCustomKeyStore of the administrator", admin.create_custom_key_store,
                  CustomKeyStoreName="external", CustomKeyStoreType="EXTERNAL_KEY_STORE",
                  XksProxyConnectivity="PUBLIC_ENDPOINT", XksProxyUriEndpoint=given["proxy_uri_endpoint"],
                  XksProxyUriPath=given["proxy_uri_path"], XksProxyAuthenticationCredential={
                      "AccessKeyId": given["access_key_id"], "RawSecretAccessKey": given["secret_access_key"],
                  })["CustomKeyStoreId"]

    def state():
        return operator.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"][0]["ConnectionState"]

    denied("ConnectCustomKeyStore of the operator", OPERATOR_ARN, "ConnectCustomKeyStore",
           no_identity_policy("ConnectCustomKeyStore", "*"), operator.connect_custom_key_store, CustomKeyStoreId=store)
    works("ConnectCustomKeyStore of the administrator", admin.connect_custom_key_store, CustomKeyStoreId=store)
    story.wait("the store becomes CONNECTED", state, "CONNECTED")
    key = works("CreateKey in it", admin.create_key, Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store,
                XksKeyId=given["external_key_id"])["KeyMetadata"]["Arn"]
    works("Encrypt of the administrator", admin.encrypt, KeyId=key, Plaintext=b"hello")
    denied("Encrypt of the operator", OPERATOR_ARN, "Encrypt", no_identity_policy("Encrypt", key),
           operator.encrypt, KeyId=key, Plaintext=b"hello")
    denied("DeleteCustomKeyStore of the operator", OPERATOR_ARN, "DeleteCustomKeyStore",
           no_identity_policy("DeleteCustomKeyStore", "*"), operator.delete_custom_key_store, CustomKeyStoreId=store)
    works("DisconnectCustomKeyStore of the operator", operator.disconnect_custom_key_store, CustomKeyStoreId=store)
    story.wait("the store becomes DISCONNECTED", state, "DISCONNECTED")
    story.raises(admin.exceptions.KMSInvalidStateException, "Encrypt of the administrator now", admin.encrypt,
                 KeyId=key, Plaintext=b"hello")
    denied("Encrypt of the operator now: permission comes before state", OPERATOR_ARN, "Encrypt",
           no_identity_policy("Encrypt", key), operator.encrypt, KeyId=key, Plaintext=b"hello")
    # The other account's policy would not even let it ask.
    denied("DisconnectCustomKeyStore of the partner", PARTNER_ARN, "DisconnectCustomKeyStore",
           no_identity_policy("DisconnectCustomKeyStore", "*"), partner.disconnect_custom_key_store, CustomKeyStoreId=store)


def statement(effect, principal, action, **condition):
    body = {"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"}
    return body | ({"Condition": condition} if condition else {})


OWNER = statement("Allow", "arn:aws:iam::111122223333:root", "kms:*")


def put(key, *statements):
    policy = {"Version": "2012-10-17", "Statement": [OWNER, *statements]}
    works(f"PutKeyPolicy with {len(policy['Statement'])} statements", admin.put_key_policy,
          KeyId=key, PolicyName="default", Policy=json.dumps(policy))


def keys():
    story.chapter("keys: their policies, the identities' policies, and the other account")
    key = works("CreateKey of the administrator", admin.create_key)["KeyMetadata"]["Arn"]
    team = {"KeyId": key, "Plaintext": b"hello", "EncryptionContext": {"Team": "payroll"}}
    blob = works("Encrypt of the session, with the encryption context of its tag", payroll.encrypt, **team)["CiphertextBlob"]
    denied("with another context", PAYROLL_ARN, "Encrypt", no_identity_policy("Encrypt", key), payroll.encrypt,
           **team | {"EncryptionContext": {"Team": "sales"}})
    denied("DescribeKey of the session", PAYROLL_ARN, "DescribeKey", no_identity_policy("DescribeKey", key),
           payroll.describe_key, KeyId=key)
    works("DescribeKey of the root", root.describe_key, KeyId=key)

    denied("Encrypt of the partner, to whom nobody gave the key", PARTNER_ARN, "Encrypt", HIDDEN, partner.encrypt, **team)
    put(key, statement("Allow", "444455556666", ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]))
    shared = works("Encrypt of the partner, whose account has it", partner.encrypt, **team)["CiphertextBlob"]
    plain = works("Decrypt of the partner, by the ciphertext alone", partner.decrypt, CiphertextBlob=blob,
                  EncryptionContext={"Team": "payroll"})
    equal("what it decrypts, with which key", (plain["Plaintext"], plain["KeyId"]), (b"hello", key))
    works("Decrypt of the session", payroll.decrypt, CiphertextBlob=shared, EncryptionContext={"Team": "payroll"})
    denied("GenerateDataKey of the partner, whose own policy does not allow it", PARTNER_ARN, "GenerateDataKey",
           no_identity_policy("GenerateDataKey", key), partner.generate_data_key, KeyId=key, KeySpec="AES_256")
    denied("DisableKey, which accounts cannot share", PARTNER_ARN, "DisableKey", HIDDEN, partner.disable_key, KeyId=key)

    put(key, statement("Deny", "*", "kms:Encrypt", StringNotEquals={"kms:EncryptionContext:Team": "payroll"}))
    works("Encrypt of the administrator with the context", admin.encrypt, **team)
    denied("and without", "arn:aws:iam::111122223333:user/Admin", "Encrypt",
           f" on resource: {key} with an explicit deny in a resource-based policy", admin.encrypt, KeyId=key, Plaintext=b"x")
    refused("a policy for a user who does not exist", "MalformedPolicyDocumentException",
            "Policy contains a statement with one or more invalid principals.", admin.put_key_policy, KeyId=key,
            PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
                OWNER, statement("Allow", "arn:aws:iam::111122223333:user/Nobody", "kms:*")]}))
    refused("a policy that locks everyone out", "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.", admin.put_key_policy, KeyId=key,
            PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
                statement("Allow", PARTNER_ARN, "kms:*")]}))


def grants():
    story.chapter("grants")
    key = works("CreateKey of the administrator", admin.create_key)["KeyMetadata"]["Arn"]
    nobody = "arn:aws:iam::111122223333:user/Nobody"
    refused("a grant for a user who does not exist", "InvalidArnException",
            f"ARN does not refer to a valid principal: {nobody}", admin.create_grant, KeyId=key, GranteePrincipal=nobody,
            Operations=["Encrypt"])
    grant = works("CreateGrant for the partner", admin.create_grant, KeyId=key, GranteePrincipal=PARTNER_ARN,
                  RetiringPrincipal=OPERATOR_ARN, Operations=["GenerateDataKey", "DescribeKey"],
                  Constraints={"EncryptionContextSubset": {"Case": "7"}})
    data_key = {"KeyId": key, "KeySpec": "AES_256"}
    works("GenerateDataKey of the partner, with more context than the constraint wants", partner.generate_data_key,
          EncryptionContext={"Case": "7", "Page": "1"}, **data_key)
    denied("with less", PARTNER_ARN, "GenerateDataKey", HIDDEN, partner.generate_data_key, **data_key)
    works("DescribeKey of the partner", partner.describe_key, KeyId=key)
    denied("RetireGrant of the partner", PARTNER_ARN, "RetireGrant", HIDDEN, partner.retire_grant,
           GrantToken=grant["GrantToken"])
    works("RetireGrant of the operator, as the grant says", operator.retire_grant, GrantToken=grant["GrantToken"])
    denied("DescribeKey of the partner after that", PARTNER_ARN, "DescribeKey", HIDDEN, partner.describe_key, KeyId=key)


signatures()
stores()
keys()
grants()
story.end()
