//! The canonical request of Signature Version 4, as texts, since the answer to a wrong signature shows them.
//!
//! `xks-api` verifies signatures too, but for proxies: it refuses what no KMS sends, hides why, and takes no query string,
//! session token or repeated header, all of which clients of AWS send.

use std::fmt::Write as _;

use http::HeaderMap;
use ring::digest;

use super::signature::SignedHead;
use crate::query_string::decoded;

/// Method, path, query, headers, their names, and the hash of the body.
pub(super) fn canonical_request(
    head: &SignedHead<'_>,
    signed_headers: &[&str],
    body: &[u8],
) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n",
        head.method,
        head.path,
        canonical_query(head.query)
    );
    for name in signed_headers {
        let _ = writeln!(text, "{name}:{}", canonical_header(head, name));
    }
    let _ = write!(text, "\n{}\n{}", signed_headers.join(";"), sha256(body));
    text
}

/// Every parameter but the signature, encoded again, in the order of the names and then of the values.
fn canonical_query(query: Option<&str>) -> String {
    let parameters = query.unwrap_or_default().split('&');
    let mut parameters: Vec<(String, String)> = parameters
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encoded(name), encoded(value))
        })
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    parameters.sort();
    let parameters = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    parameters.collect::<Vec<_>>().join("&")
}

/// The values of a header without the spaces around and between, joined with commas.
fn canonical_header(head: &SignedHead<'_>, name: &str) -> String {
    if let ("host" | ":authority", Some(authority)) = (name, head.authority) {
        return authority.to_owned();
    }
    values(head.headers, name)
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(",")
}

fn values<'h>(
    headers: &'h HeaderMap,
    name: &str,
) -> impl Iterator<Item = std::borrow::Cow<'h, str>> {
    let values = headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// Decodes the escapes of a part of a query string, and escapes all but the unreserved characters.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in decoded(text) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
