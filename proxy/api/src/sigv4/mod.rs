//! Verification of AWS Signature Version 4, as a KMS signs its requests to a proxy.
//!
//! [`Verifier::verify`] is the one entry. It is stricter than the services of AWS: what the specification's client never
//! sends is refused rather than interpreted. A query string, a signed header that occurs twice, a path that a signer
//! would have to escape or normalise, `SignedHeaders` out of order: all of them are refused.
//!
//! There is no signer here; both a KMS and this crate's tests sign with an independent implementation.

mod amz_date;
mod authorization;
mod canonical;
mod failure;
mod region;
mod signing_key;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use ring::hmac;
use time::{Date, Duration, OffsetDateTime};

pub use failure::{AuthenticationFailed, Reason};
pub use region::{InvalidRegion, Region, Regions};

use crate::ids::{AccessKeyId, SecretAccessKey};
use authorization::Authorization;
use signing_key::SigningKeys;

/// What is signed of a request, as it came over the wire.
///
/// `headers` are pairs of a name in lower case and a value, in any order, each occurrence of its own. A reference to an
/// `http::HeaderMap` fits as it is, and so does `slice.iter().copied()` of pairs of `&str` and `&[u8]`.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a, H> {
    /// The method, `POST` for every operation of the API.
    pub method: &'a str,
    /// The path, neither decoded nor normalised.
    pub path: &'a str,
    /// What follows the `?` of the target, `Some("")` for a bare `?`.
    pub query: Option<&'a str>,
    /// `:authority` of HTTP/2, or the authority of an absolute target in HTTP/1.1.
    pub authority: Option<&'a str>,
    /// Every header of the request.
    pub headers: H,
    /// The body, all of it.
    pub body: &'a [u8],
}

impl<H, N, V> SignedRequest<'_, H>
where
    H: IntoIterator<Item = (N, V)> + Clone,
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    /// The value of a header that occurs exactly once.
    fn only_header(&self, name: &str) -> Result<V, Reason> {
        let all = self.headers.clone().into_iter();
        let mut values = all.filter(|(n, _)| n.as_ref() == name);
        let (_, value) = values.next().ok_or(Reason::MissingHeader)?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Reason::DuplicateHeader),
        }
    }
}

/// Verifies the requests to one external key store, with its credentials and allowed Regions.
///
/// Never changes: where a credential is created or revoked, a new verifier takes the place of the old one, and
/// everything derived from a revoked secret goes with it. Only the cache of signing keys and the times of the last uses
/// change inside; neither takes a lock.
pub struct Verifier {
    /// Where in `secrets` the secret of an access key id stands.
    positions: HashMap<AccessKeyId, usize>,
    /// At [`DECOY`] the secret that stands in for the one of an unknown access key id.
    secrets: Vec<SecretAccessKey>,
    /// When each of `secrets` last verified a request, in seconds since 1970; 0 for never.
    last_uses: Vec<AtomicI64>,
    regions: Regions,
    signing_keys: SigningKeys,
}

impl Verifier {
    /// A verifier for these credentials; with none, every request fails.
    ///
    /// # Errors
    /// [`DuplicateAccessKeyId`] if an id occurs twice, since it must name one secret.
    //= xks §Appendix A R42
    pub fn new(
        credentials: impl IntoIterator<Item = (AccessKeyId, SecretAccessKey)>,
        regions: Regions,
    ) -> Result<Self, DuplicateAccessKeyId> {
        let decoy = SecretAccessKey::try_from(DECOY_SECRET).expect("64 letters");
        let mut positions = HashMap::new();
        let mut secrets = vec![decoy];
        for (id, secret) in credentials {
            match positions.entry(id) {
                Entry::Occupied(entry) => return Err(DuplicateAccessKeyId(entry.key().clone())),
                Entry::Vacant(entry) => entry.insert(secrets.len()),
            };
            secrets.push(secret);
        }
        Ok(Self {
            last_uses: secrets.iter().map(|_| AtomicI64::new(0)).collect(),
            positions,
            secrets,
            regions,
            signing_keys: SigningKeys::default(),
        })
    }

    /// When each credential last signed a request that verified, to the second.
    pub fn last_uses(&self) -> impl Iterator<Item = (&AccessKeyId, Option<OffsetDateTime>)> {
        self.positions.iter().map(|(id, &position)| {
            let seconds = self.last_uses.get(position);
            let seconds = seconds.map_or(0, |seconds| seconds.load(Ordering::Relaxed));
            let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
            (id, time.filter(|_| seconds != 0))
        })
    }

    /// Takes over the last uses of a verifier that this one replaces.
    pub fn take_over_last_uses(&self, old: &Self) {
        for (id, time) in old.last_uses() {
            let position = self.positions.get(id);
            if let (Some(&position), Some(time)) = (position, time) {
                self.note_use(position, time);
            }
        }
    }

    /// Writes once a second at most, so that the cores do not take the line from each other.
    fn note_use(&self, position: usize, now: OffsetDateTime) {
        let now = now.unix_timestamp();
        if let Some(last) = self.last_uses.get(position)
            && last.load(Ordering::Relaxed) < now
        {
            last.store(now, Ordering::Relaxed);
        }
    }

    /// Tells which credential signed the request, if one did, less than five minutes from `now`.
    ///
    /// An unknown access key id costs the same work as a known one.
    ///
    /// # Errors
    /// [`AuthenticationFailed`], the same to the outside whatever the [`Reason`].
    pub fn verify<H, N, V>(
        &self,
        request: &SignedRequest<'_, H>,
        now: OffsetDateTime,
    ) -> Result<&AccessKeyId, AuthenticationFailed>
    where
        H: IntoIterator<Item = (N, V)> + Clone,
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let value = authorization::of(request)?;
        let authorization = Authorization::parse(value.as_ref())?;
        Claim::read(request, &authorization, SERVICE, now)
            .and_then(|claim| self.judge(&claim, now))
            .map_err(|reason| {
                AuthenticationFailed::of(reason, authorization.credential.access_key_id)
            })
    }

    fn judge(&self, claim: &Claim<'_>, now: OffsetDateTime) -> Result<&AccessKeyId, Reason> {
        let credential = &claim.authorization.credential;
        let region = credential.region;
        let known = self.positions.get_key_value(credential.access_key_id);
        let position = known.map_or(DECOY, |(_, position)| *position);
        let cached = self.signing_keys.with(claim.date, region, position, |key| {
            claim.is_signed_with(key)
        });
        let genuine = match cached {
            Some(genuine) => genuine,
            None => {
                let secret = self
                    .secrets
                    .get(position)
                    .expect("a position of this vector");
                claim.is_signed_with(&credential.signing_key(secret.expose()))
            }
        };
        let Some((id, _)) = known else {
            return Err(Reason::UnknownAccessKeyId);
        };
        if !genuine {
            return Err(Reason::SignatureMismatch);
        }
        if !self.regions.allow(region) {
            return Err(Reason::RegionNotAllowed);
        }
        if cached.is_none() {
            // Only after success, so that a stranger can neither fill the cache nor push keys out of it; and for every
            // secret with the decoy, so that the time of an answer does not tell a known id from an unknown one.
            let keys = self
                .secrets
                .iter()
                .map(|s| credential.signing_key(s.expose()));
            self.signing_keys
                .remember(claim.date, region, keys.collect());
        }
        self.note_use(position, now);
        Ok(id)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("access_key_ids", &self.positions.keys())
            .field("regions", &self.regions)
            .finish_non_exhaustive()
    }
}

/// Two credentials have the same access key id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("two credentials have the access key id {0}; an id names one secret: remove one of them")]
pub struct DuplicateAccessKeyId(pub AccessKeyId);

/// Everything that a request says of its signature, before any secret is looked at.
struct Claim<'a> {
    authorization: &'a Authorization<'a>,
    date: Date,
    string_to_sign: Vec<u8>,
}

impl<'a> Claim<'a> {
    //= xks §Appendix A R43, R44
    fn read<H, N, V>(
        request: &SignedRequest<'_, H>,
        authorization: &'a Authorization<'a>,
        service: &str,
        now: OffsetDateTime,
    ) -> Result<Self, Reason>
    where
        H: IntoIterator<Item = (N, V)> + Clone,
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        if authorization.credential.service != service {
            return Err(Reason::WrongService);
        }
        if request.query.is_some() {
            return Err(Reason::QueryString);
        }
        let amz_date = request.only_header("x-amz-date")?;
        let amz_date = amz_date.as_ref();
        let signed_at = amz_date::parse(amz_date).ok_or(Reason::MalformedDate)?;
        if !amz_date.starts_with(authorization.credential.date.as_bytes()) {
            return Err(Reason::DateOutOfScope);
        }
        let ahead = signed_at - now;
        if ahead.abs() > MAX_CLOCK_SKEW {
            let ahead_seconds = ahead.whole_seconds();
            return Err(Reason::ClockSkew { ahead_seconds });
        }
        let hash = canonical::hash(request, authorization.signed_headers)?;
        Ok(Self {
            authorization,
            date: signed_at.date(),
            string_to_sign: authorization.string_to_sign(amz_date, &hash),
        })
    }

    /// Compares in constant time.
    fn is_signed_with(&self, key: &hmac::Key) -> bool {
        hmac::verify(key, &self.string_to_sign, &self.authorization.signature).is_ok()
    }
}

/// The service that a KMS signs for (spec, Appendix A).
const SERVICE: &str = "kms-xks-proxy";

//= xks §Appendix A R43
const MAX_CLOCK_SKEW: Duration = Duration::minutes(5);

const DECOY: usize = 0;

/// As long as a secret may be. Its text is no secret: what verifies with it is refused all the same.
const DECOY_SECRET: &str = "DecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDeco";

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const ID: &str = "BETWEENAAAAANDBBBBBB";

    /// Made by Python's `hmac` and `hashlib`, for us-east-1.
    const SIGNATURE: &str = "356cfaf02de304e13297484d68f866c507748d8b2f41888b3227579ef8218e0e";

    fn verify(verifier: &Verifier, id: &str, region: &str) -> Result<(), Reason> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/20261124/{region}/kms-xks-proxy/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={SIGNATURE}"
        );
        let headers = [
            ("host", &b"xks.test:8443"[..]),
            ("x-amz-date", b"20261124T123600Z"),
            ("authorization", authorization.as_bytes()),
        ];
        let request = SignedRequest {
            method: "POST",
            path: "/dev/tenant-a/kms/xks/v1/keys/demo/encrypt",
            query: None,
            authority: None,
            headers: headers.into_iter(),
            body: br#"{"plaintext":"SGVsbG8="}"#,
        };
        let verified = verifier.verify(&request, datetime!(2026-11-24 12:36:00 UTC));
        verified.map(|_| ()).map_err(|failure| failure.reason())
    }

    #[test]
    fn only_a_request_that_verifies_fills_the_cache() {
        let id = AccessKeyId::try_from(ID).unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY+AB=";
        let secret = SecretAccessKey::try_from(secret).unwrap();
        let verifier = Verifier::new([(id, secret)], Regions::Any).unwrap();
        let cached = |region: &str| {
            let keys = &verifier.signing_keys;
            let date = time::macros::date!(2026 - 11 - 24);
            [DECOY, 1, 2].map(|position| keys.with(date, region, position, |_| ()).is_some())
        };
        for region in ["us-east-1", "us-east-2"] {
            let unknown = verify(&verifier, "OTHERAAAAAAAAAAAAAAA", region);
            assert_eq!(unknown, Err(Reason::UnknownAccessKeyId));
            assert_eq!(cached(region), [false; 3]);
        }
        let forged = verify(&verifier, ID, "us-east-2");
        assert_eq!(forged, Err(Reason::SignatureMismatch));
        assert_eq!(cached("us-east-2"), [false; 3]);

        assert!(verifier.last_uses().all(|(_, time)| time.is_none()));
        assert_eq!(verify(&verifier, ID, "us-east-1"), Ok(()));
        let used = |verifier: &Verifier| {
            let uses = verifier.last_uses().map(|(id, time)| (id.clone(), time));
            uses.collect::<Vec<_>>()
        };
        let now = (
            AccessKeyId::try_from(ID).unwrap(),
            Some(datetime!(2026-11-24 12:36:00 UTC)),
        );
        assert_eq!(used(&verifier), std::slice::from_ref(&now));
        let secret = SecretAccessKey::try_from(DECOY_SECRET).unwrap();
        let next = Verifier::new([(now.0.clone(), secret)], Regions::Any).unwrap();
        next.take_over_last_uses(&verifier);
        assert_eq!(used(&next), [now]);
        // The decoy's key too, so that an unknown id costs no derivation where a known one does not.
        assert_eq!(cached("us-east-1"), [true, true, false]);
        assert_eq!(cached("us-east-2"), [false; 3]);
    }
}
