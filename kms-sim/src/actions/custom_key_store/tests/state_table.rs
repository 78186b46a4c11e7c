//! Every state × operation.

use crate::stub_proxy::{Answer, HOST, URI_PATH};
use serde_json::{Value, json};

use super::{INVALID, Rig, credential, encrypt_input, external_key, id, with};

/// Every state × operation, as in the table of the developer guide; CreateKey and cryptography too.
#[tokio::test(flavor = "multi_thread")]
async fn each_operation_in_each_state_is_that_of_the_table() {
    let rig = Rig::lasting(1500);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let name = "NewCustomKeyStoreName";
    let columns = [
        "DISCONNECTING",
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
    ];
    let bad = "CustomKeyStoreInvalidStateException";
    let other = json!({"XksProxyUriEndpoint": format!("https://{HOST}")});
    let credential = json!({"XksProxyAuthenticationCredential": credential()});
    // In the order of the columns; "" for success. Only what leaves the state as it is.
    let rows: [(&str, Value, [&str; 5]); 9] = [
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({name: "Example"})),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), credential),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({"XksProxyUriPath": URI_PATH})),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), other),
            [bad, "", bad, bad, bad],
        ),
        (
            "DeleteCustomKeyStore",
            id(&store),
            [bad, "CustomKeyStoreHasCMKsException", bad, bad, bad],
        ),
        (
            "CreateKey",
            external_key(&store, "demo"),
            [bad, bad, bad, "XksKeyAlreadyInUseException", bad],
        ),
        (
            "Encrypt",
            encrypt_input(&key),
            [INVALID, INVALID, INVALID, "", INVALID],
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            [INVALID, INVALID, INVALID, "", INVALID],
        ),
        ("DescribeKey", json!({"KeyId": key}), ["", "", "", "", ""]),
    ];
    for (column, state) in columns.into_iter().enumerate() {
        match state {
            "DISCONNECTING" => drop(rig.ok("DisconnectCustomKeyStore", id(&store)).await),
            "DISCONNECTED" | "CONNECTED" => rig.reaches(&store, state).await,
            "CONNECTING" => {
                rig.ok("ConnectCustomKeyStore", id(&store)).await;
            }
            _ => {
                rig.ok("DisconnectCustomKeyStore", id(&store)).await;
                rig.reaches(&store, "DISCONNECTED").await;
                rig.proxy.next(Answer::Error(403, "AccessDeniedException"));
                rig.ok("ConnectCustomKeyStore", id(&store)).await;
                rig.reaches(&store, "FAILED").await;
            }
        }
        for (operation, input, expected) in &rows {
            assert_eq!(rig.state(&store).await, state);
            let found = match rig.call(operation, input.clone()).await {
                Ok(_) => String::new(),
                Err((exception, _)) => exception,
            };
            assert_eq!(found, expected[column], "{operation} {input} while {state}");
            assert_eq!(
                rig.state(&store).await,
                state,
                "{operation} changes no state"
            );
        }
        let key_state =
            &rig.ok("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["KeyState"];
        assert_eq!(
            key_state,
            if state == "CONNECTED" {
                "Enabled"
            } else {
                "Unavailable"
            },
            "{state}"
        );
        // What may change the state, where the table says that it does not.
        let refused: &[&str] = match state {
            "DISCONNECTED" => &["DisconnectCustomKeyStore"],
            "DISCONNECTING" => &["ConnectCustomKeyStore", "DisconnectCustomKeyStore"],
            "FAILED" => &["ConnectCustomKeyStore"],
            _ => &[],
        };
        for operation in refused {
            assert_eq!(
                rig.error(operation, id(&store)).await,
                bad,
                "{operation} while {state}"
            );
        }
        if matches!(state, "CONNECTING" | "CONNECTED") {
            assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
        }
        assert_eq!(rig.state(&store).await, state);
    }
    rig.ok("DisconnectCustomKeyStore", id(&store)).await;
    rig.reaches(&store, "DISCONNECTED").await;
}
