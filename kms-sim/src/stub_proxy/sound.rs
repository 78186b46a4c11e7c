//! What a proxy answers that does as the specification says.

use serde_json::{Value, json};
use time::OffsetDateTime;
use xks_api::error::ErrorName;
use xks_api::message::{
    DecryptRequest, EncryptRequest, GetHealthStatusRequest, GetKeyMetadataRequest,
};
use xks_api::route::{NoRoute, Operation, route};
use xks_api::sigv4::{Regions, SignedRequest, Verifier};

use super::answer::{Incoming, Reply};
use super::cipher::{decrypt, encrypt};
use super::script::{Key, Script};
use super::{LOAD_BALANCER_PATH, LOCKED_URI_PATH};

/// A proxy without faults.
pub(super) struct Sound {
    /// `None` to answer everyone.
    verifier: Option<Verifier>,
    uri_path: String,
    instances: Vec<String>,
    keys: Vec<Key>,
}

/// Why a request is not served.
enum NotServed {
    Error(ErrorName),
    MethodNotAllowed,
}

impl From<ErrorName> for NotServed {
    fn from(name: ErrorName) -> Self {
        Self::Error(name)
    }
}

/// Whether a request must be signed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Callers {
    Known,
    Anyone,
}

impl Sound {
    /// # Errors
    /// A credential that is none.
    pub(super) fn new(script: &Script) -> Result<Self, String> {
        let credentials = script
            .credentials()
            .map_err(|(place, what)| format!("{place}: {what}"))?;
        let verifier = Verifier::new(credentials, Regions::Any);
        let verifier = verifier.map_err(|error| error.to_string())?;
        Ok(Self {
            verifier: script.verify_signatures.then_some(verifier),
            uri_path: script.uri_path().to_owned(),
            instances: script.instances.clone(),
            keys: script.keys.clone(),
        })
    }

    /// Authenticates and answers.
    pub(super) fn answer(&self, request: &Incoming) -> Reply {
        self.reply(request, Callers::Known)
    }

    /// Answers.
    pub(super) fn answer_anyone(&self, request: &Incoming) -> Reply {
        self.reply(request, Callers::Anyone)
    }

    fn reply(&self, request: &Incoming, callers: Callers) -> Reply {
        if request.method == "GET" && request.target == LOAD_BALANCER_PATH {
            return Reply {
                status: 200,
                headers: Vec::new(),
                body: Vec::new(),
            };
        }
        match self.outcome(request, callers) {
            Ok(answer) => Reply::json(200, answer.to_string()),
            Err(NotServed::Error(name)) => {
                let body = json!({"errorName": name.as_str()});
                Reply::json(name.status(), body.to_string())
            }
            Err(NotServed::MethodNotAllowed) => Reply {
                status: 405,
                headers: vec![("allow".to_owned(), "POST".to_owned())],
                body: Vec::new(),
            },
        }
    }

    fn outcome(&self, request: &Incoming, callers: Callers) -> Result<Value, NotServed> {
        let path = request.path();
        let found = route(&request.method, path).map_err(|error| match error {
            NoRoute::NotFound => NotServed::Error(ErrorName::InvalidUriPath),
            NoRoute::MethodNotAllowed => NotServed::MethodNotAllowed,
        })?;
        if path.starts_with(LOCKED_URI_PATH) && callers == Callers::Known {
            return Err(ErrorName::AuthenticationFailed.into());
        }
        if !path.starts_with(&self.uri_path) || found.prefix.len() + API_LEN != self.uri_path.len()
        {
            return Err(ErrorName::InvalidUriPath.into());
        }
        if callers == Callers::Known {
            self.authenticate(request)?;
        }
        let invalid = |invalid: xks_api::message::InvalidRequest| NotServed::Error(invalid.name);
        let id = found.operation.external_key_id();
        let key = id.map(|id| self.key(id.as_str())).transpose();
        let body = &request.body;
        match &found.operation {
            Operation::GetHealthStatus => {
                GetHealthStatusRequest::parse(body).map_err(invalid)?;
                Ok(self.health())
            }
            Operation::GetKeyMetadata(_) => {
                GetKeyMetadataRequest::parse(body).map_err(invalid)?;
                let key = key?.ok_or(ErrorName::KeyNotFound)?;
                Ok(json!({
                    "keySpec": key.spec, "keyUsage": key.usage, "keyStatus": key.status,
                }))
            }
            Operation::Encrypt(id) => {
                EncryptRequest::parse(body).map_err(invalid)?;
                permit(key?, "ENCRYPT")?;
                let answer = encrypt(id.as_str(), &parsed(body));
                Ok(answer.ok_or(ErrorName::Validation)?)
            }
            Operation::Decrypt(id) => {
                DecryptRequest::parse(body).map_err(invalid)?;
                permit(key?, "DECRYPT")?;
                let plaintext = decrypt(id.as_str(), &parsed(body));
                let plaintext = plaintext.ok_or(ErrorName::InvalidCiphertext)?;
                Ok(json!({"plaintext": super::base64(&plaintext)}))
            }
        }
    }

    fn authenticate(&self, request: &Incoming) -> Result<(), ErrorName> {
        let Some(verifier) = &self.verifier else {
            return Ok(());
        };
        let headers = request.headers.iter();
        let signed = SignedRequest {
            method: &request.method,
            path: request.path(),
            query: request.query(),
            authority: None,
            headers: headers.map(|(name, value)| (&**name, value.as_bytes())),
            body: &request.body,
        };
        let verified = verifier.verify(&signed, OffsetDateTime::now_utc());
        verified
            .map(drop)
            .map_err(|_| ErrorName::AuthenticationFailed)
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

fn permit(key: Option<Key>, usage: &str) -> Result<(), ErrorName> {
    let key = key.ok_or(ErrorName::KeyNotFound)?;
    if key.status != "ENABLED" {
        return Err(ErrorName::InvalidState);
    }
    match key.usage.iter().any(|allowed| allowed == usage) {
        true => Ok(()),
        false => Err(ErrorName::InvalidKeyUsage),
    }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

const API_LEN: usize = xks_api::ids::API_PATH.len();
