//! What Transit says when it does not do what it was asked, and what that means: the one place that knows its words.
//!
//! Transit answers nearly every refusal with status 400 and a sentence, so the sentence decides. Each one was recorded
//! from OpenBao 2.7.2, whose Transit engine began as HashiCorp Vault's (1.14) and kept its words; what is marked
//! "documented" is from the documentation of the API. A sentence that is not here is [`Refusal::Unexpected`].

use http::StatusCode;
use serde::Deserialize;

use crate::key_manager::KeyManagerError;

/// A request was answered, with a refusal.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no such key.
    #[error("Transit has no such key")]
    UnknownKey,
    /// The key was soft-deleted (OpenBao alone).
    #[error("the Transit key is soft-deleted")]
    SoftDeleted,
    /// `min_decryption_version` is above the version of the ciphertext.
    #[error("the version of the Transit key is below min_decryption_version")]
    RetiredVersion,
    /// The ciphertext does not verify, or names a version that never was.
    #[error("the ciphertext does not verify")]
    InvalidCiphertext,
    /// The version that was pinned does not encrypt any more; what is known of the key is out of date.
    #[error(
        "the version of the Transit key does not encrypt: min_encryption_version was raised or the key replaced"
    )]
    StalePin,
    /// Token or policy.
    #[error("permission denied: the token is not valid, or its policy does not allow {path}")]
    PermissionDenied {
        /// What was asked for.
        path: Box<str>,
    },
    /// A rate limit of the server.
    #[error("a rate limit of the server is reached")]
    RateLimited,
    /// The server cannot serve anyone now; another one may.
    #[error("the server is {0}")]
    NotServing(&'static str),
    /// Anything else.
    #[error("unexpected answer to {path}: status {status}, {text:?}")]
    Unexpected {
        /// What was asked for.
        path: Box<str>,
        /// The HTTP status.
        status: u16,
        /// The beginning of what the server said.
        text: Box<str>,
    },
}

impl Refusal {
    /// Judges an answer whose status is not 200 or 204.
    pub(super) fn of(path: &str, status: StatusCode, body: &[u8]) -> Self {
        let errors: Vec<String> = match serde_json::from_slice(body) {
            Ok(Errors { errors }) => errors,
            Err(_) => vec![String::from_utf8_lossy(body).into_owned()],
        };
        let says = |text: &str| errors.iter().any(|error| error.contains(text));
        match status.as_u16() {
            400 | 500 if says("cipher: message authentication failed") => Self::InvalidCiphertext,
            400 if says("invalid ciphertext: version is too new") => Self::InvalidCiphertext,
            400 if says("ciphertext or signature version is disallowed by policy (too old)") => {
                Self::RetiredVersion
            }
            400 if says("encryption key not found") => Self::UnknownKey,
            400 if says("refusing to use soft-deleted key") => Self::SoftDeleted,
            400 if says(
                "requested version for encryption is less than the minimum encryption key version",
            ) || says(
                "requested version for encryption is higher than the latest key version",
            ) =>
            {
                Self::StalePin
            }
            // "permission denied" alone for a bad token, "1 error occurred:\n\t* permission denied\n\n" for a policy.
            403 => Self::PermissionDenied { path: path.into() },
            // Without a sentence: no such key. With one, no such mount or namespace.
            404 if errors.is_empty() => Self::UnknownKey,
            // Documented: "request path "…": rate limit quota exceeded".
            429 if says("quota exceeded") => Self::RateLimited,
            // Documented, for /sys/health: unsealed standby, DR secondary, performance standby. 307: a standby that
            // does not forward.
            307 | 429 => Self::NotServing("a standby"),
            472 => Self::NotServing("a disaster recovery secondary"),
            473 => Self::NotServing("a performance standby"),
            501 => Self::NotServing("not initialized"),
            503 if says("Vault is sealed") => Self::NotServing("sealed"),
            // Documented: "local node not active but active cluster node not found" comes with 500.
            500 if says("active cluster node not found") => {
                Self::NotServing("without an active node")
            }
            503 => Self::NotServing("not available"),
            status => Self::Unexpected {
                path: path.into(),
                status,
                text: errors.join("; ").chars().take(MAX_TEXT).collect(),
            },
        }
    }

    /// Whether another server of the cluster may do what this one does not.
    pub(super) fn is_of_this_node(&self) -> bool {
        match self {
            Self::NotServing(_) | Self::RateLimited => true,
            Self::Unexpected { status, .. } => *status >= 500,
            Self::UnknownKey
            | Self::SoftDeleted
            | Self::RetiredVersion
            | Self::InvalidCiphertext
            | Self::StalePin
            | Self::PermissionDenied { .. } => false,
        }
    }
}

impl From<Refusal> for KeyManagerError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownKey => Self::UnknownKey,
            Refusal::SoftDeleted | Refusal::RetiredVersion => Self::InvalidState,
            Refusal::InvalidCiphertext => Self::InvalidCiphertext,
            Refusal::RateLimited => Self::Overloaded,
            Refusal::StalePin
            | Refusal::PermissionDenied { .. }
            | Refusal::NotServing(_)
            | Refusal::Unexpected { .. } => Self::Unavailable(Box::new(refusal)),
        }
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// Of what a server says no more is logged.
const MAX_TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::of("transit/decrypt/k", status, body.as_bytes())
    }

    /// Status, body as recorded from OpenBao 2.7.2, and what KMS is answered with.
    #[test]
    fn recorded_answers() {
        let denied = || Refusal::PermissionDenied {
            path: "transit/decrypt/k".into(),
        };
        for (status, body, expected) in [
            (
                400,
                r#"{"errors":["cipher: message authentication failed"]}"#,
                Refusal::InvalidCiphertext,
            ),
            (
                400,
                r#"{"errors":["invalid ciphertext: version is too new"]}"#,
                Refusal::InvalidCiphertext,
            ),
            (
                400,
                r#"{"errors":["ciphertext or signature version is disallowed by policy (too old)"]}"#,
                Refusal::RetiredVersion,
            ),
            (
                400,
                r#"{"errors":["encryption key not found"]}"#,
                Refusal::UnknownKey,
            ),
            (404, r#"{"errors":[]}"#, Refusal::UnknownKey),
            (
                400,
                r#"{"errors":["refusing to use soft-deleted key"]}"#,
                Refusal::SoftDeleted,
            ),
            (
                400,
                r#"{"errors":["requested version for encryption is less than the minimum encryption key version"]}"#,
                Refusal::StalePin,
            ),
            (
                400,
                r#"{"errors":["requested version for encryption is higher than the latest key version"]}"#,
                Refusal::StalePin,
            ),
            (403, r#"{"errors":["permission denied"]}"#, denied()),
            (
                403,
                r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
                denied(),
            ),
            (
                503,
                r#"{"errors":["Vault is sealed"]}"#,
                Refusal::NotServing("sealed"),
            ),
        ] {
            assert_eq!(of(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_a_fault_of_the_caller() {
        for (status, body) in [
            (400, r#"{"errors":["invalid ciphertext: no prefix"]}"#),
            (
                400,
                r#"{"errors":["missing 'context' for key derivation"]}"#,
            ),
            (400, r#"{"errors":[]}"#),
            (400, "<html>Bad Request</html>"),
            (404, r#"{"errors":["namespace not found"]}"#),
            (
                404,
                r#"{"errors":["no handler for route \"transit/decrypt/k\". route entry not found."]}"#,
            ),
            (404, "<html>Not Found</html>"),
            (
                500,
                r#"{"errors":["1 error occurred:\n\t* internal error\n\n"]}"#,
            ),
            (418, ""),
        ] {
            let refusal = of(status, body);
            assert!(matches!(refusal, Refusal::Unexpected { .. }), "{refusal:?}");
            let error = KeyManagerError::from(refusal);
            assert!(
                matches!(error, KeyManagerError::Unavailable(_)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn another_server_is_asked_for_what_is_of_one_server() {
        for (status, body, other) in [
            (503, r#"{"errors":["Vault is sealed"]}"#, true),
            (
                429,
                r#"{"errors":["request path \"transit/encrypt/k\": rate limit quota exceeded"]}"#,
                true,
            ),
            (473, "", true),
            (307, "", true),
            (
                500,
                r#"{"errors":["local node not active but active cluster node not found"]}"#,
                true,
            ),
            (502, "", true),
            (403, r#"{"errors":["permission denied"]}"#, false),
            (
                400,
                r#"{"errors":["cipher: message authentication failed"]}"#,
                false,
            ),
            (404, r#"{"errors":[]}"#, false),
        ] {
            assert_eq!(of(status, body).is_of_this_node(), other, "{status} {body}");
        }
    }
}
