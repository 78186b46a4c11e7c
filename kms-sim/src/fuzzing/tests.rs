//! Generated bodies for every operation: none is an internal error, none panics or hangs, and what fails changes nothing
//! (`Door` asserts it).

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// The members of all inputs in KMS's model, and some that there are not.
const MEMBERS: [&str; 78] = [
    "AliasName",
    "BypassPolicyLockoutSafetyCheck",
    "CiphertextBlob",
    "CloudHsmClusterId",
    "Constraints",
    "CustomKeyStoreId",
    "CustomKeyStoreName",
    "CustomKeyStoreType",
    "CustomerMasterKeySpec",
    "Description",
    "DestinationEncryptionAlgorithm",
    "DestinationEncryptionContext",
    "DestinationKeyId",
    "DryRun",
    "DryRunModifiers",
    "EncryptedKeyMaterial",
    "EncryptionAlgorithm",
    "EncryptionContext",
    "ExpirationModel",
    "GrantId",
    "GrantToken",
    "GrantTokens",
    "GranteePrincipal",
    "ImportToken",
    "ImportType",
    "IncludeKeyMaterial",
    "KeyAgreementAlgorithm",
    "KeyId",
    "KeyMaterialDescription",
    "KeyMaterialId",
    "KeyPairSpec",
    "KeySpec",
    "KeyStorePassword",
    "KeyUsage",
    "Limit",
    "Mac",
    "MacAlgorithm",
    "Marker",
    "Message",
    "MessageType",
    "MultiRegion",
    "Name",
    "NewCustomKeyStoreName",
    "NumberOfBytes",
    "Operations",
    "Origin",
    "PendingWindowInDays",
    "Plaintext",
    "Policy",
    "PolicyName",
    "PrimaryRegion",
    "PublicKey",
    "Recipient",
    "ReplicaRegion",
    "RetiringPrincipal",
    "RotationPeriodInDays",
    "Signature",
    "SigningAlgorithm",
    "SourceEncryptionAlgorithm",
    "SourceEncryptionContext",
    "SourceKeyId",
    "TagKeys",
    "Tags",
    "TargetKeyId",
    "TrustAnchorCertificate",
    "ValidTo",
    "WrappingAlgorithm",
    "WrappingKeySpec",
    "XksKeyId",
    "XksProxyAuthenticationCredential",
    "XksProxyConnectivity",
    "XksProxyUriEndpoint",
    "XksProxyUriPath",
    "XksProxyVpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner",
    "keyId",
    "",
    "Unknown",
];

/// Values that mean something to an operation.
fn meaningful() -> impl Strategy<Value = Value> {
    let texts = [
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "1234abcd-12ab-34cd-56ef-1234567890ac",
        "1234abcd-12ab-34cd-56ef-1234567890ad",
        "alias/app",
        "alias/new",
        "alias/aws/kms",
        "alias/",
        "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:alias/app",
        "arn:aws:iam::123456789012:role/x",
        "cks-0123456789abcdef0",
        "SYMMETRIC_DEFAULT",
        "ENCRYPT_DECRYPT",
        "AES_256",
        "RSA_2048",
        "HMAC_256",
        "SIGN_VERIFY",
        "AWS_KMS",
        "EXTERNAL",
        "EXTERNAL_KEY_STORE",
        "AWS_CLOUDHSM",
        "PUBLIC_ENDPOINT",
        "VPC_ENDPOINT_SERVICE",
        "https://xks.test",
        "https://other.test",
        "/kms/xks/v1",
        "/other/kms/xks/v1",
        "default",
        "us-west-2",
        "demo",
        "cluster-a2b3c4d5e6f",
        "RAW",
        "DIGEST",
        "aGVsbG8=",
        "aGVsbG8",
        "",
        GENUINE,
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
    ];
    prop_oneof![
        6 => prop::sample::select(texts.to_vec()).prop_map(Value::from),
        1 => (-1_i64..5_000).prop_map(Value::from),
        1 => Just(json!({"AccessKeyId": "EXAMPLEEXAMPLE234567", "RawSecretAccessKey": "A".repeat(43)})),
        1 => Just(json!([{"TagKey": "a", "TagValue": "b"}, {"TagKey": "a", "TagValue": null}])),
        1 => Just(json!(["Encrypt", "Decrypt"])),
        1 => Just(json!({"EncryptionContextSubset": {"a": "b"}})),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

/// Any JSON.
fn arbitrary() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        (0_usize..9_000).prop_map(|n| "a".repeat(n).into()),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(".{0,8}", inner, 0..6).prop_map(|map| Value::from(Map::from_iter(map))),
        ]
    })
}

fn body() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(&MEMBERS[..]).prop_map(str::to_owned);
    let value = prop_oneof![4 => meaningful(), 1 => arbitrary()];
    let object = btree_map(name, value, 0..9).prop_map(|map| Value::from(Map::from_iter(map)));
    prop_oneof![9 => object, 1 => arbitrary()]
}

/// One for each thread of the test: what it costs is made once.
fn with_door<T>(work: impl FnOnce(&Door) -> T) -> T {
    thread_local!(static DOOR: Door = Door::new());
    DOOR.with(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_body_is_an_internal_error_and_what_fails_changes_nothing(
        operation in prop::sample::select(Operation::ALL),
        body in body(),
    ) {
        let target = format!("TrentService.{}", operation.name());
        with_door(|door| door.call(&target, body.to_string().as_bytes()));
    }

    #[test]
    fn bytes_that_are_no_json_are_refused(
        operation in prop::sample::select(Operation::ALL),
        mut body in vec(any::<u8>(), 1..200),
    ) {
        // No JSON object begins so.
        body.insert(0, b'}');
        let target = format!("TrentService.{}", operation.name());
        let ended = with_door(|door| door.call(&target, &body));
        let expected = ["SerializationException", "UnsupportedOperationException"];
        let Ended::Exception(name) = ended else {
            panic!("{ended:?}");
        };
        prop_assert!(expected.contains(&name), "{}", name);
    }

    #[test]
    fn nobody_forges_a_ciphertext(at in 0_usize..400, bit in 0_u8..8, keep in 0_usize..400) {
        let mut blob = STANDARD.decode(GENUINE).unwrap();
        let at = at % blob.len();
        blob[at] ^= 1 << bit;
        with_door(|door| door.ciphertext(&blob));
        blob.truncate(keep % blob.len());
        with_door(|door| door.ciphertext(&blob));
    }
}

#[test]
fn the_genuine_ciphertext_opens_and_a_byte_more_spoils_it() {
    let mut blob = STANDARD.decode(GENUINE).unwrap();
    let Ended::Answer(answer) = with_door(|door| door.ciphertext(&blob)) else {
        panic!("the state has its key");
    };
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["Plaintext"], "aGVsbG8=");
    blob.push(0);
    let ended = with_door(|door| door.ciphertext(&blob));
    assert_eq!(ended, Ended::Exception("InvalidCiphertextException"));
}

#[test]
fn an_input_has_a_target_and_a_body_and_meets_the_same_state_each_time() {
    let door = Door::new();
    let delete = b"TrentService.DeleteAlias\n{\"AliasName\":\"alias/app\"}";
    for _ in 0..2 {
        assert_eq!(door.request(delete), Some(Ended::Answer(Vec::new())));
    }
    assert_eq!(door.request(b"TrentService.DeleteAlias"), None);
    let unknown = door.request(b"TrentService.Nothing\n{}");
    assert_eq!(unknown, Some(Ended::Exception("UnknownOperationException")));
}
