//! What a proxy answers that does as the specification says.

use serde_json::{Value, json};
use time::OffsetDateTime;
use xks_api::error::ErrorName;
use xks_api::sigv4::{Regions, SignedRequest, Verifier};

use super::answer::Seen;
use super::cipher::{decrypt, encrypt};
use super::script::{Key, Script};

/// A proxy without faults.
pub(super) struct Sound {
    /// `None` to answer everyone.
    verifier: Option<Verifier>,
    uri_path: String,
    instances: Vec<String>,
    keys: Vec<Key>,
}

impl Sound {
    /// # Errors
    /// A credential that is none.
    pub(super) fn new(script: &Script) -> Result<Self, String> {
        let credential = script.credential()?;
        let verifier = Verifier::new([credential], Regions::Any);
        let verifier = verifier.map_err(|error| error.to_string())?;
        Ok(Self {
            verifier: script.verify_signatures.then_some(verifier),
            uri_path: script.uri_path.clone(),
            instances: script.instances.clone(),
            keys: script.keys.clone(),
        })
    }

    /// Authenticates and answers: status and body.
    pub(super) fn answer(&self, method: &str, seen: &Seen, body: &[u8]) -> (u16, String) {
        match self.outcome(method, seen, body) {
            Ok(answer) => (200, answer.to_string()),
            Err(name) => (
                name.status(),
                json!({"errorName": name.as_str()}).to_string(),
            ),
        }
    }

    fn outcome(&self, method: &str, seen: &Seen, body: &[u8]) -> Result<Value, ErrorName> {
        let headers = seen.headers.iter();
        let request = SignedRequest {
            method,
            path: &seen.path,
            query: None,
            authority: None,
            headers: headers.map(|(name, value)| (&**name, value.as_bytes())),
            body,
        };
        if let Some(verifier) = &self.verifier {
            verifier
                .verify(&request, OffsetDateTime::now_utc())
                .map_err(|_| ErrorName::AuthenticationFailed)?;
        }
        let operation = seen.path.strip_prefix(&self.uri_path);
        let operation = operation.ok_or(ErrorName::InvalidUriPath)?;
        if operation == "/health" {
            return Ok(self.health());
        }
        let of_key = operation.strip_prefix("/keys/");
        let (id, verb) = of_key
            .and_then(|path| path.split_once('/'))
            .ok_or(ErrorName::InvalidUriPath)?;
        let key = self.key(id)?;
        match verb {
            "metadata" => Ok(json!({
                "keySpec": key.spec, "keyUsage": key.usage, "keyStatus": key.status,
            })),
            "encrypt" => {
                permit(&key, "ENCRYPT")?;
                encrypt(id, &seen.body).ok_or(ErrorName::Validation)
            }
            "decrypt" => {
                permit(&key, "DECRYPT")?;
                let plaintext = decrypt(id, &seen.body).ok_or(ErrorName::InvalidCiphertext)?;
                Ok(json!({"plaintext": super::base64(&plaintext)}))
            }
            _ => Err(ErrorName::InvalidUriPath),
        }
    }

    fn health(&self) -> Value {
        let instances: Vec<_> = (1..)
            .zip(&self.instances)
            .map(|(id, status)| {
                json!({"id": id.to_string(), "model": "Stub 1", "healthStatus": status})
            })
            .collect();
        json!({
            "xksProxyFleetSize": 1, "xksProxyVendor": "Stub", "xksProxyModel": "Stub 1",
            "ekmVendor": "Stub", "ekmFleetDetails": instances,
        })
    }

    fn key(&self, id: &str) -> Result<Key, ErrorName> {
        if self.keys.is_empty() {
            return Ok(Key {
                id: id.to_owned(),
                spec: "AES_256".to_owned(),
                usage: ["ENCRYPT", "DECRYPT"].map(str::to_owned).into(),
                status: "ENABLED".to_owned(),
            });
        }
        let found = self.keys.iter().find(|key| key.id == id);
        found.cloned().ok_or(ErrorName::KeyNotFound)
    }
}

fn permit(key: &Key, usage: &str) -> Result<(), ErrorName> {
    if key.status != "ENABLED" {
        return Err(ErrorName::InvalidState);
    }
    match key.usage.iter().any(|allowed| allowed == usage) {
        true => Ok(()),
        false => Err(ErrorName::InvalidKeyUsage),
    }
}
