//! Snapshots, from a shell and over HTTP.

use std::os::unix::fs::{MetadataExt as _, symlink};

use kms_sim::Config;
use serde_json::{Value, json};

use crate::ctl::ctl;
use crate::simulator::Simulator;
use crate::with_proxy::WithProxy;

#[test]
fn a_snapshot_is_a_private_file_and_brings_everything_back() {
    let simulator = WithProxy::start();
    let folder = harness::temp_dir();
    let file = folder.path().join("state.json");
    let file = file.to_str().expect("UTF-8");
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "demo");
    let input = json!({"KeyId": key, "Plaintext": "c2VjcmV0"});
    let ciphertext = simulator.ok("Encrypt", input)["CiphertextBlob"].clone();
    let (success, stdout, stderr) = ctl(simulator.control, &["snapshot", file]);
    assert!(success && stdout.is_empty(), "{stdout}{stderr}");
    assert_eq!(
        std::fs::metadata(file).expect("it is there").mode() & 0o777,
        0o600
    );

    simulator.set("POST", "/reset", json!({}));
    let (success, _, stderr) = ctl(simulator.control, &["restore", file]);
    assert!(success, "{stderr}");
    let output = simulator.ok("Decrypt", json!({"CiphertextBlob": ciphertext}));
    assert_eq!(output["Plaintext"], "c2VjcmV0");
}

#[test]
fn a_snapshot_through_a_link_leaves_the_link() {
    let simulator = Simulator::start(Config::default());
    let folder = harness::temp_dir();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("state.json"), "old").expect("it can be written");
    // As /dev/stdout is one.
    for (name, target) in [("output", "/proc/self/fd/1"), ("link", "state.json")] {
        symlink(target, path(name)).expect("a link");
        let file = path(name);
        let file = file.to_str().expect("UTF-8");
        let (success, stdout, stderr) = ctl(simulator.control, &["snapshot", file]);
        assert!(success, "{stderr}");
        let text = match name {
            "output" => stdout,
            _ => std::fs::read_to_string(path("state.json")).expect("text"),
        };
        let snapshot: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(snapshot["Version"], 1);
        assert!(path(name).is_symlink(), "{name}");
    }
}

#[test]
fn what_is_no_snapshot_changes_nothing() {
    let simulator = Simulator::start(Config::default());
    let key = simulator.key();
    for (body, says) in [
        (json!({}), "missing field"),
        (json!({"Version": 2, "Records": []}), "version 2"),
        (
            json!({"Version": 1, "Records": [{"Nothing": 1}]}),
            "Nothing",
        ),
        (json!({"Version": 1, "Records": [], "More": 1}), "More"),
    ] {
        let message = simulator.refused("POST", "/restore", body);
        assert!(message.contains(says), "{message}");
    }
    let (success, _, stderr) = ctl(simulator.control, &["restore", "/dev/null"]);
    assert!(
        !success && stderr.contains("expected a snapshot"),
        "{stderr}"
    );
    simulator.ok("DescribeKey", json!({"KeyId": key}));
}
