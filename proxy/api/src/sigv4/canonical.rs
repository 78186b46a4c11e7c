//! The canonical request of SigV4, and the strict look-up of signed headers.

use ring::digest;

use super::authorization::{AUTHORITY, SignedHeaders};
use super::{Reason, SignedRequest};

/// SHA-256 of the canonical request, in lower-case hexadecimal.
///
/// The canonical path is the path as it came: whatever a signer would have to escape or normalise is refused. The canonical
/// query is empty. The payload hash is computed from the body; what an `x-amz-content-sha256` header says of it is not heard.
//= xks §Appendix A R44
pub(super) fn hash<H, N, V>(
    request: &SignedRequest<'_, H>,
    signed_headers: SignedHeaders<'_>,
) -> Result<[u8; 64], Reason>
where
    H: IntoIterator<Item = (N, V)> + Clone,
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    if request.method.is_empty() || !request.method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Reason::UnusualMethod);
    }
    if !is_canonical_path(request.path) {
        return Err(Reason::UnusualPath);
    }
    let authority = request.authority.map(str::as_bytes);
    let host = match request.only_header("host") {
        Ok(host) => Some(host),
        Err(Reason::MissingHeader) => None,
        Err(reason) => return Err(reason),
    };
    let host = match (host.as_ref().map(V::as_ref), authority) {
        (Some(host), Some(authority)) if host != authority => return Err(Reason::HostMismatch),
        (host, authority) => host.or(authority),
    };
    // Written down whole: one long hash costs less than thirty short ones.
    let mut canonical = Vec::with_capacity(request.path.len() + USUAL_LEN);
    canonical.extend_from_slice(request.method.as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(request.path.as_bytes());
    canonical.extend_from_slice(b"\n\n");
    for name in signed_headers.iter() {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        match name {
            "host" => push_value(&mut canonical, host.ok_or(Reason::MissingHeader)?)?,
            AUTHORITY => push_value(&mut canonical, authority.ok_or(Reason::MissingHeader)?)?,
            _ => push_value(&mut canonical, request.only_header(name)?.as_ref())?,
        }
        canonical.push(b'\n');
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(signed_headers.as_str().as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(&hex(digest::digest(&digest::SHA256, request.body)));
    Ok(hex(digest::digest(&digest::SHA256, &canonical)))
}

/// Whether a signer leaves the path as it is: absolute, unreserved characters alone, no `.`, `..` or empty segment but the last.
fn is_canonical_path(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let is_dot_segment = |len, dots| len == dots && (len == 1 || len == 2);
    let (mut len, mut dots) = (0, 0);
    for b in below.bytes() {
        match b {
            b'/' if len == 0 || is_dot_segment(len, dots) => return false,
            b'/' => (len, dots) = (0, 0),
            b'.' => (len, dots) = (len + 1, dots + 1),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => len += 1,
            _ => return false,
        }
    }
    !is_dot_segment(len, dots)
}

/// Appends a header value without the spaces around it and with runs of spaces inside as one.
fn push_value(canonical: &mut Vec<u8>, value: &[u8]) -> Result<(), Reason> {
    // No early end: so the compiler looks at many bytes at a time.
    let (mut spaces, mut controls) = (false, false);
    for b in value {
        spaces |= *b == b' ';
        controls |= b.is_ascii_control() & (*b != b'\t');
    }
    if controls {
        return Err(Reason::MalformedHeader);
    }
    if !spaces {
        canonical.extend_from_slice(value);
        return Ok(());
    }
    let words = value.split(|b| *b == b' ').filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            canonical.push(b' ');
        }
        canonical.extend_from_slice(word);
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

/// Of a canonical request without its path, as KMS makes it.
const USUAL_LEN: usize = 320;
