//! What came back, and what it must be: the answers of the four operations, read without mercy.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use xks_api::route::OperationName;

use super::case::{Finding, Outcome, Refusal, any_of};
use super::wire::{shortened, without_signatures};

/// An answer in HTTP.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// From the first byte of the request to the last one of the answer.
    pub(super) elapsed: Duration,
}

/// What Encrypt answered, with the AAD that it was asked with.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) aad: Option<Vec<u8>>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) tag: Vec<u8>,
    pub(super) metadata: Option<Vec<u8>>,
    pub(super) cdiv: Option<Vec<u8>>,
}

impl Answer {
    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(sent, _)| sent == name);
        found.map(|(_, value)| &**value)
    }

    /// Fails unless the request was refused in one of these ways.
    pub(super) fn refused(&self, refusals: &[Refusal]) -> Outcome {
        let fits = |refusal: &Refusal| match refusal {
            Refusal::Named(name) => {
                self.status == name.status() && self.error_name() == Some(name.as_str().to_owned())
            }
            Refusal::Status(status) => self.status == *status,
            Refusal::AnyClientError => matches!(self.status, 400..=499 | 501),
            Refusal::Hangup => false,
        };
        match refusals.iter().any(fits) {
            true => Ok(()),
            false => Err(Finding::failed(format!(
                "expected {}; got {}",
                any_of(refusals),
                self.summary()
            ))),
        }
    }

    /// Fails unless the operation was answered, in the form of its answer.
    pub(super) fn served(&self, operation: OperationName) -> Outcome {
        match operation {
            OperationName::Encrypt => self.sealed(None).map(drop),
            OperationName::Decrypt => self.plaintext().map(drop),
            OperationName::GetKeyMetadata => self.key_metadata().map(drop),
            OperationName::GetHealthStatus => self.health().map(drop),
        }
    }

    /// The JSON object of a 200.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Finding> {
        if self.status != 200 {
            return Err(Finding::failed(format!(
                "expected 200; got {}",
                self.summary()
            )));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(Finding::failed(
                "expected a JSON object; the body of the answer is none",
            )),
        }
    }

    /// What Encrypt answers.
    pub(super) fn sealed(&self, aad: Option<&[u8]>) -> Result<Sealed, Finding> {
        let fields = self.object()?;
        let sealed = Sealed {
            aad: aad.map(<[u8]>::to_vec),
            ciphertext: bytes(&fields, "ciphertext")?,
            iv: bytes(&fields, "initializationVector")?,
            tag: bytes(&fields, "authenticationTag")?,
            metadata: optional_bytes(&fields, "ciphertextMetadata")?,
            cdiv: optional_bytes(&fields, "ciphertextDataIntegrityValue")?,
        };
        if !matches!(sealed.iv.len(), 12 | 16) {
            return Err(Finding::failed(format!(
                "expected an initializationVector of 12 or 16 bytes; it has {}",
                sealed.iv.len()
            )));
        }
        if sealed.tag.len() != 16 {
            return Err(Finding::failed(format!(
                "expected an authenticationTag of 16 bytes; it has {}",
                sealed.tag.len()
            )));
        }
        let metadata_len = sealed.metadata.as_ref().map_or(0, Vec::len);
        if metadata_len > 20 {
            return Err(Finding::failed(format!(
                "expected a ciphertextMetadata of at most 20 bytes; it has {metadata_len}"
            )));
        }
        Ok(sealed)
    }

    /// What Decrypt answers.
    pub(super) fn plaintext(&self) -> Result<Vec<u8>, Finding> {
        bytes(&self.object()?, "plaintext")
    }

    /// What GetKeyMetadata answers.
    pub(super) fn key_metadata(&self) -> Result<KeyMetadata, Finding> {
        let fields = self.object()?;
        let usages = fields.get("keyUsage").and_then(Value::as_array);
        let usages = usages.ok_or_else(|| Finding::failed("keyUsage is no array"))?;
        let usage = usages.iter().map(|usage| usage.as_str().map(str::to_owned));
        let usage = usage.collect::<Option<Vec<_>>>();
        Ok(KeyMetadata {
            spec: text(&fields, "keySpec")?,
            usage: usage
                .ok_or_else(|| Finding::failed("keyUsage holds something that is no string"))?,
            status: text(&fields, "keyStatus")?,
        })
    }

    /// What GetHealthStatus answers.
    pub(super) fn health(&self) -> Result<Health, Finding> {
        let fields = self.object()?;
        let details = fields.get("ekmFleetDetails").and_then(Value::as_array);
        let details = details.ok_or_else(|| Finding::failed("ekmFleetDetails is no array"))?;
        let instances = details.iter().map(|detail| {
            let Value::Object(detail) = detail else {
                return Err(Finding::failed("ekmFleetDetails holds what is no object"));
            };
            Ok(Instance {
                id: text(detail, "id")?,
                model: text(detail, "model")?,
                status: text(detail, "healthStatus")?,
            })
        });
        Ok(Health {
            fleet_size: fields.get("xksProxyFleetSize").cloned(),
            proxy_vendor: text(&fields, "xksProxyVendor")?,
            proxy_model: text(&fields, "xksProxyModel")?,
            ekm_vendor: text(&fields, "ekmVendor")?,
            instances: instances.collect::<Result<_, _>>()?,
        })
    }

    /// `errorName`, if the body has one.
    pub(super) fn error_name(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("errorName")?.as_str()?.to_owned())
    }

    /// Status and error in a few words.
    pub(super) fn summary(&self) -> String {
        match self.error_name() {
            Some(name) => format!("{} {name}", self.status),
            None if self.body.is_empty() => format!("{} without a body", self.status),
            None => format!("{} without an errorName", self.status),
        }
    }

    /// For reports.
    pub(super) fn shown(&self) -> String {
        let mut text = format!("HTTP/1.1 {}\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        format!(
            "{text}\n{}",
            shortened(&without_signatures(&String::from_utf8_lossy(&self.body)))
        )
    }
}

/// What GetKeyMetadata tells.
pub(super) struct KeyMetadata {
    pub(super) spec: String,
    pub(super) usage: Vec<String>,
    pub(super) status: String,
}

/// What GetHealthStatus tells.
pub(super) struct Health {
    pub(super) fleet_size: Option<Value>,
    pub(super) proxy_vendor: String,
    pub(super) proxy_model: String,
    pub(super) ekm_vendor: String,
    pub(super) instances: Vec<Instance>,
}

/// One of `ekmFleetDetails`.
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) status: String,
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, Finding> {
    let value = fields.get(name).and_then(Value::as_str);
    let value = value.ok_or_else(|| Finding::failed(format!("{name} is missing or no string")))?;
    Ok(value.to_owned())
}

fn bytes(fields: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Finding> {
    let text = text(fields, name)?;
    STANDARD.decode(text).map_err(|error| {
        Finding::failed(format!(
            "{name} is not standard base64 with padding: {error}"
        ))
    })
}

fn optional_bytes(fields: &Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, Finding> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => bytes(fields, name).map(Some),
    }
}
