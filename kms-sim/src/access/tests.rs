//! Who may do what, operation by operation; each table names the page of AWS's documentation that has the rule.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::caller::{Authority, Caller};
use crate::policy::{Document, Kind};
use crate::test_client::TestClient;

const OWNER: &str = "111122223333";
const OTHER: &str = "444455556666";

/// A caller who may do what a document says and no more.
fn principal(arn: &str, document: Value) -> Caller {
    let account = arn.split(':').nth(4).unwrap().to_owned();
    let region = "us-east-1".to_owned();
    let mut caller = Caller::new(account, region, arn.to_owned(), "request".to_owned());
    let document = Document::parse(&document.to_string(), Kind::Identity).unwrap();
    caller.authority = Authority::Policies(Arc::new([document]));
    caller
}

fn allowing(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
}

fn nothing() -> Value {
    json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
}

fn user(name: &str, document: Value) -> Caller {
    principal(&format!("arn:aws:iam::{OWNER}:user/{name}"), document)
}

fn key_with(client: &TestClient, policy: Value) -> String {
    let input = json!({"Policy": policy.to_string(), "BypassPolicyLockoutSafetyCheck": true});
    let key = client.ok("CreateKey", input)["KeyMetadata"]["Arn"].clone();
    key.as_str().unwrap().to_owned()
}

fn statement(effect: &str, principal: &str, action: &str) -> Value {
    json!({"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"})
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn account() -> Value {
    statement("Allow", &format!("arn:aws:iam::{OWNER}:root"), "kms:*")
}

fn encrypt(client: &TestClient, caller: &Caller, key: &str) -> Result<Value, (String, String)> {
    client.call_as(
        caller,
        "Encrypt",
        json!({"KeyId": key, "Plaintext": "aGVsbG8="}),
    )
}

#[track_caller]
fn denied(result: Result<Value, (String, String)>, why: &str) {
    let (name, message) = result.unwrap_err();
    assert_eq!(name, "AccessDeniedException", "{message}");
    assert!(message.contains(why), "{message}");
}

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

/// KMS Developer Guide, "Allowing users in other accounts to use a KMS key": both accounts must allow it.
#[test]
fn another_account_needs_both() {
    let client = TestClient::new();
    let share = |action| statement("Allow", &format!("arn:aws:iam::{OTHER}:root"), action);
    let bob = |document| principal(&format!("arn:aws:iam::{OTHER}:user/Bob"), document);
    let vague = "on this resource because the resource does not exist in this Region";
    let shared = key_with(&client, policy(&[account(), share("kms:*")]));
    encrypt(&client, &bob(allowing("kms:*")), &shared).unwrap();
    denied(
        encrypt(&client, &bob(nothing()), &shared),
        &format!("on resource: {shared} because no identity-based policy allows"),
    );
    let own = key_with(&client, policy(&[account()]));
    denied(encrypt(&client, &bob(allowing("kms:*")), &own), vague);
    // No less is told of a key that does not exist.
    let parent = own.rsplit_once('/').unwrap().0;
    let missing = format!("{parent}/00000000-0000-4000-8000-000000000000");
    denied(encrypt(&client, &bob(allowing("kms:*")), &missing), vague);
    // Neither an id nor an alias name means another account's key.
    let id = shared.rsplit('/').next().unwrap();
    assert_eq!(
        encrypt(&client, &bob(allowing("*")), id).unwrap_err().0,
        "NotFoundException"
    );
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/shared", "TargetKeyId": id}),
    );
    let alias = format!("arn:aws:kms:us-east-1:{OWNER}:alias/shared");
    encrypt(&client, &bob(allowing("*")), &alias).unwrap();
    // What accounts cannot share fails as if nothing were there.
    let disable = client.call_as(&bob(allowing("*")), "DisableKey", json!({"KeyId": shared}));
    denied(disable, vague);
    // The ciphertext names its key.
    let blob = encrypt(&client, &bob(allowing("*")), &shared).unwrap()["CiphertextBlob"].clone();
    let decrypted = client.call_as(
        &bob(allowing("*")),
        "Decrypt",
        json!({"CiphertextBlob": blob}),
    );
    assert_eq!(decrypted.unwrap()["Plaintext"], "aGVsbG8=");
    let wrong = json!({"CiphertextBlob": blob, "KeyId": id});
    let error = client
        .call_as(&bob(allowing("*")), "Decrypt", wrong)
        .unwrap_err();
    assert_eq!(error.0, "NotFoundException", "{error:?}");
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
