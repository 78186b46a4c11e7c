//! Time on demand.

use kms_sim::Config;
use serde_json::{Value, json};

use crate::simulator::Simulator;

#[test]
fn a_deletion_window_passes_in_a_moment() {
    let simulator = Simulator::start(Config::default());
    let key = json!({"KeyId": simulator.key()});
    let mut scheduled = key.clone();
    scheduled["PendingWindowInDays"] = 7.into();
    simulator.ok("ScheduleKeyDeletion", scheduled);
    simulator.set("POST", "/clock/advance", json!({"By": "6d23h"}));
    let metadata = simulator.ok("DescribeKey", key.clone());
    assert_eq!(metadata["KeyMetadata"]["KeyState"], "PendingDeletion");
    simulator.set("POST", "/clock/advance", json!({"By": "61m"}));
    let gone = simulator.exception("DescribeKey", key);
    assert_eq!(gone, "NotFoundException");
}

#[test]
fn rotation_falls_due() {
    let simulator = Simulator::start(Config::default());
    let key = simulator.key();
    let input = json!({"KeyId": key, "RotationPeriodInDays": 90});
    simulator.ok("EnableKeyRotation", input);
    let key = json!({"KeyId": key});
    let rotations = || {
        let output = simulator.ok("ListKeyRotations", key.clone());
        output["Rotations"].as_array().map_or(0, Vec::len)
    };
    let before = rotations();
    simulator.set("POST", "/clock/advance", json!({"By": "91d"}));
    assert_eq!(rotations(), before + 1);
}

#[test]
fn a_frozen_clock_gives_dates_that_can_be_compared() {
    let simulator = Simulator::start(Config::default());
    let created = || {
        let output = simulator.ok("CreateKey", json!({}));
        output["KeyMetadata"]["CreationDate"].as_f64().unwrap()
    };
    let frozen = simulator.set("POST", "/clock/freeze", json!({}));
    assert_eq!(frozen["Frozen"], true);
    let first = created();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(created(), first);
    assert_eq!(simulator.get("/clock"), frozen);
    simulator.set("POST", "/clock/advance", json!({"By": "1w"}));
    assert!((created() - first - 604_800.0).abs() < 0.001);
    let resumed = simulator.set("POST", "/clock/resume", json!({}));
    assert_eq!(resumed["Frozen"], false);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(created() > first + 604_800.0);
}

#[test]
fn a_length_of_time_that_cannot_be_read_moves_nothing() {
    let simulator = Simulator::start(Config::default());
    let before = simulator.set("POST", "/clock/freeze", json!({}));
    for by in [
        json!("8"),
        json!("-8d"),
        json!("soon"),
        json!(8),
        Value::Null,
    ] {
        let message = simulator.refused("POST", "/clock/advance", json!({"By": by}));
        assert!(
            message.contains("8d, 1h30m") || message.contains("string"),
            "{message}"
        );
    }
    simulator.refused("POST", "/clock/advance", json!({"By": "1d", "At": "2d"}));
    assert_eq!(simulator.get("/clock"), before);
}
