//! A client in a process of its own, which reads a call a line and writes an outcome a line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Client, Exception};
use crate::stage::REGION;

/// A process with a client in it.
pub(crate) struct Driver {
    child: Child,
    calls: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Driver {
    /// boto3.
    pub(crate) fn boto3(python: &Path, endpoint_url: &str) -> Self {
        let script = Path::new("tests/e2e/clients/boto3_driver.py");
        Self::start(Command::new(python).arg(script), endpoint_url)
    }

    /// The SDK for JavaScript, with the modules that `npm` put into this folder.
    pub(crate) fn javascript(modules: &Path, endpoint_url: &str) -> Self {
        let script = Path::new("tests/e2e/clients/javascript/driver.mjs");
        let mut node = Command::new("node");
        node.arg(script).env("XKS_TEST_NODE", modules);
        Self::start(&mut node, endpoint_url)
    }

    /// The AWS CLI: the code of the `aws` command, loaded once for all calls.
    pub(super) fn aws_cli(python: &Path, config: &Path, endpoint_url: &str) -> Self {
        let script = Path::new("tests/e2e/clients/aws_cli_driver.py");
        let mut python = Command::new(python);
        python
            .arg(script)
            .env("AWS_ENDPOINT_URL_KMS", endpoint_url)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", config)
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("PYTHONUTF8", "1")
            .env_remove("AWS_PROFILE");
        Self::start(&mut python, endpoint_url)
    }

    fn start(command: &mut Command, endpoint_url: &str) -> Self {
        let mut child = command
            .args([endpoint_url, REGION])
            .current_dir(harness::workspace())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let calls = child.stdin.take().expect("stdin is piped");
        let outcomes = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self {
            child,
            calls,
            outcomes,
        }
    }

    /// One line there, one line back. The driver has its own time limits, so it answers or ends.
    pub(super) fn line(&mut self, call: &Value) -> String {
        writeln!(self.calls, "{call}").expect("the driver reads calls");
        let mut line = String::new();
        let read = self.outcomes.read_line(&mut line);
        read.expect("the driver writes outcomes");
        line
    }

    fn ask(&mut self, call: &Value) -> Result<Value, Exception> {
        let line = self.line(call);
        let outcome = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the driver ended or wrote {line:?}: {error}"));
        match outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Exception {
                name,
                code,
                status,
                message,
            } => Err(Exception {
                name,
                code,
                status,
                message,
            }),
        }
    }
}

impl Client for Driver {
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

impl Drop for Driver {
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
        name: Option<String>,
        code: Option<String>,
        status: Option<u16>,
        message: String,
    },
}
