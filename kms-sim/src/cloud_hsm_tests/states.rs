//! Every operation in every ConnectionState.

use serde_json::json;

use super::*;

#[test]
fn each_operation_in_each_state_is_that_of_the_table() {
    let rig = Rig::lasting(Duration::from_millis(2500));
    password(rig.clusters(), &rig.cluster.id, "kmsPswd of the test");
    let input = json!({"KeyStorePassword": "kmsPswd of the test"});
    let store = rig
        .create(with(new_store("Example", &rig.cluster), input))
        .unwrap();
    rig.client.connect(&store);
    let client = &rig.client;
    let key = client.cloud_hsm_key(&store);
    let blob =
        client.ok("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}))["CiphertextBlob"].clone();
    let kms = client.key();
    let kms_blob =
        client.ok("Encrypt", json!({"KeyId": kms, "Plaintext": "AAAA"}))["CiphertextBlob"].clone();
    let columns = [
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
        "DISCONNECTING",
    ];
    let bad = INVALID_STORE_STATE;
    let crypto = [
        INVALID_STATE,
        INVALID_STATE,
        "",
        INVALID_STATE,
        INVALID_STATE,
    ];
    let only_connected = [bad, bad, "", bad, bad];
    let always = ["", "", "", "", ""];
    // [M] CustomKeyStoreInvalidStateException; [G] update-keystore, disconnect-keystore, key-state. "" is success.
    let rows: Vec<(&str, Value, [&str; 5])> = vec![
        // [M] "in the CONNECTED or DISCONNECTED state"
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({"NewCustomKeyStoreName": "Example"})),
            ["", bad, "", bad, bad],
        ),
        // [M] "must be DISCONNECTED"
        (
            "UpdateCustomKeyStore",
            with(
                id(&store),
                json!({"KeyStorePassword": "kmsPswd of the test"}),
            ),
            ["", bad, bad, bad, bad],
        ),
        (
            "UpdateCustomKeyStore",
            with(
                id(&store),
                json!({"CloudHsmClusterId": rig.cluster.id.as_str()}),
            ),
            ["", bad, bad, bad, bad],
        ),
        (
            "UpdateCustomKeyStore",
            with(
                id(&store),
                json!({"CloudHsmClusterId": rig.cluster.id.as_str(), "NewCustomKeyStoreName": "Example"}),
            ),
            ["", bad, bad, bad, bad],
        ),
        // The state comes first [I].
        (
            "DeleteCustomKeyStore",
            id(&store),
            ["CustomKeyStoreHasCMKsException", bad, bad, bad, bad],
        ),
        (
            "CreateKey",
            json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store}),
            only_connected,
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": 8, "CustomKeyStoreId": store}),
            only_connected,
        ),
        ("GenerateRandom", json!({"NumberOfBytes": 8}), always),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "AAAA"}),
            crypto,
        ),
        ("Decrypt", json!({"CiphertextBlob": blob}), crypto),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            crypto,
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            crypto,
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": kms}),
            crypto,
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": kms_blob, "DestinationKeyId": key}),
            crypto,
        ),
        ("DescribeCustomKeyStores", id(&store), always),
        ("DescribeKey", json!({"KeyId": key}), always),
        ("ListKeys", json!({}), always),
        ("ListAliases", json!({"KeyId": key}), always),
        (
            "TagResource",
            json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
            always,
        ),
        ("GetKeyPolicy", json!({"KeyId": key}), always),
        ("DisableKey", json!({"KeyId": key}), always),
        ("EnableKey", json!({"KeyId": key}), always),
        ("ScheduleKeyDeletion", json!({"KeyId": key}), always),
        ("CancelKeyDeletion", json!({"KeyId": key}), always),
        ("EnableKey", json!({"KeyId": key}), always),
    ];
    let refused = |column: &str, operation: &str| {
        assert_eq!(
            rig.outcome(operation, id(&store)),
            bad,
            "{operation} while {column}"
        );
    };
    for state in [
        "CONNECTED",
        "DISCONNECTING",
        "DISCONNECTED",
        "CONNECTING",
        "FAILED",
    ] {
        match state {
            "DISCONNECTING" => drop(client.ok("DisconnectCustomKeyStore", id(&store))),
            "CONNECTING" => {
                // What the update set, and what lets the attempt fail.
                kmsuser(rig.clusters(), &rig.cluster.id, KmsuserChange::LockOut);
                client.ok("ConnectCustomKeyStore", id(&store));
            }
            _ => client.wait_for(&store, state),
        }
        let column = columns.iter().position(|column| *column == state).unwrap();
        for (operation, input, expected) in &rows {
            assert_eq!(
                rig.state(&store),
                state,
                "before {operation}: the machine was too slow"
            );
            assert_eq!(
                rig.outcome(operation, input.clone()),
                expected[column],
                "{operation} {input} while {state}"
            );
        }
        assert_eq!(rig.state(&store), state, "none of them changes the state");
        let described = client.ok("DescribeKey", json!({"KeyId": key}));
        let key_state = if state == "CONNECTED" {
            "Enabled"
        } else {
            "Unavailable"
        };
        assert_eq!(described["KeyMetadata"]["KeyState"], key_state, "{state}");
        assert_eq!(described["KeyMetadata"]["Enabled"], state == "CONNECTED");
        match state {
            "DISCONNECTED" => refused(state, "DisconnectCustomKeyStore"),
            "DISCONNECTING" => {
                refused(state, "ConnectCustomKeyStore");
                refused(state, "DisconnectCustomKeyStore");
            }
            "FAILED" => refused(state, "ConnectCustomKeyStore"),
            // A no-op.
            _ => assert_eq!(
                rig.outcome("ConnectCustomKeyStore", id(&store)),
                "",
                "{state}"
            ),
        }
    }
    // FAILED → DISCONNECTING
    client.ok("DisconnectCustomKeyStore", id(&store));
    assert_eq!(rig.state(&store), "DISCONNECTING");
}

#[test]
fn a_reconnect_restores_what_was_decided_meanwhile() {
    let rig = Rig::new();
    let store = rig.connected();
    let client = &rig.client;
    let state = |key: &str| {
        client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"]["KeyState"].clone()
    };
    let [enabled, disabled, enabled_later, disabled_later, pending] =
        [(); 5].map(|()| client.cloud_hsm_key(&store));
    for key in [&disabled, &enabled_later] {
        client.ok("DisableKey", json!({"KeyId": key}));
    }
    client.ok("ScheduleKeyDeletion", json!({"KeyId": pending}));
    client.disconnect(&store);
    client.ok("EnableKey", json!({"KeyId": enabled_later}));
    client.ok("DisableKey", json!({"KeyId": disabled_later}));
    for key in [&enabled, &disabled, &enabled_later, &disabled_later] {
        assert_eq!(state(key), "Unavailable");
        // [G] key-state, column Unavailable, footnote 11, also for a disabled key.
        let (name, message) = client
            .call("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}))
            .unwrap_err();
        assert_eq!(name, INVALID_STATE);
        assert!(
            message.ends_with(&format!(":key/{key} is unavailable.")),
            "{message}"
        );
    }
    // [G] footnote 13
    assert_eq!(state(&pending), "PendingDeletion");
    client.connect(&store);
    for (key, expected) in [
        (&enabled, "Enabled"),
        (&disabled, "Disabled"),
        (&enabled_later, "Enabled"),
        (&disabled_later, "Disabled"),
        (&pending, "PendingDeletion"),
    ] {
        assert_eq!(state(key), expected);
    }
    // A key that is no longer to be deleted is Disabled, and in a disconnected store Unavailable.
    client.disconnect(&store);
    client.ok("CancelKeyDeletion", json!({"KeyId": pending}));
    assert_eq!(state(&pending), "Unavailable");
    client.connect(&store);
    assert_eq!(state(&pending), "Disabled");
}
