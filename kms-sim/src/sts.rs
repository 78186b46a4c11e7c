//! AWS STS on KMS's port: GetCallerIdentity, which SDK tools and Terraform ask before anything else.
//!
//! The query protocol: parameters of a form or of the query string in, XML out. What is answered to other actions and
//! versions is what AWS STS answers; where that redirects to a web page (no action at all), this is an error.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::api::KmsError;
use crate::query_string::first;
use crate::simulator::Caller;

/// Whether a `POST /` speaks the query protocol; KMS's own is told by `X-Amz-Target`.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| {
        media_type
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// What STS answers to these parameters.
///
/// # Errors
/// InvalidAction for all but GetCallerIdentity of the one version that there is.
pub(crate) fn answer(parameters: &str, caller: &Caller) -> Result<String, StsError> {
    let Some(action) = first(parameters, "Action") else {
        return Err(StsError::sender(
            "MissingAction",
            "The request names no action; kms-sim has GetCallerIdentity of STS.",
        ));
    };
    let version = first(parameters, "Version");
    let version = version.as_deref().unwrap_or("NO_VERSION_SPECIFIED");
    if action != GET_CALLER_IDENTITY || version != VERSION {
        return Err(StsError::sender(
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        ));
    }
    Ok(format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\">\n  <GetCallerIdentityResult>\n    <Arn>{}</Arn>\n    \
         <UserId>{}</UserId>\n    <Account>{}</Account>\n  </GetCallerIdentityResult>\n  <ResponseMetadata>\n    \
         <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n",
        escaped(&caller.principal_arn),
        escaped(&caller.user_id),
        escaped(&caller.account),
        escaped(&caller.request_id),
    ))
}

/// An error as STS words it.
#[derive(Debug)]
pub(crate) struct StsError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
}

impl StsError {
    fn sender(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn body(&self, request_id: &str) -> String {
        let fault = match self.status.is_server_error() {
            true => "Receiver",
            false => "Sender",
        };
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
            self.code,
            escaped(&self.message),
            escaped(request_id),
        )
    }
}

/// The query protocol has other names and statuses for the errors that all services share.
impl From<KmsError> for StsError {
    fn from(error: KmsError) -> Self {
        let (status, code) = match error.name() {
            "MissingAuthenticationTokenException" => {
                (StatusCode::FORBIDDEN, "MissingAuthenticationToken")
            }
            "UnrecognizedClientException" => (StatusCode::FORBIDDEN, "InvalidClientTokenId"),
            "InvalidSignatureException" => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
            "ExpiredTokenException" => (StatusCode::FORBIDDEN, "ExpiredToken"),
            "AccessDeniedException" => (StatusCode::FORBIDDEN, "AccessDenied"),
            "IncompleteSignatureException" => (StatusCode::BAD_REQUEST, "IncompleteSignature"),
            "RequestTimeoutException" => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            "RequestEntityTooLargeException" => {
                (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge")
            }
            _ => (StatusCode::BAD_REQUEST, "ValidationError"),
        };
        Self {
            status,
            code,
            message: error.message().unwrap_or_default().to_owned().into(),
        }
    }
}

/// Text as XML holds it.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(character),
            // A parser would make a line feed of it.
            '\r' => xml.push_str("&#xD;"),
            // XML 1.0 does not have these, not even as references.
            control if control.is_control() || matches!(control, '\u{FFFE}' | '\u{FFFF}') => {
                let _ = write!(xml, "\\u{{{:x}}}", u32::from(control));
            }
            other => xml.push(other),
        }
    }
    xml
}

/// What the one action is called.
pub(crate) const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";
const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(principal_arn: &str) -> Caller {
        Caller::new(
            "111122223333".to_owned(),
            "us-east-1".to_owned(),
            principal_arn.to_owned(),
            "the-request".to_owned(),
        )
    }

    fn id(principal_arn: &str) -> String {
        caller(principal_arn).user_id
    }

    #[test]
    fn an_id_tells_what_a_principal_is_and_which() {
        assert_eq!(id("arn:aws:iam::111122223333:root"), "111122223333");
        let alice = id("arn:aws:iam::111122223333:user/Alice");
        assert_eq!((alice.len(), &alice[..4]), (21, "AIDA"));
        assert!(
            alice
                .bytes()
                .all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)),
            "{alice}"
        );
        assert_eq!(id("arn:aws:iam::111122223333:user/Alice"), alice);
        assert_ne!(id("arn:aws:iam::111122223333:user/Bob"), alice);
        let session = id("arn:aws:sts::111122223333:assumed-role/Worker/today");
        let other = id("arn:aws:sts::111122223333:assumed-role/Worker/yesterday");
        let (role, name) = session.split_once(':').unwrap();
        assert_eq!((&role[..4], name), ("AROA", "today"));
        assert_eq!(other.split_once(':').unwrap(), (role, "yesterday"));
    }

    #[test]
    fn what_the_caller_sends_cannot_become_markup() {
        let caller = caller("arn:aws:iam::111122223333:user/Alice");
        let error = answer(
            "Action=%3C%2FMessage%3E%26%01%0A%0D&Version=2011-06-15",
            &caller,
        )
        .unwrap_err();
        let body = error.body("the-request");
        assert!(
            body.contains(
                "Could not find operation &lt;/Message&gt;&amp;\\u{1}\n&#xD; for version 2011-06-15"
            ),
            "{body}"
        );
    }
}
