//! Everything forgotten, through either API.

use kms_sim::Config;
use serde_json::json;

use crate::simulator::{Simulator, exchange};

fn keys(simulator: &Simulator, region: &str) -> usize {
    let output = simulator.kms_in(region, "ListKeys", json!({}));
    let output = output.expect("a list");
    output["Keys"].as_array().expect("a list").len()
}

#[test]
fn a_reset_forgets_every_region_and_the_time() {
    let simulator = Simulator::start(Config::default());
    for region in ["us-east-1", "eu-central-1"] {
        simulator.kms_in(region, "CreateKey", json!({})).unwrap();
        assert_eq!(keys(&simulator, region), 1);
    }
    simulator.set("POST", "/clock/freeze", json!({}));
    simulator.set("POST", "/reset", json!({}));
    assert_eq!(keys(&simulator, "us-east-1"), 0);
    assert_eq!(keys(&simulator, "eu-central-1"), 0);
    assert_eq!(simulator.get("/clock")["Frozen"], false);
}

#[test]
fn suites_written_for_moto_reset_through_the_api_port() {
    let simulator = Simulator::start(Config::default());
    simulator.key();
    let post = |headers: &str| {
        let request = format!(
            "POST /moto-api/reset HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n{headers}\r\n",
            simulator.api
        );
        exchange(simulator.api, &request)
    };
    // A page may not.
    assert_eq!(post("origin: http://evil.example\r\n").status, 403);
    assert_eq!(keys(&simulator, "us-east-1"), 1);
    let answer = post("");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "ok"}))
    );
    assert_eq!(keys(&simulator, "us-east-1"), 0);
}
