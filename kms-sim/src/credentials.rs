//! Who calls. Without `--accounts` this is read from the `Authorization` header: any credentials are accepted, none are
//! verified.
//!
//! The access key id names the account if it is 12 digits; the credential scope names the Region.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::uri::Authority;
use time::OffsetDateTime;

use crate::accounts::{Accounts, Claim, SignedHead};
use crate::api::KmsError;
use crate::config::Config;
use crate::http::PeerAddress;
use crate::query_string::first;
use crate::simulator::{Caller, Simulator};

/// Who calls: verified if there are accounts, else whoever the request says.
///
/// # Errors
/// MissingAuthenticationTokenException, IncompleteSignatureException; with accounts also UnrecognizedClientException and
/// InvalidSignatureException.
pub(crate) fn caller(
    simulator: &Simulator,
    head: &Parts,
    body: &[u8],
    service: &str,
    request_id: &str,
) -> Result<Caller, KmsError> {
    let config = simulator.config();
    let mut caller = match &config.accounts {
        Some(accounts) => verified(accounts, head, body, service, request_id)?,
        None => {
            let presigned = head.uri.query().and_then(presigned);
            let authorization = head.headers.get(AUTHORIZATION);
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let authorization = authorization.or(presigned.as_deref());
            unverified(authorization, config, request_id.to_owned())?
        }
    };
    caller.time = simulator.clock().now();
    caller.origin.is_secure = config.tls.is_some();
    if caller.origin.address.is_none() {
        let peer = head.extensions.get::<PeerAddress>();
        caller.origin.address = peer.map(|PeerAddress(peer)| peer.ip().to_canonical().to_string());
    }
    Ok(caller)
}

/// Who signed a request.
fn verified(
    accounts: &Accounts,
    head: &Parts,
    body: &[u8],
    service: &str,
    request_id: &str,
) -> Result<Caller, KmsError> {
    let head = SignedHead {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query(),
        authority: head.uri.authority().map(Authority::as_str),
        headers: &head.headers,
    };
    let claim = Claim::read(&head)?;
    let scope = claim.scope()?;
    let principal = accounts.find(scope.access_key_id, claim.session_token())?;
    // Clients go by real time, whatever time the simulator has.
    let now = OffsetDateTime::now_utc();
    claim.verify(&head, body, principal, service, now)?;
    let identity = &principal.identity;
    let mut caller = Caller::new(
        identity.account.clone(),
        scope.region.to_owned(),
        identity.arn.clone(),
        request_id.to_owned(),
    );
    caller.identity = Arc::clone(identity);
    caller.authority = principal.authority();
    caller.access_key_id = scope.access_key_id.to_owned();
    caller.user_id.clone_from(&principal.user_id);
    caller.origin = principal.origin.clone();
    Ok(caller)
}

/// Who a request with this `Authorization` header says that it is from, or one with what [`presigned`] made of its query string.
///
/// # Errors
/// MissingAuthenticationTokenException without it, unless anonymous callers are allowed; IncompleteSignatureException
/// for a Signature Version 4 whose Credential cannot be read.
pub(crate) fn unverified(
    authorization: Option<&str>,
    config: &Config,
    request_id: String,
) -> Result<Caller, KmsError> {
    let nameless = Credential {
        access_key_id: "",
        region: None,
    };
    let credential = match authorization.map(|value| value.split_once(' ')) {
        Some(Some((algorithm, parameters))) if algorithm.starts_with("AWS4-") => {
            Credential::parse(parameters)?
        }
        Some(None) if authorization.is_some_and(|text| text.starts_with("AWS4-")) => {
            Credential::parse("")?
        }
        Some(_) => nameless,
        None if config.allow_anonymous => nameless,
        None => {
            return Err(KmsError::new(
                "MissingAuthenticationTokenException",
                "Request is missing Authentication Token",
            ));
        }
    };
    let access_key_id = credential.access_key_id;
    let is_account = access_key_id.len() == 12 && access_key_id.bytes().all(|b| b.is_ascii_digit());
    let (account, principal) = match access_key_id {
        account if is_account => (account, "root".to_owned()),
        "" => (DEFAULT_ACCOUNT, "root".to_owned()),
        name => (DEFAULT_ACCOUNT, format!("user/{name}")),
    };
    let region = credential.region.unwrap_or(&config.region);
    let partition = partition(region);
    let mut caller = Caller::new(
        account.to_owned(),
        region.to_owned(),
        format!("arn:{partition}:iam::{account}:{principal}"),
        request_id,
    );
    caller.access_key_id = access_key_id.to_owned();
    Ok(caller)
}

/// The `Authorization` header that says the same as the query string of a presigned request.
pub(crate) fn presigned(query: &str) -> Option<String> {
    let parameter = |name| first(query, name);
    let algorithm = parameter("X-Amz-Algorithm")?;
    let credential = parameter("X-Amz-Credential")?;
    let signed_headers = parameter("X-Amz-SignedHeaders")?;
    let signature = parameter("X-Amz-Signature")?;
    Some(format!(
        "{algorithm} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}"
    ))
}

/// The access key id of an `Authorization` header, if it has one.
pub(crate) fn access_key_id(authorization: &str) -> Option<&str> {
    let (algorithm, parameters) = authorization.split_once(' ')?;
    let parameters = algorithm.starts_with("AWS4-").then_some(parameters)?;
    Some(Credential::parse(parameters).ok()?.access_key_id)
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

    fn config(allow_anonymous: bool) -> Config {
        Config {
            region: "eu-central-1".to_owned(),
            allow_anonymous,
            ..Config::default()
        }
    }

    fn read(authorization: &str) -> Result<(String, String, String), KmsError> {
        let caller = unverified(Some(authorization), &config(false), String::new())?;
        Ok((caller.account, caller.region, caller.principal_arn))
    }

    #[test]
    fn a_request_without_a_signature_has_a_caller_only_where_that_is_allowed() {
        let error = unverified(None, &config(false), String::new()).unwrap_err();
        assert_eq!(error.name(), "MissingAuthenticationTokenException");
        let caller = unverified(None, &config(true), String::new()).unwrap();
        assert_eq!(
            (&*caller.account, &*caller.region, &*caller.principal_arn),
            (
                "123456789012",
                "eu-central-1",
                "arn:aws:iam::123456789012:root"
            )
        );
    }

    #[test]
    fn a_presigned_request_says_it_in_its_query_string() {
        let query = "Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
                     210987654321%2F20261124%2Fus-west-2%2Fsts%2Faws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=ab";
        let expected = (
            "210987654321".to_owned(),
            "us-west-2".to_owned(),
            "arn:aws:iam::210987654321:root".to_owned(),
        );
        assert_eq!(read(&presigned(query).unwrap()), Ok(expected));
        assert_eq!(presigned("X-Amz-Algorithm=AWS4-HMAC-SHA256"), None);
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
