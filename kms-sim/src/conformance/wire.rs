//! A request as it goes over the wire, and one that is still being written.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use xks_api::route::OperationName;

use super::signature::{Signature, Signed, amz_date, scope_date};
use super::target::{Credential, Target};

/// A request before it is signed.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) operation: OperationName,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// All but `Authorization` and `Content-Length`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) json: Value,
    /// In place of `json`.
    pub(super) raw: Option<Vec<u8>>,
    pub(super) signature: Signature,
}

impl Draft {
    /// A POST as KMS sends it, signed at `now`.
    pub(super) fn new(
        target: &Target,
        operation: OperationName,
        path: String,
        json: Value,
        now: OffsetDateTime,
    ) -> Self {
        let date = amz_date(now);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            operation,
            method: "POST".to_owned(),
            path,
            query: None,
            headers: vec![
                header("Host", &target.authority()),
                header("Content-Type", "application/json"),
                header("X-Amz-Date", &date),
            ],
            json,
            raw: None,
            signature: Signature {
                algorithm: "AWS4-HMAC-SHA256".to_owned(),
                access_key_id: target.credential.access_key_id.clone(),
                secret: target.credential.secret_access_key.clone(),
                scope_date: scope_date(now),
                date,
                region: target.region.clone(),
                service: "kms-xks-proxy".to_owned(),
                terminator: "aws4_request".to_owned(),
                signed_headers: vec!["host".to_owned(), "x-amz-date".to_owned()],
                payload_hash: None,
            },
        }
    }

    /// With a change.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// With a member of the body set.
    pub(super) fn set(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.with(|draft| {
            if let Some(fields) = draft.json.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        })
    }

    /// Without a member of the body.
    pub(super) fn without(self, name: &str) -> Self {
        self.with(|draft| {
            if let Some(fields) = draft.json.as_object_mut() {
                fields.remove(name);
            }
        })
    }

    /// With a member of `requestMetadata` set.
    pub(super) fn metadata(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.with(|draft| {
            if let Some(fields) = draft.request_metadata() {
                fields.insert(name.to_owned(), value);
            }
        })
    }

    /// Without a member of `requestMetadata`.
    pub(super) fn without_metadata(self, name: &str) -> Self {
        self.with(|draft| {
            if let Some(fields) = draft.request_metadata() {
                fields.remove(name);
            }
        })
    }

    /// With other bytes for a body.
    pub(super) fn body(self, raw: impl Into<Vec<u8>>) -> Self {
        let raw = raw.into();
        self.with(|draft| draft.raw = Some(raw))
    }

    /// With a body that is the JSON's text, changed.
    pub(super) fn text(self, change: impl FnOnce(String) -> String) -> Self {
        self.with(|draft| draft.raw = Some(change(draft.json.to_string()).into_bytes()))
    }

    /// With one more header.
    pub(super) fn header(self, name: &str, value: &str) -> Self {
        self.with(|draft| draft.headers.push((name.to_owned(), value.to_owned())))
    }

    /// With one more header, which is signed.
    pub(super) fn signed_header(self, name: &str, value: &str) -> Self {
        let mut draft = self.header(name, value);
        let headers = &mut draft.signature.signed_headers;
        headers.push(name.to_ascii_lowercase());
        headers.sort();
        draft
    }

    /// Signed at another time.
    pub(super) fn at(self, time: OffsetDateTime) -> Self {
        let mut draft = self.dated(&amz_date(time));
        draft.signature.scope_date = scope_date(time);
        draft
    }

    /// With this `X-Amz-Date`, in the signature too.
    pub(super) fn dated(self, date: &str) -> Self {
        self.with(|draft| {
            draft.signature.date = date.to_owned();
            for (name, value) in &mut draft.headers {
                if name.eq_ignore_ascii_case("x-amz-date") {
                    *value = date.to_owned();
                }
            }
        })
    }

    /// Signed with another credential.
    pub(super) fn by(self, credential: &Credential) -> Self {
        self.with(|draft| {
            draft.signature.access_key_id = credential.access_key_id.clone();
            draft.signature.secret = credential.secret_access_key.clone();
        })
    }

    /// Signs it.
    pub(super) fn sign(self) -> Wire {
        let mut wire = self.unsigned();
        let authorization = self.signature.authorization(&Signed {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref().unwrap_or_default(),
            headers: &self.headers,
            body: &wire.body,
        });
        wire.headers
            .push(("Authorization".to_owned(), authorization));
        wire
    }

    /// Leaves it without a signature.
    pub(super) fn unsigned(&self) -> Wire {
        let body = match &self.raw {
            Some(raw) => raw.clone(),
            None => self.json.to_string().into_bytes(),
        };
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        Wire {
            operation: self.operation,
            method: self.method.clone(),
            target: format!("{}{}", self.path, query.unwrap_or_default()),
            headers: self.headers.clone(),
            body,
        }
    }

    fn request_metadata(&mut self) -> Option<&mut Map<String, Value>> {
        self.json.get_mut("requestMetadata")?.as_object_mut()
    }
}

/// A request as it is sent.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) operation: OperationName,
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// All but `Content-Length`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Wire {
    /// With a change after the signature.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// With another value for the headers of a name.
    pub(super) fn set(self, name: &str, value: &str) -> Self {
        self.with(|wire| wire.change(name, |_| value.to_owned()))
    }

    /// Without the headers of a name.
    pub(super) fn without(self, name: &str) -> Self {
        self.with(|wire| {
            let other = |(sent, _): &(String, String)| !sent.eq_ignore_ascii_case(name);
            wire.headers.retain(other);
        })
    }

    /// With one more header, after the others.
    pub(super) fn add(self, name: &str, value: &str) -> Self {
        self.with(|wire| wire.headers.push((name.to_owned(), value.to_owned())))
    }

    /// With `Authorization` changed.
    pub(super) fn authorization(self, change: impl Fn(&str) -> String) -> Self {
        self.with(|wire| wire.change("authorization", change))
    }

    /// With the signature in `Authorization` changed.
    pub(super) fn signature(self, change: impl Fn(&str) -> String) -> Self {
        self.authorization(|text| match text.rsplit_once("Signature=") {
            Some((before, signature)) => format!("{before}Signature={}", change(signature)),
            None => text.to_owned(),
        })
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(sent, _)| sent.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// Head and body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// The head, up to its empty line.
    pub(super) fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = ["content-length", "transfer-encoding"];
        if framed.iter().all(|name| self.header(name).is_none()) {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head + "\r\n"
    }

    /// For reports: without what could be sent again, and not longer than people read.
    pub(super) fn redacted(&self) -> String {
        let shown = self
            .clone()
            .signature(|signature| format!("[{} characters]", signature.len()));
        let body = shortened(&String::from_utf8_lossy(&self.body));
        without_signatures(&format!("{}{body}", shown.head().replace('\r', "")))
    }

    fn change(&mut self, name: &str, change: impl Fn(&str) -> String) {
        for (sent, value) in &mut self.headers {
            if sent.eq_ignore_ascii_case(name) {
                *value = change(value);
            }
        }
    }
}

/// A text with the length in place of whatever may be a signature, wherever it stands: 64 hexadecimal digits or more.
pub(super) fn without_signatures(text: &str) -> String {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, from) = rest.split_at(start);
        let (digits, after) = from.split_at(from.find(|c| !is_digit(c)).unwrap_or(from.len()));
        shown.push_str(before);
        match digits.len() < SIGNATURE {
            true => shown.push_str(digits),
            false => shown.push_str(&format!("[{} characters]", digits.len())),
        }
        rest = after;
    }
    shown + rest
}

/// The first and last characters of a long text.
pub(super) fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONG {
        return text.to_owned();
    }
    let first: String = text.chars().take(LONG * 3 / 4).collect();
    let last: String = text.chars().skip(count - LONG / 8).collect();
    format!("{first} [… {count} characters …] {last}")
}

const LONG: usize = 1200;
/// Hexadecimal digits of HMAC-SHA-256.
const SIGNATURE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_left_out_wherever_they_stand() {
        let signature = "0123456789abcdef".repeat(4);
        assert_eq!(
            without_signatures(&format!("/p?X-Amz-Signature={signature}&a=1 {signature}")),
            "/p?X-Amz-Signature=[64 characters]&a=1 [64 characters]"
        );
        let others = "c0f0c0f0-0000-4000-8000-000000000001 AAAA é 1";
        assert_eq!(without_signatures(others), others);
    }
}
