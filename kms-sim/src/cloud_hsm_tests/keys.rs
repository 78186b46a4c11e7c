//! Keys whose material is in a cluster, and random bytes of its HSMs, while all is well.

use crate::stub_proxy::StubProxy;
use serde_json::json;

use super::*;

pub(super) fn encrypt(client: &TestClient, key: &str) -> Value {
    let input = json!({"KeyId": key, "Plaintext": "SGVsbG8=", "EncryptionContext": {"a": "b"}});
    client.ok("Encrypt", input)["CiphertextBlob"].clone()
}

#[test]
fn a_key_is_described_as_one_of_a_cluster() {
    let rig = Rig::new();
    let store = rig.connected();
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let created = rig.client.ok("CreateKey", input);
    let key = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    let described = rig.client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(created, described);
    let mut metadata = described["KeyMetadata"].clone();
    assert!(metadata["CreationDate"].take().as_f64().unwrap() > 1.7e9);
    // [M] KeyMetadata: no CurrentKeyMaterialId, no XksKeyConfiguration.
    assert_eq!(
        metadata,
        json!({
            "AWSAccountId": "111122223333",
            "KeyId": key,
            "Arn": format!("arn:aws:kms:us-east-1:111122223333:key/{key}"),
            "CreationDate": null,
            "Enabled": true,
            "Description": "",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": "Enabled",
            "Origin": "AWS_CLOUDHSM",
            "CustomKeyStoreId": store,
            "CloudHsmClusterId": rig.cluster.id.as_str(),
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        })
    );
    assert_eq!(rig.described().key_ids, [key]);
}

#[test]
fn what_a_cluster_cannot_hold_is_refused() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let store = client.cloud_hsm_store("hsm");
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let invalid = "ValidationException";
    let unsupported = "UnsupportedOperationException";
    // [M] CreateKey; which of the two exceptions is [I].
    for (changes, exception) in [
        (json!({"CustomKeyStoreId": null}), invalid),
        (json!({"CustomKeyStoreId": external}), invalid),
        (json!({"XksKeyId": "demo"}), invalid),
        (json!({"Origin": "AWS_KMS"}), invalid),
        (json!({"Origin": null}), invalid),
        (json!({"Origin": "EXTERNAL"}), invalid),
        (
            json!({"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "demo"}),
            invalid,
        ),
        (
            json!({"CustomKeyStoreId": "cks-none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}),
            unsupported,
        ),
        (
            json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
            unsupported,
        ),
        (json!({"MultiRegion": true}), unsupported),
    ] {
        let found = client.error("CreateKey", with(input.clone(), changes.clone()));
        assert_eq!(found, exception, "{changes}");
    }
    let clusters = client.simulator.cloud_hsm().clusters();
    assert!(clusters.iter().all(|cluster| cluster.key_ids.is_empty()));
    client.ok("CreateKey", input);
}

#[test]
fn a_ciphertext_is_bound_to_key_and_context() {
    let rig = Rig::new();
    let store = rig.connected();
    let client = &rig.client;
    let [key, other] = [(); 2].map(|()| client.cloud_hsm_key(&store));
    let blob = encrypt(client, &key);
    let input = json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}});
    let output = client.ok("Decrypt", input.clone());
    assert_eq!(output["Plaintext"], "SGVsbG8=");
    assert!(
        output["KeyId"]
            .as_str()
            .unwrap()
            .ends_with(&format!(":key/{key}"))
    );
    // [M] KeyMaterialId is for other keys.
    assert_eq!(output["KeyMaterialId"], Value::Null);
    let wrong_key = with(input.clone(), json!({"KeyId": other}));
    assert_eq!(client.error("Decrypt", wrong_key), "IncorrectKeyException");
    // As for a key in KMS itself: there is one layer.
    let wrong_context = with(input, json!({"EncryptionContext": {"a": "c"}}));
    assert_eq!(
        client.error("Decrypt", wrong_context),
        "InvalidCiphertextException"
    );

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode(blob.as_str().unwrap()).unwrap();
    let last = bytes.len() - 1;
    for at in [last, last - 10, last - 30, last - 48] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let input =
            json!({"CiphertextBlob": STANDARD.encode(changed), "EncryptionContext": {"a": "b"}});
        assert_eq!(
            client.error("Decrypt", input),
            "InvalidCiphertextException",
            "byte {at}"
        );
    }
    for operation in ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
        let data_key = client.ok(operation, json!({"KeyId": key, "KeySpec": "AES_256"}));
        let opened = client.ok(
            "Decrypt",
            json!({"CiphertextBlob": data_key["CiphertextBlob"]}),
        );
        assert_eq!(
            STANDARD
                .decode(opened["Plaintext"].as_str().unwrap())
                .unwrap()
                .len(),
            32
        );
        if operation == "GenerateDataKey" {
            assert_eq!(opened["Plaintext"], data_key["Plaintext"]);
        }
    }
    let dry = json!({"KeyId": key, "Plaintext": "AAAA", "DryRun": true});
    assert_eq!(client.error("Encrypt", dry), "DryRunOperationException");
}

#[test]
fn data_moves_between_keys_of_every_kind() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let (first, second) = (
        client.cloud_hsm_store("first"),
        client.cloud_hsm_store("second"),
    );
    let keys = [
        client.key(),
        client.external_key(&external, "demo"),
        client.cloud_hsm_key(&first),
        client.cloud_hsm_key(&second),
    ];
    for source in &keys {
        for destination in &keys {
            let input = json!({
                "CiphertextBlob": encrypt(&client, source), "SourceEncryptionContext": {"a": "b"},
                "DestinationKeyId": destination,
            });
            let moved = client.ok("ReEncrypt", input);
            assert!(
                moved["SourceKeyId"]
                    .as_str()
                    .unwrap()
                    .ends_with(source.as_str())
            );
            assert!(
                moved["KeyId"]
                    .as_str()
                    .unwrap()
                    .ends_with(destination.as_str())
            );
            let opened = client.ok(
                "Decrypt",
                json!({"CiphertextBlob": moved["CiphertextBlob"]}),
            );
            assert_eq!(opened["Plaintext"], "SGVsbG8=", "{source} {destination}");
        }
    }
}

#[test]
fn random_bytes_come_from_the_hsms_of_a_cluster() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let store = client.cloud_hsm_store("hsm");
    let input = |store: &str| json!({"NumberOfBytes": 1024, "CustomKeyStoreId": store});
    let [first, second] =
        [(); 2].map(|()| client.ok("GenerateRandom", input(&store))["Plaintext"].clone());
    assert_ne!(first, second);
    assert_eq!(first.as_str().unwrap().len(), 1368);
    // [M] GenerateRandom: CloudHSM key stores alone, in any state of the other.
    assert_eq!(
        client.error("GenerateRandom", input(&external)),
        "UnsupportedOperationException"
    );
    client.disconnect(&external);
    assert_eq!(
        client.error("GenerateRandom", input(&external)),
        "UnsupportedOperationException"
    );
    assert_eq!(
        client.error("GenerateRandom", input("cks-none")),
        "CustomKeyStoreNotFoundException"
    );
}
