//! kms-sim against KMS's own model as botocore carries it: what inputs may hold, and what can be read in pages.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use harness::backend;
use harness::free_port;
use harness::process::run;
use harness::programs::Simulator;

#[test]
fn every_member_of_every_input_has_the_constraints_of_the_model() {
    check("constraints.py");
}

#[test]
fn every_paginator_of_boto3_reads_everything() {
    check("paginators.py");
}

#[test]
fn every_exception_of_every_operation_is_provoked_or_listed() {
    check("exceptions.py");
}

#[test]
fn a_second_implementation_agrees_about_what_keys_make() {
    check("second_implementation.py");
}

/// Runs a script with the address of a simulator that has no proxy, and that of its control API.
fn check(script: &str) {
    let python = match backend::python_with(&["boto3", "cryptography"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("botocore's model", &reason),
    };
    let _alone = crate::alone();
    let control = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let simulator = Simulator::start(&["--control", &control.to_string()]);
    let (status, stdout, stderr) = run(
        Command::new(python)
            .arg(format!("tests/e2e/model/{script}"))
            .arg(simulator.address.to_string())
            .arg(control.to_string())
            .current_dir(harness::workspace()),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    println!("{stdout}");
}

/// Some three thousand small requests and some tens of RSA keys, on a machine that is busy with other things too.
const LIMIT: Duration = Duration::from_secs(300);
