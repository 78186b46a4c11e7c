"""Reads a list of each kind with each of boto3's paginators, an item a page. Run by model.rs with kms-sim's address."""

import sys

import boto3
import botocore.session
from botocore import xform_name
from botocore.config import Config

kms = boto3.client(
    "kms", endpoint_url=f"http://{sys.argv[1]}", region_name="us-east-1", aws_access_key_id="111122223333",
    aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}),
)
key = kms.create_key()["KeyMetadata"]["Arn"]
principal = "arn:aws:iam::111122223333:role/Worker"

for number in range(3):
    kms.create_key()
    kms.create_alias(AliasName=f"alias/page-{number}", TargetKeyId=key)
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": f"tag {number}", "TagValue": ""}])
    kms.create_grant(KeyId=key, GranteePrincipal=principal, RetiringPrincipal=principal, Operations=["Encrypt"])
    kms.rotate_key_on_demand(KeyId=key)

# Of each paginator: its arguments, and how many items there are.
LISTS = {
    "ListAliases": ({"KeyId": key}, 3),
    "ListGrants": ({"KeyId": key}, 3),
    "ListKeyPolicies": ({"KeyId": key}, 1),
    "ListKeyRotations": ({"KeyId": key}, 3),
    "ListKeys": ({}, 4),
    "ListResourceTags": ({"KeyId": key}, 3),
    "ListRetirableGrants": ({"RetiringPrincipal": principal}, 3),
}
# Stores need a proxy or a cluster, which the scenario has.
ELSEWHERE = {"DescribeCustomKeyStores"}

failures = []
paginators = botocore.session.get_session().get_component("data_loader").load_service_model("kms", "paginators-1")
for name, paginator in sorted(paginators["pagination"].items()):
    if name in ELSEWHERE:
        continue
    if name not in LISTS:
        failures.append(f"{name} has a paginator in the client; say here what it is to read")
        continue
    arguments, count = LISTS[name]
    items = paginator["result_key"]
    at_once = getattr(kms, xform_name(name))(**arguments)
    pages = list(kms.get_paginator(xform_name(name)).paginate(PaginationConfig={"PageSize": 1}, **arguments))
    joined = [item for page in pages for item in page[items]]
    if len(at_once[items]) != count or at_once["Truncated"]:
        failures.append(f"{name}: {count} items expected at once, found {at_once}")
    if joined != at_once[items] or any(len(page[items]) > 1 for page in pages):
        failures.append(f"{name}: an item a page is not the same\n        {joined}\n        {at_once[items]}")

# There is nothing to wait for in KMS's model; if that changes, somebody has to look.
if kms.waiter_names:
    failures.append(f"the client has waiters: {kms.waiter_names}")
print(f"{len(LISTS)} of {len(paginators['pagination'])} paginators, {len(failures)} failures")
for failure in failures:
    print(f"FAIL  {failure}")
sys.exit(1 if failures else 0)
