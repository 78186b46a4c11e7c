//! What the control API answers when a request cannot be done; such a request has changed nothing.

use std::borrow::Cow;

use http::StatusCode;

/// An error of the control API: `{"Error": …, "Message": …}`.
#[derive(Debug)]
pub(crate) struct ControlError {
    pub(crate) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) message: Cow<'static, str>,
    /// Of a 405.
    pub(crate) allow: Option<&'static str>,
}

impl ControlError {
    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn new(status: StatusCode, error: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            error,
            message: message.into(),
            allow: None,
        }
    }

    /// The input is wrong.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// What the path or the input names does not exist.
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// The request does not fit the state that things are in.
    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// The simulator itself could not do it.
    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal", message)
    }

    /// A browser asks for a page of another origin, or under a name that is none of ours.
    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("The body is longer than the {limit} bytes that are allowed here.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", message)
    }

    pub(super) fn timeout() -> Self {
        let message = "The body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "Timeout", message)
    }

    pub(crate) fn media_type() -> Self {
        let message = "A body must have the content-type application/json.";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let message = format!("This path takes {allow}.");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }
}
