//! Runs the stories that the scripts in `story/` tell, and does for them what a client cannot.
//!
//! The script writes `> command` to its standard output and reads one line of JSON back; every other line is for the
//! reader of the test's output.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Pace, Stage};

/// Runs a script of `story/` to its end; the error holds all that was said.
pub(crate) fn tell(stage: &mut Stage, python: &Path, script: &str) -> Result<(), String> {
    let mut child = Command::new(python)
        .arg(format!("tests/e2e/story/{script}"))
        .arg(stage.description().to_string())
        .current_dir(harness::workspace())
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(KilledOnDrop)
        .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
    let mut replies = child.0.stdin.take().expect("stdin is piped");
    let lines = lines_of(&mut child.0);

    let mut said = String::new();
    let deadline = Instant::now() + LIMIT;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.strip_prefix("> ") {
                Some(command) => {
                    let reply = obey(stage, command);
                    // A script that is gone has its reason in its status.
                    drop(writeln!(replies, "{reply}"));
                }
                None => {
                    println!("{line}");
                    said.push_str(&line);
                    said.push('\n');
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("{said}{script} still runs after {LIMIT:?}"));
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.0.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{said}{script} ended: {status}"))
    }
}

fn obey(stage: &mut Stage, command: &str) -> Value {
    match command {
        "counts" => {}
        "kill-proxy" => stage.kill_proxy(),
        "restart-proxy" => stage.restart_proxy(),
        "stall" => stage.hold_proxy(),
        "resume" => stage.release_proxy(),
        unknown => panic!("the script asks for {unknown:?}"),
    }
    let counts = stage.counts();
    json!({
        "connections": counts.connections,
        "to_proxy": counts.to_target,
        "to_kms": counts.to_client,
        "open": stage.open_connections(),
    })
}

/// The lines of both outputs, in the order read; ends when both are closed.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stderr = child.stderr.take().expect("stderr is piped");
    let errors = sender.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            drop(errors.send(line));
        }
    });
    let stdout = child.stdout.take().expect("stdout is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    receiver
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A client sees CONNECTING and DISCONNECTING with time to spare; the proxy has what KMS gives it.
pub(crate) const PACE: Pace = Pace {
    transition: Duration::from_millis(600),
    proxy_timeout: Duration::from_millis(250),
};
/// The whole script, on a machine that is busy with other things too.
const LIMIT: Duration = Duration::from_secs(180);
