//! Credentials of a container: Amazon ECS, and Pod Identity of Amazon EKS.

use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::{CredentialsError, Document};
use crate::kms::exchange::{Plain, Url};
use crate::kms::settings::Settings;

/// What the container's agent hands out; `None` if nobody said that there is one.
pub(super) async fn credentials(
    settings: &Settings,
) -> Result<Option<Credentials>, CredentialsError> {
    let get = |name| settings.environment.get(name);
    let (place, url) = match (get(RELATIVE), get(FULL)) {
        (Some(path), _) => (RELATIVE, format!("http://169.254.170.2{path}")),
        (None, Some(url)) => (FULL, url.to_owned()),
        (None, None) => return Ok(None),
    };
    let unusable = |problem: String| CredentialsError::unusable(place, problem);
    let parsed = Url::parse(&url, Plain::Metadata).map_err(|e| unusable(format!("{url} {e}")))?;
    let token = match get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => {
            let token = std::fs::read_to_string(path).map(Zeroizing::new);
            Some(token.map_err(|e| unusable(format!("{path}: {e}")))?)
        }
        None => {
            get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|token| Zeroizing::new(token.to_owned()))
        }
    };
    let path_and_query = url.splitn(4, '/').nth(3).unwrap_or_default();
    let mut request = Request::get(format!("/{path_and_query}"));
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token.trim_end())
            .map_err(|_| unusable("the authorization token is no header".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::new()));
    let request = request.map_err(|e| unusable(e.to_string()))?;
    let answer = settings.http.exchange(&parsed, request, LIMIT).await;
    let answer = answer.map_err(|e| unusable(format!("{parsed}: {e}")))?;
    if !answer.status.is_success() {
        return Err(unusable(format!("{parsed} answers {}", answer.status)));
    }
    match Document::read(&answer.body, "container") {
        Ok(credentials) => Ok(Some(credentials)),
        Err(problem) => Err(unusable(problem.to_owned())),
    }
}

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const LIMIT: Duration = Duration::from_secs(5);
