//! The listeners: accept, TLS handshake, HTTP; a cap on connections, deadlines, and the drain at the end.
//!
//! [`run`] takes the listeners and the signal to end from its caller, and ends every task that it starts.

pub(crate) mod activity;
pub(crate) mod body_room;
mod connection;
mod handshake;
pub mod networks;
mod origin;
pub mod overload;
mod per_address;
mod proxy_protocol;
mod rarely;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http::Door;
use crate::metrics::{Handshake, Metrics};
use crate::runtime::Runtime;
pub(crate) use connection::Protocol;
use handshake::{Failed, Turns, handshake};
use per_address::PerAddress;
pub(crate) use stream::Transport;

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

/// Serves until `shutdown`, then drains: at once `/ping` answers 503 and every answer over HTTP/1.1 asks the client to
/// close its connection; after the delay new connections are refused, requests in flight and on their way finish, and
/// what has not finished by the timeout is cut off.
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

    // Not among the tasks that a drain waits for; dropped at the end.
    let mut watches = JoinSet::new();
    {
        let runtime = Arc::clone(&runtime);
        watches.spawn(async move { runtime.overload().watch().await });
    }

    shutdown.await;
    let end = Instant::now() + drain.timeout;
    tracing::info!(
        delay = ?drain.delay,
        timeout = ?drain.timeout,
        "draining: /ping answers 503, new connections are taken until the delay has passed"
    );
    runtime.begin_drain();
    phase.send_replace(Phase::Leaving);
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
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Serving,
    /// Everyone is served, and asked to go elsewhere.
    Leaving,
    /// No new connection; open ones end with their requests.
    Closing,
}

/// Waits for a phase or a later one.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error says that the server is gone, which is an end, too.
    let _ = phases.wait_for(|current| *current >= phase).await;
}

/// Accepts until [`Phase::Closing`], then waits for its connections. No failure of accept ends it.
async fn accept(
    listener: TcpListener,
    door: Door,
    max_connections: usize,
    runtime: Arc<Runtime>,
    phases: watch::Receiver<Phase>,
) {
    let counts = Arc::new(PerAddress::default());
    let permits = Arc::new(Semaphore::new(max_connections));
    let turns = Turns::of_this_runtime();
    let mut connections = JoinSet::new();
    let mut own_phases = phases.clone();
    let mut closed = pin!(reached(&mut own_phases, Phase::Closing));
    let mut full = false;
    let mut failures = Failures::default();
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
                Ok((stream, peer)) => {
                    failures.end();
                    let runtime = Arc::clone(&runtime);
                    let (phases, counts) = (phases.clone(), Arc::clone(&counts));
                    let turns = Arc::clone(&turns);
                    connections.spawn(async move {
                        let _counted = Counted::open(&runtime, door);
                        let runtime = Arc::clone(&runtime);
                        serve(stream, peer, door, runtime, phases, counts, &turns).await;
                        drop(permit);
                    });
                }
                Err(error) => failures.pause_after(&error).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection that is counted until it is closed.
struct Counted<'a>(Option<&'a Metrics>, Door);

impl<'a> Counted<'a> {
    fn open(runtime: &'a Runtime, door: Door) -> Self {
        let metrics = runtime.metrics();
        if let Some(metrics) = metrics {
            metrics.connection_opened(door);
        }
        Self(metrics, door)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.connection_closed(self.1);
        }
    }
}

/// Errors of accept since it last succeeded.
#[derive(Default)]
struct Failures(u64);

impl Failures {
    /// Waits after an error that would only come again at once, such as no descriptor left.
    async fn pause_after(&mut self, error: &io::Error) {
        match error.kind() {
            // The peer was gone before it was accepted.
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted => {}
            _ => {
                if self.0 == 0 {
                    tracing::error!(%error, "a connection cannot be accepted; trying again until it can");
                }
                self.0 += 1;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// An attempt has succeeded.
    fn end(&mut self) {
        if self.0 > 0 {
            tracing::warn!(failed_attempts = self.0, "connections are accepted again");
            self.0 = 0;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    runtime: Arc<Runtime>,
    phases: watch::Receiver<Phase>,
    counts: Arc<PerAddress>,
    turns: &Arc<Turns>,
) {
    // Answers are small; waiting for more of them costs the caller 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(origin) = origin::find(&mut stream, peer, &runtime, &counts).await else {
        return;
    };
    let (client, from) = (origin.client, origin.address);
    match door {
        Door::Health => {
            let clients_changed = runtime.clients_changed();
            let serving = connection::serve(
                stream,
                Protocol::Http1,
                client,
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
            let result = handshake(stream, config, limit, turns).await;
            if let Some(metrics) = runtime.metrics() {
                metrics.handshake(match &result {
                    Ok(stream) => Handshake::of(stream.get_ref().1.protocol_version()),
                    Err(Failed::Left) => Handshake::Left,
                    Err(Failed::Broken(_)) => Handshake::Failed,
                    Err(Failed::TimedOut) => Handshake::TimedOut,
                });
            }
            let stream = match result {
                Ok(stream) => stream,
                Err(failed @ Failed::Left) => return tracing::debug!(%from, "{failed}"),
                Err(failed) => return tracing::info!(%from, "{failed}"),
            };
            //= xks §API content type R2
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            connection::serve(
                stream,
                protocol,
                client,
                door,
                runtime,
                clients_changed,
                phases,
            )
            .await;
        }
    }
}

/// Serves one connection of the API over any stream, without a server that could end: for [`crate::fuzzing`].
pub(crate) async fn serve_stream(
    stream: impl Transport,
    protocol: Protocol,
    runtime: Arc<Runtime>,
) {
    let (_phase, phases) = watch::channel(Phase::Serving);
    let clients_changed = runtime.clients_changed();
    let door = Door::Api;
    connection::serve(
        stream,
        protocol,
        None,
        door,
        runtime,
        clients_changed,
        phases,
    )
    .await;
}

const MAX_HEALTH_CONNECTIONS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
