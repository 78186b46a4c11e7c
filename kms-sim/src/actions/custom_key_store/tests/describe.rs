//! What DescribeCustomKeyStores shows, one by one and in pages.

use crate::stub_proxy::{ACCESS_KEY_ID, HOST, Handshake, URI_PATH};
use serde_json::{Value, json};

use super::{Rig, healthy, new_store, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_described_without_its_secret() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    assert!(store.len() == 21 && store.starts_with("cks-"), "{store}");
    let mut entry = rig.entry(&store).await;
    let created = entry["CreationDate"].take().as_f64().unwrap();
    assert!(created > 1.7e9, "{created} is no time in seconds");
    assert_eq!(
        entry,
        json!({
            "CustomKeyStoreId": store,
            "CustomKeyStoreName": "Example",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "ConnectionState": "DISCONNECTED",
            "CreationDate": null,
            "XksProxyConfiguration": {
                "Connectivity": "PUBLIC_ENDPOINT",
                "AccessKeyId": ACCESS_KEY_ID,
                "UriEndpoint": format!("https://{HOST}"),
                "UriPath": URI_PATH,
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_listed_by_id_by_name_and_in_pages() {
    let rig = Rig::at_once();
    let describe = |input: Value| rig.ok("DescribeCustomKeyStores", input);
    assert_eq!(
        describe(json!({})).await,
        json!({"CustomKeyStores": [], "Truncated": false})
    );
    let mut ids = Vec::new();
    for number in 0..5 {
        let endpoint = ["https://xks.test", "https://other.test"][number % 2];
        let changes = json!({
            "CustomKeyStoreName": format!("Store {number}"),
            "XksProxyUriEndpoint": endpoint,
            "XksProxyUriPath": format!("/{number}/kms/xks/v1"),
        });
        rig.proxy.next(healthy());
        rig.proxy.handshake(Handshake::Sound);
        if number % 2 == 1 {
            rig.proxy.handshake(Handshake::OtherName);
        }
        let output = rig
            .ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
        ids.push(output["CustomKeyStoreId"].as_str().unwrap().to_owned());
    }
    let by_name = describe(json!({"CustomKeyStoreName": "Store 3"})).await;
    assert_eq!(
        by_name["CustomKeyStores"][0]["CustomKeyStoreId"],
        ids[3].as_str()
    );
    assert_eq!(by_name["CustomKeyStores"].as_array().unwrap().len(), 1);

    let mut found = Vec::new();
    let mut marker = Value::Null;
    for page in 0..3 {
        let output = describe(json!({"Limit": 2, "Marker": marker})).await;
        let stores = output["CustomKeyStores"].as_array().unwrap();
        assert_eq!(stores.len(), if page < 2 { 2 } else { 1 });
        assert_eq!(output["Truncated"], page < 2);
        found.extend(
            stores
                .iter()
                .map(|s| s["CustomKeyStoreId"].as_str().unwrap().to_owned()),
        );
        marker = output["NextMarker"].clone();
    }
    assert!(marker.is_null());
    found.sort();
    ids.sort();
    assert_eq!(found, ids);

    for (input, exception) in [
        (
            json!({"CustomKeyStoreId": "cks-none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"CustomKeyStoreName": "none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"CustomKeyStoreId": ids[0], "CustomKeyStoreName": "x"}),
            "ValidationException",
        ),
        (json!({"Limit": 0}), "ValidationException"),
        (json!({"Limit": 1001}), "ValidationException"),
        (json!({"Marker": "made up"}), "InvalidMarkerException"),
    ] {
        assert_eq!(
            rig.error("DescribeCustomKeyStores", input.clone()).await,
            exception,
            "{input}"
        );
    }
}
