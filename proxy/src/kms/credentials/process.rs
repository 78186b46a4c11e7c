//! `credential_process`: a program that prints credentials.

use std::process::Stdio;
use std::time::Duration;

use aws_credential_types::Credentials;
use serde::Deserialize;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::Document;

/// Runs the command line through a shell, as the profile's owner wrote it.
///
/// # Errors
/// A sentence without anything that the program printed to standard output.
pub(super) async fn run(command: &str) -> Result<Credentials, String> {
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, child)
        .await
        .map_err(|_| format!("it has not ended within {LIMIT:?}"))?
        .map_err(|error| error.to_string())?;
    let stdout = Zeroizing::new(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(500).collect();
        return Err(format!("{}: {said}", output.status));
    }
    match serde_json::from_slice(&stdout) {
        Ok(Version { version: 1 }) => Ok(Document::read(&stdout, "credential_process")?),
        Ok(Version { version }) => Err(format!("its answer is of version {version}, not 1")),
        Err(_) => Err("its answer is not JSON with a Version".to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: u32,
}

/// It may wait for a person with a security key.
const LIMIT: Duration = Duration::from_secs(60);
