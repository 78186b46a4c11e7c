//! The script of a stub proxy, in TOML or JSON: what it is, what keys it has, and which requests it answers wrongly.
//!
//! `kms-sim/docs/stub-proxy.example.toml` explains every field.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use xks_api::error::ErrorName;
use xks_api::ids::{AccessKeyId, SecretAccessKey};

use super::answer::{Answer, Handshake};
use super::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, URI_PATH, script_file};
use crate::defect::Defect;
use crate::toml_document::InvalidFile;

/// Everything that a script says.
#[derive(Clone)]
pub struct Script {
    pub(super) host: String,
    pub(super) uri_path: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    /// Another credential of the store, as while one is rotated.
    pub(super) second_credential: Option<SecondCredential>,
    pub(super) verify_signatures: bool,
    /// Health statuses of the instances of the external key manager.
    pub(super) instances: Vec<String>,
    /// Every id is that of a sound key if there are none.
    pub(super) keys: Vec<Key>,
    pub(super) handshakes: Vec<HandshakeRule>,
    pub(super) rules: Vec<Rule>,
}

/// A credential beside the usual one.
#[derive(Clone)]
pub(super) struct SecondCredential {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// What GetKeyMetadata says of a key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) spec: String,
    pub(super) usage: Vec<String>,
    pub(super) status: String,
}

/// What becomes of some connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandshakeRule {
    pub(super) handshake: Handshake,
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
}

/// How some requests are answered.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) on: Option<Vec<On>>,
    pub(super) key: Option<String>,
    pub(super) kms_operation: Option<String>,
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
    pub(super) delay_ms: Option<u64>,
    pub(super) status: Option<u16>,
    pub(super) error_name: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) body: Option<String>,
    pub(super) defect: Option<Defect>,
    pub(super) not_http: bool,
    pub(super) close: bool,
}

/// The last segment of a path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum On {
    Health,
    Metadata,
    Encrypt,
    Decrypt,
}

impl On {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metadata => "metadata",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            host: HOST.to_owned(),
            uri_path: URI_PATH.to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
            second_credential: None,
            verify_signatures: true,
            instances: vec!["ACTIVE".to_owned()],
            keys: Vec::new(),
            handshakes: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Script {
    /// Reads a file: JSON if its name ends so, else TOML.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn load(file: &Path) -> Result<Self, InvalidScript> {
        script_file::load(file).map_err(InvalidScript)
    }

    /// The `https://` URL of the host, without a port, as CreateCustomKeyStore takes it.
    pub fn uri_endpoint(&self) -> String {
        format!("https://{}", self.host)
    }

    /// `XksProxyUriPath`
    pub fn uri_path(&self) -> &str {
        &self.uri_path
    }

    /// `AccessKeyId`
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// `RawSecretAccessKey`
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// An external key that does all: the first of the script, or any if the script names none.
    pub fn key_id(&self) -> Option<&str> {
        let does_all = |key: &&Key| {
            let usage = |name: &str| key.usage.iter().any(|usage| usage == name);
            key.spec == aes_256() && key.status == enabled() && usage("ENCRYPT") && usage("DECRYPT")
        };
        match self.keys.is_empty() {
            true => Some("demo"),
            false => self.keys.iter().find(does_all).map(|key| &*key.id),
        }
    }

    /// The credentials, well-formed.
    pub(super) fn credentials(&self) -> Result<Vec<(AccessKeyId, SecretAccessKey)>, Wrong> {
        let mut credentials = vec![credential(
            "",
            &self.access_key_id,
            &self.secret_access_key,
        )?];
        if let Some(second) = &self.second_credential {
            credentials.push(credential(
                "second-credential.",
                &second.access_key_id,
                &second.secret_access_key,
            )?);
        }
        Ok(credentials)
    }
}

impl Key {
    /// One that does all, but for what is said of it.
    pub(super) fn new(
        id: String,
        spec: Option<String>,
        usage: Option<Vec<String>>,
        status: Option<String>,
    ) -> Self {
        Self {
            id,
            spec: spec.unwrap_or_else(aes_256),
            usage: usage.unwrap_or_else(encrypt_and_decrypt),
            status: status.unwrap_or_else(enabled),
        }
    }
}

impl Rule {
    /// How long the answer is held back.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or_default())
    }

    /// The answer; sound if the rule only delays it.
    pub(super) fn answer(&self) -> Answer {
        if self.close {
            return Answer::Hangup;
        }
        if self.not_http {
            return Answer::Bytes(b"This is no HTTP.\r\n\r\n");
        }
        if let Some(defect) = self.defect {
            return Answer::Defect(defect);
        }
        let known = self.error_name.as_deref().and_then(ErrorName::from_wire);
        let status = self.status.or_else(|| known.map(ErrorName::status));
        match (&self.error_name, &self.body) {
            (Some(name), _) => {
                let mut body = json!({"errorName": name});
                if let (Some(message), Some(fields)) = (&self.error_message, body.as_object_mut()) {
                    fields.insert("errorMessage".to_owned(), message.as_str().into());
                }
                Answer::Body(status.unwrap_or(400), body.to_string())
            }
            (None, Some(body)) => Answer::Body(status.unwrap_or(200), body.clone()),
            (None, None) => match status {
                Some(status) => Answer::Body(status, String::new()),
                None => Answer::Sound,
            },
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("host", &self.host)
            .field("uri_path", &self.uri_path)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// A script that cannot be used; says everything that is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidScript(InvalidFile);

/// A place in the script, and what is wrong there.
pub(super) type Wrong = (String, String);

/// `place` is where the fields stand in the script.
fn credential(
    place: &str,
    id: &str,
    secret: &str,
) -> Result<(AccessKeyId, SecretAccessKey), Wrong> {
    let id = AccessKeyId::try_from(id).map_err(|error| {
        (
            format!("{place}access-key-id"),
            format!("found {id:?}; {error}"),
        )
    })?;
    let secret = SecretAccessKey::try_from(secret).map_err(|error| {
        let what = format!("found another text (not shown: it is a secret); {error}");
        (format!("{place}secret-access-key"), what)
    })?;
    Ok((id, secret))
}

fn aes_256() -> String {
    "AES_256".to_owned()
}

fn enabled() -> String {
    "ENABLED".to_owned()
}

fn encrypt_and_decrypt() -> Vec<String> {
    ["ENCRYPT", "DECRYPT"].map(str::to_owned).into()
}
