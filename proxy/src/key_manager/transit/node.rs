//! One server of the cluster: its connections, kept alive, and what is known of its state.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::settings::Address;
use crate::tls::refused_server;

/// What is asked, of whichever server.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// What follows `/v1/`.
    pub(super) path: String,
    pub(super) namespace: Option<HeaderValue>,
    pub(super) token: Option<HeaderValue>,
    pub(super) body: Bytes,
    /// Whether it may reach servers more than once: everything but a login, which may use up a secret id.
    pub(super) repeatable: bool,
}

impl Outgoing {
    fn to(&self, host: &HeaderValue) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(format!("/v1/{}", self.path))
            .header(HOST, host)
            // Agents and proxies of Vault can be told to refuse requests without it.
            .header(REQUEST, "true");
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(namespace) = &self.namespace {
            request = request.header(NAMESPACE, namespace);
        }
        if let Some(token) = &self.token {
            request = request.header(TOKEN, token);
        }
        request.body(Full::new(self.body.clone()))
    }
}

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// What a server answered; may hold a plaintext or a token.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// A server.
pub(super) struct Node {
    address: Address,
    host: HeaderValue,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<Idle>>,
    known: Mutex<Known>,
}

/// What is known of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Known {
    pub(super) state: NodeState,
    /// As `/sys/health` tells it.
    pub(super) version: Option<Box<str>>,
}

/// How willing a server is; the first ones are asked first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum NodeState {
    Active,
    Standby,
    Unknown,
    /// Its last answer came too late, or not at all.
    Suspect,
    /// Sealed, or not initialized.
    NotServing,
}

struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Node {
    pub(super) fn new(address: Address, tls: &Arc<ClientConfig>) -> Self {
        let host = HeaderValue::from_str(&address.authority());
        Self {
            host: host.unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            tls: address
                .is_tls()
                .then(|| TlsConnector::from(Arc::clone(tls))),
            address,
            idle: Mutex::default(),
            known: Mutex::new(Known {
                state: NodeState::Unknown,
                version: None,
            }),
        }
    }

    pub(super) fn name(&self) -> String {
        self.address.authority()
    }

    pub(super) fn known(&self) -> Known {
        lock(&self.known).clone()
    }

    pub(super) fn state(&self) -> NodeState {
        lock(&self.known).state
    }

    /// Takes note of a state; what is told of the version stays.
    pub(super) fn set_state(&self, state: NodeState) {
        let old = std::mem::replace(&mut lock(&self.known).state, state);
        if old != state {
            tracing::debug!(node = self.name(), ?old, ?state, "a Transit server changed");
        }
    }

    pub(super) fn set_version(&self, version: Option<Box<str>>) {
        if version.is_some() {
            lock(&self.known).version = version;
        }
    }

    /// Sends a request and reads the answer to its end, over a connection of before if there is a good one.
    pub(super) async fn exchange(&self, outgoing: &Outgoing) -> Result<Answer, ExchangeError> {
        while let Some(mut sender) = self.take_idle() {
            match self.send(&mut sender, outgoing).await {
                Ok(answer) => {
                    self.give_back(sender);
                    return Ok(answer);
                }
                // The server had closed it meanwhile.
                Err(ExchangeError::NotSent(_)) => {}
                Err(ExchangeError::Lost(_)) if outgoing.repeatable => break,
                Err(error) => return Err(error),
            }
        }
        let mut sender = self.dial().await.map_err(ExchangeError::NotSent)?;
        let answer = self.send(&mut sender, outgoing).await?;
        self.give_back(sender);
        Ok(answer)
    }

    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        outgoing: &Outgoing,
    ) -> Result<Answer, ExchangeError> {
        let request = outgoing
            .to(&self.host)
            .map_err(|e| ExchangeError::NotSent(e.into()))?;
        if let Err(error) = sender.ready().await {
            return Err(ExchangeError::NotSent(error.into()));
        }
        let answer = sender
            .try_send_request(request)
            .await
            .map_err(|mut error| {
                let unsent = error.take_message().is_some();
                let error = error.into_error().into();
                match unsent {
                    true => ExchangeError::NotSent(error),
                    false => ExchangeError::Lost(error),
                }
            })?;
        let status = answer.status();
        let mut body = Limited::new(answer.into_body(), MAX_ANSWER);
        let mut bytes = Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(ExchangeError::Lost)?;
            if let Ok(data) = frame.into_data() {
                append(&mut bytes, &data);
            }
        }
        Ok(Answer {
            status,
            body: bytes,
        })
    }

    /// The connection that was used last, if it is still good.
    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = lock(&self.idle);
        loop {
            let Idle { sender, since } = idle.pop()?;
            if !sender.is_closed() && since.elapsed() < IDLE_LIMIT {
                return Some(sender);
            }
        }
    }

    fn give_back(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE {
            let since = Instant::now();
            idle.push(Idle { sender, since });
        }
    }

    /// Closes the connections that are not in use.
    pub(super) fn close_idle(&self) {
        lock(&self.idle).clear();
    }

    async fn dial(&self) -> Result<SendRequest<Full<Bytes>>, Cause> {
        let tcp = TcpStream::connect((&*self.address.host, self.address.port)).await?;
        tcp.set_nodelay(true)?;
        match (&self.tls, &self.address.tls) {
            (Some(connector), Some(name)) => {
                speak_http(connector.connect(name.clone(), tcp).await?).await
            }
            _ => speak_http(tcp).await,
        }
    }
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>, Cause> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a Transit server ended");
        }
    });
    Ok(sender)
}

/// Leaves no copy behind where the buffer must grow.
fn append(bytes: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    if bytes.capacity() - bytes.len() < data.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity((bytes.len() + data.len()) * 2));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(data);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Why an exchange gave no answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// No connection, or none that took the request.
    NotSent(Cause),
    /// The request was sent, and the connection broke before the end of the answer.
    Lost(Cause),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, cause) = match self {
            Self::NotSent(cause) => ("cannot be reached", cause),
            Self::Lost(cause) => ("broke the connection off", cause),
        };
        write!(f, "{what}: {cause}")?;
        let mut source = cause.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        if let Some(advice) = refused_server::advice(&**cause) {
            write!(f, " ({advice})")?;
        }
        Ok(())
    }
}

impl Error for ExchangeError {}

/// Connections that are kept per server.
const MAX_IDLE: usize = 64;
/// Servers and load balancers close idle connections, most after a minute or more.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// An answer with a plaintext of 4 KiB fits.
const FIRST_CAPACITY: usize = 8 * 1024;
/// Far above the longest answer that can be right.
const MAX_ANSWER: usize = 256 * 1024;
