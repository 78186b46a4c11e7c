//! boto3, in a process that reads a call a line and writes an outcome a line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Client, Exception};
use crate::stage::REGION;

/// A Python with a boto3 client.
pub(crate) struct Boto3 {
    child: Child,
    calls: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Boto3 {
    pub(crate) fn start(python: &Path, endpoint_url: &str) -> Self {
        let mut child = Command::new(python)
            .args(["tests/e2e/clients/boto3_driver.py", endpoint_url, REGION])
            .current_dir(harness::workspace())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", python.display()));
        let calls = child.stdin.take().expect("stdin is piped");
        let outcomes = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self {
            child,
            calls,
            outcomes,
        }
    }

    /// The driver has its own time limits, so it answers or ends.
    fn ask(&mut self, call: &Value) -> Result<Value, Exception> {
        writeln!(self.calls, "{call}").expect("the driver reads calls");
        let mut line = String::new();
        let read = self.outcomes.read_line(&mut line);
        read.expect("the driver writes outcomes");
        let outcome = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the driver ended or wrote {line:?}: {error}"));
        match outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Exception {
                name,
                status,
                message,
            } => Err(Exception {
                name,
                status,
                message,
            }),
        }
    }
}

impl Client for Boto3 {
    fn call(&mut self, operation: &str, input: &Map<String, Value>) -> Result<Value, Exception> {
        self.ask(&json!({"operation": operation, "input": input}))
    }

    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception> {
        self.ask(&json!({"operation": operation, "input": input, "page_size": size}))
    }
}

impl Drop for Boto3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Answer(Value),
    Exception {
        name: String,
        status: Option<u16>,
        message: String,
    },
}
