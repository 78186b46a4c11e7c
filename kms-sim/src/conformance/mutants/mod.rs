//! Proxies that are wrong on purpose, each in one way: what proves that every case of the suite can fail.

mod answers;
mod authentication;
mod connections;
mod requests;

use serde_json::Value;

use super::target::Target;
use crate::stub_proxy::{Call, Handshake, Incoming, Reply};

/// One wrong proxy, and the cases that find it.
pub(super) struct Mutant {
    /// What it does.
    pub(super) name: &'static str,
    pub(super) flaw: Flaw,
    /// Names of cases; one that ends in `*` stands for all that begin so.
    pub(super) found_by: &'static [&'static str],
}

/// What is wrong with it.
#[derive(Clone, Copy)]
pub(super) enum Flaw {
    /// Its answers.
    Answers(fn(&Call<'_>) -> Option<Reply>),
    /// Its connections.
    Connections(Handshake),
    /// Its configuration.
    Configuration(fn(&mut Target)),
}

/// Every mutant.
pub(super) fn mutants() -> impl Iterator<Item = &'static Mutant> {
    [
        answers::MUTANTS,
        authentication::MUTANTS,
        connections::MUTANTS,
        requests::MUTANTS,
    ]
    .into_iter()
    .flatten()
}

impl Mutant {
    /// Whether the case is one that finds it.
    pub(super) fn is_found_by(&self, name: &str) -> bool {
        self.found_by
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *pattern,
            })
    }
}

const fn answers(
    name: &'static str,
    flaw: fn(&Call<'_>) -> Option<Reply>,
    found_by: &'static [&'static str],
) -> Mutant {
    Mutant {
        name,
        flaw: Flaw::Answers(flaw),
        found_by,
    }
}

const fn connections(
    name: &'static str,
    flaw: Handshake,
    found_by: &'static [&'static str],
) -> Mutant {
    Mutant {
        name,
        flaw: Flaw::Connections(flaw),
        found_by,
    }
}

const fn configuration(
    name: &'static str,
    flaw: fn(&mut Target),
    found_by: &'static [&'static str],
) -> Mutant {
    Mutant {
        name,
        flaw: Flaw::Configuration(flaw),
        found_by,
    }
}

/// The last segment of the path.
fn verb(request: &Incoming) -> &str {
    request.path().rsplit('/').next().unwrap_or_default()
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn error(status: u16, name: &str) -> Option<Reply> {
    Some(Reply::json(status, format!("{{\"errorName\":\"{name}\"}}")))
}

fn invalid() -> Option<Reply> {
    error(400, "ValidationException")
}

fn down() -> Option<Reply> {
    error(500, "InternalException")
}

/// The sound answer with a change of its JSON, if it is a 200 of this operation.
fn changed(call: &Call<'_>, of: &str, change: fn(&mut Value)) -> Option<Reply> {
    let mut reply = call.sound();
    if reply.status == 200 && (of.is_empty() || verb(call.request) == of) {
        let mut body = json(&reply.body);
        change(&mut body);
        reply.body = body.to_string().into_bytes();
    }
    Some(reply)
}

/// Another error if something is so, else what is sound.
fn unless(call: &Call<'_>, is_so: bool, other: fn() -> Option<Reply>) -> Option<Reply> {
    match is_so {
        true => other(),
        false => Some(call.sound()),
    }
}

/// The request with another body.
fn with_body(request: &Incoming, body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        body: body.into(),
        ..request.clone()
    }
}

/// The request with another path.
fn with_path(request: &Incoming, path: String) -> Incoming {
    Incoming {
        target: path,
        ..request.clone()
    }
}

/// A request that encrypts, as whole as can be.
const WHOLE: &str = r#"{"requestMetadata":{"awsPrincipalArn":"arn:aws:iam::123456789012:user/a","kmsKeyArn":"arn:aws:kms:us-east-1:123456789012:key/k","kmsOperation":"Encrypt","kmsRequestId":"1"},"plaintext":"AAAA","encryptionAlgorithm":"AES_GCM","ciphertextDataIntegrityValueAlgorithm":"SHA_256"}"#;

/// A text field of a request.
fn text_of(request: &Incoming, name: &str) -> String {
    let body = json(&request.body);
    let value = body.get(name).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

/// A field of `requestMetadata`.
fn metadata_of(request: &Incoming, name: &str) -> String {
    let body = json(&request.body);
    let value = body.pointer(&format!("/requestMetadata/{name}"));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The length of a base64 field of a request.
fn len_of(request: &Incoming, name: &str) -> usize {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode(text_of(request, name));
    bytes.map_or(0, |bytes| bytes.len())
}
