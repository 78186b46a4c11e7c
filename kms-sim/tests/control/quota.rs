//! Request quotas.

use kms_sim::Config;
use serde_json::{Value, json};

use crate::ctl::ctl_json;
use crate::simulator::Simulator;
use crate::with_proxy::WithProxy;

const THROTTLED: &str =
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";

#[test]
fn a_store_without_quota_left_throttles_cryptography_and_describe_key() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let own = simulator.key();
    let encrypt =
        |key: &str| simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    let blob = encrypt(&key).unwrap()["CiphertextBlob"].clone();
    let set = ["quota", "set", "--per-second", "0", "--store", &store];
    let quota = ctl_json(&simulator, &set);
    assert_eq!(quota["Stores"][0]["RequestsPerSecond"], 0);
    assert_eq!(quota["RequestsPerSecond"], 1800);
    let requests = simulator.proxy.seen().len();
    let throttled = ("ThrottlingException".to_owned(), THROTTLED.to_owned());
    for (operation, input) in [
        ("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": own}),
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        ),
        ("DescribeKey", json!({"KeyId": key})),
    ] {
        assert_eq!(
            simulator.kms(operation, input),
            Err(throttled.clone()),
            "{operation}"
        );
    }
    assert_eq!(
        simulator.proxy.seen().len(),
        requests,
        "the proxy is spared"
    );
    for (operation, input) in [
        ("Encrypt", json!({"KeyId": own, "Plaintext": "aGVsbG8="})),
        ("DescribeKey", json!({"KeyId": own})),
        ("ListResourceTags", json!({"KeyId": key})),
        ("DisableKey", json!({"KeyId": key})),
        ("DescribeCustomKeyStores", json!({})),
    ] {
        assert!(simulator.kms(operation, input).is_ok(), "{operation}");
    }
    ctl_json(&simulator, &["quota", "reset"]);
    simulator.ok("EnableKey", json!({"KeyId": key}));
    assert!(encrypt(&key).is_ok());
}

#[test]
fn a_quota_lets_a_second_of_requests_through_at_once() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    simulator.set("PUT", "/quota", json!({"RequestsPerSecond": 3}));
    let describe = || simulator.kms("DescribeKey", json!({"KeyId": key})).is_ok();
    let answers: Vec<bool> = (0..40).map(|_| describe()).collect();
    assert!(answers[..3].iter().all(|ok| *ok), "{answers:?}");
    assert!(answers.contains(&false), "{answers:?}");
}

#[test]
fn an_account_has_a_quota_if_it_is_set() {
    let simulator = WithProxy::start();
    let key = simulator.key();
    let quota = simulator.set("PUT", "/quota/account", json!({"RequestsPerSecond": 0}));
    assert_eq!(quota["AccountRequestsPerSecond"], 0);
    let encrypt = || simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    assert_eq!(encrypt().unwrap_err().0, "ThrottlingException");
    assert_eq!(
        simulator.exception("GenerateRandom", json!({"NumberOfBytes": 1})),
        "ThrottlingException"
    );
    simulator.ok("DescribeKey", json!({"KeyId": key}));
    simulator.set("PUT", "/quota/account", json!({"RequestsPerSecond": null}));
    assert!(encrypt().is_ok());
}

#[test]
fn wrong_input_changes_nothing() {
    let simulator = WithProxy::start();
    let before = simulator.get("/quota");
    for input in [
        json!({}),
        json!({"RequestsPerSecond": -1}),
        json!({"RequestsPerSecond": 1.5}),
        json!({"RequestsPerSecond": "1"}),
        json!({"RequestsPerSecond": 4_294_967_296_u64}),
        json!({"RequestsPerSecond": 1, "Burst": 2}),
    ] {
        simulator.refused("PUT", "/quota", input);
    }
    simulator.refused(
        "PUT",
        "/quota/account",
        Value::from_iter([("RequestsPerSecond", "x")]),
    );
    let unknown = json!({"CustomKeyStoreId": "cks-0", "RequestsPerSecond": 1}).to_string();
    assert_eq!(simulator.control("PUT", "/quota", Some(&unknown)).0, 404);
    assert_eq!(simulator.get("/quota"), before);
}

#[test]
fn an_account_has_as_many_keys_as_its_quota_says() {
    let simulator = Simulator::start(Config {
        max_keys: 2,
        ..Config::default()
    });
    simulator.key();
    let second = simulator.key();
    let create = || simulator.exception("CreateKey", json!({}));
    assert_eq!(create(), "LimitExceededException");
    // Each Region has its own; a key that is pending deletion counts.
    simulator
        .kms_in("eu-central-1", "CreateKey", json!({}))
        .unwrap();
    simulator.ok("ScheduleKeyDeletion", json!({"KeyId": second}));
    assert_eq!(create(), "LimitExceededException");
    let set = ctl_json(&simulator, &["quota", "set-keys", "--max", "3"]);
    assert_eq!(set["MaxKeys"], 3);
    simulator.key();
    assert_eq!(create(), "LimitExceededException");
    assert_eq!(ctl_json(&simulator, &["quota", "reset"])["MaxKeys"], 2);
}
