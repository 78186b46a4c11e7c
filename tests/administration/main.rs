//! Keys and credentials administered from the command line, with and without a running server, and through crashes.

mod admins;
mod commands;
mod crash;
mod crash_server;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{binaries, process};

/// `xks-proxy ARGUMENTS`, not started yet, without a configuration from the environment.
fn xks_proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::xks_proxy());
    command.args(arguments).env_remove("XKS_PROXY_CONFIG");
    command
}

/// The standard output of a command that succeeds.
fn succeed(arguments: &[&str]) -> String {
    let (status, stdout, stderr) = process::run(&mut xks_proxy(arguments), LIMIT);
    assert!(status.success(), "{arguments:?}: {stderr}");
    stdout
}

/// The standard error of a command that is refused.
fn refused(arguments: &[&str]) -> String {
    let (status, stdout, stderr) = process::run(&mut xks_proxy(arguments), LIMIT);
    assert_eq!(status.code(), Some(1), "{arguments:?}: {stdout}{stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    stderr
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this test")
}

const LIMIT: Duration = Duration::from_secs(60);
