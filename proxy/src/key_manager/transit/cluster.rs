//! All servers together: which one is asked, when another one is, and when to give up.
//!
//! A request goes to the most willing server. Another one is asked when it refuses, breaks off, or has not answered
//! within its part of the time; the first good answer counts. What is asked of Transit changes nothing there, so
//! asking twice is safe; a login is not repeated once it may have arrived.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use zeroize::Zeroizing;

use super::failure::Refusal;
use super::node::{Answer, ExchangeError, Known, Node, NodeState, Outgoing};
use super::settings::{Address, ApiPath};
use crate::key_manager::circuit::{Failure, Outcome};

/// The servers of one cluster.
pub(super) struct Cluster {
    nodes: Vec<Arc<Node>>,
    namespace: Option<HeaderValue>,
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// No server answered in time.
    #[error("no Transit server answered in time")]
    TimedOut,
    /// No server could be asked.
    #[error("the Transit server {node} {error}")]
    Unreachable {
        /// One of those that were tried.
        node: String,
        /// Why.
        error: ExchangeError,
    },
    /// A server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl CallError {
    /// What it says about the key manager as a whole.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::Failed(Failure::TimedOut),
            Self::Unreachable { .. } => Outcome::Failed(Failure::Broken),
            Self::Refused(Refusal::RateLimited) => Outcome::Answered,
            Self::Refused(refusal) if refusal.is_of_this_node() => Outcome::Failed(Failure::Broken),
            Self::Refused(_) => Outcome::Answered,
        }
    }
}

/// A good answer's body; may hold a secret.
pub(super) type Body = Zeroizing<Vec<u8>>;

impl Cluster {
    pub(super) fn new(
        addresses: &[Address],
        tls: &Arc<ClientConfig>,
        namespace: Option<&ApiPath>,
    ) -> Self {
        Self {
            nodes: addresses
                .iter()
                .map(|address| Arc::new(Node::new(address.clone(), tls)))
                .collect(),
            namespace: namespace.and_then(|path| HeaderValue::from_str(path.as_str()).ok()),
        }
    }

    /// A request of the namespace.
    pub(super) fn request(
        &self,
        method: Method,
        path: String,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Outgoing {
        Outgoing {
            method,
            path,
            namespace: self.namespace.clone(),
            token,
            body,
            repeatable: true,
        }
    }

    /// Every server with what is known of it.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (String, Known)> {
        self.nodes.iter().map(|node| (node.name(), node.known()))
    }

    /// Asks until there is an answer, nobody is left to ask, or the deadline is there.
    pub(super) async fn call(
        &self,
        request: &Outgoing,
        deadline: Instant,
    ) -> Result<Body, CallError> {
        let mut others = self.by_willingness().into_iter();
        let part = deadline.saturating_duration_since(Instant::now()) / self.parts();
        let mut running: Vec<Attempt<'_>> = Vec::with_capacity(1);
        let mut failed: Option<CallError> = None;
        loop {
            match others.next() {
                Some(node) => running.push(Attempt::new(node, request)),
                None if running.is_empty() => return Err(failed.unwrap_or(CallError::TimedOut)),
                None => {}
            }
            let patience = match request.repeatable && others.len() > 0 {
                true => (Instant::now() + part).min(deadline),
                false => deadline,
            };
            let Ok((node, result)) = timeout_at(patience, first(&mut running)).await else {
                if Instant::now() < deadline {
                    continue;
                }
                running.iter().for_each(|attempt| attempt.too_late());
                return Err(CallError::TimedOut);
            };
            let error = match result {
                Ok(answer) => match judge(node, request, answer) {
                    Ok(body) => {
                        // Those were asked before it, and it was quicker.
                        running.iter().for_each(|attempt| attempt.too_late());
                        return Ok(body);
                    }
                    Err(refusal) if refusal.is_of_this_node() => CallError::Refused(refusal),
                    Err(refusal) => return Err(refusal.into()),
                },
                Err(error) => {
                    node.set_state(NodeState::Suspect);
                    node.close_idle();
                    let lost = matches!(error, ExchangeError::Lost(_));
                    let node = node.name();
                    let error = CallError::Unreachable { node, error };
                    if lost && !request.repeatable {
                        return Err(error);
                    }
                    error
                }
            };
            // What a server says tells more than that another one says nothing.
            if !matches!(failed, Some(CallError::Refused(_))) {
                failed = Some(error);
            }
        }
    }

    fn by_willingness(&self) -> Vec<&Node> {
        let mut nodes: Vec<(NodeState, &Node)> = self
            .nodes
            .iter()
            .map(|node| (node.state(), &**node))
            .collect();
        // Stable: among equals the order of the configuration.
        nodes.sort_by_key(|(state, _)| *state);
        nodes.into_iter().map(|(_, node)| node).collect()
    }

    fn parts(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).max(1)
    }

    /// Looks at every server again and again, so that the active one is asked first and those that return are found.
    pub(super) async fn watch(&self) {
        loop {
            let mut looks = JoinSet::new();
            for node in &self.nodes {
                let node = Arc::clone(node);
                looks.spawn(async move { look_at(&node).await });
            }
            while looks.join_next().await.is_some() {}
            sleep(WATCH_INTERVAL).await;
        }
    }
}

/// `/sys/health` needs no token, takes no namespace, and tells the state by its status.
async fn look_at(node: &Node) {
    let request = Outgoing {
        method: Method::GET,
        path: "sys/health".to_owned(),
        namespace: None,
        token: None,
        body: Bytes::new(),
        repeatable: true,
    };
    let Ok(Ok(answer)) = timeout(WATCH_LIMIT, node.exchange(&request)).await else {
        node.set_state(NodeState::Suspect);
        return;
    };
    node.set_state(match answer.status.as_u16() {
        200 => NodeState::Active,
        429 | 472 | 473 => NodeState::Standby,
        501 | 503 => NodeState::NotServing,
        // An agent on this machine may not pass it on.
        _ => NodeState::Unknown,
    });
    #[derive(Deserialize)]
    struct Health {
        version: Option<Box<str>>,
    }
    if let Ok(health) = serde_json::from_slice::<Health>(&answer.body) {
        node.set_version(
            health
                .version
                .filter(|version| version.len() <= MAX_VERSION),
        );
    }
}

fn judge(node: &Node, request: &Outgoing, answer: Answer) -> Result<Body, Refusal> {
    if matches!(answer.status, StatusCode::OK | StatusCode::NO_CONTENT) {
        if node.state() >= NodeState::Suspect {
            node.set_state(NodeState::Unknown);
        }
        return Ok(answer.body);
    }
    let refusal = Refusal::of(&request.path, answer.status, &answer.body);
    if matches!(refusal, Refusal::NotServing(_)) {
        node.set_state(NodeState::NotServing);
    }
    Err(refusal)
}

struct Attempt<'r> {
    node: &'r Node,
    exchange: Pin<Box<dyn Future<Output = Result<Answer, ExchangeError>> + Send + 'r>>,
}

impl<'r> Attempt<'r> {
    fn new(node: &'r Node, request: &'r Outgoing) -> Self {
        Self {
            node,
            exchange: Box::pin(node.exchange(request)),
        }
    }

    fn too_late(&self) {
        self.node.set_state(NodeState::Suspect);
    }
}

/// The attempt that ends first, taken out.
async fn first<'r>(running: &mut Vec<Attempt<'r>>) -> (&'r Node, Result<Answer, ExchangeError>) {
    let (index, result) = poll_fn(|context| {
        for (index, attempt) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.exchange.as_mut().poll(context) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await;
    (running.swap_remove(index).node, result)
}

/// A new active server is found this soon without any request.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const WATCH_LIMIT: Duration = Duration::from_secs(1);
const MAX_VERSION: usize = 64;
