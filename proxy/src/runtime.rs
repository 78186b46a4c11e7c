//! What all connections share: one snapshot of the configuration, exchanged as a whole, and the request log.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::audit::AuditLog;
use crate::health::{Monitored, ProxyIdentity};
use crate::key_store::KeyStores;
use crate::metrics::Metrics;
use crate::request_log::RequestLog;
use crate::server::body_room::SharedRoom;
use crate::server::networks::Network;
use crate::server::overload::Overload;
use crate::tls::ClientAuthentication;
use crate::traces::Traces;

/// The time as requests see it.
pub type Clock = fn() -> SystemTime;

/// The state of one moment: a request works with one snapshot from beginning to end.
pub struct Snapshot {
    /// The listener's TLS, with resumption state of its own.
    pub tls: Arc<rustls::ServerConfig>,
    /// The admin listener's TLS, if there is one.
    pub admin_tls: Option<Arc<rustls::ServerConfig>>,
    /// Which clients `tls` takes; if that changes, connections made before are closed.
    pub client_authentication: Option<ClientAuthentication>,
    /// Who answers under which prefix.
    pub key_stores: KeyStores,
    /// Everything that the health probe tries.
    pub key_managers: Vec<Arc<Monitored>>,
    /// What GetHealthStatus says of the proxy.
    pub identity: ProxyIdentity,
    /// What a client may use.
    pub limits: Limits,
}

/// What a client may use of time and memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections at a time; read once, when the server starts.
    pub max_connections: usize,
    /// Connections at a time from one address; not limited, if `None`.
    pub max_connections_per_address: Option<NonZeroU32>,
    /// Peers that say for whom they connect, with a header of the PROXY protocol.
    pub proxy_protocol_from: Arc<[Network]>,
    /// The longest request body, in bytes.
    pub max_body_bytes: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// For a connection without a request.
    pub idle_timeout: Duration,
    /// From the head of a request to the answer of the key manager.
    pub key_manager_timeout: Duration,
    /// Requests at a time on one HTTP/2 connection.
    pub max_http2_streams: u32,
}

impl Limits {
    /// The least that `max_body_bytes` can be: room for everything that the specification asks for.
    pub const MIN_BODY_BYTES: usize = 32 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            max_connections_per_address: None,
            proxy_protocol_from: Arc::default(),
            max_body_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            key_manager_timeout: Duration::from_millis(200),
            max_http2_streams: 128,
        }
    }
}

/// The one object that connections share.
pub struct Runtime {
    snapshot: ArcSwap<Snapshot>,
    log: RequestLog,
    audit: Option<AuditLog>,
    metrics: Option<Metrics>,
    traces: Option<Traces>,
    clock: Clock,
    draining: AtomicBool,
    clients_changed: watch::Sender<()>,
    body_room: SharedRoom,
    overload: Overload,
}

impl Runtime {
    /// Begins with a first snapshot.
    pub fn new(snapshot: Snapshot, log: RequestLog, clock: Clock) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            log,
            audit: None,
            metrics: None,
            traces: None,
            clock,
            draining: AtomicBool::new(false),
            clients_changed: watch::Sender::new(()),
            body_room: SharedRoom::default(),
            overload: Overload::default(),
        }
    }

    /// With an audit log, in which every request is recorded.
    pub fn audited(self, audit: Option<AuditLog>) -> Self {
        Self { audit, ..self }
    }

    /// Counts and times requests, for whoever scrapes.
    pub fn measured(self) -> Self {
        Self {
            metrics: Some(Metrics::default()),
            ..self
        }
    }

    /// With traces of requests.
    pub fn traced(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }

    /// Takes up another snapshot: for the next request, and for TLS with the next connection.
    ///
    /// Connections are closed if their client might not be taken any more: as soon as they have answered, after one more
    /// request that may be on its way.
    pub fn replace(&self, mut snapshot: Snapshot) {
        snapshot
            .key_stores
            .go_on_counting(&self.snapshot.load().key_stores);
        snapshot
            .key_stores
            .take_over(&self.snapshot.load().key_stores);
        let snapshot = Arc::new(snapshot);
        let old = self.snapshot.swap(Arc::clone(&snapshot));
        if old.client_authentication != snapshot.client_authentication {
            self.clients_changed.send_replace(());
        }
    }

    /// The state of now.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(crate) fn log(&self) -> &RequestLog {
        &self.log
    }

    /// The audit log, if there is one.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_ref()
    }

    /// What is counted, if anything is.
    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Where traces go, if they go anywhere.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Whether load balancers are told to send no more.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn body_room(&self) -> &SharedRoom {
        &self.body_room
    }

    /// How long requests wait for a processor.
    pub fn overload(&self) -> &Overload {
        &self.overload
    }

    pub(crate) fn clients_changed(&self) -> watch::Receiver<()> {
        self.clients_changed.subscribe()
    }
}
