//! The listeners: accept, TLS handshake, HTTP; a cap on connections, deadlines, and the drain at the end.
//!
//! [`run`] takes the listeners and the signal to end from its caller, and ends every task that it starts.

pub(crate) mod activity;
pub(crate) mod body_room;
mod connection;
mod handshake;
mod leave;
pub mod networks;
mod origin;
pub mod overload;
mod per_address;
mod proxy_protocol;
mod rarely;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::http::Door;
use crate::metrics::{Handshake, Metrics};
use crate::runtime::Runtime;
pub(crate) use connection::Protocol;
use handshake::{Failed, Turns, handshake};
pub use leave::{Drain, Leave};
use per_address::PerAddress;
pub(crate) use stream::Transport;

/// Where requests come in.
pub struct Listeners {
    /// The API, over TLS.
    pub api: TcpListener,
    /// `GET /ping` over plain HTTP.
    pub health: Option<TcpListener>,
}

/// Serves until `shutdown`, then leaves.
///
/// In a drain, at once `/ping` answers 503 and every answer over HTTP/1.1 asks the client to close its connection; after
/// the delay new connections are refused, requests in flight and on their way finish, and what has not finished by the
/// timeout is cut off.
///
/// In a hand-over, only connections of before are asked for their end, and when there are none any more, or the delay has
/// passed, the rest is a matter of milliseconds.
pub async fn run(
    listeners: Listeners,
    runtime: Arc<Runtime>,
    leave: impl Into<Leave>,
    shutdown: impl Future<Output = ()>,
) {
    let limits = runtime.snapshot().limits.clone();
    let (phase, phases) = watch::channel(Phase::Serving);
    let (old, mut old_ones) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(
        listeners.api,
        Door::Api,
        limits.max_connections,
        Arc::clone(&runtime),
        phases.clone(),
        old.downgrade(),
    ));
    if let Some(listener) = listeners.health {
        tasks.spawn(accept(
            listener,
            Door::Health,
            MAX_HEALTH_CONNECTIONS,
            Arc::clone(&runtime),
            phases,
            old.downgrade(),
        ));
    }

    // Not among the tasks that a drain waits for; dropped at the end.
    let mut watches = JoinSet::new();
    {
        let runtime = Arc::clone(&runtime);
        watches.spawn(async move { runtime.overload().watch().await });
    }

    shutdown.await;
    let begin = Instant::now();
    let end = match leave.into() {
        Leave::Drain(Drain { delay, timeout }) => {
            tracing::info!(
                ?delay,
                ?timeout,
                "draining: /ping answers 503, new connections are taken until the delay has passed"
            );
            runtime.begin_drain();
            phase.send_replace(Phase::Leaving);
            sleep(delay.min(timeout)).await;
            phase.send_replace(Phase::Closing);
            begin + timeout
        }
        Leave::HandOver(Drain { delay, timeout }) => {
            tracing::info!("handing the sockets over: connections of before are ended first");
            phase.send_replace(Phase::Renewing);
            drop(old);
            // Nobody sends anything: this ends with the last connection that holds the sender.
            let _ = timeout_at(begin + delay.min(timeout), old_ones.recv()).await;
            tracing::info!("handing the sockets over: new connections wait for the next process");
            phase.send_replace(Phase::HandingOver);
            Instant::now() + leave::LAST_ANSWERS
        }
    };
    let finished = async { while tasks.join_next().await.is_some() {} };
    if timeout_at(end, finished).await.is_err() {
        tracing::warn!("the time to leave has passed: open connections are cut off");
    }
    // Dropping the tasks ends them, and the connections that they own.
    tasks.shutdown().await;
}

/// What connections need to know of the server's life.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Serving,
    /// Everyone is served; connections of before are replaced by others, to be fewer when those end, too.
    Renewing,
    /// Everyone is served, and asked to go elsewhere.
    Leaving,
    /// No new connection; open ones end with their requests.
    Closing,
    /// The same, and the next process waits for it.
    HandingOver,
}

/// A connection that was opened before the server began to leave; held for as long as it is open.
type Old = mpsc::Sender<Infallible>;

/// Waits for a phase or a later one.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error says that the server is gone, which is an end, too.
    let _ = phases.wait_for(|current| *current >= phase).await;
}

/// Waits until a hand-over waits no longer for a connection on which nothing came since then.
async fn left_behind(mut phases: watch::Receiver<Phase>, since: Instant) {
    reached(&mut phases, Phase::HandingOver).await;
    sleep_until(since + leave::SILENCE).await;
}

/// Accepts until [`Phase::Closing`], then waits for its connections. No failure of accept ends it.
async fn accept(
    listener: TcpListener,
    door: Door,
    max_connections: usize,
    runtime: Arc<Runtime>,
    phases: watch::Receiver<Phase>,
    old: mpsc::WeakSender<Infallible>,
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
                    let is_old = *phases.borrow() == Phase::Serving;
                    let life = Life { old: is_old.then(|| old.upgrade()).flatten(), phases };
                    connections.spawn(async move {
                        let _counted = Counted::open(&runtime, door);
                        let runtime = Arc::clone(&runtime);
                        serve(stream, peer, door, runtime, life, counts, &turns).await;
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

/// What a connection knows of the server's life, and the server of it.
struct Life {
    phases: watch::Receiver<Phase>,
    old: Option<Old>,
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
    life: Life,
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
                life,
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
            let left_behind = left_behind(life.phases.clone(), Instant::now());
            // In boxes, as the stream is: what a handshake needs is gone after it, and no future holds copies of a stream.
            let handshaking = handshake(stream, config, limit, left_behind, turns);
            let result = Box::pin(handshaking).await;
            if let Some(metrics) = runtime.metrics() {
                metrics.handshake(match &result {
                    Ok(stream) => Handshake::of(stream.get_ref().1.protocol_version()),
                    Err(Failed::Left | Failed::LeftBehind) => Handshake::Left,
                    Err(Failed::Broken(_)) => Handshake::Failed,
                    Err(Failed::TimedOut) => Handshake::TimedOut,
                });
            }
            let stream = match result {
                Ok(stream) => stream,
                Err(failed @ (Failed::Left | Failed::LeftBehind)) => {
                    return tracing::debug!(%from, "{failed}");
                }
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
                life,
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
    let life = Life { phases, old: None };
    let door = Door::Api;
    connection::serve(stream, protocol, None, door, runtime, clients_changed, life).await;
}

const MAX_HEALTH_CONNECTIONS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
