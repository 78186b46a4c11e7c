//! The one error of authentication, and the reason that only the operator's log may tell.

use std::fmt;

use crate::ids::AccessKeyId;

/// The request is not signed by a credential of the key store.
///
/// Prints the same text whatever the reason, so that it cannot reach the wire by mistake.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request's AWS Signature Version 4 is missing or does not verify")]
pub struct AuthenticationFailed {
    reason: Reason,
    claimed: Option<AccessKeyId>,
}

impl AuthenticationFailed {
    /// Why, for the operator's log. Never for the wire.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The access key id that the request names, if it has the form of one; known to the key store or not.
    pub fn claimed_access_key_id(&self) -> Option<&AccessKeyId> {
        self.claimed.as_ref()
    }

    pub(super) fn of(reason: Reason, access_key_id: &str) -> Self {
        Self {
            reason,
            claimed: AccessKeyId::try_from(access_key_id).ok(),
        }
    }
}

impl From<Reason> for AuthenticationFailed {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            claimed: None,
        }
    }
}

/// Why a request is not authentic.
///
/// [`RegionNotAllowed`](Self::RegionNotAllowed) alone is about a request whose signature verifies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// No `Authorization` header.
    MissingAuthorization,
    /// More than one `Authorization` header.
    DuplicateAuthorization,
    /// `Authorization` is not `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    MalformedAuthorization,
    /// `Credential` is not `id/yyyymmdd/region/service/aws4_request`.
    MalformedCredential,
    /// `SignedHeaders` are not lower-case names in ascending order, each once.
    MalformedSignedHeaders,
    /// `Signature` is not 64 lower-case hexadecimal digits.
    MalformedSignature,
    /// `SignedHeaders` has neither `host` nor `:authority`.
    HostNotSigned,
    /// `SignedHeaders` has no `x-amz-date`.
    DateNotSigned,
    /// The scope's service is not `kms-xks-proxy`.
    WrongService,
    /// The request has a query string.
    QueryString,
    /// The path has characters or segments that no path of the API has.
    UnusualPath,
    /// The method is not of upper-case letters.
    UnusualMethod,
    /// A signed header, or `x-amz-date`, is not there.
    MissingHeader,
    /// A signed header, `host` or `x-amz-date` occurs more than once.
    DuplicateHeader,
    /// The value of a signed header has a control character.
    MalformedHeader,
    /// `Host` and `:authority` differ.
    HostMismatch,
    /// `x-amz-date` is not `yyyymmddThhmmssZ`.
    MalformedDate,
    /// `x-amz-date` is of another day than the credential scope.
    DateOutOfScope,
    /// The request was signed more than five minutes from now.
    ClockSkew {
        /// How far the signer's clock is ahead of ours, in seconds; negative if it is behind.
        ahead_seconds: i64,
    },
    /// The key store has no credential of that access key id.
    UnknownAccessKeyId,
    /// The signature is not the one of this request and this secret.
    SignatureMismatch,
    /// The signature verifies, but the key store takes no request from the Region of its scope.
    RegionNotAllowed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingAuthorization => {
                "no Authorization header; the client must sign with SigV4"
            }
            Self::DuplicateAuthorization => "more than one Authorization header",
            Self::MalformedAuthorization => {
                "Authorization is not `AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=`"
            }
            Self::MalformedCredential => {
                "Credential is not `id/yyyymmdd/region/kms-xks-proxy/aws4_request`"
            }
            Self::MalformedSignedHeaders => {
                "SignedHeaders are not lower-case names in ascending order, each once"
            }
            Self::MalformedSignature => "Signature is not 64 lower-case hexadecimal digits",
            Self::HostNotSigned => "SignedHeaders lacks host",
            Self::DateNotSigned => "SignedHeaders lacks x-amz-date",
            Self::WrongService => "the service of the credential scope is not kms-xks-proxy",
            Self::QueryString => "the request has a query string; no operation has one",
            Self::UnusualPath => "the path has a character or segment that no path of the API has",
            Self::UnusualMethod => "the method is not of upper-case letters",
            Self::MissingHeader => {
                "a signed header is missing; does something in between remove it?"
            }
            Self::DuplicateHeader => {
                "a signed header occurs more than once; does something in between add it?"
            }
            Self::MalformedHeader => "a signed header has a control character",
            Self::HostMismatch => {
                "Host and :authority differ; does something in between rewrite one?"
            }
            Self::MalformedDate => "x-amz-date is not `yyyymmddThhmmssZ`",
            Self::DateOutOfScope => "x-amz-date is of another day than the credential scope",
            Self::ClockSkew { ahead_seconds } => {
                return write!(
                    f,
                    "signed {} seconds in the {}, at most 300 are allowed; check this host's clock",
                    ahead_seconds.unsigned_abs(),
                    if *ahead_seconds > 0 { "future" } else { "past" },
                );
            }
            Self::UnknownAccessKeyId => {
                "no credential of this key store has that access key id; was it revoked?"
            }
            Self::SignatureMismatch => {
                "the signature does not match; the secret differs, or something in between changed \
                 the host, the path, a signed header or the body"
            }
            Self::RegionNotAllowed => {
                "the signature verifies, but its Region is not in the key store's regions"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_operators_log_tells_each_reason_from_every_other() {
        use Reason::*;
        let reasons = [
            MissingAuthorization,
            DuplicateAuthorization,
            MalformedAuthorization,
            MalformedCredential,
            MalformedSignedHeaders,
            MalformedSignature,
            HostNotSigned,
            DateNotSigned,
            WrongService,
            QueryString,
            UnusualPath,
            UnusualMethod,
            MissingHeader,
            DuplicateHeader,
            MalformedHeader,
            HostMismatch,
            MalformedDate,
            DateOutOfScope,
            ClockSkew { ahead_seconds: 301 },
            ClockSkew {
                ahead_seconds: -301,
            },
            UnknownAccessKeyId,
            SignatureMismatch,
            RegionNotAllowed,
        ];
        let texts: HashSet<_> = reasons.iter().map(Reason::to_string).collect();
        assert_eq!(texts.len(), reasons.len());
        assert!(texts.iter().all(|text| text.len() > 10));
    }

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much_and_which_way() {
        for (ahead_seconds, told) in [
            (301, "signed 301 seconds in the future"),
            (-86_400, "signed 86400 seconds in the past"),
            // A fraction of a second more than the limit.
            (300, "signed 300 seconds in the future"),
        ] {
            let text = Reason::ClockSkew { ahead_seconds }.to_string();
            assert!(text.starts_with(told), "{text}");
        }
    }
}
