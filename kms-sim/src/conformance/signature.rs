//! SigV4 with every part in reach, so that a request can be signed in KMS's way and in any wrong one.
//!
//! What the simulator itself sends is signed by `aws-sigv4`; a test compares the two.

use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use time::OffsetDateTime;
use time::macros::format_description;

/// What a signature is made of.
#[derive(Clone)]
pub(super) struct Signature {
    pub(super) algorithm: String,
    pub(super) access_key_id: String,
    pub(super) secret: String,
    /// `x-amz-date`, as it is sent and signed.
    pub(super) date: String,
    /// The date of the credential scope.
    pub(super) scope_date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
    /// As in `SignedHeaders`.
    pub(super) signed_headers: Vec<String>,
    /// In place of the hash of the body.
    pub(super) payload_hash: Option<String>,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
}

impl Signature {
    /// The value of `Authorization`.
    pub(super) fn authorization(&self, signed: &Signed<'_>) -> String {
        let scope = self.scope();
        let headers = self.signed_headers.join(";");
        let signature = self.value(signed);
        format!(
            "{} Credential={}/{scope}, SignedHeaders={headers}, Signature={signature}",
            self.algorithm, self.access_key_id
        )
    }

    /// The signature alone, in hexadecimal.
    pub(super) fn value(&self, signed: &Signed<'_>) -> String {
        let canonical = self.canonical_request(signed);
        let to_sign = format!(
            "{}\n{}\n{}\n{}",
            self.algorithm,
            self.date,
            self.scope(),
            sha256_hex(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [
            &self.scope_date,
            &self.region,
            &self.service,
            &self.terminator,
        ] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        hex(&hmac_sha256(&key, to_sign.as_bytes()))
    }

    fn scope(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.scope_date, self.region, self.service, self.terminator
        )
    }

    fn canonical_request(&self, signed: &Signed<'_>) -> String {
        let mut headers = String::new();
        for name in &self.signed_headers {
            let of_name = signed.headers.iter();
            let values = of_name
                .filter(|(sent, _)| sent.eq_ignore_ascii_case(name))
                .map(|(_, value)| folded(value));
            let values: Vec<_> = values.collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let hash = match &self.payload_hash {
            Some(other) => other.clone(),
            None => sha256_hex(signed.body),
        };
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{hash}",
            signed.method,
            signed.path,
            signed.query,
            self.signed_headers.join(";")
        )
    }
}

/// Without spaces at either end, and with one for several in its middle.
fn folded(value: &str) -> String {
    let words: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// `20260102T030405Z`
pub(super) fn amz_date(time: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.format(format).expect("digits of a date")
}

/// `20260102`
pub(super) fn scope_date(time: OffsetDateTime) -> String {
    amz_date(time).chars().take(8).collect()
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use xks_api::ids::{AccessKeyId, SecretAccessKey};

    use super::*;
    use crate::xks_target;

    const ID: &str = "ABCDEFGHIJKLMNOPQRST";
    const SECRET: &str = "Conformance+Only/Conformance+Only/Conformance=";

    #[test]
    fn the_signature_is_the_one_of_the_official_signer() {
        let path = "/a/kms/xks/v1/keys/some.key_1/encrypt";
        let secret = SecretAccessKey::try_from(SECRET).unwrap();
        let id = AccessKeyId::try_from(ID).unwrap();
        let target = xks_target::Target::new("xks.test", "/a/kms/xks/v1", "eu-west-1", id, &secret);
        for (seconds, body) in [(1_700_000_000, "{}"), (1_799_999_999, "")] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let theirs = target.sign(path, body.as_bytes(), now);
            let theirs = theirs.unwrap_or_else(|_| panic!("a request that can be signed"));
            let date = amz_date(now.into());
            let ours = Signature {
                algorithm: "AWS4-HMAC-SHA256".to_owned(),
                access_key_id: ID.to_owned(),
                secret: SECRET.to_owned(),
                scope_date: scope_date(now.into()),
                date: date.clone(),
                region: "eu-west-1".to_owned(),
                service: "kms-xks-proxy".to_owned(),
                terminator: "aws4_request".to_owned(),
                signed_headers: vec!["host".to_owned(), "x-amz-date".to_owned()],
                payload_hash: None,
            };
            let headers = [
                ("Host".to_owned(), "xks.test".to_owned()),
                ("X-Amz-Date".to_owned(), date.clone()),
            ];
            let authorization = ours.authorization(&Signed {
                method: "POST",
                path,
                query: "",
                headers: &headers,
                body: body.as_bytes(),
            });
            assert_eq!(theirs["authorization"], authorization);
            assert_eq!(theirs["x-amz-date"], date);
        }
    }
}
