//! Who may call the control API, and with what.

use kms_sim::Config;
use serde_json::json;

use crate::simulator::{Simulator, exchange};

fn status(simulator: &Simulator, request: &str) -> u16 {
    exchange(simulator.control, request).status
}

#[test]
fn a_page_that_rebinds_its_name_gets_nothing_and_changes_nothing() {
    let simulator = Simulator::start(Config {
        control_hosts: vec!["kms-sim".to_owned()],
        ..Config::default()
    });
    let key = simulator.key();
    let post = |headers: &str| {
        let request =
            format!("POST /control/v1/reset HTTP/1.1\r\ncontent-length: 0\r\n{headers}\r\n");
        status(&simulator, &request)
    };
    for headers in [
        "host: evil.example:4600\r\n",
        "host: evil.example:4600\r\norigin: http://evil.example:4600\r\n",
        "host: 127.0.0.1:4600\r\norigin: http://evil.example\r\n",
        "host: 127.0.0.1:4600\r\norigin: null\r\n",
        "host: 127.0.0.1:4600\r\nsec-fetch-site: cross-site\r\n",
        "host: localhost\r\norigin: http://localhost:3000\r\n",
    ] {
        assert_eq!(post(headers), 403, "{headers}");
    }
    simulator.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(post("host: kms-sim:4600\r\n"), 200);
    let gone = simulator.exception("DescribeKey", json!({"KeyId": key}));
    assert_eq!(gone, "NotFoundException");
}

#[test]
fn wrong_requests_are_answered_with_what_is_wrong() {
    let simulator = Simulator::start(Config::default());
    for (method, path, body, status, error) in [
        ("GET", "/nothing", None, 404, "NotFound"),
        ("GET", "/clock/nothing", None, 404, "NotFound"),
        ("GET", "/clock/", None, 404, "NotFound"),
        ("GET", "x", None, 404, "NotFound"),
        ("DELETE", "/clock", None, 405, "MethodNotAllowed"),
        ("GET", "/reset", None, 405, "MethodNotAllowed"),
        ("POST", "/reset", Some("{"), 400, "InvalidInput"),
        ("POST", "/reset", Some("[]"), 400, "InvalidInput"),
        ("POST", "/reset", Some(r#"{"Keys":1}"#), 400, "InvalidInput"),
        ("POST", "/clock/advance", Some("{}"), 400, "InvalidInput"),
        (
            "POST",
            "/clock/advance?x=%",
            Some("{}"),
            400,
            "InvalidInput",
        ),
    ] {
        let (found, answer) = simulator.control(method, path, body);
        assert_eq!(
            (found, answer["Error"].as_str()),
            (status, Some(error)),
            "{method} {path}"
        );
        assert!(answer["Message"].as_str().is_some_and(|m| m.len() > 10));
    }
    let large = format!(r#"{{"By":"{}"}}"#, "1".repeat(70_000));
    let (found, answer) = simulator.control("POST", "/clock/advance", Some(&large));
    assert_eq!((found, answer["Error"].as_str()), (413, Some("TooLarge")));
}

#[test]
fn a_form_of_a_page_is_no_json() {
    let simulator = Simulator::start(Config::default());
    let request = format!(
        "POST /control/v1/reset HTTP/1.1\r\nhost: {}\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}",
        simulator.control
    );
    assert_eq!(status(&simulator, &request), 415);
}

#[test]
fn the_kms_api_is_not_on_the_control_port_nor_the_other_way_round() {
    let simulator = Simulator::start(Config::default());
    let request = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(status(&simulator, request), 404);
    let request = "GET /control/v1/clock HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(exchange(simulator.api, request).status, 404);
}
