//! The script of a stub proxy, in TOML or JSON: what it is, what keys it has, and which requests it answers wrongly.
//!
//! `kms-sim/docs/stub-proxy.example.toml` explains every field.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use xks_api::error::ErrorName;
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey, UriPathPrefix};

use super::answer::{Answer, Handshake};
use super::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, URI_PATH};
use crate::defect::Defect;
use crate::toml_lines::{Lines, line_of};

/// Everything that a script says.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
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
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SecondCredential {
    access_key_id: String,
    secret_access_key: String,
}

/// What GetKeyMetadata says of a key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Key {
    pub(super) id: String,
    #[serde(default = "aes_256")]
    pub(super) spec: String,
    #[serde(default = "encrypt_and_decrypt")]
    pub(super) usage: Vec<String>,
    #[serde(default = "enabled")]
    pub(super) status: String,
}

/// What becomes of some connections.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HandshakeRule {
    pub(super) handshake: Handshake,
    #[serde(default)]
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
}

/// How some requests are answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rule {
    pub(super) on: Option<Vec<On>>,
    pub(super) key: Option<String>,
    pub(super) kms_operation: Option<String>,
    #[serde(default)]
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
    delay_ms: Option<u64>,
    status: Option<u16>,
    error_name: Option<String>,
    error_message: Option<String>,
    body: Option<String>,
    defect: Option<Defect>,
    #[serde(default)]
    not_http: bool,
    #[serde(default)]
    close: bool,
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
        let text = std::fs::read_to_string(file).map_err(|error| {
            let what = format!("it cannot be read ({error}); expected a script in TOML or JSON");
            InvalidScript::new(file, None, &what)
        })?;
        let is_json = file
            .extension()
            .is_some_and(|extension| extension == "json");
        let script: Self = match is_json {
            true => serde_json::from_str(&text).map_err(|error| {
                InvalidScript::new(file, Some(error.line()), &error.to_string())
            })?,
            false => toml::from_str(&text).map_err(|error| {
                let line = error.span().and_then(|span| line_of(&text, &span));
                // Without the line's text, as the parser shows it: a secret may be in it.
                let what = error.message().trim().replace('\n', " ");
                InvalidScript::new(file, line, &what)
            })?,
        };
        script.check().map_err(|(place, what)| {
            let line = match is_json {
                true => None,
                false => Lines::of(&text).find(&place),
            };
            InvalidScript::new(file, line, &format!("{place}: {what}"))
        })?;
        Ok(script)
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

    fn check(&self) -> Result<(), Wrong> {
        self.credentials()?;
        let prefix = self.uri_path.strip_suffix("/kms/xks/v1");
        if prefix.is_none_or(|prefix| UriPathPrefix::try_from(prefix).is_err()) {
            let expected = "expected a path such as /stub/kms/xks/v1";
            return Err((
                "uri-path".to_owned(),
                format!("found {:?}; {expected}", self.uri_path),
            ));
        }
        for (at, key) in self.keys.iter().enumerate() {
            ExternalKeyId::try_from(&*key.id).map_err(|error| {
                let what = format!("found {:?}; {error}", key.id);
                (format!("keys[{at}].id"), what)
            })?;
        }
        for (at, rule) in self.rules.iter().enumerate() {
            rule.check()
                .map_err(|what| (format!("rules[{at}]"), what))?;
        }
        Ok(())
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

    fn check(&self) -> Result<(), String> {
        let replaced = self.status.is_some() || self.error_name.is_some() || self.body.is_some();
        let ways = [replaced, self.defect.is_some(), self.not_http, self.close];
        match ways.into_iter().filter(|way| *way).count() {
            0 if self.delay_ms.is_none() => {
                return Err(
                    "says nothing; expected delay-ms, error-name, status, body, defect, not-http or close"
                        .to_owned(),
                );
            }
            0 | 1 => {}
            _ => {
                return Err(
                    "says more than one of: error-name, status and body; defect; not-http; close; expected one of them"
                        .to_owned(),
                );
            }
        }
        if self.error_name.is_some() && self.body.is_some() {
            return Err("says error-name and body; expected one of the two, since an error-name makes a body of its own".to_owned());
        }
        if self.error_message.is_some() && self.error_name.is_none() {
            return Err("says error-message alone; expected an error-name with it".to_owned());
        }
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("says the status {status}; expected 200 to 599"));
        }
        Ok(())
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

/// A script that cannot be used; says what is wrong and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidScript(String);

impl InvalidScript {
    fn new(file: &Path, line: Option<usize>, what: &str) -> Self {
        let file = file.display();
        Self(match line {
            Some(line) => format!("{file}:{line}: {what}"),
            None => format!("{file}: {what}"),
        })
    }
}

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
