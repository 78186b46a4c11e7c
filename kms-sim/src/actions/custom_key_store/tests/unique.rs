//! What must be unique, the quota, and races for both.
//!
//! Source: the KMS API model, exceptions of CreateCustomKeyStore; AWS KMS Developer Guide, "Resource quotas".

use std::sync::Arc;

use crate::stub_proxy::URI_PATH;
use serde_json::{Value, json};

use super::{Rig, call, healthy, id, new_store, with};

#[tokio::test(flavor = "multi_thread")]
async fn names_and_uris_are_unique_and_there_are_at_most_ten() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    let other_path = json!({"XksProxyUriPath": "/2/kms/xks/v1"});
    let other_name = json!({"CustomKeyStoreName": "Other"});
    let upper = json!({"CustomKeyStoreName": "Other", "XksProxyUriEndpoint": "https://XKS.TEST"});
    for (changes, exception) in [
        (json!({}), "CustomKeyStoreNameInUseException"),
        (other_path, "CustomKeyStoreNameInUseException"),
        (other_name, "XksProxyUriInUseException"),
        (upper, "XksProxyUriInUseException"),
    ] {
        let input = with(new_store(), changes);
        assert_eq!(
            rig.error("CreateCustomKeyStore", input.clone()).await,
            exception,
            "{input}"
        );
    }
    assert_eq!(
        rig.proxy.seen().len(),
        asked,
        "what is taken is not asked about"
    );

    rig.proxy.always(healthy());
    for number in 2..=10 {
        let changes = json!({
            "CustomKeyStoreName": number.to_string(),
            "XksProxyUriPath": format!("/{number}/kms/xks/v1"),
        });
        rig.ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
    }
    let eleventh = json!({"CustomKeyStoreName": "11", "XksProxyUriPath": "/11/kms/xks/v1"});
    let eleventh = with(new_store(), eleventh);
    assert_eq!(
        rig.error("CreateCustomKeyStore", eleventh.clone()).await,
        "LimitExceededException"
    );

    let update = |changes: Value| rig.call("UpdateCustomKeyStore", with(id(&store), changes));
    let taken = update(json!({"NewCustomKeyStoreName": "2"}))
        .await
        .unwrap_err();
    assert_eq!(taken.0, "CustomKeyStoreNameInUseException");
    let taken = update(json!({"XksProxyUriPath": "/2/kms/xks/v1"}))
        .await
        .unwrap_err();
    assert_eq!(taken.0, "XksProxyUriInUseException");
    update(json!({"NewCustomKeyStoreName": "Example", "XksProxyUriPath": URI_PATH}))
        .await
        .unwrap();

    rig.ok("DeleteCustomKeyStore", id(&store)).await;
    rig.ok("CreateCustomKeyStore", eleventh).await;
    let gone = rig.error("DescribeCustomKeyStores", id(&store)).await;
    assert_eq!(gone, "CustomKeyStoreNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_creates_that_race_for_a_name_or_a_uri_one_wins() {
    let rig = Rig::at_once();
    rig.proxy.always(healthy());
    for round in 0..5 {
        for same_name in [true, false] {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..6 {
                let (name, path) = match same_name {
                    true => (0, number),
                    false => (number, 0),
                };
                let changes = json!({
                    "CustomKeyStoreName": format!("{round} {name}"),
                    "XksProxyUriPath": format!("/{round}/{path}/kms/xks/v1"),
                });
                let simulator = Arc::clone(&rig.simulator);
                let input = with(new_store(), changes);
                tasks.spawn(async move { call(&simulator, "CreateCustomKeyStore", input).await });
            }
            let outcomes = tasks.join_all().await;
            let expected = match same_name {
                true => "CustomKeyStoreNameInUseException",
                false => "XksProxyUriInUseException",
            };
            let won: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            let lost = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            assert!(
                lost.clone().all(|(name, _)| name == expected),
                "{outcomes:?}"
            );
            let store = won[0]["CustomKeyStoreId"].as_str().unwrap();
            rig.ok("DeleteCustomKeyStore", id(store)).await;
        }
    }
}
