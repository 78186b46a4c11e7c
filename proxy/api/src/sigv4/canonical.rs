//! The canonical request of SigV4, hashed as it is made, and the strict look-up of signed headers.

use ring::digest;

use super::authorization::{AUTHORITY, SignedHeaders};
use super::{Reason, SignedRequest};

/// SHA-256 of the canonical request, in lower-case hexadecimal.
///
/// The canonical path is the path as it came: whatever a signer would have to escape or normalise is refused. The canonical
/// query is empty. The payload hash is computed from the body; what an `x-amz-content-sha256` header says of it is not heard.
//= xks §Appendix A R44
pub(super) fn hash<'a, H>(
    request: &SignedRequest<'a, H>,
    signed_headers: SignedHeaders<'_>,
) -> Result<[u8; 64], Reason>
where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    if request.method.is_empty() || !request.method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Reason::UnusualMethod);
    }
    if !is_canonical_path(request.path) {
        return Err(Reason::UnusualPath);
    }
    let host = host(request)?;
    let payload_hash = hex(digest::digest(&digest::SHA256, request.body));

    let mut canonical = digest::Context::new(&digest::SHA256);
    canonical.update(request.method.as_bytes());
    canonical.update(b"\n");
    canonical.update(request.path.as_bytes());
    canonical.update(b"\n\n");
    for name in signed_headers.iter() {
        let value = match name {
            "host" => host.ok_or(Reason::MissingHeader)?,
            AUTHORITY => request.authority.ok_or(Reason::MissingHeader)?.as_bytes(),
            _ => only_header(request, name)?,
        };
        canonical.update(name.as_bytes());
        canonical.update(b":");
        update_with_value(&mut canonical, value)?;
        canonical.update(b"\n");
    }
    canonical.update(b"\n");
    canonical.update(signed_headers.as_str().as_bytes());
    canonical.update(b"\n");
    canonical.update(&payload_hash);
    Ok(hex(canonical.finish()))
}

/// The value of a header that occurs exactly once.
pub(super) fn only_header<'a, H>(
    request: &SignedRequest<'a, H>,
    name: &str,
) -> Result<&'a [u8], Reason>
where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    let mut values = request.headers.clone().filter(|(n, _)| *n == name);
    let (_, value) = values.next().ok_or(Reason::MissingHeader)?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Reason::DuplicateHeader),
    }
}

/// The value that `host` stands for: the `Host` header, else `:authority`, which must not contradict each other.
fn host<'a, H>(request: &SignedRequest<'a, H>) -> Result<Option<&'a [u8]>, Reason>
where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    let authority = request.authority.map(str::as_bytes);
    match (only_header(request, "host"), authority) {
        (Ok(host), Some(authority)) if host != authority => Err(Reason::HostMismatch),
        (Ok(host), _) => Ok(Some(host)),
        (Err(Reason::MissingHeader), _) => Ok(authority),
        (Err(reason), _) => Err(reason),
    }
}

/// Whether a signer leaves the path as it is: absolute, unreserved characters alone, no `.`, `..` or empty segment but the last.
fn is_canonical_path(path: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let (all_but_last, last) = below.rsplit_once('/').unwrap_or(("x", below));
    let ordinary = |s: &str| s != "." && s != ".." && s.bytes().all(unreserved);
    ordinary(last)
        && all_but_last
            .split('/')
            .all(|s| !s.is_empty() && ordinary(s))
}

/// Hashes a header value without the spaces around it and with runs of spaces inside as one.
fn update_with_value(canonical: &mut digest::Context, value: &[u8]) -> Result<(), Reason> {
    if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(Reason::MalformedHeader);
    }
    let words = value.split(|b| *b == b' ').filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            canonical.update(b" ");
        }
        canonical.update(word);
    }
    Ok(())
}

fn hex(digest: digest::Digest) -> [u8; 64] {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    };
    let mut text = [0; 64];
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(digest.as_ref()) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    text
}
