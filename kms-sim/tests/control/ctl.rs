//! `kms-sim ctl`, the program itself.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use kms_sim::Config;
use serde_json::{Value, json};

use crate::simulator::Simulator;

/// Whether it succeeded, its standard output and its standard error.
pub(crate) fn ctl(control: SocketAddr, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    command
        .arg("ctl")
        .arg(format!("--control=http://{control}"))
        .args(arguments);
    let (status, stdout, stderr) = harness::process::run(&mut command, Duration::from_secs(20));
    (status.success(), stdout, stderr)
}

/// The answer of a command that must succeed.
pub(crate) fn ctl_json(simulator: &Simulator, arguments: &[&str]) -> Value {
    let arguments: Vec<_> = ["--json"].iter().chain(arguments).copied().collect();
    let (success, stdout, stderr) = ctl(simulator.control, &arguments);
    assert!(success, "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

#[test]
fn the_clock_from_a_shell() {
    let simulator = Simulator::start(Config::default());
    let key = simulator.key();
    simulator.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": key, "PendingWindowInDays": 7}),
    );
    assert_eq!(ctl_json(&simulator, &["clock", "freeze"])["Frozen"], true);
    let (success, stdout, _) = ctl(simulator.control, &["clock", "advance", "8d"]);
    assert!(
        success && stdout.contains("Frozen: true\nNow: 2"),
        "{stdout}"
    );
    let gone = simulator.exception("DescribeKey", json!({"KeyId": key}));
    assert_eq!(gone, "NotFoundException");
    assert_eq!(ctl_json(&simulator, &["reset"]), json!({}));
    assert_eq!(ctl_json(&simulator, &["clock"])["Frozen"], false);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let simulator = Simulator::start(Config::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    command
        .args(["ctl", "clock", "--control"])
        .arg(simulator.control.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
}

#[test]
fn what_went_wrong_is_said_with_what_to_do() {
    let simulator = Simulator::start(Config::default());
    let (success, stdout, stderr) = ctl(simulator.control, &["clock", "advance", "soon"]);
    assert!(!success && stdout.is_empty());
    assert!(
        stderr.contains("expected a length of time such as 8d"),
        "{stderr}"
    );

    for wrong in ["NaN", "inf", "2", "-0.5", "half"] {
        let loss = format!("--loss={wrong}");
        let (success, _, stderr) = ctl(simulator.control, &["link", "set", &loss]);
        assert!(
            !success && stderr.contains("a number from 0 to 1"),
            "{wrong}: {stderr}"
        );
    }

    let (success, _, stderr) = ctl(simulator.api, &["clock"]);
    assert!(!success && stderr.contains("no control API"), "{stderr}");

    let nobody = ([127, 0, 0, 1], harness::free_port()).into();
    let (success, _, stderr) = ctl(nobody, &["clock"]);
    assert!(
        !success && stderr.contains("kms-sim serve --control 127.0.0.1:4600"),
        "{stderr}"
    );
}

#[test]
fn the_control_api_stays_on_this_machine_unless_told_otherwise() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--control", "0.0.0.0:0"]);
    let (status, _, stderr) = harness::process::run(&mut command, Duration::from_secs(20));
    assert!(
        !status.success() && stderr.contains("--control-remote"),
        "{stderr}"
    );
}
