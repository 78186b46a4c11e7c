//! A state that was saved is the same state: what it shows, what it decrypts, and how it goes on.

use serde_json::{Value, json};

use super::{Defect, Restored, StateError, StateImage};
use crate::connection::ConnectionErrorCode;
use crate::stub_proxy::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use crate::test_client::TestClient;

/// Everything that can be read of an account.
fn everything(client: &TestClient) -> Value {
    let keys = client.ok("ListKeys", json!({"Limit": 1000}));
    let each = |operation: &str| -> Vec<Value> {
        let keys = keys["Keys"].as_array().unwrap().iter();
        keys.map(|key| {
            client
                .call(operation, json!({"KeyId": key["KeyId"]}))
                .unwrap_or_else(|(name, _)| json!(name))
        })
        .collect()
    };
    json!({
        "Stores": client.ok("DescribeCustomKeyStores", json!({})),
        "Aliases": client.ok("ListAliases", json!({})),
        "Keys": each("DescribeKey"),
        "Tags": each("ListResourceTags"),
        "Policies": each("GetKeyPolicy"),
        "Grants": each("ListGrants"),
        "Rotations": each("ListKeyRotations"),
        "RotationStatus": each("GetKeyRotationStatus"),
        "Retirable": client.ok("ListRetirableGrants", json!({"RetiringPrincipal": PRINCIPAL})),
    })
}

fn read(image: &Value) -> Result<Restored, StateError> {
    let image: StateImage = serde_json::from_value(image.clone()).unwrap();
    image.into_records().and_then(Restored::read)
}

fn image(client: &TestClient) -> Value {
    serde_json::to_value(client.simulator.image()).unwrap()
}

/// An account with something of every kind, and ciphertexts of three kinds of keys.
fn account(client: &TestClient, external: &str) -> Vec<Value> {
    let cloud_hsm = client.cloud_hsm_store("hsm");
    let keys = [
        client.key(),
        client.external_key(external, "demo"),
        client.cloud_hsm_key(&cloud_hsm),
    ];
    let encrypt = |key: &String| {
        let output = client.ok("Encrypt", json!({"KeyId": key, "Plaintext": "c2VjcmV0"}));
        output["CiphertextBlob"].clone()
    };
    let ciphertexts = keys.iter().map(encrypt).collect();
    let [kms, xks, hsm] = &keys;
    client.ok(
        "EnableKeyRotation",
        json!({"KeyId": kms, "RotationPeriodInDays": 90}),
    );
    client.ok("RotateKeyOnDemand", json!({"KeyId": kms}));
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/a/b", "TargetKeyId": xks}),
    );
    client.ok(
        "TagResource",
        json!({"KeyId": hsm, "Tags": [{"TagKey": "k", "TagValue": "v"}]}),
    );
    client.ok(
        "UpdateKeyDescription",
        json!({"KeyId": hsm, "Description": "ä \"x\""}),
    );
    let grant = json!({"KeyId": xks, "GranteePrincipal": PRINCIPAL, "RetiringPrincipal": PRINCIPAL,
        "Operations": ["Decrypt"], "Name": "n",
        "Constraints": {"EncryptionContextSubset": {"a": "b"}}});
    client.ok("CreateGrant", grant);
    let disabled = client.key();
    client.ok("DisableKey", json!({"KeyId": disabled}));
    client.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": client.key(), "PendingWindowInDays": 30}),
    );
    client.advance_days(25);
    ciphertexts
}

#[test]
fn a_restored_state_is_the_same_and_goes_on_from_there() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let ciphertexts = account(&client, &external);
    let before = everything(&client);
    let saved = image(&client);

    let (other, _) = TestClient::with_key_store(&proxy);
    other.block_on(other.simulator.restore(read(&saved).unwrap()));
    assert_eq!(everything(&other), before);
    assert_eq!(image(&other)["Records"], saved["Records"]);
    for ciphertext in &ciphertexts {
        let output = other.ok("Decrypt", json!({"CiphertextBlob": ciphertext}));
        assert_eq!(output["Plaintext"], "c2VjcmV0");
    }
    // KMS is still logged in, and can leave and come back with the password that it alone knows.
    for store in before["Stores"]["CustomKeyStores"].as_array().unwrap() {
        let id = store["CustomKeyStoreId"].as_str().unwrap();
        other.disconnect(id);
        other.connect(id);
    }
    // What was scheduled happens.
    let count = |client: &TestClient| {
        client.ok("ListKeys", json!({}))["Keys"]
            .as_array()
            .unwrap()
            .len()
    };
    let keys = count(&other);
    other.advance_days(6);
    assert_eq!(count(&other), keys - 1);
    // The endpoint and the names are taken as before.
    let again = |name: &str| {
        json!({"CustomKeyStoreName": name, "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT", "XksProxyUriEndpoint": format!("https://{HOST}"),
            "XksProxyUriPath": URI_PATH, "XksProxyAuthenticationCredential": {
                "AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET_ACCESS_KEY}})
    };
    for (name, exception) in [
        ("stub", "CustomKeyStoreNameInUseException"),
        ("other", "XksProxyUriInUseException"),
    ] {
        assert_eq!(other.error("CreateCustomKeyStore", again(name)), exception);
    }
    assert_eq!(
        count(&client),
        keys,
        "the first simulator has nothing to do with it"
    );
}

#[test]
fn stores_come_back_in_their_state_or_on_the_way_from_it() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let saved = image(&client);
    for (state, then) in [
        (json!("Disconnected"), "DISCONNECTED"),
        (json!("Disconnecting"), "DISCONNECTED"),
        (json!("Connecting"), "CONNECTED"),
        (json!("Connected"), "CONNECTED"),
        (json!({"Failed": "XKS_PROXY_TIMED_OUT"}), "FAILED"),
    ] {
        let mut changed = saved.clone();
        for record in changed["Records"].as_array_mut().unwrap() {
            if let Some(image) = record.get_mut("CustomKeyStore") {
                image["Connection"] = state.clone();
            }
        }
        client.block_on(client.simulator.restore(read(&changed).unwrap()));
        client.wait_for(&store, then);
        let described = client.ok("DescribeCustomKeyStores", json!({}));
        let code = described["CustomKeyStores"][0].get("ConnectionErrorCode");
        assert_eq!(code.is_some(), then == "FAILED", "{state}");
    }
}

#[test]
fn what_names_something_that_is_not_there_is_refused_and_changes_nothing() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    account(&client, &external);
    let before = image(&client);
    for (gone, defect) in [
        ("CustomKeyStore", Defect::Reference("a custom key store")),
        ("Key", Defect::Reference("a key")),
        ("CloudHsmCluster", Defect::Reference("a cluster")),
    ] {
        let mut image = before.clone();
        let records = image["Records"].as_array_mut().unwrap();
        records.retain(|record| record.get(gone).is_none());
        match read(&image) {
            Err(StateError::Record { defect: found, .. }) => assert_eq!(found, defect, "{gone}"),
            Err(other) => panic!("{gone}: {other}"),
            Ok(_) => panic!("a state without any {gone}"),
        }
    }
    let mut other_version = before.clone();
    other_version["Version"] = json!(2);
    assert_eq!(read(&other_version).err(), Some(StateError::Version(2)));
    assert_eq!(image(&client)["Records"], before["Records"]);
}

#[test]
fn codes_are_written_as_in_the_api() {
    for code in ConnectionErrorCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

const PRINCIPAL: &str = "arn:aws:iam::111122223333:user/Alice";
