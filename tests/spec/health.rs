//! GetHealthStatus.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::key_manager::{Call, Fault};
use crate::proxy::Proxy;

/// The request example of the specification's section "GetHealthStatus".
const EXAMPLE: &str = r#"{
    "requestMetadata": {
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        "kmsOperation": "CreateCustomKeyStore"
    }
}"#;

fn health(proxy: &Proxy) -> Value {
    let response = proxy.post("/health", EXAMPLE);
    assert_eq!(response.status, 200);
    response.json()
}

fn status(proxy: &Proxy) -> Value {
    health(proxy)["ekmFleetDetails"][0]["healthStatus"].clone()
}

#[test]
fn r24_r25_r27_r28_the_answer_comes_from_a_real_round_trip_with_a_key_of_its_own() {
    let proxy = Proxy::start();
    let expected = json!({
        "xksProxyFleetSize": 2,
        "xksProxyVendor": "xks-proxy",
        "xksProxyModel": "xks-proxy 0.1",
        "ekmVendor": "Scripts",
        "ekmFleetDetails": [
            {"id": "script-1", "model": "Script 1.0", "healthStatus": "ACTIVE"}
        ],
    });
    assert_eq!(health(&proxy), expected);
    let calls = proxy.key_manager.take_calls();
    assert!(
        matches!(calls[..], [Call::Seal(_), Call::Open(_)]),
        "{calls:?}"
    );
    // The result is fresh: no second round trip.
    assert_eq!(health(&proxy), expected);
    assert_eq!(proxy.key_manager.take_calls(), []);
}

#[test]
fn r24_a_failing_key_manager_is_unavailable() {
    for fault in [Fault::Fails, Fault::OpensWrong, Fault::Overloaded] {
        let proxy = Proxy::start();
        proxy.key_manager.set(fault);
        assert_eq!(status(&proxy), "UNAVAILABLE", "{fault:?}");
    }
}

#[test]
fn r24_a_key_manager_that_does_not_answer_is_unavailable_in_time() {
    let proxy = Proxy::start();
    proxy.key_manager.set(Fault::Slow(Duration::from_secs(60)));
    let start = Instant::now();
    assert_eq!(status(&proxy), "UNAVAILABLE");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn r24_a_slow_or_flapping_key_manager_is_degraded() {
    let proxy = Proxy::start();
    let limit = Duration::from_secs(5);
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let probe = |fault| {
        proxy.key_manager.set(fault);
        let snapshot = proxy.runtime.snapshot();
        // The result is kept, which is what is looked at.
        let _ = executor.block_on(snapshot.key_managers[0].probe(limit));
    };
    probe(Fault::None);
    assert_eq!(status(&proxy), "ACTIVE");
    probe(Fault::Slow(Duration::from_millis(150)));
    assert_eq!(status(&proxy), "DEGRADED");
    probe(Fault::None);
    assert_eq!(status(&proxy), "ACTIVE");
    probe(Fault::Fails);
    assert_eq!(status(&proxy), "UNAVAILABLE");
    probe(Fault::None);
    assert_eq!(status(&proxy), "DEGRADED");
}

#[test]
fn r12_only_request_id_and_operation_are_needed() {
    let proxy = Proxy::start();
    for body in ["{}", r#"{"requestMetadata":{"kmsRequestId":"1"}}"#, "[]"] {
        let response = proxy.post("/health", body);
        assert_eq!(response.status, 400);
        assert_eq!(response.json()["errorName"], "ValidationException");
    }
}
