//! kms-sim against KMS's own model as botocore carries it: what inputs may hold, and what can be read in pages.

use std::process::Command;
use std::time::Duration;

use harness::backend;
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

/// Runs a script with the address of a simulator that has no proxy.
fn check(script: &str) {
    let python = match backend::python_with(&["boto3"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("botocore's model", &reason),
    };
    let _alone = crate::alone();
    let simulator = Simulator::start::<&str>(&[]);
    let (status, stdout, stderr) = run(
        Command::new(python)
            .arg(format!("tests/e2e/model/{script}"))
            .arg(simulator.address.to_string())
            .current_dir(harness::workspace()),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    println!("{stdout}");
}

/// Some two thousand small requests, on a machine that is busy with other things too.
const LIMIT: Duration = Duration::from_secs(120);
