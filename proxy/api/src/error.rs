//! The error names of the specification, their HTTP statuses, and the error body.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::route::OperationName;

/// One of the twelve errors that a proxy may answer with (spec, "Error codes").
//= xks §Error codes R30
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorName {
    /// A parameter is invalid.
    Validation,
    /// The external key or key store is disabled, deactivated or blocked.
    InvalidState,
    /// Ciphertext, IV, tag, AAD or metadata does not verify.
    InvalidCiphertext,
    /// The key does not support the operation.
    InvalidKeyUsage,
    /// The SigV4 signature is not valid.
    AuthenticationFailed,
    /// Secondary authorization refused the request.
    AccessDenied,
    /// No such external key.
    KeyNotFound,
    /// No such URI.
    InvalidUriPath,
    /// The request rate is too high.
    Throttling,
    /// Not implemented, or a size beyond what is supported.
    UnsupportedOperation,
    /// The key manager did not answer in time.
    DependencyTimeout,
    /// The key manager or the proxy failed.
    Internal,
}

impl ErrorName {
    /// Every error name, in the order of the specification's table.
    pub const ALL: [Self; 12] = [
        Self::Validation,
        Self::InvalidState,
        Self::InvalidCiphertext,
        Self::InvalidKeyUsage,
        Self::AuthenticationFailed,
        Self::AccessDenied,
        Self::KeyNotFound,
        Self::InvalidUriPath,
        Self::Throttling,
        Self::UnsupportedOperation,
        Self::DependencyTimeout,
        Self::Internal,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::InvalidState => "InvalidStateException",
            Self::InvalidCiphertext => "InvalidCiphertextException",
            Self::InvalidKeyUsage => "InvalidKeyUsageException",
            Self::AuthenticationFailed => "AuthenticationFailedException",
            Self::AccessDenied => "AccessDeniedException",
            Self::KeyNotFound => "KeyNotFoundException",
            Self::InvalidUriPath => "InvalidUriPathException",
            Self::Throttling => "ThrottlingException",
            Self::UnsupportedOperation => "UnsupportedOperationException",
            Self::DependencyTimeout => "DependencyTimeoutException",
            Self::Internal => "InternalException",
        }
    }

    /// The error that a name on the wire stands for, if the specification knows it.
    pub fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.as_str() == name)
    }

    /// The HTTP status that goes with the name.
    pub const fn status(self) -> u16 {
        match self {
            Self::Validation
            | Self::InvalidState
            | Self::InvalidCiphertext
            | Self::InvalidKeyUsage => 400,
            Self::AuthenticationFailed => 401,
            Self::AccessDenied => 403,
            Self::KeyNotFound | Self::InvalidUriPath => 404,
            Self::Throttling => 429,
            Self::Internal => 500,
            Self::UnsupportedOperation => 501,
            Self::DependencyTimeout => 503,
        }
    }

    /// Whether the specification lists the error for the operation.
    pub const fn applies_to(self, operation: OperationName) -> bool {
        match self {
            Self::Validation | Self::AccessDenied | Self::KeyNotFound => {
                !matches!(operation, OperationName::GetHealthStatus)
            }
            Self::InvalidCiphertext => matches!(operation, OperationName::Decrypt),
            Self::InvalidKeyUsage => {
                matches!(operation, OperationName::Encrypt | OperationName::Decrypt)
            }
            Self::InvalidState
            | Self::AuthenticationFailed
            | Self::InvalidUriPath
            | Self::Throttling
            | Self::UnsupportedOperation
            | Self::DependencyTimeout
            | Self::Internal => true,
        }
    }
}

/// The JSON body of an error answer.
///
/// Encoded by the proxy with a constant message of fewer than 512 printable ASCII characters; a KMS
/// decides by the name alone and never shows the message to its caller.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    /// The name on the wire, known or not.
    #[serde(borrow)]
    pub error_name: Cow<'a, str>,
    /// What more the proxy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's table, retyped.
    const TABLE: [(u16, &str, [bool; 4]); 12] = [
        // status, name, GetHealthStatus, GetKeyMetadata, Encrypt, Decrypt
        (400, "ValidationException", [false, true, true, true]),
        (400, "InvalidStateException", [true, true, true, true]),
        (
            400,
            "InvalidCiphertextException",
            [false, false, false, true],
        ),
        (400, "InvalidKeyUsageException", [false, false, true, true]),
        (
            401,
            "AuthenticationFailedException",
            [true, true, true, true],
        ),
        (403, "AccessDeniedException", [false, true, true, true]),
        (404, "KeyNotFoundException", [false, true, true, true]),
        (404, "InvalidUriPathException", [true, true, true, true]),
        (429, "ThrottlingException", [true, true, true, true]),
        (
            501,
            "UnsupportedOperationException",
            [true, true, true, true],
        ),
        (503, "DependencyTimeoutException", [true, true, true, true]),
        (500, "InternalException", [true, true, true, true]),
    ];

    #[test]
    fn names_statuses_and_operations_are_those_of_the_specification() {
        for ((status, name, applies), error) in TABLE.into_iter().zip(ErrorName::ALL) {
            assert_eq!(error.as_str(), name);
            assert_eq!(error.status(), status, "{name}");
            assert_eq!(ErrorName::from_wire(name), Some(error));
            for (operation, expected) in OperationName::ALL.into_iter().zip(applies) {
                assert_eq!(
                    error.applies_to(operation),
                    expected,
                    "{name} {operation:?}"
                );
            }
        }
        assert_eq!(ErrorName::from_wire("validationexception"), None);
    }
}
