//! The connections to one proxy: dialled, kept alive, counted, and closed for good when the store disconnects.
//!
//! A pool is open, then closing (no request starts), then aborting (requests end at once). Every connection is a task
//! that ends with it, so "all closed" is a number that reaches zero.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xks_api::route::OperationName;

use crate::fault::{ConnectFault, Fault, Faults, Unreliable};
use crate::proxy_failure::ProxyFailure;
use crate::resolve::Resolver;
use crate::xks_target::Target;

/// How proxies are dialled; the same for every store.
pub(crate) struct Dialer {
    resolver: Resolver,
    time_limit: Duration,
    tls: Arc<ClientConfig>,
    faults: Faults,
}

impl Dialer {
    /// `time_limit` is for connection, TLS and answer of one attempt.
    pub(crate) fn new(resolver: Resolver, tls: ClientConfig, time_limit: Duration) -> Self {
        Self {
            resolver,
            time_limit,
            tls: Arc::new(tls),
            faults: Faults::default(),
        }
    }

    /// The faults of the links to proxies.
    pub(crate) const fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// The connections of one store.
pub(crate) struct Pool {
    dialer: Arc<Dialer>,
    phase: watch::Sender<Phase>,
    /// Requests that have started and not ended.
    requests: watch::Sender<usize>,
    /// Connections that are not closed.
    connections: watch::Sender<usize>,
    idle: Mutex<Idle>,
}

/// Whether requests may start, and whether those that have may go on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Open,
    Closing,
    Aborting,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// Raised by an update: what is older is not used again.
    generation: u64,
}

impl Pool {
    pub(crate) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            phase: watch::Sender::new(Phase::Open),
            requests: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            idle: Mutex::default(),
        }
    }

    /// The right to send one request, counted until it is dropped.
    ///
    /// # Errors
    /// [`ProxyFailure::NotConnected`] once the pool is closing.
    pub(crate) fn start(&self) -> Result<Started<'_>, ProxyFailure> {
        // Counted first: whoever closes the pool in between waits for this count.
        let started = Started {
            pool: self,
            _count: Count::new(&self.requests),
        };
        started.permitted().map(|()| started)
    }

    /// From here no request starts and idle connections are closed.
    pub(crate) fn close(&self) {
        self.raise(Phase::Closing);
        self.retire_idle();
    }

    /// Ends the requests that are still there.
    pub(crate) fn abort(&self) {
        self.raise(Phase::Aborting);
        self.retire_idle();
    }

    /// Waits, at most for `limit`, until the requests that have started are over.
    pub(crate) async fn requests_over(&self, limit: Duration) {
        let mut requests = self.requests.subscribe();
        let over = requests.wait_for(|n| *n == 0);
        drop(timeout(limit, over).await);
    }

    /// Waits until the last connection is closed; each ends within [`CLOSE_LIMIT`] of its last request.
    pub(crate) async fn connections_closed(&self) {
        for count in [&self.requests, &self.connections] {
            // The sender lives as long as `self`, so this cannot fail.
            drop(count.subscribe().wait_for(|n| *n == 0).await);
        }
    }

    /// Resolves when the pool is closed or closing.
    pub(crate) async fn closing(&self) {
        drop(self.phase.subscribe().wait_for(|p| *p > Phase::Open).await);
    }

    /// Connections of before are not used again; those in use are closed after their request.
    pub(crate) fn retire_idle(&self) {
        let retired = {
            let mut idle = self.lock_idle();
            idle.generation += 1;
            std::mem::take(&mut idle.connections)
        };
        retired.into_iter().for_each(Connection::retire);
    }

    fn raise(&self, phase: Phase) {
        self.phase
            .send_modify(|current| *current = phase.max(*current));
    }

    fn lock_idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The idle connection that was used last, if one is still good.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock_idle().connections.pop()?;
            if connection.since.elapsed() > IDLE_LIMIT {
                connection.retire();
            } else if connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn dial(
        &self,
        target: &Target,
        fault: &Fault,
        progress: &Progress,
    ) -> Result<Connection, ProxyFailure> {
        let host = &*target.host;
        let generation = self.lock_idle().generation;
        let certificate = fault.connect.and_then(ConnectFault::certificate);
        let expected = certificate.map_or(host, |certificate| certificate.host(host));
        let name = ServerName::try_from(expected.to_owned()).map_err(|error| {
            tracing::warn!(host, %error, "no name that a certificate could prove");
            ProxyFailure::Tls
        })?;
        let dialled = match fault.connect.and_then(ConnectFault::impostor) {
            None => self.dial_tcp(host).await,
            Some(impostor) => impostor.connect().await,
        };
        let stream = dialled.map_err(|error| {
            tracing::warn!(host, %error, "cannot connect to the external key store proxy");
            ProxyFailure::Unreachable
        })?;
        progress.raise(Progress::TCP);
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            stream,
            written: Arc::clone(&written),
        };
        let count = Count::new(&self.connections);
        let config = match certificate {
            None => Arc::clone(&self.dialer.tls),
            Some(certificate) => certificate
                .client(&self.dialer.tls)
                .map_err(|_| ProxyFailure::Tls)?,
        };
        let connect = TlsConnector::from(config).connect(name, counted);
        let tls = connect.await.map_err(|error| {
            tracing::warn!(host, %error, "no TLS session with the external key store proxy");
            ProxyFailure::Tls
        })?;
        if let Some(observation) = &target.observation
            && let Some([certificate, ..]) = tls.get_ref().1.peer_certificates()
        {
            observation.presented(certificate);
        }
        // What is dropped without a proper close ends with a reset, so that the kernel sends nothing later on.
        drop(tls.get_ref().0.stream.set_zero_linger());
        let tls = Unreliable::new(tls, fault);
        let (sender, connection) = http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|_| ProxyFailure::Unreachable)?;
        let (end, ended) = oneshot::channel();
        tokio::spawn(run(connection, ended, self.phase.subscribe(), count));
        Ok(Connection {
            sender,
            end,
            written,
            since: Instant::now(),
            generation,
        })
    }

    async fn dial_tcp(&self, host: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.dialer.resolver.addresses(host).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The right to send one request; ends with the request.
pub(crate) struct Started<'p> {
    pool: &'p Pool,
    _count: Count,
}

impl Started<'_> {
    /// Asked again before each attempt and just before the request is written.
    pub(crate) fn permitted(&self) -> Result<(), ProxyFailure> {
        match *self.pool.phase.borrow() {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::Aborting => Err(ProxyFailure::NotConnected),
        }
    }

    /// What one attempt may take.
    pub(crate) fn time_limit(&self) -> Duration {
        self.pool.dialer.time_limit
    }

    /// Resolves when the request must end at once.
    pub(crate) async fn aborted(&self) {
        let mut phase = self.pool.phase.subscribe();
        drop(phase.wait_for(|p| *p == Phase::Aborting).await);
    }

    /// A connection that was used before, if there is one.
    pub(crate) async fn idle_connection(&self) -> Option<Connection> {
        self.pool.take_idle().await
    }

    /// A new connection.
    pub(crate) async fn dial(
        &self,
        target: &Target,
        fault: &Fault,
        progress: &Progress,
    ) -> Result<Connection, ProxyFailure> {
        self.pool.dial(target, fault, progress).await
    }

    /// What the next attempt meets on its way.
    pub(crate) fn fault(&self, target: &Target, operation: OperationName) -> Fault {
        let store = target.custom_key_store_id();
        self.pool.dialer.faults.draw(store, &target.host, operation)
    }

    /// Gives a connection back whose answer was read to its end.
    pub(crate) fn give_back(&self, mut connection: Connection) {
        connection.since = Instant::now();
        let mut idle = self.pool.lock_idle();
        if idle.generation == connection.generation && idle.connections.len() < MAX_IDLE {
            idle.connections.push(connection);
        } else {
            drop(idle);
            connection.retire();
        }
    }
}

/// How far an attempt has come, for the case that its time runs out.
#[derive(Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    const TCP: u64 = 1;

    fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    /// Notes that the attempt runs over a connection that was open before.
    pub(crate) fn reused(&self) {
        self.raise(Self::TCP);
    }

    /// What an attempt failed with whose time is over: without TCP the proxy is unreachable.
    pub(crate) fn timeout_failure(&self) -> ProxyFailure {
        match self.0.load(Ordering::Relaxed) {
            0 => ProxyFailure::Unreachable,
            _ => ProxyFailure::TimedOut,
        }
    }
}

/// One connection; dropped, it ends with a reset, retired, with a proper close.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    end: oneshot::Sender<()>,
    written: Arc<AtomicU64>,
    since: Instant,
    generation: u64,
}

impl Connection {
    /// How many bytes were written to the socket so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Closes it properly.
    pub(crate) fn retire(self) {
        // The task may have ended by itself.
        let _ = self.end.send(());
    }
}

/// Drives a connection and closes it.
async fn run(
    mut connection: http1::Connection<TokioIo<Io>, Full<Bytes>>,
    end: oneshot::Receiver<()>,
    mut phase: watch::Receiver<Phase>,
    count: Count,
) {
    let properly = tokio::select! {
        // Dropping a connection also ends its HTTP side, so the reasons to close come first.
        biased;
        retired = end => retired.is_ok(),
        _ = phase.wait_for(|p| *p == Phase::Aborting) => false,
        // The peer has closed, or sent what is no HTTP: the request, if there is one, has got the error.
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => true,
    };
    let mut io = connection.into_parts().io.into_inner();
    if properly && !io.was_reset() {
        // Read to the peer's end of the stream: then it has all of ours, and nothing is under way any more.
        drop(timeout(CLOSE_LIMIT, close(&mut io)).await);
    }
    drop(io);
    drop(count);
}

/// What HTTP runs over.
type Io = Unreliable<TlsStream<Counted>>;

async fn close(io: &mut Io) -> io::Result<()> {
    io.shutdown().await?;
    let mut rest = [0; 1024];
    while io.get_mut().get_mut().0.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Counts one thing for as long as it lives.
struct Count(watch::Sender<usize>);

impl Count {
    fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|n| *n += 1);
        Self(counter.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

/// A socket that counts what is written to it, below TLS.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &result {
            let n = u64::try_from(*n).unwrap_or(u64::MAX);
            self.written.fetch_add(n, Ordering::Release);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connections that are kept per store.
const MAX_IDLE: usize = 64;

/// An idle connection older than this is not used again: many servers close them after a minute.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How long a proper close may wait for the peer's.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_millis(100);
