//! `requestMetadata`: who asked KMS for what. Authenticated by the signature, otherwise not validated.

use std::borrow::Cow;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Text of a JSON string, borrowed from the body where it has no escapes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// Context of GetKeyMetadata, Encrypt and Decrypt.
///
/// `kmsOperation` and `kmsRequestId` are opaque, members that are not listed are ignored, ARNs of 2,048
/// characters and more are taken as they come.
//= xks §all operations R9, R10, R12
//= xks §API operations R5
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMetadata<'a> {
    /// Who called KMS.
    #[serde(borrow)]
    pub aws_principal_arn: Text<'a>,
    /// The VPC that the call came from.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub aws_source_vpc: Option<Text<'a>>,
    /// The VPC endpoint that the call went through.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub aws_source_vpce: Option<Text<'a>>,
    /// The KMS key; required for Encrypt and Decrypt, absent when GetKeyMetadata serves CreateKey.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<Text<'a>>,
    /// The KMS operation that led to this request.
    #[serde(borrow)]
    pub kms_operation: Text<'a>,
    /// The request id that CloudTrail shows.
    #[serde(borrow)]
    pub kms_request_id: Text<'a>,
    /// The AWS service that called KMS on someone's behalf.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kms_via_service: Option<Text<'a>>,
}

/// Context of GetHealthStatus.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthRequestMetadata<'a> {
    /// The KMS operation that led to this request, `KmsHealthCheck` for the periodic probe.
    #[serde(borrow)]
    pub kms_operation: Text<'a>,
    /// The request id that CloudTrail shows.
    #[serde(borrow)]
    pub kms_request_id: Text<'a>,
}
