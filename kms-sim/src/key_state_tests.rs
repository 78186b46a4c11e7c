//! The key-state table against AWS's documentation.
//!
//! Source: AWS KMS Developer Guide, "Key states of AWS KMS keys" (June 2023), retyped here, every row of it and every
//! column that keys can be in. Newer than that table are RotateKeyOnDemand and ListKeyRotations, which follow its rotation
//! rows, DeriveSharedSecret, Encapsulate and Decapsulate, which follow Sign, and GetKeyLastUsage, which only tells.

use std::sync::Arc;

use crate::stub_proxy::StubProxy;
use serde_json::{Value, json};
use xks_api::fields::{AuthenticationTag, CiphertextMetadata, InitializationVector};
use xks_api::sealed::Sealed;

use crate::ciphertext_blob::{Layers, encode_external, header};
use crate::custom_key_store::CustomKeyStoreId;
use crate::imported::ImportedKey;
use crate::key::{Key, Origin};
use crate::key_material::KeyMaterial;
use crate::key_state::{KeyState, permit};
use crate::operation::Operation;
use crate::rotation::RotatingMaterial;
use crate::test_client::TestClient;

/// Operation; Enabled, Disabled, PendingDeletion, Unavailable. Numbers are the guide's footnotes, `a/b` is footnote a
/// for keys that KMS can rotate and b for others (`-` is success). Where the guide says `2 or 3`, it is 3, and where it
/// says `8 or 9`, 9: these are keys without imported material.
const TABLE: &str = "
    CancelKeyDeletion                   4   4   -   4
    CreateAlias                         -   -   3   -
    CreateGrant                         -   1   3   -
    Decrypt                             -   1   3   11
    DeleteAlias                         -   -   -   -
    DescribeKey                         -   -   -   -
    DisableKey                          -   -   3   -
    DisableKeyRotation                  -/7 1/7 3/7 7
    EnableKey                           -   -   3   -
    EnableKeyRotation                   -/7 1/7 3/7 7
    Encrypt                             -   1   3   11
    GenerateDataKey                     -   1   3   11
    GenerateDataKeyWithoutPlaintext     -   1   3   11
    GetKeyPolicy                        -   -   -   -
    GetKeyRotationStatus                -/7 -/7 -/7 7
    ListAliases                         -   -   -   -
    ListGrants                          -   -   -   -
    ListKeyPolicies                     -   -   -   -
    ListKeyRotations                    -/7 -/7 -/7 7
    ListResourceTags                    -   -   -   -
    PutKeyPolicy                        -   -   -   -
    ReEncrypt                           -   1   3   11
    RetireGrant                         -   -   -   -
    RevokeGrant                         -   -   -   -
    RotateKeyOnDemand                   -/7 1/7 3/7 7
    ScheduleKeyDeletion                 -   -   3   -
    TagResource                         -   -   3   -
    UntagResource                       -   -   3   -
    UpdateAlias                         -   -   3   -
    UpdateKeyDescription                -   -   3   -
";

/// As [`TABLE`], of operations for other kinds of keys, where what the key is decides before its state does, and of
/// GetKeyLastUsage. `N/A` in the guide is `x`.
const OTHER_KEYS: &str = "
    Decapsulate                         -   1   3   x
    DeleteImportedKeyMaterial           9   9   9   x
    DeriveSharedSecret                  -   1   3   x
    Encapsulate                         -   1   3   x
    GenerateDataKeyPair                 -   1   3   11
    GenerateDataKeyPairWithoutPlaintext -   1   3   11
    GenerateMac                         -   1   3   x
    GetKeyLastUsage                     -   -   -   -
    GetParametersForImport              9   9   9   9
    GetPublicKey                        -   1   3   x
    ImportKeyMaterial                   9   9   9   9
    ReplicateKey                        -   1   3   x
    Sign                                -   1   3   x
    UpdatePrimaryRegion                 -   1   3   x
    Verify                              -   1   3   x
    VerifyMac                           -   1   3   x
";

/// Operation; Creating, Updating: of multi-Region keys whose material KMS made.
const BUSY_TABLE: &str = "
    CancelKeyDeletion                   4   4
    CreateAlias                         -   -
    CreateGrant                         14  -
    Decrypt                             14  -
    DeleteAlias                         -   -
    DescribeKey                         -   -
    DisableKey                          14  15
    DisableKeyRotation                  14  -
    EnableKey                           14  15
    EnableKeyRotation                   14  -
    Encrypt                             14  -
    GenerateDataKey                     14  -
    GenerateDataKeyPair                 14  -
    GenerateDataKeyPairWithoutPlaintext 14  -
    GenerateDataKeyWithoutPlaintext     14  -
    GenerateMac                         14  -
    GetKeyPolicy                        -   -
    GetKeyRotationStatus                -   -
    GetPublicKey                        14  -
    ListAliases                         -   -
    ListGrants                          -   -
    ListKeyPolicies                     -   -
    ListKeyRotations                    -   -
    ListResourceTags                    -   -
    PutKeyPolicy                        -   -
    ReEncrypt                           14  -
    ReplicateKey                        14  15
    RetireGrant                         -   -
    RevokeGrant                         -   -
    RotateKeyOnDemand                   14  -
    ScheduleKeyDeletion                 -   15
    Sign                                14  -
    TagResource                         -   -
    UntagResource                       -   -
    UpdateAlias                         -   -
    UpdateKeyDescription                -   -
    UpdatePrimaryRegion                 14  -
    Verify                              14  -
    VerifyMac                           14  -
";

/// The same of keys with imported material: Enabled, Disabled, PendingDeletion, PendingImport, Updating. Their material is
/// rotated on demand alone.
const IMPORTED_TABLE: &str = "
    CancelKeyDeletion                   4   4   -   4   4
    CreateAlias                         -   -   3   -   -
    CreateGrant                         -   1   3   5   -
    Decrypt                             -   1   3   5   -
    DeleteImportedKeyMaterial           -   -   -   -   15
    DisableKey                          -   -   3   5   15
    DisableKeyRotation                  7   7   7   7   7
    EnableKey                           -   -   3   5   15
    EnableKeyRotation                   7   7   7   7   7
    Encrypt                             -   1   3   5   -
    GenerateDataKey                     -   1   3   5   -
    GetKeyRotationStatus                7   7   7   7   7
    GetParametersForImport              -   -   3   -   15
    ImportKeyMaterial                   -   -   3   -   -
    ListKeyRotations                    -   -   -   -   -
    ReEncrypt                           -   1   3   5   -
    ReplicateKey                        -   1   3   5   15
    RotateKeyOnDemand                   -   1   3   5   -
    ScheduleKeyDeletion                 -   -   3   -   15
    TagResource                         -   -   3   -   -
    UpdatePrimaryRegion                 -   1   3   5   -
";

const IMPORTED_STATES: [KeyState; 5] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingDeletion,
    KeyState::PendingImport,
    KeyState::Updating,
];

const STATES: [KeyState; 4] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingDeletion,
    KeyState::Unavailable,
];

/// Each cell: operation, state, and the footnote for a key that KMS can rotate or not.
fn cells(
    table: &'static str,
    rotates: bool,
) -> impl Iterator<Item = (&'static str, KeyState, &'static str)> {
    let rows = table.lines().filter(|line| !line.trim().is_empty());
    rows.flat_map(move |line| {
        let mut words = line.split_whitespace();
        let operation = words.next().unwrap();
        let cells: Vec<_> = words.collect();
        assert_eq!(cells.len(), 4, "{line}");
        STATES.into_iter().zip(cells).map(move |(state, cell)| {
            let cell = match cell.split_once('/') {
                Some((footnote, _)) if rotates => footnote,
                Some((_, footnote)) => footnote,
                None => cell,
            };
            (operation, state, cell)
        })
    })
}

/// The exception of a footnote and what its message says of the key.
fn expected(footnote: &str, arn: &str, origin: &str) -> Option<(String, String)> {
    let (name, message) = match footnote {
        "-" => return None,
        "1" => ("DisabledException", format!("{arn} is disabled.")),
        "3" => ("KMSInvalidStateException", format!("{arn} is pending deletion.")),
        "4" => ("KMSInvalidStateException", format!("{arn} is not pending deletion.")),
        "5" => ("KMSInvalidStateException", format!("{arn} is pending import.")),
        "14" => ("KMSInvalidStateException", format!("{arn} is creating.")),
        "15" => ("KMSInvalidStateException", format!("{arn} is updating.")),
        "7" | "9" => (
            "UnsupportedOperationException",
            format!("{arn} origin is {origin} which is not valid for this operation."),
        ),
        "11" if origin == "AWS_CLOUDHSM" => {
            ("KMSInvalidStateException", format!("{arn} is unavailable."))
        }
        "11" => (
            "KMSInvalidStateException",
            "This KMS key is in a custom key store that is not connected to its external key store proxy. Connect \
             the external key store and try the request again."
                .to_owned(),
        ),
        other => panic!("footnote {other}"),
    };
    Some((name.to_owned(), message))
}

fn external_key(client: &TestClient) -> Key {
    let id = uuid::Uuid::new_v4().to_string();
    let store = CustomKeyStoreId::unknown();
    let origin = Origin::ExternalKeyStore {
        store,
        external_key: (&*id).try_into().unwrap(),
        material: Arc::new(KeyMaterial::generate().unwrap()),
    };
    let arn = crate::arn::key_arn(&client.caller, &id);
    Key::new(&id, &arn, client.now(), origin)
}

#[test]
fn the_table_of_imported_material_is_the_documented_one() {
    let origin = Origin::External(ImportedKey::new("us-east-1").unwrap());
    assert_eq!(check(IMPORTED_TABLE, &IMPORTED_STATES, origin), 21 * 5);
}

#[test]
fn the_table_of_keys_that_kms_is_busy_with_is_the_documented_one() {
    let material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
    let states = [KeyState::Creating, KeyState::Updating];
    assert_eq!(check(BUSY_TABLE, &states, Origin::AwsKms(material)), 39 * 2);
}

/// Checks each cell of a table for a key of that origin; counts them.
fn check(table: &str, states: &[KeyState], origin: Origin) -> usize {
    let key = Key::new("id", "arn", std::time::SystemTime::now(), origin);
    let mut checked = 0;
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let operation = Operation::from_name(words.next().unwrap()).unwrap();
        let cells: Vec<_> = words.collect();
        assert_eq!(cells.len(), states.len(), "{line}");
        for (state, footnote) in states.iter().zip(cells) {
            let found = permit(operation, &key, *state).err();
            let found = found.map(|e| (e.name().to_owned(), e.message().unwrap().to_owned()));
            let expected = expected(footnote, "arn", key.origin().name());
            assert_eq!(found, expected, "{line} {state:?}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn the_table_in_code_is_the_documented_one() {
    let client = TestClient::new();
    let material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
    let kms = Key::new("id", "arn", client.now(), Origin::AwsKms(material));
    let mut checked = 0;
    let store = CustomKeyStoreId::unknown();
    let hsm = Key::new("id", "arn", client.now(), Origin::AwsCloudHsm { store });
    for (key, rotates) in [(kms, true), (external_key(&client), false), (hsm, false)] {
        for (operation, state, footnote) in cells(TABLE, rotates).chain(cells(OTHER_KEYS, rotates))
        {
            // A key that is in no custom key store is never Unavailable.
            if (rotates && state == KeyState::Unavailable) || footnote == "x" {
                continue;
            }
            let found = permit(Operation::from_name(operation).unwrap(), &key, state).err();
            let found = found.map(|e| (e.name().to_owned(), e.message().unwrap().to_owned()));
            let expected = expected(footnote, key.arn(), key.origin().name());
            assert_eq!(found, expected, "{operation} {state:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, (30 + 16) * (3 + 4 + 4) - 2 * 11);
    // Every operation that is about one key.
    let rows = cells(TABLE, true).chain(cells(OTHER_KEYS, true));
    let rows: std::collections::BTreeSet<_> = rows.map(|(operation, ..)| operation).collect();
    assert_eq!(rows.len(), 56 - 10);
}

/// Every operation of the table, through the API, on a fresh key in each state that it can be in.
#[test]
fn operations_obey_the_table() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let hsm_store = client.cloud_hsm_store("hsm");
    let other = client.key();
    for kind in ["AWS_KMS", "EXTERNAL_KEY_STORE", "AWS_CLOUDHSM"] {
        let rotates = kind == "AWS_KMS";
        for (operation, state, footnote) in cells(TABLE, rotates) {
            let blob;
            let id;
            match (kind, state) {
                ("AWS_KMS", KeyState::Unavailable) => continue,
                ("AWS_KMS" | "AWS_CLOUDHSM", _) | (_, KeyState::Enabled | KeyState::Disabled) => {
                    id = match kind {
                        "AWS_KMS" => client.key(),
                        "AWS_CLOUDHSM" => client.cloud_hsm_key(&hsm_store),
                        _ => client.external_key(&store, &uuid::Uuid::new_v4().to_string()),
                    };
                    let input = json!({"KeyId": id, "Plaintext": "AAAA"});
                    blob = client.ok("Encrypt", input)["CiphertextBlob"].clone();
                }
                // As if its store had been disconnected.
                (_, _) => {
                    let key = external_key(&client);
                    id = key.id().to_string();
                    blob = external_blob(&key);
                    client
                        .simulator
                        .region(&client.caller)
                        .lock()
                        .keys
                        .insert(key);
                }
            }
            let alias = format!("alias/{id}");
            let on_key = json!({"AliasName": alias, "TargetKeyId": id});
            if operation == "DeleteAlias" {
                client.ok("CreateAlias", on_key.clone());
            }
            if operation == "UpdateAlias" {
                client.ok(
                    "CreateAlias",
                    json!({"AliasName": alias, "TargetKeyId": other}),
                );
            }
            let grant = client.ok(
                "CreateGrant",
                json!({"KeyId": id, "GranteePrincipal": "arn:aws:iam::111122223333:user/Bob",
                       "Operations": ["Encrypt"]}),
            );
            match state {
                KeyState::Disabled => drop(client.ok("DisableKey", json!({"KeyId": id}))),
                KeyState::PendingDeletion => {
                    client.ok("ScheduleKeyDeletion", json!({"KeyId": id}));
                }
                KeyState::Unavailable if kind == "AWS_CLOUDHSM" => client.disconnect(&hsm_store),
                _ => {}
            }
            let described = client.ok("DescribeKey", json!({"KeyId": id}))["KeyMetadata"].clone();
            assert_eq!(described["KeyState"], state.name());
            assert_eq!(described["Enabled"], state == KeyState::Enabled);
            let arn = described["Arn"].as_str().unwrap();
            let origin = described["Origin"].as_str().unwrap();
            let expected = expected(footnote, arn, origin);
            for input in inputs(operation, &id, &other, arn, &blob, &on_key, &grant, &client) {
                let found = client.call(operation, input.clone()).err();
                assert_eq!(found, expected, "{operation} {state:?} {origin} {input}");
            }
            assert_eq!(origin, kind);
            if state == KeyState::Unavailable && kind == "AWS_CLOUDHSM" {
                client.connect(&hsm_store);
            }
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "each kind of input needs another of them"
)]
fn inputs(
    operation: &str,
    id: &str,
    other: &str,
    arn: &str,
    blob: &Value,
    on_key: &Value,
    grant: &Value,
    client: &TestClient,
) -> Vec<Value> {
    let key = json!({"KeyId": id});
    let with = |name: &str, value: Value| json!({"KeyId": id, name: value});
    vec![match operation {
        "CreateAlias" | "UpdateAlias" => on_key.clone(),
        "DeleteAlias" => json!({"AliasName": on_key["AliasName"]}),
        "CreateGrant" => {
            json!({"KeyId": id, "GranteePrincipal": "arn:aws:iam::111122223333:user/Bob",
            "Operations": ["Encrypt"]})
        }
        "RevokeGrant" => with("GrantId", grant["GrantId"].clone()),
        "RetireGrant" => json!({"KeyId": arn, "GrantId": grant["GrantId"]}),
        "Decrypt" => json!({"CiphertextBlob": blob}),
        "Encrypt" => with("Plaintext", json!("AAAA")),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => with("KeySpec", json!("AES_256")),
        "PutKeyPolicy" => with(
            "Policy",
            json!(
                r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#
            ),
        ),
        "TagResource" => with("Tags", json!([{"TagKey": "a", "TagValue": "b"}])),
        "UntagResource" => with("TagKeys", json!(["a"])),
        "UpdateKeyDescription" => with("Description", json!("text")),
        "ReEncrypt" => {
            let source = client.ok("Encrypt", json!({"KeyId": other, "Plaintext": "AAAA"}));
            return vec![
                json!({"CiphertextBlob": blob, "DestinationKeyId": other}),
                json!({"CiphertextBlob": source["CiphertextBlob"], "DestinationKeyId": id}),
            ];
        }
        _ => key,
    }]
}

/// As an external key store would have made it; nothing opens it.
fn external_blob(key: &Key) -> Value {
    use base64::Engine as _;
    let Origin::ExternalKeyStore { material, .. } = key.origin() else {
        panic!("an external key");
    };
    let sealed = Sealed {
        ciphertext: vec![0; 60],
        iv: InitializationVector::Bytes12([0; 12]),
        tag: AuthenticationTag([0; 16]),
        metadata: CiphertextMetadata::default(),
    };
    let header = header(Layers::KmsAndExternal, material.id(), key.arn());
    base64::engine::general_purpose::STANDARD
        .encode(encode_external(header, &sealed))
        .into()
}
