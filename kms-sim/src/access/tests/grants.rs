//! What grants allow, and who may end them.

use super::*;

/// KMS Developer Guide, "Grants in AWS KMS" and "Using grant constraints".
#[test]
fn grants() {
    let client = TestClient::new();
    let key = key_with(&client, policy(&[account()]));
    let carol_arn = format!("arn:aws:iam::{OWNER}:user/Carol");
    let carol = || user("Carol", nothing());
    let grant = |terms: Value| {
        let mut input = json!({"KeyId": key, "GranteePrincipal": carol_arn});
        input
            .as_object_mut()
            .unwrap()
            .extend(terms.as_object().unwrap().clone());
        client.ok("CreateGrant", input)
    };
    let data_key = |context: Value| {
        let input = json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context});
        client.call_as(&carol(), "GenerateDataKey", input)
    };
    denied(
        data_key(json!({})),
        "because no identity-based policy allows",
    );
    let equals = json!({"Operations": ["GenerateDataKey", "DescribeKey", "CreateGrant"],
        "Constraints": {"EncryptionContextEquals": {"a": "1"}}});
    let first = grant(equals);
    data_key(json!({"a": "1"})).unwrap();
    // API reference, GrantConstraints: names are not case sensitive there.
    data_key(json!({"A": "1"})).unwrap();
    denied(data_key(json!({"a": "1", "b": "2"})), "identity-based");
    denied(data_key(json!({"a": "2"})), "identity-based");
    client
        .call_as(&carol(), "DescribeKey", json!({"KeyId": key}))
        .unwrap();
    denied(encrypt(&client, &carol(), &key), "kms:Encrypt");
    let subset = json!({"Operations": ["GenerateDataKey"], "Constraints": {"EncryptionContextSubset": {"c": "3"}}});
    grant(subset);
    data_key(json!({"c": "3", "d": "4"})).unwrap();
    denied(data_key(json!({"d": "4"})), "identity-based");
    // A grant made by right of a grant is no wider than that.
    let child = |operations: Value, constraints: Value| {
        let input = json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:user/Dave"),
            "Operations": operations, "Constraints": constraints});
        client.call_as(&carol(), "CreateGrant", input)
    };
    let strict = json!({"EncryptionContextEquals": {"a": "1"}});
    denied(child(json!(["Decrypt"]), strict.clone()), "kms:CreateGrant");
    denied(
        child(json!(["GenerateDataKey"]), json!({})),
        "kms:CreateGrant",
    );
    denied(
        child(
            json!(["GenerateDataKey"]),
            json!({"EncryptionContextSubset": {"a": "1"}}),
        ),
        "kms:CreateGrant",
    );
    child(json!(["GenerateDataKey"]), strict).unwrap();
    // A denial beats a grant.
    let deny = json!({"Statement": {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}});
    let input = json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": {"a": "1"}});
    denied(
        client.call_as(&user("Carol", deny), "GenerateDataKey", input),
        "explicit deny in an identity",
    );
    client.ok(
        "RevokeGrant",
        json!({"KeyId": key, "GrantId": first["GrantId"]}),
    );
    denied(data_key(json!({"a": "1"})), "identity-based");
}

/// KMS Developer Guide, "Retiring and revoking grants": the grant decides, no policy can allow it.
#[test]
fn who_may_retire_a_grant() {
    let client = TestClient::new();
    let key = key_with(&client, policy(&[account()]));
    let arn = |name: &str| format!("arn:aws:iam::{OWNER}:user/{name}");
    let grant = |operations: Value| {
        client.ok(
            "CreateGrant",
            json!({"KeyId": key, "GranteePrincipal": arn("Carol"),
            "RetiringPrincipal": arn("Erin"), "Operations": operations}),
        )
    };
    let retire = |caller: &Caller, grant: &Value| {
        client.call_as(
            caller,
            "RetireGrant",
            json!({"GrantToken": grant["GrantToken"]}),
        )
    };
    let by_id = |caller: &Caller, grant: &Value| {
        client.call_as(
            caller,
            "RetireGrant",
            json!({"KeyId": key, "GrantId": grant["GrantId"]}),
        )
    };
    let plain = grant(json!(["Encrypt"]));
    denied(
        retire(&user("Frank", allowing("*")), &plain),
        "kms:RetireGrant",
    );
    denied(
        retire(&user("Carol", allowing("*")), &plain),
        "kms:RetireGrant",
    );
    let deny =
        json!({"Statement": {"Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*"}});
    denied(by_id(&user("Erin", deny), &plain), "explicit deny");
    by_id(&user("Erin", nothing()), &plain).unwrap();
    retire(
        &user("Carol", nothing()),
        &grant(json!(["Encrypt", "RetireGrant"])),
    )
    .unwrap();
    let root = principal(&format!("arn:aws:iam::{OWNER}:root"), nothing());
    retire(&root, &grant(json!(["Encrypt"]))).unwrap();
}
