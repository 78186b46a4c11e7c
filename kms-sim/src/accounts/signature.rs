//! Signature Version 4, verified: what a request says of its signature, whether it is fresh, and whether it is genuine.
//!
//! The words of the errors are those of AWS; what a canonical request should have been is told as AWS tells it.

use std::borrow::Cow;

use http::HeaderMap;
use ring::hmac;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::Principal;
use super::canonical::{canonical_request, sha256};
use crate::api::KmsError;
use crate::credentials::is_region;
use crate::query_string::first;

/// What is signed of a request beside its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedHead<'a> {
    /// `POST`
    pub(crate) method: &'a str,
    /// `/`
    pub(crate) path: &'a str,
    /// What follows the `?`.
    pub(crate) query: Option<&'a str>,
    /// Of HTTP/2, which has no `host`.
    pub(crate) authority: Option<&'a str>,
    /// Every header.
    pub(crate) headers: &'a HeaderMap,
}

/// What a request says of its signature; whether it is true is not known yet.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    /// `X-Amz-Date`
    date: Cow<'a, str>,
    /// `X-Amz-Expires`, of presigned requests.
    lifetime: Duration,
    /// `X-Amz-Security-Token`
    session_token: Option<Cow<'a, str>>,
}

/// `Credential` in its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) access_key_id: &'a str,
    date: &'a str,
    pub(crate) region: &'a str,
    service: &'a str,
}

impl<'a> Claim<'a> {
    /// Reads the `Authorization` header, or the query string of a presigned request.
    ///
    /// # Errors
    /// MissingAuthenticationTokenException for a request that is not signed, IncompleteSignatureException for what is
    /// not whole.
    pub(crate) fn read(head: &SignedHead<'a>) -> Result<Self, KmsError> {
        let header = |name: &str| {
            let value = head.headers.get(name)?.to_str().ok()?;
            Some(Cow::Borrowed(value))
        };
        if let Some(Cow::Borrowed(authorization)) = header("authorization") {
            return Self::of_header(
                authorization,
                header("x-amz-date"),
                header("x-amz-security-token"),
            );
        }
        let parameter = |name| first(head.query.unwrap_or_default(), name).map(Cow::Owned);
        match parameter("X-Amz-Algorithm") {
            None => Err(missing()),
            Some(algorithm) if algorithm != ALGORITHM => Err(unsupported(&algorithm)),
            Some(_) => {
                let required = |name: &'static str| {
                    parameter(name).ok_or_else(|| {
                        incomplete(format!(
                            "AWS query-string parameters must include '{name}'."
                        ))
                    })
                };
                let lifetime =
                    parameter("X-Amz-Expires").map_or(Some(604_800), |text| text.parse().ok());
                let lifetime = lifetime.filter(|seconds| (1..=604_800).contains(seconds));
                let lifetime = lifetime.ok_or_else(|| {
                    incomplete(
                        "X-Amz-Expires must be a number of seconds from 1 to 604800.".to_owned(),
                    )
                })?;
                Ok(Self {
                    credential: required("X-Amz-Credential")?,
                    signed_headers: required("X-Amz-SignedHeaders")?,
                    signature: required("X-Amz-Signature")?,
                    date: required("X-Amz-Date")?,
                    lifetime: Duration::seconds(lifetime),
                    session_token: parameter("X-Amz-Security-Token"),
                })
            }
        }
    }

    fn of_header(
        authorization: &'a str,
        date: Option<Cow<'a, str>>,
        session_token: Option<Cow<'a, str>>,
    ) -> Result<Self, KmsError> {
        let (algorithm, parameters) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if algorithm != ALGORITHM {
            return Err(unsupported(algorithm));
        }
        let parameter = |name: &str| {
            let mut parameters = parameters.split(',');
            let value = parameters.find_map(|parameter| {
                let (found, value) = parameter.trim().split_once('=')?;
                (found == name).then_some(value)
            });
            value.filter(|value| !value.is_empty()).map(Cow::Borrowed)
        };
        let parts = (
            parameter("Credential"),
            parameter("SignedHeaders"),
            parameter("Signature"),
            date,
        );
        if let (Some(credential), Some(signed_headers), Some(signature), Some(date)) = parts {
            return Ok(Self {
                credential,
                signed_headers,
                signature,
                date,
                lifetime: MAX_SKEW,
                session_token,
            });
        }
        let (credential, signed_headers, signature, date) = parts;
        let mut missing = String::new();
        for (name, found) in [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed_headers),
        ] {
            if found.is_none() {
                missing.push_str(&format!(
                    "Authorization header requires '{name}' parameter. "
                ));
            }
        }
        if date.is_none() {
            missing.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
            );
        }
        Err(incomplete(format!("{missing}Authorization={algorithm}")))
    }

    /// `Credential` in its parts.
    ///
    /// # Errors
    /// IncompleteSignatureException
    pub(crate) fn scope(&self) -> Result<Scope<'_>, KmsError> {
        let parts: Vec<&str> = self.credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = *parts else {
            return Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
                self.credential
            )));
        };
        if !is_region(region) {
            return Err(KmsError::new(
                "InvalidSignatureException",
                format!("Credential should be scoped to a valid Region, not '{region}'. "),
            ));
        }
        Ok(Scope {
            access_key_id,
            date,
            region,
            service,
        })
    }

    /// `X-Amz-Security-Token`
    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Checks that the request was signed by the principal, for this service, a short while ago.
    ///
    /// # Errors
    /// InvalidSignatureException
    pub(crate) fn verify(
        &self,
        head: &SignedHead<'_>,
        body: &[u8],
        principal: &Principal,
        service: &str,
        now: OffsetDateTime,
    ) -> Result<(), KmsError> {
        let scope = self.scope()?;
        let invalid = |message: String| KmsError::new("InvalidSignatureException", message);
        if scope.service != service {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{service}'. "
            )));
        }
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let signed_at = PrimitiveDateTime::parse(&self.date, format)
            .map_err(|_| {
                incomplete(format!(
                    "Date must be in ISO-8601 'basic format'. Got '{}'. See \
                     http://en.wikipedia.org/wiki/ISO_8601",
                    self.date
                ))
            })?
            .assume_utc();
        if !self.date.starts_with(scope.date) || scope.date.len() != DATE_LEN {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{}', from '{}'.",
                scope.date,
                self.date.get(..DATE_LEN).unwrap_or_default(),
                self.date
            )));
        }
        self.check_age(signed_at, now, format)?;
        let names: Vec<&str> = self.signed_headers.split(';').collect();
        if !names
            .iter()
            .any(|name| ["host", ":authority"].contains(name))
        {
            return Err(invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned(),
            ));
        }
        let canonical = canonical_request(head, &names, body);
        let string_to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            self.date,
            scope.date,
            scope.region,
            scope.service,
            sha256(canonical.as_bytes())
        );
        let key = principal.signing_key(scope.date, scope.region, scope.service);
        let genuine = signature_bytes(&self.signature).is_some_and(|signature| {
            hmac::verify(&key, string_to_sign.as_bytes(), &signature).is_ok()
        });
        match genuine {
            true => Ok(()),
            false => Err(invalid(format!(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String \
                 for this request should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n\
                 '{string_to_sign}'\n"
            ))),
        }
    }

    fn check_age(
        &self,
        signed_at: OffsetDateTime,
        now: OffsetDateTime,
        format: &[time::format_description::BorrowedFormatItem<'_>],
    ) -> Result<(), KmsError> {
        let text = |time: OffsetDateTime| time.format(format).unwrap_or_default();
        let invalid = |message: String| Err(KmsError::new("InvalidSignatureException", message));
        if signed_at + self.lifetime < now {
            return invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                self.date,
                text(now - self.lifetime),
                text(now),
                self.lifetime.whole_minutes()
            ));
        }
        if signed_at - MAX_SKEW > now {
            return invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.date,
                text(now + MAX_SKEW),
                text(now)
            ));
        }
        Ok(())
    }
}

/// 64 lower-case hexadecimal digits.
fn signature_bytes(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(nibble(high)? << 4 | nibble(low)?);
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    (rest.is_empty() && bytes.len() == 32).then_some(bytes)
}

fn missing() -> KmsError {
    KmsError::new(
        "MissingAuthenticationTokenException",
        "Request is missing Authentication Token",
    )
}

fn incomplete(message: String) -> KmsError {
    KmsError::new("IncompleteSignatureException", message)
}

fn unsupported(algorithm: &str) -> KmsError {
    incomplete(format!(
        "Unsupported AWS 'algorithm': '{algorithm}'. kms-sim verifies {ALGORITHM} where it is started with --accounts."
    ))
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE_LEN: usize = 8;
const MAX_SKEW: Duration = Duration::minutes(5);
