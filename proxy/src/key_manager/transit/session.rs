//! The token: renewed before it expires, got anew by a login when it cannot be renewed or is refused.
//!
//! One task does this ([`Session::keep`]); requests take the token of the moment. A token that stays valid is used
//! although a renewal fails: the next one may succeed.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::cluster::{CallError, Cluster};
use super::failure::Refusal;
use super::login::{self, Lease};
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
            match login::log_in(&self.login, cluster).await {
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
                            login::look_up(cluster, &old.header).await
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
                    match login::renew(cluster, &token.header).await {
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
                    match login::look_up(cluster, &token.header).await {
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
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A token that was valid this recently is not looked at again.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
