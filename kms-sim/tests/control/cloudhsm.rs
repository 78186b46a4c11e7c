//! Clusters made and broken from outside, and what KMS makes of them.

use std::time::Duration;

use kms_sim::Config;
use serde_json::{Value, json};

use crate::ctl::{ctl, ctl_json};
use crate::simulator::Simulator;

fn start() -> Simulator {
    Simulator::start(Config {
        transition: Duration::from_millis(20),
        ..Config::default()
    })
}

/// The cluster of a new store, and the store.
fn cluster_and_store(simulator: &Simulator) -> (String, String) {
    let created = ctl_json(simulator, &["cloudhsm", "create-cluster", "--hsms", "2"]);
    let store = simulator.ok("CreateCustomKeyStore", store_input(&created));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (
        text(&created["ClusterId"]),
        text(&store["CustomKeyStoreId"]),
    )
}

fn store_input(created: &Value) -> Value {
    json!({
        "CustomKeyStoreName": "hsm",
        "CloudHsmClusterId": created["ClusterId"],
        "TrustAnchorCertificate": created["TrustAnchorCertificate"],
        "KeyStorePassword": created["KeyStorePassword"],
    })
}

#[test]
fn a_cluster_that_ctl_makes_serves_a_store() {
    let simulator = start();
    let (cluster, store) = cluster_and_store(&simulator);
    simulator.connect(&store);
    simulator.wait_for(&store, "CONNECTED");
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let key = simulator.ok("CreateKey", input)["KeyMetadata"]["KeyId"].clone();
    let encrypted = simulator.ok("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    let decrypt = json!({"CiphertextBlob": encrypted["CiphertextBlob"]});
    assert_eq!(
        simulator.ok("Decrypt", decrypt.clone())["Plaintext"],
        "aGVsbG8="
    );

    let described = ctl_json(
        &simulator,
        &["cloudhsm", "describe-cluster", "--cluster", &cluster],
    );
    assert_eq!(described["Kmsuser"]["KmsLoggedIn"], true);
    assert_eq!(described["KeyIds"], json!([key]));
    let key = key.as_str().unwrap();
    ctl_json(
        &simulator,
        &[
            "cloudhsm",
            "delete-key",
            "--cluster",
            &cluster,
            "--key",
            key,
        ],
    );
    assert_eq!(
        simulator.exception("Decrypt", decrypt),
        "KMSInvalidStateException"
    );
    let stores = simulator.get("/stores");
    assert_eq!(stores["Stores"][0]["CloudHsmClusterId"], cluster.as_str());
    assert_eq!(stores["Stores"][0]["Region"], "us-east-1");
}

/// `kms-semantics`: ConnectionErrorCode, the rows of CloudHSM key stores.
#[test]
fn every_connection_error_code_of_a_cluster_has_a_cause() {
    let simulator = start();
    for (commands, code) in [
        (&["set --kmsuser locked"][..], "USER_LOCKED_OUT"),
        (&["set --kmsuser missing"], "USER_NOT_FOUND"),
        (&["set --kmsuser logged-in"], "USER_LOGGED_IN"),
        (&["set-password"], "INVALID_CREDENTIALS"),
        (&["set --reachable false"], "NETWORK_ERRORS"),
        (&["set --sessions-left false"], "INTERNAL_ERROR"),
        (
            &["set-subnet --zone us-east-1a --deleted true"],
            "SUBNET_NOT_FOUND",
        ),
        (
            &["set-subnet --zone us-east-1c --free-addresses 0"],
            "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
        ),
        (
            &["delete-hsm --hsm 0", "delete-hsm --hsm 0"],
            "INSUFFICIENT_CLOUDHSM_HSMS",
        ),
        (&["delete-cluster"], "CLUSTER_NOT_FOUND"),
        (
            &["set --kmsuser locked", "set --kmsuser unlocked"],
            "CONNECTED",
        ),
    ] {
        let (cluster, store) = cluster_and_store(&simulator);
        for command in commands {
            let mut words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            words.insert(0, "cloudhsm".to_owned());
            words.extend(["--cluster".to_owned(), cluster.clone()]);
            if let Some(hsm) = words
                .iter_mut()
                .find(|word| *word == "0" && command.contains("hsm 0"))
            {
                let path = format!("/cloudhsm/clusters/{cluster}");
                let id = simulator.get(&path)["Hsms"][0]["HsmId"].clone();
                *hsm = id.as_str().unwrap().to_owned();
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ctl_json(&simulator, &words);
        }
        assert_eq!(simulator.connection_outcome(&store), code, "{commands:?}");
        simulator.ok("DeleteCustomKeyStore", json!({"CustomKeyStoreId": store}));
    }
}

#[test]
fn a_cluster_can_be_for_one_account_and_region_alone() {
    let simulator = start();
    let create = [
        "cloudhsm",
        "create-cluster",
        "--account",
        "111122223333",
        "--region",
        "eu-central-1",
    ];
    let created = ctl_json(&simulator, &create);
    let exception = simulator.exception("CreateCustomKeyStore", store_input(&created));
    assert_eq!(exception, "CloudHsmClusterNotFoundException");
}

#[test]
fn related_clusters_come_from_backups() {
    let simulator = start();
    let created = simulator.set(
        "POST",
        "/cloudhsm/clusters",
        json!({"KeyStorePassword": "kmsPswd7"}),
    );
    assert_eq!(created["KeyStorePassword"], "kmsPswd7");
    let cluster = created["ClusterId"].as_str().unwrap();
    let backup = simulator.set(
        "POST",
        &format!("/cloudhsm/clusters/{cluster}/backups"),
        json!({}),
    );
    let input =
        json!({"BackupId": backup["BackupId"], "AvailabilityZones": ["x-1a", "x-1b"], "Hsms": 3});
    let related = simulator.set("POST", "/cloudhsm/clusters", input);
    assert_eq!(
        related["TrustAnchorCertificate"],
        created["TrustAnchorCertificate"]
    );
    assert_eq!(related["KeyStorePassword"], Value::Null);
    assert_eq!(
        simulator.get("/cloudhsm/backups")["Backups"][0],
        json!({
            "BackupId": backup["BackupId"], "ClusterId": cluster, "KeyIds": [],
        })
    );
    assert_eq!(
        simulator.get("/cloudhsm/clusters")["Clusters"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    simulator.set("POST", "/reset", json!({}));
    assert_eq!(simulator.get("/cloudhsm/clusters"), json!({"Clusters": []}));
}

#[test]
fn wrong_input_changes_nothing() {
    let simulator = start();
    let created = simulator.set("POST", "/cloudhsm/clusters", json!({}));
    let path = format!(
        "/cloudhsm/clusters/{}",
        created["ClusterId"].as_str().unwrap()
    );
    let before = simulator.get(&path);
    for (path, input) in [
        ("/cloudhsm/clusters", json!({"Hsms": -1})),
        ("/cloudhsm/clusters", json!({"AvailabilityZones": []})),
        ("/cloudhsm/clusters", json!({"AvailabilityZones": ["a/b"]})),
        ("/cloudhsm/clusters", json!({"Account": "12"})),
        ("/cloudhsm/clusters", json!({"Region": "x y"})),
        ("/cloudhsm/clusters", json!({"KeyStorePassword": "short"})),
        (
            &format!("{path}/kmsuser/password"),
            json!({"KeyStorePassword": "short"}),
        ),
    ] {
        simulator.refused("POST", path, input);
    }
    simulator.refused("PATCH", &path, json!({"State": "active"}));
    simulator.refused("PATCH", &path, json!({"Kmsuser": "happy"}));
    simulator.refused("PATCH", &path, json!({"Reachable": "no"}));
    for (method, rest, input, status) in [
        ("POST", "/clusters", json!({"Hsms": 29}), 409),
        ("POST", "/clusters", json!({"BackupId": "backup-x"}), 404),
        ("PATCH", "/clusters/cluster-x", json!({}), 404),
        ("DELETE", "/clusters/cluster-x", json!({}), 404),
        ("PUT", "/clusters", json!({}), 405),
        ("GET", "/backups/x", json!({}), 404),
    ] {
        let path = format!("/cloudhsm{rest}");
        let (found, answer) = simulator.control(method, &path, Some(&input.to_string()));
        assert_eq!(found, status, "{method} {path}: {answer}");
    }
    for (method, rest, status) in [
        ("PATCH", "/hsms/hsm-x", 400),
        ("DELETE", "/hsms/hsm-x", 404),
        ("PATCH", "/subnets/x", 404),
        ("DELETE", "/keys/x", 404),
        ("GET", "/hsms", 405),
        ("GET", "/keys/x", 405),
    ] {
        let found = simulator.control(method, &format!("{path}{rest}"), Some("{}"));
        assert_eq!(found.0, status, "{method} {rest}: {}", found.1);
    }
    assert_eq!(simulator.get(&path), before);
    assert_eq!(
        simulator.get("/cloudhsm/clusters")["Clusters"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let wrong = ["cloudhsm", "set", "--cluster", "x", "--kmsuser", "happy"];
    let (success, _, stderr) = ctl(simulator.control, &wrong);
    assert!(
        !success && stderr.contains("possible values: missing, locked"),
        "{stderr}"
    );
}
