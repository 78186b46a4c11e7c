//! The listeners: accept, TLS handshake, HTTP; a cap on connections, deadlines, and the drain at the end.
//!
//! [`run`] takes the listeners and the signal to end from its caller, and ends every task that it starts.

pub(crate) mod activity;
mod connection;
mod stream;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::http::Door;
use crate::runtime::Runtime;
use connection::Protocol;

/// Where requests come in.
pub struct Listeners {
    /// The API, over TLS.
    pub api: TcpListener,
    /// `GET /ping` over plain HTTP.
    pub health: Option<TcpListener>,
}

/// How a server ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drain {
    /// How long it still takes connections while `/ping` answers 503.
    pub delay: Duration,
    /// From the signal to the end at the latest.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            timeout: Duration::from_secs(25),
        }
    }
}

/// Serves until `shutdown`, then drains: `/ping` answers 503 at once, after the delay new connections are refused,
/// requests in flight finish, and what has not finished by the timeout is cut off.
pub async fn run(
    listeners: Listeners,
    runtime: Arc<Runtime>,
    drain: Drain,
    shutdown: impl Future<Output = ()>,
) {
    let limits = runtime.snapshot().limits.clone();
    let (phase, phases) = watch::channel(Phase::Serving);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(
        listeners.api,
        Door::Api,
        limits.max_connections,
        Arc::clone(&runtime),
        phases.clone(),
    ));
    if let Some(listener) = listeners.health {
        tasks.spawn(accept(
            listener,
            Door::Health,
            MAX_HEALTH_CONNECTIONS,
            Arc::clone(&runtime),
            phases,
        ));
    }

    shutdown.await;
    let end = Instant::now() + drain.timeout;
    tracing::info!(
        delay = ?drain.delay,
        timeout = ?drain.timeout,
        "draining: /ping answers 503, new connections are taken until the delay has passed"
    );
    runtime.begin_drain();
    sleep(drain.delay.min(drain.timeout)).await;
    phase.send_replace(Phase::Closing);
    let finished = async { while tasks.join_next().await.is_some() {} };
    if timeout_at(end, finished).await.is_err() {
        tracing::warn!("the drain timeout has passed: open connections are cut off");
    }
    // Dropping the tasks ends them, and the connections that they own.
    tasks.shutdown().await;
}

/// What connections need to know of the server's life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Serving,
    /// No new connection; open ones end with their requests.
    Closing,
}

/// Waits for the end of the drain's delay, or of the server.
async fn closing(mut phases: watch::Receiver<Phase>) {
    // An error says that the server is gone, which is an end, too.
    let _ = phases.wait_for(|phase| *phase == Phase::Closing).await;
}

/// Accepts until [`Phase::Closing`], then waits for its connections. No failure of accept ends it.
async fn accept(
    listener: TcpListener,
    door: Door,
    max_connections: usize,
    runtime: Arc<Runtime>,
    phases: watch::Receiver<Phase>,
) {
    let permits = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    let mut closed = pin!(closing(phases.clone()));
    let mut full = false;
    loop {
        let next = async {
            let permit = match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    full = false;
                    permit
                }
                Err(_) => {
                    if !std::mem::replace(&mut full, true) {
                        tracing::warn!(max_connections, "all connections are in use: others wait");
                    }
                    Arc::clone(&permits)
                        .acquire_owned()
                        .await
                        .expect("the semaphore is never closed")
                }
            };
            (listener.accept().await, permit)
        };
        tokio::select! {
            biased;
            () = &mut closed => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, permit) = next => match accepted {
                Ok((stream, _)) => {
                    let runtime = Arc::clone(&runtime);
                    let phases = phases.clone();
                    connections.spawn(async move {
                        serve(stream, door, runtime, phases).await;
                        drop(permit);
                    });
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits after an error of accept that would only come again at once, such as no descriptor left.
async fn pause_after(error: &io::Error) {
    match error.kind() {
        // The peer was gone before it was accepted.
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::error!(%error, "a connection cannot be accepted; trying again");
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn serve(
    stream: TcpStream,
    door: Door,
    runtime: Arc<Runtime>,
    phases: watch::Receiver<Phase>,
) {
    // Answers are small; waiting for more of them costs the caller 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    match door {
        Door::Health => {
            let clients_changed = runtime.clients_changed();
            let serving = connection::serve(
                stream,
                Protocol::Http1,
                door,
                runtime,
                clients_changed,
                phases,
            );
            serving.await;
        }
        Door::Api => {
            // Before the configuration is read, so that no change goes unseen.
            let clients_changed = runtime.clients_changed();
            let (config, limit) = {
                let snapshot = runtime.snapshot();
                (Arc::clone(&snapshot.tls), snapshot.limits.handshake_timeout)
            };
            let handshake = TlsAcceptor::from(config).accept(stream);
            //= xks §Authentication R31, R34
            let stream = match timeout(limit, handshake).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::info!(%error, "a TLS handshake failed");
                    return;
                }
                Err(_) => {
                    tracing::info!("a TLS handshake did not end in time");
                    return;
                }
            };
            //= xks §API content type R2
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            connection::serve(stream, protocol, door, runtime, clients_changed, phases).await;
        }
    }
}

const MAX_HEALTH_CONNECTIONS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
