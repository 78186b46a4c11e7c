//! The `Authorization` header: its strict grammar, and what is derived from its parts alone.

use std::str;

use ring::hmac;

use super::region::is_region;
use super::{Reason, SignedRequest, signing_key};

/// The parts of an `Authorization` header, each in its form; true or not is not known yet.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    pub(super) access_key_id: &'a str,
    /// `date/region/service/aws4_request`
    scope: &'a str,
    /// `yyyymmdd`, eight digits.
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) signed_headers: SignedHeaders<'a>,
    pub(super) signature: [u8; 32],
}

/// The value of the one `Authorization` header of a request.
pub(super) fn of<H, N, V>(request: &SignedRequest<'_, H>) -> Result<V, Reason>
where
    H: IntoIterator<Item = (N, V)> + Clone,
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    request
        .only_header("authorization")
        .map_err(|reason| match reason {
            Reason::DuplicateHeader => Reason::DuplicateAuthorization,
            _ => Reason::MissingAuthorization,
        })
}

impl<'a> Authorization<'a> {
    /// Takes the parts in the order of the specification, with at most one space after each comma.
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, Reason> {
        let (credential, signed_headers, signature) =
            split(value).ok_or(Reason::MalformedAuthorization)?;
        let (access_key_id, scope) = credential
            .split_once('/')
            .ok_or(Reason::MalformedCredential)?;
        let mut parts = scope.split('/');
        let (Some(date), Some(region), Some(service), Some("aws4_request"), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(Reason::MalformedCredential);
        };
        if !is_access_key_id(access_key_id) || !is_date(date) || !is_region(region) {
            return Err(Reason::MalformedCredential);
        }
        Ok(Self {
            access_key_id,
            scope,
            date,
            region,
            service,
            signed_headers: SignedHeaders::parse(signed_headers)?,
            signature: parse_signature(signature).ok_or(Reason::MalformedSignature)?,
        })
    }

    /// What the signature is computed over, from the request's time and canonical hash.
    pub(super) fn string_to_sign(&self, amz_date: &[u8], canonical_hash: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(ALGORITHM.len() + self.scope.len() + 96);
        for part in [ALGORITHM.as_bytes(), amz_date, self.scope.as_bytes()] {
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        text.extend_from_slice(canonical_hash);
        text
    }

    /// The key for this scope that a secret gives.
    pub(super) fn signing_key(&self, secret: &str) -> hmac::Key {
        signing_key::derive(secret, self.date, self.region, self.service)
    }
}

/// `SignedHeaders`: lower-case names in strictly ascending order, `host` or `:authority` and `x-amz-date` among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignedHeaders<'a>(&'a str);

impl<'a> SignedHeaders<'a> {
    pub(super) fn as_str(self) -> &'a str {
        self.0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a str> {
        self.0.split(';')
    }

    //= xks §Appendix A R44
    fn parse(text: &'a str) -> Result<Self, Reason> {
        let mut previous = "";
        let mut has_host = false;
        let mut has_date = false;
        for name in text.split(';') {
            // Strictly ascending: sorted, no name twice, none empty.
            if name <= previous || !is_header_name(name) {
                return Err(Reason::MalformedSignedHeaders);
            }
            has_host |= matches!(name, "host" | AUTHORITY);
            has_date |= name == "x-amz-date";
            previous = name;
        }
        if !has_host {
            return Err(Reason::HostNotSigned);
        }
        if !has_date {
            return Err(Reason::DateNotSigned);
        }
        Ok(Self(text))
    }
}

/// HTTP/2's name of the host, which a signer may use in place of `host`.
pub(super) const AUTHORITY: &str = ":authority";

fn split(value: &[u8]) -> Option<(&str, &str, &str)> {
    let parts = str::from_utf8(value)
        .ok()?
        .strip_prefix(ALGORITHM)?
        .strip_prefix(' ')?;
    let mut parts = parts.split(',');
    let credential = parts.next()?.strip_prefix("Credential=")?;
    let signed_headers = after_space(parts.next()?).strip_prefix("SignedHeaders=")?;
    let signature = after_space(parts.next()?).strip_prefix("Signature=")?;
    match parts.next() {
        None => Some((credential, signed_headers, signature)),
        Some(_) => None,
    }
}

fn after_space(part: &str) -> &str {
    part.strip_prefix(' ').unwrap_or(part)
}

/// Wider than [`AccessKeyId`](crate::ids::AccessKeyId): whether the id is known decides, not its form.
fn is_access_key_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A token of RFC 9110 without upper case, or HTTP/2's `:authority`.
fn is_header_name(name: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    name == AUTHORITY || name.bytes().all(allowed)
}

fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut signature = [0; 32];
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(signature)
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
