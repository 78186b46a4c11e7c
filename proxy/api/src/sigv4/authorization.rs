//! The `Authorization` header: its strict grammar, and what is derived from its parts alone.

use std::str;

use ring::hmac;

use super::{Reason, SignedRequest, region, signing_key};

/// The parts of an `Authorization` header, each in its form; true or not is not known yet.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    pub(super) credential: Credential<'a>,
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
        let text = str::from_utf8(value).map_err(|_| Reason::MalformedAuthorization)?;
        let mut rest = Rest(text);
        rest.expect("AWS4-HMAC-SHA256 Credential=")?;
        let credential = Credential::take(&mut rest).ok_or(Reason::MalformedCredential)?;
        rest.expect(",")?;
        rest.skip(" ");
        rest.expect("SignedHeaders=")?;
        let signed_headers = SignedHeaders::take(&mut rest)?;
        rest.expect(",")?;
        rest.skip(" ");
        rest.expect("Signature=")?;
        let signature = parse_signature(rest.0).ok_or(Reason::MalformedSignature)?;
        Ok(Self {
            credential,
            signed_headers,
            signature,
        })
    }

    /// What the signature is computed over, from the request's time and canonical hash.
    pub(super) fn string_to_sign(&self, amz_date: &[u8], canonical_hash: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(ALGORITHM.len() + self.credential.scope.len() + 96);
        for part in [
            ALGORITHM.as_bytes(),
            amz_date,
            self.credential.scope.as_bytes(),
        ] {
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        text.extend_from_slice(canonical_hash);
        text
    }
}

/// `Credential`: who signed, and for which scope.
#[derive(Debug)]
pub(super) struct Credential<'a> {
    /// Letters and digits. Whether the id is known decides, not the form that an
    /// [`AccessKeyId`](crate::ids::AccessKeyId) has.
    pub(super) access_key_id: &'a str,
    /// `date/region/service/aws4_request`
    scope: &'a str,
    /// `yyyymmdd`, eight digits.
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl<'a> Credential<'a> {
    fn take(rest: &mut Rest<'a>) -> Option<Self> {
        let access_key_id = rest.take_while(|b| b.is_ascii_alphanumeric());
        rest.skip("/")?;
        let from_scope = rest.0;
        let date = rest.take_while(|b| b.is_ascii_digit());
        rest.skip("/")?;
        let region = rest.take_while(region::is_region_byte);
        rest.skip("/")?;
        let service = rest.take_while(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b','));
        rest.skip("/aws4_request")?;
        let scope = from_scope.get(..from_scope.len() - rest.0.len())?;
        let lengths_fit = (1..=128).contains(&access_key_id.len())
            && date.len() == 8
            && region::LEN.contains(&region.len());
        lengths_fit.then_some(Self {
            access_key_id,
            scope,
            date,
            region,
            service,
        })
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
    fn take(rest: &mut Rest<'a>) -> Result<Self, Reason> {
        let from_names = rest.0;
        let mut previous = "";
        let mut has_host = false;
        let mut has_date = false;
        loop {
            let name = match rest.skip(AUTHORITY) {
                Some(()) => AUTHORITY,
                None => rest.take_while(is_header_name_byte),
            };
            // Strictly ascending: sorted, no name twice, none empty.
            if name <= previous {
                return Err(Reason::MalformedSignedHeaders);
            }
            has_host |= matches!(name, "host" | AUTHORITY);
            has_date |= name == "x-amz-date";
            previous = name;
            if rest.skip(";").is_none() {
                break;
            }
        }
        if !has_host {
            return Err(Reason::HostNotSigned);
        }
        if !has_date {
            return Err(Reason::DateNotSigned);
        }
        let names = from_names.get(..from_names.len() - rest.0.len());
        names.map(Self).ok_or(Reason::MalformedSignedHeaders)
    }
}

/// HTTP/2's name of the host, which a signer may use in place of `host`.
pub(super) const AUTHORITY: &str = ":authority";

/// What is not parsed yet: each byte is looked at once.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn expect(&mut self, text: &str) -> Result<(), Reason> {
        self.skip(text).ok_or(Reason::MalformedAuthorization)
    }

    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Takes what consists of `allowed` bytes, which must be ASCII.
    fn take_while(&mut self, allowed: impl Fn(u8) -> bool) -> &'a str {
        let len = self.0.bytes().position(|b| !allowed(b));
        let len = len.unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(len).unwrap_or(("", self.0));
        self.0 = rest;
        taken
    }
}

/// The characters of a token of RFC 9110, without upper case.
fn is_header_name_byte(b: u8) -> bool {
    matches!(
        b,
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'.' | b'^' | b'_' | b'`'
            | b'|' | b'~'
    )
}

fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let mut signature = [0; 32];
    let mut invalid = !rest.is_empty();
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        let (high, low) = (hex_digit(*high), hex_digit(*low));
        invalid |= high > 0xf || low > 0xf;
        *byte = high << 4 | low & 0xf;
    }
    (!invalid).then_some(signature)
}

/// Over 15 for what is no lower-case digit. Without a branch: digits are as good as random, and a branch predicted
/// wrongly costs more than the whole look-up.
fn hex_digit(b: u8) -> u8 {
    let decimal = b.wrapping_sub(b'0');
    let letter = b.wrapping_sub(b'a');
    let letter = if letter < 6 { letter + 10 } else { 0xff };
    if decimal < 10 { decimal } else { letter }
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_64_lower_case_hexadecimal_digits() {
        for code in 0..=127u8 {
            let c = char::from(code);
            let expected = c.to_digit(16).filter(|_| !c.is_ascii_uppercase());
            for at in [0, 1, 62, 63] {
                let mut text = "0".repeat(64);
                text.replace_range(at..=at, &c.to_string());
                let byte = parse_signature(&text).map(|signature| signature[at / 2]);
                let expected = expected.map(|digit| u8::try_from(digit).unwrap());
                let expected = expected.map(|digit| if at % 2 == 0 { digit << 4 } else { digit });
                assert_eq!(byte, expected, "{c:?} at {at}");
            }
        }
        for len in [0, 62, 63, 65, 66, 128] {
            assert_eq!(parse_signature(&"0".repeat(len)), None, "{len}");
        }
    }
}
