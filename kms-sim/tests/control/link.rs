//! Faults of links: whose, how often, how much.

use std::time::{Duration, Instant};

use kms_sim::stub_proxy::HOST;
use serde_json::{Value, json};

use crate::ctl::{ctl, ctl_json};
use crate::with_proxy::WithProxy;

fn encrypt(simulator: &WithProxy, key: &str) -> Result<Value, (String, String)> {
    simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}))
}

/// A second store at the same endpoint: its id and a key of it.
fn second_store(simulator: &WithProxy) -> (String, String) {
    let mut input = WithProxy::store_input();
    input["CustomKeyStoreName"] = "second".into();
    // The proxy answers both paths.
    input["XksProxyUriEndpoint"] = format!("https://{}", HOST.to_uppercase()).into();
    let created = simulator
        .kms_in("eu-west-1", "CreateCustomKeyStore", input)
        .expect("a store");
    let store = created["CustomKeyStoreId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let call = |operation, input| {
        simulator
            .kms_in("eu-west-1", operation, input)
            .expect("success")
    };
    call("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    harness::wait_for("CONNECTED", Duration::from_secs(10), || {
        let described = call("DescribeCustomKeyStores", json!({}));
        (described["CustomKeyStores"][0]["ConnectionState"] == "CONNECTED").then_some(())
    });
    let input =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "one"});
    let key = call("CreateKey", input)["KeyMetadata"]["KeyId"].clone();
    (store, key.as_str().expect("an id").to_owned())
}

#[test]
fn a_fault_is_of_one_store_or_of_an_endpoint_or_of_all() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let (second, second_key) = second_store(&simulator);
    let encrypt_both = || {
        let input = json!({"KeyId": second_key, "Plaintext": "aGVsbG8="});
        let second = simulator.kms_in("eu-west-1", "Encrypt", input);
        (encrypt(&simulator, &key).is_ok(), second.is_ok())
    };
    assert_eq!(encrypt_both(), (true, true));
    let refused = ["link", "set", "--tcp", "refused"];
    let set = |which: &[&str]| ctl_json(&simulator, &[&refused, which].concat());
    set(&["--store", &second]);
    assert_eq!(encrypt_both(), (true, false));
    ctl_json(&simulator, &["link", "clear", "--store", &second]);
    assert_eq!(encrypt_both(), (true, true));
    let endpoint = format!("https://{HOST}");
    let links = set(&["--endpoint", &endpoint]);
    assert_eq!(links["Links"][0]["XksProxyUriEndpoint"], endpoint.as_str());
    assert_eq!(encrypt_both(), (false, false));
    ctl_json(&simulator, &["link", "clear", "--endpoint", &endpoint]);
    assert_eq!(encrypt_both(), (true, true));
    set(&[]);
    assert_eq!(encrypt_both(), (false, false));
    assert_eq!(
        ctl_json(&simulator, &["link", "clear"]),
        json!({"Links": []})
    );
    assert_eq!(encrypt_both(), (true, true));
}

#[test]
fn what_a_link_does_is_told_in_the_words_that_set_it() {
    let simulator = WithProxy::start();
    for (input, faults) in [
        (
            json!({"LatencyMs": 5, "Tcp": "black-hole"}),
            json!(["5 ms later", "no TCP: black-hole"]),
        ),
        (
            json!({"JitterMs": 5, "Tls": "not-yet-valid"}),
            json!(["up to 5 ms later", "no TLS: not-yet-valid"]),
        ),
        (
            json!({"Reply": {"Defect": "wrong-cdiv"}}),
            json!(["another answer: the proxy's, but wrong-cdiv"]),
        ),
    ] {
        let links = simulator.set("PUT", "/link", input);
        assert_eq!(links["Links"][0]["Faults"], faults);
        let all = json!(["GetHealthStatus", "GetKeyMetadata", "Encrypt", "Decrypt"]);
        assert_eq!(links["Links"][0]["Operations"], all);
    }
}

#[test]
fn what_is_left_of_a_deleted_store_can_be_cleared() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    let which = json!({"CustomKeyStoreId": store});
    ctl_json(
        &simulator,
        &["link", "set", "--store", &store, "--loss", "1"],
    );
    simulator.set("POST", "/transition/hold", which.clone());
    simulator.ok("DeleteCustomKeyStore", which.clone());
    let links = ctl_json(&simulator, &["link", "clear", "--store", &store]);
    assert_eq!(links, json!({"Links": []}));
    let released = simulator.set("POST", "/transition/release", which.clone());
    assert_eq!(released["Held"], json!([]));
    // Then there is nothing of that id.
    let again = which.to_string();
    let (status, _) = simulator.control("POST", "/transition/release", Some(&again));
    assert_eq!(status, 404);
}

#[test]
fn one_attempt_that_is_too_slow_is_made_up_for_by_the_second() {
    let simulator = WithProxy::impatient();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let slow = [
        "link",
        "set",
        "--latency-ms",
        "2000",
        "--operations",
        "Encrypt",
        "--times",
    ];
    for (times, success) in [("1", true), ("2", false), ("3", false)] {
        ctl_json(&simulator, &[&slow[..], &[times]].concat());
        let before = simulator.proxy.seen().len();
        assert_eq!(encrypt(&simulator, &key).is_ok(), success, "{times}");
        assert_eq!(simulator.proxy.seen().len() - before, 2, "{times}");
    }
    // The third attempt was not made: one is left.
    assert_eq!(simulator.get("/link")["Links"][0]["TimesLeft"], 1);
    // Other operations never met the fault, and what is used up is gone.
    assert!(encrypt(&simulator, &key).is_ok());
    assert_eq!(simulator.get("/link"), json!({"Links": []}));
}

#[test]
fn latency_that_kms_bears_is_there() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let set = json!({"CustomKeyStoreId": store, "LatencyMs": 60, "JitterMs": 20, "Seed": 1});
    simulator.set("PUT", "/link", set);
    let start = Instant::now();
    assert!(encrypt(&simulator, &key).is_ok());
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_request_that_is_lost_never_arrives() {
    let simulator = WithProxy::impatient();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    simulator.set("PUT", "/link", json!({"Loss": 1}));
    let before = simulator.proxy.seen().len();
    assert!(encrypt(&simulator, &key).is_err());
    assert_eq!(simulator.proxy.seen().len(), before);
}

#[test]
fn the_same_requests_are_lost_with_the_same_seed() {
    let simulator = WithProxy::impatient();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let run = || {
        simulator.set("PUT", "/link", json!({"Loss": 0.6, "Seed": 11}));
        (0..6)
            .map(|_| encrypt(&simulator, &key).is_ok())
            .collect::<Vec<_>>()
    };
    let first = run();
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    assert_eq!(run(), first);
}

#[test]
fn a_disconnect_silences_a_link_with_any_fault() {
    let simulator = WithProxy::impatient();
    for fault in [
        json!({"LatencyMs": 2000}),
        json!({"Tcp": "black-hole"}),
        json!({"Tcp": "silent"}),
        json!({"BytesPerSecond": 3}),
        json!({"Loss": 1}),
        json!({"ResetAfterBytes": 5}),
    ] {
        let store = simulator.connected_store();
        simulator.set("PUT", "/link", fault.clone());
        simulator.connect(&store);
        simulator.disconnect(&store);
        simulator.wait_for(&store, "DISCONNECTED");
        assert_eq!(simulator.proxy.open(), 0, "{fault}");
        let bytes = simulator.proxy.bytes();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(simulator.proxy.bytes(), bytes, "{fault}");
        simulator.set("DELETE", "/link", json!({}));
        simulator.ok("DeleteCustomKeyStore", json!({"CustomKeyStoreId": store}));
    }
}

#[test]
fn wrong_input_changes_nothing() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    simulator.set("PUT", "/link", json!({"LatencyMs": 1}));
    let before = simulator.get("/link");
    for input in [
        json!({}),
        json!({"Seed": 1}),
        json!({"Latency": 1}),
        json!({"LatencyMs": -1}),
        json!({"LatencyMs": 600_001}),
        json!({"Loss": 1.1}),
        json!({"Loss": -0.1}),
        json!({"Loss": "half"}),
        json!({"Tcp": "gone"}),
        json!({"Tls": "gone"}),
        json!({"Tcp": "refused", "Tls": "expired"}),
        json!({"BytesPerSecond": 0}),
        json!({"Times": 0, "Loss": 1}),
        json!({"Operations": ["encrypt"], "Loss": 1}),
        json!({"Reply": {}}),
        json!({"Reply": {"Status": 99}}),
        json!({"Reply": {"Status": 200, "Defect": "empty"}}),
        json!({"Reply": {"Defect": "sad"}}),
        json!({"Reply": {"ErrorName": "x", "Body": "y"}}),
        json!({"XksProxyUriEndpoint": "xks.test", "Loss": 1}),
        json!({"XksProxyUriEndpoint": "https://xks.test:443", "Loss": 1}),
        json!({"XksProxyUriEndpoint": "https://xks.test", "CustomKeyStoreId": store, "Loss": 1}),
    ] {
        simulator.refused("PUT", "/link", input);
    }
    let unknown = json!({"CustomKeyStoreId": "cks-0", "Loss": 1}).to_string();
    assert_eq!(simulator.control("PUT", "/link", Some(&unknown)).0, 404);
    for path in [
        "/link?CustomKeyStoreId=cks-0",
        "/link?XksProxyUriEndpoint=https%3A%2F%2Fx",
    ] {
        assert_eq!(simulator.control("DELETE", path, None).0, 404, "{path}");
    }
    assert_eq!(simulator.control("DELETE", "/link?Store=x", None).0, 400);
    assert_eq!(simulator.control("POST", "/link", Some("{}")).0, 405);
    assert_eq!(simulator.get("/link"), before);
    let (success, _, stderr) = ctl(simulator.control, &["link", "set", "--seed", "1"]);
    assert!(!success && stderr.contains("--latency-ms"), "{stderr}");
}
