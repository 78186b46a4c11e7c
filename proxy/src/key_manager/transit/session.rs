//! The token: got by a login, renewed before it expires, got anew when it cannot be renewed or is refused.
//!
//! One task does this ([`Session::keep`]); requests take the token of the moment. A token that stays valid is used
//! although a renewal fails: the next one may succeed.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use super::cluster::{Body, CallError, Cluster};
use super::failure::Refusal;
use super::settings::Login;
use crate::key_manager::KeyManagerError;

/// The token and how it is kept valid.
pub(super) struct Session {
    login: Login,
    state: watch::Sender<State>,
    doubt: Notify,
}

#[derive(Clone)]
struct State {
    token: Option<Token>,
    /// When the server last took the token for valid.
    verified: Instant,
    /// Why there is no token, or why the next one does not come.
    problem: Option<Box<str>>,
    /// How many logins have failed.
    failures: u64,
}

/// A token; its text is wiped with its last copy and not printed.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    generation: u64,
}

/// How long a token is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lease {
    /// Zero for one that does not expire.
    seconds: u64,
    renewable: bool,
}

impl Session {
    pub(super) fn new(login: Login) -> Self {
        let state = State {
            token: None,
            verified: Instant::now(),
            problem: None,
            failures: 0,
        };
        Self {
            login,
            state: watch::Sender::new(state),
            doubt: Notify::new(),
        }
    }

    /// The token of now; waits for the first one until the deadline.
    ///
    /// # Errors
    /// [`KeyManagerError::Unavailable`] if there is none since the login fails.
    pub(super) async fn token(&self, deadline: Instant) -> Result<Token, KeyManagerError> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| state.token.is_some() || state.problem.is_some());
        let Ok(Ok(state)) = timeout_at(deadline, settled).await else {
            return Err(KeyManagerError::TimedOut);
        };
        match (&state.token, &state.problem) {
            (Some(token), _) => Ok(token.clone()),
            (None, problem) => {
                let problem = problem.as_deref().unwrap_or("there is no token");
                Err(KeyManagerError::Unavailable(problem.into()))
            }
        }
    }

    /// After a server refused a request: the token to try once more with, or nothing if the token is valid and the
    /// policy is what refuses.
    pub(super) async fn after_refusal(&self, refused: &Token, deadline: Instant) -> Option<Token> {
        let asked = Instant::now();
        let mut state = self.state.subscribe();
        let verified_lately = |state: &State| {
            // So that a policy which refuses every request does not make each of them a look at the token, too.
            let lately = asked.checked_sub(VERIFIED_FOR).unwrap_or(asked);
            state.verified >= lately
        };
        let other = |state: &State| {
            let token = state.token.as_ref();
            token.is_some_and(|token| token.generation != refused.generation)
        };
        let failures = {
            let state = state.borrow();
            if !other(&state) && verified_lately(&state) {
                return None;
            }
            state.failures
        };
        self.doubt.notify_one();
        let judged = state
            .wait_for(|state| other(state) || state.verified >= asked || state.failures > failures);
        let Ok(Ok(state)) = timeout_at(deadline, judged).await else {
            return None;
        };
        let token = state.token.clone();
        token.filter(|token| token.generation != refused.generation)
    }

    /// Logs in and keeps the token valid, for ever.
    pub(super) async fn keep(&self, cluster: &Cluster) {
        let mut generation = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.log_in(cluster).await {
                Ok((header, lease)) => {
                    generation += 1;
                    pause = FIRST_PAUSE;
                    let token = Token { header, generation };
                    self.state.send_modify(|state| {
                        state.token = Some(token.clone());
                        state.verified = Instant::now();
                        state.problem = None;
                    });
                    tracing::info!(seconds = lease.seconds, "logged in to Transit");
                    self.hold(cluster, &token, lease).await;
                }
                Err(error) => {
                    let text = error.to_string();
                    let told = self.state.borrow().problem.as_deref() == Some(&*text);
                    if !told {
                        tracing::error!(problem = text, "cannot log in to Transit");
                    }
                    self.state
                        .send_modify(|state| state.problem = Some(text.into()));
                    // One that could not be renewed may still be good for its rest.
                    let old = self.state.borrow().token.clone();
                    if let Some(old) = old
                        && let Err(CallError::Refused(Refusal::PermissionDenied { .. })) =
                            look_up(cluster, &old).await
                    {
                        self.give_up_token();
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Renews a token; returns when another one is needed.
    async fn hold(&self, cluster: &Cluster, token: &Token, granted: Lease) {
        let mut lease = granted;
        let mut end = Instant::now() + lease.duration();
        let mut renew_at = Instant::now() + lease.renew_after();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(renew_at), if lease.expires() => {
                    if !lease.renewable {
                        return;
                    }
                    match renew(cluster, token).await {
                        Ok(renewed) => {
                            self.verified();
                            // The longest life of the token comes near: a new one before the old one ends.
                            if renewed.expires() && renewed.seconds * 2 < granted.seconds {
                                return;
                            }
                            lease = renewed;
                            end = Instant::now() + lease.duration();
                            renew_at = Instant::now() + lease.renew_after();
                        }
                        Err(CallError::Refused(refusal)) if !refusal.is_of_this_node() => {
                            tracing::warn!(%refusal, "the token is not renewed");
                            return;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the token is not renewed yet");
                            let rest = end.saturating_duration_since(Instant::now());
                            if rest.is_zero() {
                                return;
                            }
                            renew_at = Instant::now() + (rest / 3).clamp(FIRST_PAUSE, MAX_PAUSE);
                        }
                    }
                }
                () = self.doubt.notified() => {
                    match look_up(cluster, token).await {
                        Ok(_) => self.verified(),
                        Err(CallError::Refused(Refusal::PermissionDenied { .. })) => {
                            self.give_up_token();
                            return;
                        }
                        // Nobody can tell now.
                        Err(error) => tracing::warn!(%error, "the token cannot be looked at"),
                    }
                }
            }
        }
    }

    /// The token is refused even for a look at itself: nobody needs to try with it.
    fn give_up_token(&self) {
        tracing::warn!("the token is not valid any more");
        self.state.send_modify(|state| {
            state.token = None;
            state.problem = Some("the token is not valid any more".into());
        });
    }

    fn verified(&self) {
        self.state
            .send_modify(|state| state.verified = Instant::now());
    }

    async fn log_in(&self, cluster: &Cluster) -> Result<(HeaderValue, Lease), LoginError> {
        let (mount, body) = match &self.login {
            Login::TokenFile(path) => {
                let token = header(read_secret(path).await?)?;
                let token = Token {
                    header: token,
                    generation: 0,
                };
                let lease = look_up(cluster, &token).await?;
                return Ok((token.header, lease));
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
}

impl Lease {
    fn expires(self) -> bool {
        self.seconds > 0
    }

    fn duration(self) -> Duration {
        // Bounded, so that it can be added to the time of now.
        Duration::from_secs(self.seconds.min(MAX_LEASE))
    }

    /// After two thirds of it; early enough for more than one attempt.
    fn renew_after(self) -> Duration {
        (self.duration() * 2 / 3).max(FIRST_PAUSE)
    }
}

async fn renew(cluster: &Cluster, token: &Token) -> Result<Lease, CallError> {
    let path = "auth/token/renew-self".to_owned();
    let body = Bytes::from_static(b"{}");
    let request = cluster.request(Method::POST, path, Some(token.header.clone()), body);
    let answer = cluster.call(&request, Instant::now() + LIMIT).await?;
    match parse_auth(&answer) {
        Ok(auth) => Ok(auth.lease()),
        Err(_) => Err(unexpected(&request.path).into()),
    }
}

async fn look_up(cluster: &Cluster, token: &Token) -> Result<Lease, CallError> {
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
    let request = cluster.request(Method::GET, path, Some(token.header.clone()), Bytes::new());
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
enum LoginError {
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
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A token that was valid this recently is not looked at again.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
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
