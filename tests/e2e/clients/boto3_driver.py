"""Makes the calls that it reads, one JSON object a line, and writes what comes of each. Run by driver.rs."""

import base64
import datetime
import json
import sys

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint_url, region = sys.argv[1:]
kms = boto3.client(
    "kms", endpoint_url=endpoint_url, region_name=region, aws_access_key_id="test", aws_secret_access_key="test",
    config=Config(retries={"total_max_attempts": 1}, read_timeout=90, connect_timeout=10),
)


def arguments(operation, values):
    """boto3 takes blobs as bytes."""
    members = kms.meta.service_model.operation_model(operation).input_shape.members
    return {
        name: base64.b64decode(value) if members[name].type_name == "blob" else value for name, value in values.items()
    }


def plain(value):
    """What JSON can hold."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(type(value))


def run(operation, input, page_size=None):
    name = xform_name(operation)
    if page_size is None:
        answer = getattr(kms, name)(**arguments(operation, input))
    else:
        pages = kms.get_paginator(name).paginate(PaginationConfig={"PageSize": page_size}, **arguments(operation, input))
        answer = pages.build_full_result()
    answer.pop("ResponseMetadata", None)
    return answer


for line in sys.stdin:
    try:
        outcome = {"answer": run(**json.loads(line))}
    except ClientError as error:
        # The client makes a class of each exception that KMS's model has; any other stays a bare ClientError.
        name = None if type(error) is ClientError else type(error).__name__
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        outcome = {"exception": {"name": name, "code": code, "status": status, "message": str(error)}}
    except Exception as error:
        outcome = {"exception": {"name": None, "code": None, "status": None, "message": repr(error)}}
    print(json.dumps(outcome, default=plain), flush=True)
