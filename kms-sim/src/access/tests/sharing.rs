//! Keys of other accounts.

use super::*;
use crate::access::Needs;
use crate::operation::Operation;
use crate::stub_proxy::StubProxy;

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

/// KMS API Reference, "Cross-account use" of each operation, which `permission.rs` retypes: what accounts can share reaches
/// the key, even if it is not of a kind for it; for all else the key is as if it did not exist.
#[test]
fn each_operation_reaches_other_accounts_keys_or_does_not() {
    let client = TestClient::new();
    let share = statement("Allow", &format!("arn:aws:iam::{OTHER}:root"), "kms:*");
    let key = key_with(&client, policy(&[account(), share]));
    let blob = encrypt(&client, &client.caller, &key).unwrap()["CiphertextBlob"].clone();
    let bob_arn = format!("arn:aws:iam::{OTHER}:user/Bob");
    let bob = principal(&bob_arn, allowing("kms:*"));
    let mut shared = 0;
    for operation in Operation::ALL {
        let Some(more) = input_for(operation.name(), &blob, &key, &bob_arn) else {
            continue;
        };
        let mut input = json!({"KeyId": key, "SourceKeyId": key});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let result = client.call_as(&bob, operation.name(), input);
        match operation.needs() {
            Needs::Key => {
                shared += 1;
                let Err((name, message)) = result else {
                    continue;
                };
                let no_grant = operation.name() == "RevokeGrant" && name == "NotFoundException";
                let not_reached = [
                    "AccessDeniedException",
                    "ValidationException",
                    "NotFoundException",
                ];
                assert!(
                    no_grant || !not_reached.contains(&&*name),
                    "{operation:?} {name} {message}"
                );
            }
            Needs::OwnKey => denied(result, "because the resource does not exist in this Region"),
            Needs::Account => panic!("{operation:?}"),
        }
    }
    // All that share but RetireGrant, which no policy allows.
    let all = Operation::ALL
        .iter()
        .filter(|operation| operation.needs() == Needs::Key);
    assert_eq!(shared, all.count() - 1);
}

/// What an operation needs beside a key; `None` for those that are not about one key, or not allowed by policies.
fn input_for(operation: &str, blob: &Value, key: &str, grantee: &str) -> Option<Value> {
    Some(match operation {
        "Encrypt" => json!({"Plaintext": "AAAA"}),
        "Decrypt" => json!({"CiphertextBlob": blob}),
        "ReEncrypt" => json!({"CiphertextBlob": blob, "DestinationKeyId": key}),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => json!({"KeySpec": "AES_256"}),
        "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext" => {
            json!({"KeyPairSpec": "ECC_NIST_P256"})
        }
        "Sign" => json!({"Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256"}),
        "Verify" => {
            json!({"Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": "AAAA"})
        }
        "GenerateMac" => json!({"Message": "AAAA", "MacAlgorithm": "HMAC_SHA_256"}),
        "VerifyMac" => json!({"Message": "AAAA", "MacAlgorithm": "HMAC_SHA_256", "Mac": "AAAA"}),
        "DeriveSharedSecret" => json!({"KeyAgreementAlgorithm": "ECDH", "PublicKey": "AAAA"}),
        "Encapsulate" => json!({"EncapsulationAlgorithm": "ML_KEM"}),
        "Decapsulate" => {
            json!({"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": "AAAA"})
        }
        "CreateGrant" => json!({"GranteePrincipal": grantee, "Operations": ["Encrypt"]}),
        "RevokeGrant" => json!({"GrantId": "00"}),
        "PutKeyPolicy" => json!({"Policy": "{}"}),
        "TagResource" => json!({"Tags": []}),
        "UntagResource" => json!({"TagKeys": []}),
        "UpdateKeyDescription" => json!({"Description": ""}),
        "DescribeKey"
        | "GetKeyRotationStatus"
        | "GetPublicKey"
        | "ListGrants"
        | "DisableKey"
        | "EnableKey"
        | "CancelKeyDeletion"
        | "DisableKeyRotation"
        | "EnableKeyRotation"
        | "GetKeyLastUsage"
        | "GetKeyPolicy"
        | "ListKeyPolicies"
        | "ListKeyRotations"
        | "ListResourceTags"
        | "RotateKeyOnDemand"
        | "ScheduleKeyDeletion" => json!({}),
        _ => return None,
    })
}

/// XKS proxy API specification, "Request metadata": who calls, from which VPC and for which service.
#[test]
fn who_calls_reaches_the_proxy() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let input = json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "x"});
    let key = client.ok("CreateKey", input)["KeyMetadata"]["Arn"].clone();
    let key = key.as_str().unwrap();
    let session = format!("arn:aws:sts::{OWNER}:assumed-role/Operator/bob");
    let mut bob = principal(&session, allowing("kms:*"));
    bob.origin.vpc = Some("vpc-0a1b2c3d".to_owned());
    bob.origin.vpc_endpoint = Some("vpce-1234abcd5678c90a".to_owned());
    bob.origin.via_service = Some("s3".to_owned());
    encrypt(&client, &bob, key).unwrap();
    let seen = proxy.seen();
    assert_eq!(
        seen.last().unwrap().body["requestMetadata"],
        json!({
            "awsPrincipalArn": session,
            "awsSourceVpc": "vpc-0a1b2c3d",
            "awsSourceVpce": "vpce-1234abcd5678c90a",
            "kmsKeyArn": key,
            "kmsOperation": "Encrypt",
            "kmsRequestId": "request",
            "kmsViaService": "s3",
        })
    );
    // What is denied never gets there.
    denied(
        encrypt(&client, &principal(&session, nothing()), key),
        "identity-based",
    );
    assert_eq!(proxy.seen().len(), seen.len());
}

/// KMS API Reference, GrantListEntry, `IssuingAccount`: "the Amazon Web Services account under which the grant was issued".
#[test]
fn a_grant_tells_which_account_issued_it() {
    let client = TestClient::new();
    let share = statement(
        "Allow",
        &format!("arn:aws:iam::{OTHER}:root"),
        "kms:CreateGrant",
    );
    let key = key_with(&client, policy(&[account(), share]));
    let bob = principal(&format!("arn:aws:iam::{OTHER}:user/Bob"), allowing("kms:*"));
    let input = json!({"KeyId": key, "GranteePrincipal": bob.principal_arn, "Operations": ["DescribeKey", "RetireGrant"]});
    let grant = client.call_as(&bob, "CreateGrant", input).unwrap();
    let listed = client.ok("ListGrants", json!({"KeyId": key}));
    assert_eq!(
        listed["Grants"][0]["IssuingAccount"],
        format!("arn:aws:iam::{OTHER}:root")
    );
    // A grant is enough, whatever the key policy says; and it can be retired from the other account.
    let described = client
        .call_as(&bob, "DescribeKey", json!({"KeyId": key}))
        .unwrap();
    assert_eq!(described["KeyMetadata"]["AWSAccountId"], OWNER);
    let retire = json!({"GrantToken": grant["GrantToken"]});
    client.call_as(&bob, "RetireGrant", retire).unwrap();
    denied(
        client.call_as(&bob, "DescribeKey", json!({"KeyId": key})),
        "does not exist in this Region",
    );
}
