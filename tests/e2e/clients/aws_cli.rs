//! The AWS CLI: a process for each call, with its arguments as a user types them.
//!
//! A call takes about a second, more on a busy machine: there is a cap on their number.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::process::run;
use harness::temp_dir;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{Client, Exception};
use crate::stage::REGION;

/// The program, and a configuration of its own.
pub(crate) struct AwsCli {
    program: PathBuf,
    endpoint_url: String,
    /// Holds the configuration and the blobs that are passed as files.
    folder: TempDir,
    calls: usize,
}

impl AwsCli {
    pub(crate) fn new(program: PathBuf, endpoint_url: String) -> Self {
        let folder = temp_dir();
        // Without this, version 1 fetches a parameter that is an URL.
        let config = "[default]\ncli_follow_urlparam = false\n";
        std::fs::write(folder.path().join("config"), config).expect("a configuration file");
        Self {
            program,
            endpoint_url,
            folder,
            calls: 0,
        }
    }

    /// How many processes were started.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    fn aws(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        paging: &[String],
    ) -> Result<Value, Exception> {
        self.calls += 1;
        assert!(
            self.calls <= MOST_CALLS,
            "the scenario makes more than {MOST_CALLS} calls; at about a second each, that is too many for the CLI"
        );
        let mut command = Command::new(&self.program);
        command
            .args(["kms", &kebab_case(operation), "--output", "json"])
            .args(paging)
            .env("AWS_ENDPOINT_URL_KMS", &self.endpoint_url)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", self.folder.path().join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("PYTHONUTF8", "1")
            .env_remove("AWS_PROFILE");
        for (name, value) in input {
            command.arg(format!("--{}", kebab_case(name)));
            command.arg(self.parameter(name, value));
        }
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        match status.code() {
            // An operation without output says nothing.
            Some(0) if stdout.trim().is_empty() => Ok(Value::Object(Map::new())),
            Some(0) => serde_json::from_str(&stdout)
                .map_err(|error| failed(format!("{error} in {stdout}"))),
            Some(code) => Err(exception(operation, code, &stderr)),
            None => Err(failed(format!("{status}: {stderr}"))),
        }
    }

    fn parameter(&self, name: &str, value: &Value) -> String {
        match value {
            Value::String(blob) if BLOBS.contains(&name) => {
                let file = self.folder.path().join(name);
                let bytes = STANDARD.decode(blob).expect("a blob in base64");
                std::fs::write(&file, bytes).expect("a file for a blob");
                format!("fileb://{}", file.display())
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl Client for AwsCli {
    fn call(&mut self, operation: &str, input: &Map<String, Value>) -> Result<Value, Exception> {
        // Else it reads all pages, whatever is asked for.
        self.aws(operation, input, &["--no-paginate".to_owned()])
    }

    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception> {
        self.aws(operation, input, &[format!("--page-size={size}")])
    }
}

/// `An error occurred (Name) when calling the Operation operation: message`, and the status of an answer that is an
/// error: 254, or 255 in older versions.
fn exception(operation: &str, code: i32, stderr: &str) -> Exception {
    let said = stderr.split_once("An error occurred (");
    let named = said.and_then(|(_, said)| said.split_once(") when calling the "));
    match named {
        Some((name, rest))
            if matches!(code, 254 | 255) && rest.starts_with(&format!("{operation} operation")) =>
        {
            Exception {
                name: name.to_owned(),
                status: None,
                message: stderr.to_owned(),
            }
        }
        _ => failed(format!("exit status {code}: {stderr}")),
    }
}

fn failed(message: String) -> Exception {
    Exception {
        name: "the AWS CLI failed".to_owned(),
        status: None,
        message,
    }
}

/// `XksProxyUriPath` → `xks-proxy-uri-path`
fn kebab_case(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

/// Members that are bytes: in a file they reach the CLI as they are.
const BLOBS: [&str; 2] = ["CiphertextBlob", "Plaintext"];
/// The scenario's steps, and a few more looks where it waits.
const MOST_CALLS: usize = 65;
/// For one call.
const LIMIT: Duration = Duration::from_secs(90);
