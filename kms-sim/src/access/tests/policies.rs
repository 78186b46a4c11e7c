//! Key policies and identity-based policies.

use super::*;

/// Without identity-based policies nothing is asked for but what a key policy denies.
#[test]
fn everyone_may_do_everything_that_no_key_policy_denies() {
    let client = TestClient::new();
    let alice = TestClient::caller(OWNER, "us-east-1");
    let silent = statement(
        "Allow",
        &format!("arn:aws:iam::{OWNER}:user/Nobody"),
        "kms:*",
    );
    let key = key_with(&client, policy(&[silent]));
    encrypt(&client, &alice, &key).unwrap();
    let deny = statement("Deny", "*", "kms:Encrypt");
    let key = key_with(&client, policy(&[account(), deny]));
    denied(
        encrypt(&client, &alice, &key),
        &format!(
            "is not authorized to perform: kms:Encrypt on resource: {key} with an explicit deny in a resource-based policy"
        ),
    );
    client.ok("DescribeKey", json!({"KeyId": key}));
}

/// A denial comes before what the state of the key forbids.
#[test]
fn permission_comes_before_state() {
    let client = TestClient::new();
    let deny = statement("Deny", "*", "kms:Encrypt");
    let key = key_with(&client, policy(&[account(), deny]));
    client.ok("DisableKey", json!({"KeyId": key}));
    denied(encrypt(&client, &client.caller, &key), "explicit deny");
}

/// KMS Developer Guide, "Troubleshooting AWS KMS permissions": key policy, then the identity's policies.
#[test]
fn key_policy_and_identity_policy() {
    let client = TestClient::new();
    let alice = format!("arn:aws:iam::{OWNER}:user/Alice");
    let itself = || statement("Allow", &alice, "kms:Encrypt");
    let deny = json!({"Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"}]});
    for (key_policy, identity, expected) in [
        (policy(&[account()]), allowing("kms:Encrypt"), None),
        (
            policy(&[account()]),
            nothing(),
            Some("because no identity-based policy allows the kms:Encrypt action"),
        ),
        (policy(&[itself()]), nothing(), None),
        (
            policy(&[itself()]),
            deny.clone(),
            Some("with an explicit deny in an identity-based policy"),
        ),
        (
            policy(&[statement("Allow", &alice, "kms:Decrypt")]),
            allowing("*"),
            Some("because no resource-based policy allows the kms:Encrypt action"),
        ),
        (
            policy(&[account(), statement("Deny", &alice, "kms:*")]),
            allowing("*"),
            Some("with an explicit deny in a resource-based policy"),
        ),
        (policy(&[statement("Allow", "*", "kms:*")]), nothing(), None),
    ] {
        let key = key_with(&client, key_policy.clone());
        let result = encrypt(&client, &user("Alice", identity), &key);
        match expected {
            None => drop(result.unwrap_or_else(|error| panic!("{key_policy}: {error:?}"))),
            Some(why) => denied(result, why),
        }
    }
    // A key without a policy of its own leaves it to its account.
    let key = client.ok("CreateKey", json!({}))["KeyMetadata"]["Arn"].clone();
    let key = key.as_str().unwrap();
    encrypt(&client, &user("Alice", allowing("kms:*")), key).unwrap();
    denied(
        encrypt(&client, &user("Alice", nothing()), key),
        "identity-based",
    );
}

/// KMS Developer Guide, "Controlling access to your external key store": identity-based policies, on every store at once.
#[test]
fn what_has_no_key_is_up_to_identity_policies() {
    let client = TestClient::new();
    let operator = user("Operator", allowing("kms:DisconnectCustomKeyStore"));
    let store = json!({"CustomKeyStoreId": "cks-1234567890abcdef0"});
    let error = client
        .call_as(&operator, "DisconnectCustomKeyStore", store.clone())
        .unwrap_err();
    assert_eq!(error.0, "CustomKeyStoreNotFoundException");
    for (operation, input) in [
        ("ConnectCustomKeyStore", store.clone()),
        ("DeleteCustomKeyStore", store),
        ("DescribeCustomKeyStores", json!({})),
        ("ListKeys", json!({})),
        ("ListAliases", json!({})),
        ("CreateKey", json!({})),
        ("GenerateRandom", json!({"NumberOfBytes": 8})),
    ] {
        denied(
            client.call_as(&operator, operation, input),
            &format!(
                "kms:{operation} on resource: * because no identity-based policy allows the kms:{operation} action"
            ),
        );
    }
    let creator = user("Creator", allowing("kms:CreateKey"));
    client.call_as(&creator, "CreateKey", json!({})).unwrap();
    let tags = json!({"Tags": [{"TagKey": "team", "TagValue": "red"}]});
    denied(
        client.call_as(&creator, "CreateKey", tags),
        "kms:TagResource on resource: *",
    );
}

/// KMS Developer Guide, "Controlling access to aliases": on the alias by identity-based policies, and on its keys.
#[test]
fn aliases_need_a_permission_on_the_alias_and_on_the_key() {
    let client = TestClient::new();
    let alice = format!("arn:aws:iam::{OWNER}:user/Alice");
    let key = key_with(
        &client,
        policy(&[account(), statement("Allow", &alice, "kms:*Alias")]),
    );
    let on_alias = json!({"Statement": {"Effect": "Allow", "Action": "kms:*Alias",
        "Resource": format!("arn:aws:kms:us-east-1:{OWNER}:alias/mine-*")}});
    let alice = user("Alice", on_alias);
    let create = |name: &str, key: &str| {
        client.call_as(
            &alice,
            "CreateAlias",
            json!({"AliasName": name, "TargetKeyId": key}),
        )
    };
    create("alias/mine-1", &key).unwrap();
    denied(
        create("alias/yours", &key),
        "alias/yours because no identity-based policy allows",
    );
    let other = key_with(&client, policy(&[account()]));
    denied(
        create("alias/mine-2", &other),
        "because no identity-based policy allows",
    );
    let update = json!({"AliasName": "alias/mine-1", "TargetKeyId": other});
    denied(client.call_as(&alice, "UpdateAlias", update), &other);
    client
        .call_as(&alice, "DeleteAlias", json!({"AliasName": "alias/mine-1"}))
        .unwrap();
    // The key that the alias has decides as well.
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/mine-3", "TargetKeyId": other}),
    );
    denied(
        client.call_as(&alice, "DeleteAlias", json!({"AliasName": "alias/mine-3"})),
        &other,
    );
}

/// KMS Developer Guide, "kms:ReEncryptOnSameKey" and "Permissions reference": one permission for each of the two keys.
#[test]
fn re_encrypt_asks_for_two_permissions() {
    let client = TestClient::new();
    let (from, to) = (
        key_with(&client, policy(&[account()])),
        key_with(&client, policy(&[account()])),
    );
    let blob = encrypt(&client, &client.caller, &from).unwrap()["CiphertextBlob"].clone();
    let input = |to: &str| json!({"CiphertextBlob": blob, "DestinationKeyId": to});
    let call =
        |document, to: &str| client.call_as(&user("Alice", document), "ReEncrypt", input(to));
    denied(
        call(allowing("kms:ReEncryptFrom"), &to),
        &format!("kms:ReEncryptTo on resource: {to}"),
    );
    denied(
        call(allowing("kms:ReEncryptTo"), &to),
        &format!("kms:ReEncryptFrom on resource: {from}"),
    );
    call(allowing("kms:ReEncrypt*"), &to).unwrap();
    let same = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:ReEncrypt*",
        "Resource": "*", "Condition": {"Bool": {"kms:ReEncryptOnSameKey": "true"}}}});
    denied(call(same.clone(), &to), "kms:ReEncryptFrom");
    call(same, &from).unwrap();
}

/// KMS API Reference, PutKeyPolicy: "The key policy must allow the calling principal to make a subsequent PutKeyPolicy
/// request on the KMS key", unless BypassPolicyLockoutSafetyCheck.
#[test]
fn nobody_locks_itself_out_by_mistake() {
    let client = TestClient::new();
    let alice_arn = format!("arn:aws:iam::{OWNER}:user/Alice");
    let alice = user("Alice", allowing("kms:*"));
    let nobody = statement(
        "Allow",
        &format!("arn:aws:iam::{OWNER}:user/Nobody"),
        "kms:*",
    );
    let deny = statement("Deny", "*", "kms:PutKeyPolicy");
    for (document, everyone, of_alice) in [
        (policy(&[account()]), true, true),
        (
            policy(&[statement("Allow", &alice_arn, "kms:Put*")]),
            true,
            true,
        ),
        (policy(std::slice::from_ref(&nobody)), true, false),
        (
            policy(&[statement("Allow", &alice_arn, "kms:Encrypt")]),
            true,
            false,
        ),
        (policy(&[account(), deny]), false, false),
    ] {
        for (caller, fits) in [(&client.caller, everyone), (&alice, of_alice)] {
            let create =
                client.call_as(caller, "CreateKey", json!({"Policy": document.to_string()}));
            let key = client.ok("CreateKey", json!({}))["KeyMetadata"]["KeyId"].clone();
            let mut put = json!({"KeyId": key, "Policy": document.to_string()});
            let outcome = client.call_as(caller, "PutKeyPolicy", put.clone());
            for result in [create, outcome] {
                match (result, fits) {
                    (Ok(_), true) => {}
                    (Err((name, message)), false) => {
                        assert_eq!(name, "MalformedPolicyDocumentException");
                        assert!(
                            message.contains("update the key policy in the future"),
                            "{message}"
                        );
                    }
                    (other, _) => panic!("{document}: {other:?}"),
                }
            }
            // The policy of the test before may not let it through.
            put["KeyId"] = client.ok("CreateKey", json!({}))["KeyMetadata"]["KeyId"].clone();
            put["BypassPolicyLockoutSafetyCheck"] = json!(true);
            client.call_as(caller, "PutKeyPolicy", put).unwrap();
        }
    }
}
