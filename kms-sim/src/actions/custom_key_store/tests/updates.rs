//! UpdateCustomKeyStore: tested first, in effect for the next call.

use std::sync::Arc;

use crate::stub_proxy::ACCESS_KEY_ID;
use serde_json::json;

use super::{INVALID, Rig, call, credential, encrypt_input, healthy, id, with};

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_tested_first_and_takes_effect_for_the_next_call() {
    let rig = Rig::at_once();
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    rig.ok("Encrypt", encrypt_input(&key)).await;
    let asked = rig.proxy.seen().len();
    let rename = with(id(&store), json!({"NewCustomKeyStoreName": "Renamed"}));
    assert_eq!(rig.ok("UpdateCustomKeyStore", rename).await, json!({}));
    assert_eq!(rig.proxy.seen().len(), asked, "a name needs no test");
    assert_eq!(rig.entry(&store).await["CustomKeyStoreName"], "Renamed");

    let wrong = json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": "x".repeat(43)});
    let wrong = with(
        id(&store),
        json!({"XksProxyAuthenticationCredential": wrong}),
    );
    let refused = rig.error("UpdateCustomKeyStore", wrong.clone()).await;
    assert_eq!(
        refused,
        "XksProxyIncorrectAuthenticationCredentialException"
    );
    let last = rig.proxy.seen().pop().unwrap();
    assert_eq!(
        last.body["requestMetadata"]["kmsOperation"],
        "UpdateCustomKeyStore"
    );
    rig.ok("Encrypt", encrypt_input(&key)).await;

    // A proxy that lets the wrong secret pass once: from then on KMS signs with it.
    rig.proxy.next(healthy());
    let accepted = rig.proxy.accepted();
    rig.ok("UpdateCustomKeyStore", wrong).await;
    let (exception, message) = rig.call("Encrypt", encrypt_input(&key)).await.unwrap_err();
    assert_eq!(exception, INVALID);
    assert!(
        message.contains("could not authenticate AWS KMS"),
        "{message}"
    );
    assert_eq!(
        rig.proxy.accepted(),
        accepted + 2,
        "the test and the next call: new connections"
    );
    assert_eq!(rig.state(&store).await, "CONNECTED");

    let right = with(
        id(&store),
        json!({"XksProxyAuthenticationCredential": credential()}),
    );
    rig.ok("UpdateCustomKeyStore", right).await;
    rig.ok("Encrypt", encrypt_input(&key)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_race_leave_what_was_tested() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    rig.proxy.always(healthy());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let changes = match number % 2 {
            0 => json!({"XksProxyUriPath": format!("/{number}/kms/xks/v1")}),
            _ => json!({"NewCustomKeyStoreName": number.to_string()}),
        };
        let (simulator, input) = (Arc::clone(&rig.simulator), with(id(&store), changes));
        tasks.spawn(async move { call(&simulator, "UpdateCustomKeyStore", input).await });
    }
    for outcome in tasks.join_all().await {
        assert_eq!(outcome, Ok(json!({})));
    }
    let entry = rig.entry(&store).await;
    let path = entry["XksProxyConfiguration"]["UriPath"].as_str().unwrap();
    let seen = rig.proxy.seen();
    assert!(
        seen.iter()
            .any(|request| request.path == format!("{path}/health")),
        "{path}"
    );
}
