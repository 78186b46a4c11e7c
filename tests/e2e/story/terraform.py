"""The calls that Terraform's AWS provider makes, and the answers that it waits for.

Order and inputs are those of hashicorp/terraform-provider-aws, internal/service/kms/{custom_key_store,key,alias,grant}.go
and wait.go, and were seen on the wire with its version 5.100.0: create, poll until the change is seen several times in a
row, read everything back, and read it all again for each plan. A difference between what was asked for and what is read
would be a plan that never ends. Run by story.rs, like main.py; terraform.rs runs the provider itself where there is one.
"""

import json
import time

import boto3

from key_store import create_key, connect, disconnect, equal, error, given, kms, proxy_arguments, raises, story, works

sts = boto3.client("sts", endpoint_url=given["kms_endpoint_url"], region_name=given["region"],
                   aws_access_key_id="test", aws_secret_access_key="test")


def seen(what, look, expected, times=5):
    """The provider believes a change once it was seen so many times in a row; here it must be there at once."""
    for _ in range(times):
        if look() != expected:
            equal(what, look(), expected)
            return
        time.sleep(0.01)
    equal(f"{what}, {times} times in a row", look(), expected)


def policy_of(key_id):
    return json.loads(kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"])


def tags_of(key_id):
    pages = kms.get_paginator("list_resource_tags").paginate(KeyId=key_id).build_full_result()
    return {tag["TagKey"]: tag["TagValue"] for tag in pages["Tags"]}


def rotation_of(key_id):
    status = kms.get_key_rotation_status(KeyId=key_id)
    return status["KeyRotationEnabled"], status.get("RotationPeriodInDays")


def read_key(key_id):
    """What the provider keeps in its state of an aws_kms_key; None once the key waits for its deletion."""
    try:
        metadata = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    except error.NotFoundException:
        return None
    if metadata["KeyState"] in ("PendingDeletion", "PendingReplicaDeletion"):
        return None
    state = {
        "arn": metadata["Arn"],
        "custom_key_store_id": metadata.get("CustomKeyStoreId"),
        "customer_master_key_spec": metadata["KeySpec"],
        "description": metadata["Description"],
        "is_enabled": metadata["Enabled"],
        "key_usage": metadata["KeyUsage"],
        "multi_region": metadata["MultiRegion"],
        "xks_key_id": metadata.get("XksKeyConfiguration", {}).get("Id"),
        "policy": policy_of(key_id),
        "tags": tags_of(key_id),
    }
    # Of other origins it does not ask.
    if metadata["Origin"] == "AWS_KMS":
        state["enable_key_rotation"], state["rotation_period_in_days"] = rotation_of(key_id)
    return state


def read_store(store_id):
    """What it keeps of an aws_kms_custom_key_store; None once it is gone."""
    try:
        stores = kms.get_paginator("describe_custom_key_stores").paginate(CustomKeyStoreId=store_id).build_full_result()
    except error.CustomKeyStoreNotFoundException:
        return None
    (store,) = stores["CustomKeyStores"]
    proxy = store["XksProxyConfiguration"]
    return {
        "custom_key_store_name": store["CustomKeyStoreName"], "custom_key_store_type": store["CustomKeyStoreType"],
        "xks_proxy_connectivity": proxy["Connectivity"], "xks_proxy_uri_endpoint": proxy["UriEndpoint"],
        "xks_proxy_uri_path": proxy["UriPath"],
    }


def read_alias(name):
    """It reads all aliases of the account and looks for the name."""
    pages = kms.get_paginator("list_aliases").paginate().build_full_result()
    return [alias["TargetKeyId"] for alias in pages["Aliases"] if alias["AliasName"] == name]


def read_grant(key_id, grant_id):
    pages = kms.get_paginator("list_grants").paginate(KeyId=key_id, PaginationConfig={"PageSize": 100}).build_full_result()
    members = ("Name", "GranteePrincipal", "Operations", "Constraints")
    return [{name: grant[name] for name in members} for grant in pages["Grants"] if grant["GrantId"] == grant_id]


story.chapter("provider: who am I")
identity = works("GetCallerIdentity", sts.get_caller_identity)
account = identity["Account"]
equal("the ARN names the same account", identity["Arn"].split(":")[4], account)

story.chapter("aws_kms_custom_key_store")
nile = works("CreateCustomKeyStore", kms.create_custom_key_store, CustomKeyStoreName="nile", **proxy_arguments())
nile = nile["CustomKeyStoreId"]
wanted_store = {
    "custom_key_store_name": "nile", "custom_key_store_type": "EXTERNAL_KEY_STORE",
    "xks_proxy_connectivity": "PUBLIC_ENDPOINT", "xks_proxy_uri_endpoint": given["proxy_uri_endpoint"],
    "xks_proxy_uri_path": given["proxy_uri_path"],
}
equal("it reads what it made", read_store(nile), wanted_store)

story.chapter("aws_kms_key")
# As jsonencode() writes it; KMS keeps a policy as it is written.
policy = {"Statement": [{"Action": "kms:*", "Effect": "Allow", "Resource": "*", "Sid": "all",
                         "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}], "Version": "2012-10-17"}
inputs = {"BypassPolicyLockoutSafetyCheck": False, "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}
key = works("CreateKey", kms.create_key, Description="outside", Policy=json.dumps(policy),
            Tags=[{"TagKey": "river", "TagValue": "Nile"}], **inputs)["KeyMetadata"]["KeyId"]
works("EnableKeyRotation", kms.enable_key_rotation, KeyId=key, RotationPeriodInDays=180)
seen("its rotation", lambda: rotation_of(key), (True, 180))
seen("its policy", lambda: policy_of(key), policy)
seen("its tags", lambda: tags_of(key), {"river": "Nile"})
wanted_key = {
    "arn": f"arn:aws:kms:{given['region']}:{account}:key/{key}", "custom_key_store_id": None,
    "customer_master_key_spec": "SYMMETRIC_DEFAULT", "description": "outside", "is_enabled": True,
    "key_usage": "ENCRYPT_DECRYPT", "multi_region": False, "xks_key_id": None, "policy": policy,
    "tags": {"river": "Nile"}, "enable_key_rotation": True, "rotation_period_in_days": 180,
}
equal("it reads what it made", read_key(key), wanted_key)

story.chapter("aws_kms_key in the store")
raises(error.CustomKeyStoreInvalidStateException, "CreateKey in a store that nobody connected", kms.create_key,
       Tags=[], **create_key(nile), **inputs)
connect(nile)
external = works("CreateKey", kms.create_key, Tags=[], **create_key(nile), **inputs)["KeyMetadata"]["KeyId"]
state = read_key(external)
equal("the store and the external key", (state["custom_key_store_id"], state["xks_key_id"]), (nile, given["external_key_id"]))

story.chapter("aws_kms_alias, aws_kms_grant")
works("CreateAlias", kms.create_alias, AliasName="alias/nile", TargetKeyId=key)
equal("it finds the alias", read_alias("alias/nile"), [key])
wanted_grant = {
    "Name": "worker", "GranteePrincipal": f"arn:aws:iam::{account}:role/Worker", "Operations": ["Encrypt", "Decrypt"],
    "Constraints": {"EncryptionContextEquals": {"Department": "Finance"}},
}
grant = works("CreateGrant", kms.create_grant, KeyId=key, **wanted_grant)["GrantId"]
equal("it finds the grant", [sorted(found["Operations"]) for found in read_grant(key, grant)], [["Decrypt", "Encrypt"]])
equal("with its constraint", [found["Constraints"] for found in read_grant(key, grant)], [wanted_grant["Constraints"]])

story.chapter("plan: nothing to do")
equal("the store", read_store(nile), wanted_store)
equal("the key", read_key(key), wanted_key)
equal("the key in the store", read_key(external), state)

story.chapter("plan while the store is disconnected")
disconnect(nile)
equal("the store, of which it keeps no state of the connection", read_store(nile), wanted_store)
equal("the key in the store: all that a plan would change is is_enabled", read_key(external), state | {"is_enabled": False})
connect(nile)
equal("the key in the store, once connected again", read_key(external), state)

story.chapter("destroy")
works("RevokeGrant", kms.revoke_grant, KeyId=key, GrantId=grant)
seen("the grant is gone", lambda: read_grant(key, grant), [], times=1)
works("DeleteAlias", kms.delete_alias, AliasName="alias/nile")
for name, key_id in {"the key": key, "the key in the store": external}.items():
    works(f"ScheduleKeyDeletion of {name}", kms.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=7)
    seen(f"{name} is gone", lambda: read_key(key_id), None, times=1)
    # Not a failure for the provider if the message says so.
    raises(error.KMSInvalidStateException, "ScheduleKeyDeletion again", kms.schedule_key_deletion, KeyId=key_id,
           message=f"arn:aws:kms:{given['region']}:{account}:key/{key_id} is pending deletion.")
# The provider ignores this error, says that the store is destroyed, and the store stays.
raises(error.CustomKeyStoreInvalidStateException, "DeleteCustomKeyStore of a connected store",
       kms.delete_custom_key_store, CustomKeyStoreId=nile)
equal("the store is still there", read_store(nile), wanted_store)
story.end()
