//! States that last, and attempts that fail on demand.

use std::time::Duration;

use kms_sim::Config;
use serde_json::json;

use crate::ctl::ctl_json;
use crate::with_proxy::WithProxy;

/// Long enough for a transition of 20 ms to be over, were it not held.
fn a_while() {
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn connecting_and_disconnecting_last_until_they_are_released() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    let held = simulator.set(
        "POST",
        "/transition/hold",
        json!({"CustomKeyStoreId": store}),
    );
    assert_eq!(held["Held"].as_array().unwrap().len(), 2);
    simulator.connect(&store);
    a_while();
    assert_eq!(simulator.connection(&store).0, "CONNECTING");
    let only = json!({"CustomKeyStoreId": store, "States": ["CONNECTING"]});
    simulator.set("POST", "/transition/release", only);
    simulator.wait_for(&store, "CONNECTED");

    simulator.disconnect(&store);
    a_while();
    assert_eq!(simulator.connection(&store).0, "DISCONNECTING");
    let bytes = simulator.proxy.bytes();
    assert_eq!(
        simulator.proxy.open(),
        0,
        "the connections are closed all the same"
    );
    let released = simulator.set("POST", "/transition/release", json!({}));
    assert_eq!(released, json!({"Held": [], "Failures": []}));
    simulator.wait_for(&store, "DISCONNECTED");
    assert_eq!(simulator.proxy.bytes(), bytes);
}

#[test]
fn a_disconnect_wins_over_a_connecting_that_is_held() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    simulator.set(
        "POST",
        "/transition/hold",
        json!({"States": ["CONNECTING"]}),
    );
    simulator.connect(&store);
    a_while();
    simulator.disconnect(&store);
    simulator.wait_for(&store, "DISCONNECTED");
    // What is released later, or fails, finds no one.
    simulator.set("POST", "/transition/release", json!({}));
    a_while();
    assert_eq!(simulator.connection(&store).0, "DISCONNECTED");
    let fail = json!({"CustomKeyStoreId": store, "ConnectionErrorCode": "INTERNAL_ERROR"});
    simulator.set("POST", "/transition/fail", fail);
    assert_eq!(simulator.connection_outcome(&store), "INTERNAL_ERROR");
}

#[test]
fn every_connection_error_code_can_be_forced() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    for code in CODES {
        let fail = ["transition", "fail", "--code", code, "--store", &store];
        let armed = ctl_json(&simulator, &fail);
        assert_eq!(armed["Failures"][0]["ConnectionErrorCode"], code);
        assert_eq!(simulator.connection_outcome(&store), code);
    }
    // Each was for one attempt.
    assert_eq!(simulator.connection_outcome(&store), "CONNECTED");
}

#[test]
fn an_attempt_that_is_held_fails_at_once() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    simulator.set("POST", "/transition/hold", json!({}));
    simulator.connect(&store);
    simulator.set(
        "POST",
        "/transition/fail",
        json!({"ConnectionErrorCode": "NETWORK_ERRORS"}),
    );
    simulator.wait_for(&store, "FAILED");
    let code = simulator.connection(&store).1;
    assert_eq!(code.as_deref(), Some("NETWORK_ERRORS"));
}

#[test]
fn a_hold_does_not_make_a_client_wait() {
    let simulator = WithProxy::with(Config {
        transition: Duration::ZERO,
        ..Config::default()
    });
    let store = simulator.store();
    simulator.set("POST", "/transition/hold", json!({}));
    // The answers come before the change, also where the change would come first.
    simulator.connect(&store);
    assert_eq!(simulator.connection(&store).0, "CONNECTING");
    simulator.set("POST", "/reset", json!({}));
    assert_eq!(
        simulator.get("/transition"),
        json!({"Held": [], "Failures": []})
    );
}

#[test]
fn wrong_input_changes_nothing() {
    let simulator = WithProxy::start();
    let before = simulator.get("/transition");
    let unknown = json!({"CustomKeyStoreId": "cks-0"}).to_string();
    let (status, _) = simulator.control("POST", "/transition/hold", Some(&unknown));
    assert_eq!(status, 404);
    for (path, input) in [
        ("/transition/hold", json!({"States": ["CONNECTED"]})),
        ("/transition/hold", json!({"States": []})),
        ("/transition/hold", json!({"Store": "x"})),
        ("/transition/fail", json!({})),
        (
            "/transition/fail",
            json!({"ConnectionErrorCode": "internal"}),
        ),
    ] {
        simulator.refused("POST", path, input);
    }
    assert_eq!(simulator.get("/transition"), before);
}

/// `ConnectionErrorCodeType` of the API's model, retyped.
const CODES: [&str; 18] = [
    "INVALID_CREDENTIALS",
    "CLUSTER_NOT_FOUND",
    "NETWORK_ERRORS",
    "INTERNAL_ERROR",
    "INSUFFICIENT_CLOUDHSM_HSMS",
    "USER_LOCKED_OUT",
    "USER_NOT_FOUND",
    "USER_LOGGED_IN",
    "SUBNET_NOT_FOUND",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
    "XKS_PROXY_ACCESS_DENIED",
    "XKS_PROXY_NOT_REACHABLE",
    "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
    "XKS_PROXY_INVALID_RESPONSE",
    "XKS_PROXY_INVALID_CONFIGURATION",
    "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
    "XKS_PROXY_TIMED_OUT",
    "XKS_PROXY_INVALID_TLS_CONFIGURATION",
];
