//! Errors of the KMS API: shape name, HTTP status, message.

use std::borrow::Cow;

/// An exception as a client sees it.
///
/// `__type` is the bare shape name; faults of the service are 500, all else is 400.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KmsError {
    name: &'static str,
    message: Option<Cow<'static, str>>,
}

impl KmsError {
    /// An exception with a message.
    pub fn new(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            message: Some(message.into()),
        }
    }

    /// An exception that KMS sends without a message.
    pub const fn without_message(name: &'static str) -> Self {
        Self {
            name,
            message: None,
        }
    }

    /// ValidationException.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationException", message)
    }

    /// UnsupportedOperationException.
    pub(crate) fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("UnsupportedOperationException", message)
    }

    /// NotFoundException.
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("NotFoundException", message)
    }

    /// The shape name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The message, if there is one.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self.name {
            "DependencyTimeoutException" | "KMSInternalException" | "KeyUnavailableException" => {
                500
            }
            "RequestTimeoutException" => 408,
            "RequestEntityTooLargeException" => 413,
            _ => 400,
        }
    }
}
