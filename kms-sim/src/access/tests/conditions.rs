//! The condition keys that requests, callers and keys have.

use super::*;

/// KMS Developer Guide, "AWS KMS condition keys".
#[test]
fn condition_keys() {
    let client = TestClient::new();
    let key = key_with(&client, policy(&[account()]));
    client.ok(
        "TagResource",
        json!({"KeyId": key, "Tags": [{"TagKey": "team", "TagValue": "red"}]}),
    );
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/red", "TargetKeyId": key}),
    );
    let data_key = json!({"KeyId": key, "KeySpec": "AES_256"});
    let with_context = json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": {"Owner": "Alice", "Case": "7"}});
    let grant = json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:user/Carol"),
        "Operations": ["Encrypt"], "Constraints": {"EncryptionContextSubset": {"Owner": "Alice"}}});
    for (operation, input, condition, expected) in [
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:KeyOrigin": "EXTERNAL_KEY_STORE"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT",
            "kms:KeyUsage": "ENCRYPT_DECRYPT", "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:CallerAccount": OWNER}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:EncryptionContext:Owner": "Alice"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &with_context,
            json!({"StringEquals": {"kms:EncryptionContext:Owner": "Alice"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &with_context,
            json!({"StringEquals": {"kms:EncryptionContext:Owner": "${aws:username}"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &with_context,
            json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["Owner"]}}),
            false,
        ),
        (
            "GenerateDataKey",
            &with_context,
            json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "Case"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"aws:ResourceTag/team": "red"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"aws:ResourceTag/team": "blue"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/r*"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"kms:RequestAlias": "alias/red"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &json!({"KeyId": "alias/red", "KeySpec": "AES_256"}),
            json!({"StringEquals": {"kms:RequestAlias": "alias/red"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/Alice"}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"Bool": {"aws:SecureTransport": "true"}}),
            false,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"StringEquals": {"aws:PrincipalType": "User", "aws:PrincipalAccount": OWNER}}),
            true,
        ),
        (
            "GenerateDataKey",
            &data_key,
            json!({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}),
            true,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"Bool": {"kms:GrantIsForAWSResource": "true"}}),
            false,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextSubset"}}),
            true,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"StringEquals": {"kms:EncryptionContext:Owner": "Alice"}}),
            true,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}),
            true,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"ForAllValues:StringEquals": {"kms:GrantOperations": "Decrypt"}}),
            false,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"StringEquals": {"kms:GranteePrincipal": format!("arn:aws:iam::{OWNER}:user/Carol")}}),
            true,
        ),
        (
            "CreateGrant",
            &grant,
            json!({"StringLike": {"kms:RetiringPrincipal": "*"}}),
            false,
        ),
        (
            "ScheduleKeyDeletion",
            &json!({"KeyId": key, "PendingWindowInDays": 7}),
            json!({"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": 8}}),
            false,
        ),
        (
            "EnableKeyRotation",
            &json!({"KeyId": key}),
            json!({"NumericEquals": {"kms:RotationPeriodInDays": "365"}}),
            true,
        ),
        (
            "EnableKeyRotation",
            &json!({"KeyId": key, "RotationPeriodInDays": 90}),
            json!({"NumericGreaterThan": {"kms:RotationPeriodInDays": "90"}}),
            false,
        ),
        (
            "PutKeyPolicy",
            &json!({"KeyId": key, "Policy": policy(&[account()]).to_string()}),
            json!({"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}}),
            true,
        ),
        (
            "TagResource",
            &json!({"KeyId": key, "Tags": [{"TagKey": "cost", "TagValue": "1"}]}),
            json!({"StringEquals": {"aws:RequestTag/cost": "1"}, "ForAllValues:StringEquals": {"aws:TagKeys": "cost"}}),
            true,
        ),
        (
            "UntagResource",
            &json!({"KeyId": key, "TagKeys": ["team"]}),
            json!({"ForAllValues:StringEquals": {"aws:TagKeys": "cost"}}),
            false,
        ),
        (
            "CreateKey",
            &json!({}),
            json!({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyOrigin": "AWS_KMS"},
            "Bool": {"kms:MultiRegion": "false", "kms:BypassPolicyLockoutSafetyCheck": "false"}}),
            true,
        ),
        (
            "CreateKey",
            &json!({}),
            json!({"StringEquals": {"kms:KeyOrigin": "EXTERNAL_KEY_STORE"}}),
            false,
        ),
    ] {
        let document = json!({"Version": "2012-10-17", "Statement":
            {"Effect": "Allow", "Action": format!("kms:{operation}"), "Resource": "*", "Condition": condition}});
        let result = client.call_as(&user("Alice", document), operation, input.clone());
        match expected {
            true => {
                drop(result.unwrap_or_else(|error| panic!("{operation} {condition}: {error:?}")))
            }
            false => denied(result, "because no identity-based policy allows"),
        }
    }
}
