//! How a token is got, renewed and looked at: the requests, their answers, and the files that hold secrets.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::cluster::{Body, CallError, Cluster};
use super::failure::Refusal;
use super::settings::Login;

/// How long a token is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lease {
    /// Zero for one that does not expire.
    pub(super) seconds: u64,
    pub(super) renewable: bool,
}

/// Logs in: a token, and how long it is valid.
pub(super) async fn log_in(
    login: &Login,
    cluster: &Cluster,
) -> Result<(HeaderValue, Lease), LoginError> {
    let (mount, body) = match login {
        Login::TokenFile(path) => {
            let token = header(read_secret(path).await?)?;
            let lease = look_up(cluster, &token).await?;
            return Ok((token, lease));
        }
        Login::AppRole {
            mount,
            role_id,
            secret_id_file,
        } => {
            let secret_id = read_secret(secret_id_file).await?;
            let body = AppRoleLogin {
                role_id,
                secret_id: text(&secret_id)?,
            };
            (mount, json(&body)?)
        }
        Login::Kubernetes {
            mount,
            role,
            jwt_file,
        } => {
            let jwt = read_secret(jwt_file).await?;
            let body = KubernetesLogin {
                role,
                jwt: text(&jwt)?,
            };
            (mount, json(&body)?)
        }
    };
    let path = format!("auth/{}/login", mount.as_str());
    let mut request = cluster.request(Method::POST, path, None, body);
    request.repeatable = false;
    let answer = cluster.call(&request, Instant::now() + LIMIT).await?;
    let auth = parse_auth(&answer)?;
    let token = header(Zeroizing::new(auth.client_token.as_bytes().to_vec()))?;
    Ok((token, auth.lease()))
}

impl Lease {
    /// Whether it ends at all.
    pub(super) fn expires(self) -> bool {
        self.seconds > 0
    }

    /// From when it was granted.
    pub(super) fn duration(self) -> Duration {
        // Bounded, so that it can be added to the time of now.
        Duration::from_secs(self.seconds.min(MAX_LEASE))
    }

    /// After two thirds of it; early enough for more than one attempt.
    pub(super) fn renew_after(self) -> Duration {
        (self.duration() * 2 / 3).max(MIN_RENEW_AFTER)
    }
}

/// A longer life for a token.
pub(super) async fn renew(cluster: &Cluster, token: &HeaderValue) -> Result<Lease, CallError> {
    let path = "auth/token/renew-self".to_owned();
    let body = Bytes::from_static(b"{}");
    let request = cluster.request(Method::POST, path, Some(token.clone()), body);
    let answer = cluster.call(&request, Instant::now() + LIMIT).await?;
    match parse_auth(&answer) {
        Ok(auth) => Ok(auth.lease()),
        Err(_) => Err(unexpected(&request.path).into()),
    }
}

/// How long a token is valid, as its server says.
pub(super) async fn look_up(cluster: &Cluster, token: &HeaderValue) -> Result<Lease, CallError> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        ttl: u64,
        #[serde(default)]
        renewable: bool,
    }
    let path = "auth/token/lookup-self".to_owned();
    let request = cluster.request(Method::GET, path, Some(token.clone()), Bytes::new());
    let answer = cluster.call(&request, Instant::now() + LIMIT).await?;
    match serde_json::from_slice::<Answer>(&answer) {
        Ok(Answer { data }) => Ok(Lease {
            seconds: data.ttl,
            renewable: data.renewable,
        }),
        Err(_) => Err(unexpected(&request.path).into()),
    }
}

fn unexpected(path: &str) -> Refusal {
    Refusal::Unexpected {
        path: path.into(),
        status: 200,
        text: "other JSON than expected, or none".into(),
    }
}

#[derive(Deserialize)]
struct AuthAnswer<'a> {
    #[serde(borrow)]
    auth: Auth<'a>,
}

#[derive(Deserialize)]
struct Auth<'a> {
    client_token: &'a str,
    lease_duration: u64,
    renewable: bool,
}

impl Auth<'_> {
    fn lease(&self) -> Lease {
        Lease {
            seconds: self.lease_duration,
            renewable: self.renewable,
        }
    }
}

fn parse_auth(answer: &Body) -> Result<Auth<'_>, LoginError> {
    // The parser's error is left out: it might show a part of the token.
    let answer: AuthAnswer<'_> = serde_json::from_slice(answer).map_err(|_| LoginError::Answer)?;
    Ok(answer.auth)
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct KubernetesLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

fn json(value: &impl Serialize) -> Result<Bytes, LoginError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    serde_json::to_writer(&mut *bytes, value).map_err(|_| LoginError::Answer)?;
    Ok(Bytes::from_owner(bytes))
}

async fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, LoginError> {
    let problem = |problem: String| LoginError::File {
        path: path.display().to_string(),
        problem,
    };
    let content = tokio::fs::read(path).await;
    let content = Zeroizing::new(content.map_err(|e: io::Error| problem(e.to_string()))?);
    let secret = content.trim_ascii();
    if secret.is_empty() || secret.len() > MAX_SECRET / 2 {
        return Err(problem(format!("holds {} bytes", secret.len())));
    }
    Ok(Zeroizing::new(secret.to_vec()))
}

fn text(secret: &[u8]) -> Result<&str, LoginError> {
    std::str::from_utf8(secret).map_err(|_| LoginError::Characters)
}

/// A header that shows its value to nobody and wipes it in the end.
fn header(token: Zeroizing<Vec<u8>>) -> Result<HeaderValue, LoginError> {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(token))
        .map_err(|_| LoginError::Characters)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("the file {path}: {problem}; expected a token, secret id or service account token")]
    File { path: String, problem: String },
    #[error("a token, secret id or service account token holds characters that it cannot have")]
    Characters,
    #[error("the answer to the login is not what the API documents")]
    Answer,
    #[error("the login failed: {0}")]
    Call(#[from] CallError),
}

/// For one login, renewal or look at the token.
const LIMIT: Duration = Duration::from_secs(2);
/// However short a token lives.
const MIN_RENEW_AFTER: Duration = Duration::from_millis(250);
/// 100 years.
const MAX_LEASE: u64 = 100 * 365 * 24 * 60 * 60;
/// Room for a request with a secret; a service account token has about 1 KiB.
const MAX_SECRET: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_after_two_thirds_of_its_life() {
        let lease = |seconds| Lease {
            seconds,
            renewable: true,
        };
        assert_eq!(lease(1_200).renew_after(), Duration::from_secs(800));
        assert_eq!(lease(1).renew_after(), Duration::from_secs(1) * 2 / 3);
        assert!(!lease(0).expires());
        assert!(
            Instant::now()
                .checked_add(lease(u64::MAX).duration())
                .is_some()
        );
    }

    #[test]
    fn a_recorded_answer_to_a_login_is_understood_and_its_token_hidden() {
        // OpenBao 2.7.2, POST auth/approle/login
        let answer = br#"{"request_id":"e2d7c523-8db9-a28d-abca-b882235b7e7f","lease_id":"","renewable":false,
            "lease_duration":0,"data":null,"wrap_info":null,"warnings":null,"auth":{
            "client_token":"s.2m9QtGUbHVvpO7jQWr2LWFiJ","accessor":"MDj26o6SmCtVZjXY0PE9PUM3",
            "policies":["default","xks"],"token_policies":["default","xks"],"metadata":{"role_name":"r"},
            "lease_duration":5,"renewable":true,"entity_id":"b45f09ec-f8bf-d04a-36b9-d0e99bf7eeab",
            "token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":0}}"#;
        let answer = Zeroizing::new(answer.to_vec());
        let auth = parse_auth(&answer).unwrap();
        let expected = Lease {
            seconds: 5,
            renewable: true,
        };
        assert_eq!(auth.lease(), expected);
        let token = header(Zeroizing::new(auth.client_token.into())).unwrap();
        assert_eq!(token.as_bytes(), b"s.2m9QtGUbHVvpO7jQWr2LWFiJ");
        assert!(!format!("{token:?}").contains("2m9Q"));
    }
}
