//! The AWS CLI, with its arguments as a user types them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::temp_dir;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::driver::Driver;
use super::{Client, Exception};

/// The program, and a configuration of its own.
pub(crate) struct AwsCli {
    driver: Driver,
    /// Holds the configuration and the blobs that are passed as files.
    folder: TempDir,
}

impl AwsCli {
    pub(crate) fn start(python: &Path, endpoint_url: &str) -> Self {
        let folder = temp_dir();
        let config = folder.path().join("config");
        // Without this, version 1 fetches a parameter that is an URL.
        std::fs::write(&config, "[default]\ncli_follow_urlparam = false\n")
            .expect("a configuration file");
        Self {
            driver: Driver::aws_cli(python, &config, endpoint_url),
            folder,
        }
    }

    fn aws(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        paging: &str,
    ) -> Result<Value, Exception> {
        let mut arguments = vec![
            "kms".to_owned(),
            kebab_case(operation),
            "--output=json".to_owned(),
            paging.to_owned(),
        ];
        for (name, value) in input {
            match value {
                // A flag, or its opposite.
                Value::Bool(true) => arguments.push(format!("--{}", kebab_case(name))),
                Value::Bool(false) => arguments.push(format!("--no-{}", kebab_case(name))),
                value => {
                    arguments.push(format!("--{}", kebab_case(name)));
                    arguments.push(self.parameter(name, value));
                }
            }
        }
        let line = self.driver.line(&json!(arguments));
        let Said {
            status,
            stdout,
            stderr,
        } = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the AWS CLI ended or wrote {line:?}: {error}"));
        match status {
            // An operation without output says nothing.
            0 if stdout.trim().is_empty() => Ok(Value::Object(Map::new())),
            0 => serde_json::from_str(&stdout)
                .map_err(|error| failed(format!("{error} in {stdout}"))),
            code => Err(exception(operation, code, &stderr)),
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
        self.aws(operation, input, "--no-paginate")
    }

    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception> {
        self.aws(operation, input, &format!("--page-size={size}"))
    }
}

/// What came of one call.
#[derive(Deserialize)]
struct Said {
    status: i32,
    stdout: String,
    stderr: String,
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
                // It has no types; it names what every SDK would.
                name: Some(name.to_owned()),
                code: Some(name.to_owned()),
                status: None,
                message: stderr.to_owned(),
            }
        }
        _ => failed(format!("exit status {code}: {stderr}")),
    }
}

fn failed(message: String) -> Exception {
    Exception {
        name: None,
        code: None,
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
const BLOBS: [&str; 8] = [
    "CiphertextBlob",
    "EncryptedKeyMaterial",
    "ImportToken",
    "Mac",
    "Message",
    "Plaintext",
    "PublicKey",
    "Signature",
];
