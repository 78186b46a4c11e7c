//! Who calls, read from the `Authorization` header: any credentials are accepted, none are verified.
//!
//! The access key id names the account if it is 12 digits; the credential scope names the Region.

use crate::api::KmsError;
use crate::simulator::Caller;

/// The caller of a request with this `Authorization` header.
///
/// # Errors
/// MissingAuthenticationTokenException without the header, IncompleteSignatureException for a Signature
/// Version 4 whose Credential cannot be read.
pub(crate) fn caller(
    authorization: Option<&str>,
    default_region: &str,
    request_id: String,
) -> Result<Caller, KmsError> {
    let authorization = authorization.ok_or_else(|| {
        KmsError::new(
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        )
    })?;
    let credential = match authorization.split_once(' ') {
        Some((algorithm, parameters)) if algorithm.starts_with("AWS4-") => {
            Credential::parse(parameters)?
        }
        _ => Credential {
            access_key_id: "",
            region: None,
        },
    };
    let access_key_id = credential.access_key_id;
    let is_account = access_key_id.len() == 12 && access_key_id.bytes().all(|b| b.is_ascii_digit());
    let (account, principal) = match access_key_id {
        account if is_account => (account, "root".to_owned()),
        "" => (DEFAULT_ACCOUNT, "root".to_owned()),
        name => (DEFAULT_ACCOUNT, format!("user/{name}")),
    };
    let region = credential.region.unwrap_or(default_region);
    let partition = partition(region);
    Ok(Caller::new(
        account.to_owned(),
        region.to_owned(),
        format!("arn:{partition}:iam::{account}:{principal}"),
        request_id,
    ))
}

/// The partition that a Region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// Whether a text may be the name of a Region, which becomes part of ARNs.
pub fn is_region(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// `Credential=` of an `Authorization` header.
struct Credential<'a> {
    access_key_id: &'a str,
    region: Option<&'a str>,
}

impl<'a> Credential<'a> {
    /// `AKID/date/region/service/aws4_request`, or without a Region (Signature Version 4A).
    fn parse(parameters: &'a str) -> Result<Self, KmsError> {
        let value = parameters
            .split(',')
            .find_map(|parameter| parameter.trim().strip_prefix("Credential="))
            .ok_or_else(|| {
                incomplete("Authorization header requires 'Credential' parameter.".to_owned())
            })?;
        let parts: Vec<&str> = value.split('/').collect();
        let (access_key_id, region) = match *parts {
            [id, _, region, _, "aws4_request"] => (id, Some(region)),
            [id, _, _, "aws4_request"] => (id, None),
            _ => {
                return Err(incomplete(format!(
                    "Credential must have exactly 5 slash-delimited elements, e.g. \
                     keyid/date/region/service/term, got '{value}'"
                )));
            }
        };
        // Both become parts of ARNs.
        let id_ok = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
        if !(1..=128).contains(&access_key_id.len()) || !access_key_id.bytes().all(id_ok) {
            return Err(incomplete(format!(
                "Credential has '{access_key_id}' where an access key id of 1 to 128 characters of A-Z a-z 0-9 \
                 + = , . @ _ - is expected"
            )));
        }
        if let Some(region) = region
            && !is_region(region)
        {
            return Err(incomplete(format!(
                "Credential has '{region}' where a Region such as us-east-1 is expected"
            )));
        }
        Ok(Self {
            access_key_id,
            region,
        })
    }
}

fn incomplete(message: String) -> KmsError {
    KmsError::new("IncompleteSignatureException", message)
}

const DEFAULT_ACCOUNT: &str = "123456789012";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: &str) -> Result<(String, String, String), KmsError> {
        let caller = caller(Some(authorization), "eu-central-1", String::new())?;
        Ok((caller.account, caller.region, caller.principal_arn))
    }

    #[test]
    fn account_region_and_principal() {
        for (authorization, account, region, principal) in [
            (
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=ab",
                "123456789012",
                "us-east-1",
                "arn:aws:iam::123456789012:user/AKIDEXAMPLE",
            ),
            (
                "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=210987654321/20261124/cn-north-1/kms/aws4_request,Signature=ab",
                "210987654321",
                "cn-north-1",
                "arn:aws-cn:iam::210987654321:root",
            ),
            (
                "AWS4-ECDSA-P256-SHA256 Credential=test/20261124/kms/aws4_request",
                "123456789012",
                "eu-central-1",
                "arn:aws:iam::123456789012:user/test",
            ),
            (
                "Bearer whatever",
                "123456789012",
                "eu-central-1",
                "arn:aws:iam::123456789012:root",
            ),
        ] {
            let expected = (account.to_owned(), region.to_owned(), principal.to_owned());
            assert_eq!(read(authorization), Ok(expected), "{authorization}");
        }
    }

    #[test]
    fn what_names_no_caller_is_refused() {
        let error = caller(None, "us-east-1", String::new()).unwrap_err();
        assert_eq!(error.name(), "MissingAuthenticationTokenException");
        for authorization in [
            "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=ab",
            "AWS4-HMAC-SHA256 Credential=AKID",
            "AWS4-HMAC-SHA256 Credential=/20261124/us-east-1/kms/aws4_request",
            "AWS4-HMAC-SHA256 Credential=A:D/20261124/us-east-1/kms/aws4_request",
            "AWS4-HMAC-SHA256 Credential=AKID/20261124/us:east/kms/aws4_request",
            "AWS4-HMAC-SHA256 Credential=AKID/20261124//kms/aws4_request",
        ] {
            let error = read(authorization).unwrap_err();
            assert_eq!(
                error.name(),
                "IncompleteSignatureException",
                "{authorization}"
            );
        }
    }
}
