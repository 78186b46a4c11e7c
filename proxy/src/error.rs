//! The one error that an API request can end with, and how failures of lower layers become it.
//!
//! Name and message go to the wire, both constant. The cause goes to the log alone.

use std::error::Error;
use std::fmt;

use xks_api::error::ErrorName;
use xks_api::message::{INVALID_CIPHERTEXT_MESSAGE, InvalidRequest};

use crate::key_manager::KeyManagerError;

/// Why a request was not served.
//= xks §Error codes R30: constant messages, fewer than 512 printable ASCII characters.
#[derive(Debug)]
pub struct XksError {
    /// Decides status and `errorName`.
    pub name: ErrorName,
    /// `errorMessage`.
    pub message: &'static str,
    /// For the log.
    pub(crate) cause: Option<Cause>,
}

/// What lies behind an error, without a secret and without anything of the request's body.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

impl XksError {
    /// Whether it is [`NOT_RECORDED`](Self::NOT_RECORDED).
    pub(crate) fn is_not_recorded(&self) -> bool {
        self.message == Self::NOT_RECORDED.message
    }

    pub(crate) const fn new(name: ErrorName, message: &'static str) -> Self {
        Self {
            name,
            message,
            cause: None,
        }
    }

    pub(crate) fn because(self, cause: impl Into<Cause>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// The one answer to a request that is not authentic.
    //= xks §Authentication R44: nothing tells one defect from another.
    pub(crate) const AUTHENTICATION_FAILED: Self = Self::new(
        ErrorName::AuthenticationFailed,
        "the request is not signed as it must be",
    );
    pub(crate) const INVALID_URI_PATH: Self = Self::new(
        ErrorName::InvalidUriPath,
        "no external key store answers at this URI",
    );
    pub(crate) const KEY_NOT_FOUND: Self = Self::new(
        ErrorName::KeyNotFound,
        "the external key store has no such key",
    );
    pub(crate) const BLOCKED: Self = Self::new(
        ErrorName::InvalidState,
        "the external key or its external key store is blocked",
    );
    //= xks §Authorization R36
    pub(crate) const ACCESS_DENIED: Self = Self::new(
        ErrorName::AccessDenied,
        "the policy of the external key store does not allow it",
    );
    pub(crate) const TOO_LATE: Self = Self::new(
        ErrorName::DependencyTimeout,
        "the external key manager did not answer in time",
    );
    pub(crate) const INTERNAL: Self = Self::new(ErrorName::Internal, "the proxy failed");
    pub(crate) const BODY_TOO_LONG: Self = Self::new(
        ErrorName::UnsupportedOperation,
        "the request is longer than this proxy supports",
    );
    pub(crate) const NOT_RECORDED: Self = Self::new(
        ErrorName::Internal,
        "the proxy cannot record requests in its audit log, and so it serves none",
    );
    pub(crate) const OVERLOADED: Self = Self::new(ErrorName::Throttling, "the proxy is overloaded");
    pub(crate) const QUOTA: Self = Self::new(
        ErrorName::Throttling,
        "the quota of the external key store is used up",
    );
    pub(crate) const TOO_MANY_BODIES: Self = Self::new(
        ErrorName::Throttling,
        "too many requests on this connection are incomplete",
    );
    pub(crate) const BODY_INCOMPLETE: Self = Self::new(
        ErrorName::Validation,
        "the request body did not arrive, or not in time",
    );
}

impl fmt::Display for XksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.as_str(), self.message)
    }
}

impl From<InvalidRequest> for XksError {
    fn from(e: InvalidRequest) -> Self {
        Self::new(e.name, e.message)
    }
}

impl From<KeyManagerError> for XksError {
    fn from(e: KeyManagerError) -> Self {
        let error = |name, message| Self::new(name, message);
        match e {
            KeyManagerError::UnknownKey => Self::KEY_NOT_FOUND,
            KeyManagerError::InvalidState => error(
                ErrorName::InvalidState,
                "the external key, or the version of it that is needed, may not be used",
            ),
            KeyManagerError::InvalidCiphertext => {
                error(ErrorName::InvalidCiphertext, INVALID_CIPHERTEXT_MESSAGE)
            }
            KeyManagerError::TooLong => error(
                ErrorName::UnsupportedOperation,
                "the external key manager takes no message of this size",
            ),
            KeyManagerError::TimedOut => Self::TOO_LATE,
            KeyManagerError::Overloaded => error(
                ErrorName::Throttling,
                "the external key manager is overloaded",
            ),
            KeyManagerError::Unavailable(cause) => {
                error(ErrorName::Internal, "the external key manager failed").because(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_part_of_what_the_caller_reads() {
        let cause = std::io::Error::other("pin 1234 refused");
        let error = XksError::from(KeyManagerError::Unavailable(Box::new(cause)));
        assert_eq!(error.name, ErrorName::Internal);
        assert!(!error.to_string().contains("1234"));
        assert!(error.cause.unwrap().to_string().contains("1234"));
    }
}
