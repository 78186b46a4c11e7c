//! What the proxy counts and times, and how a Prometheus reads it.
//!
//! Requests touch atomics that are there already, at places that enums lead to; names and labels are written when
//! somebody scrapes. Where neither metrics nor administrators are listened to, nothing is counted, and a request looks at
//! one option.
//!
//! | module | owns |
//! |---|---|
//! | `histogram` | durations in fixed buckets |
//! | `hour` | the same counts, minute by minute, for the status page |
//! | `denials` | what policies denied last |
//! | `requests` | how requests ended and how long their stages took |
//! | `exposition` | Prometheus's text format |
//! | `scrape` | everything that there is to tell, at one moment |
//! | `listener` | `GET /metrics` over plain HTTP |

mod denials;
mod exposition;
mod histogram;
pub(crate) mod hour;
pub(crate) mod listener;
mod requests;
mod scrape;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustls::ProtocolVersion;

use crate::http::Door;
pub(crate) use denials::Denied;
pub use requests::StoreMetrics;
pub(crate) use requests::{Ending, Mark, Marks, Observed, Stages};
pub(crate) use scrape::scrape;

/// What is counted of the proxy as a whole; of each key store there is a [`StoreMetrics`].
#[derive(Debug)]
pub struct Metrics {
    started: SystemTime,
    began: Instant,
    pub(crate) stages: Stages,
    /// Requests under no URI path prefix that there is.
    pub(crate) unrouted: requests::Endings,
    shed: AtomicU64,
    handshakes: [AtomicU64; Handshake::ALL.len()],
    connections: [Connections; 2],
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
}

#[derive(Debug, Default)]
struct Connections {
    opened: AtomicU64,
    closed: AtomicU64,
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handshake {
    Tls12,
    Tls13,
    Failed,
    TimedOut,
    /// The client closed the connection first, as load balancers do that look whether the port is open.
    Left,
}

impl Handshake {
    const ALL: [Self; 5] = [
        Self::Tls12,
        Self::Tls13,
        Self::Failed,
        Self::TimedOut,
        Self::Left,
    ];

    pub(crate) fn of(version: Option<ProtocolVersion>) -> Self {
        match version {
            Some(ProtocolVersion::TLSv1_2) => Self::Tls12,
            _ => Self::Tls13,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Tls12 => 0,
            Self::Tls13 => 1,
            Self::Failed => 2,
            Self::TimedOut => 3,
            Self::Left => 4,
        }
    }

    /// `result` and `version`, which is empty where none was agreed on.
    const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Tls12 => ("ok", "1.2"),
            Self::Tls13 => ("ok", "1.3"),
            Self::Failed => ("failed", ""),
            Self::TimedOut => ("timed_out", ""),
            Self::Left => ("left", ""),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: SystemTime::now(),
            began: Instant::now(),
            stages: Stages::default(),
            unrouted: requests::Endings::default(),
            shed: AtomicU64::default(),
            handshakes: Default::default(),
            connections: Default::default(),
            reloads: AtomicU64::default(),
            failed_reloads: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// When the process began.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// How long ago that was.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn handshake(&self, ended: Handshake) {
        if let Some(count) = self.handshakes.get(ended.index()) {
            add_one(count);
        }
    }

    /// A request was turned away since requests wait too long for a processor.
    pub(crate) fn shed(&self) {
        add_one(&self.shed);
    }

    pub(crate) fn connection_opened(&self, door: Door) {
        add_one(&self.connections(door).opened);
    }

    pub(crate) fn connection_closed(&self, door: Door) {
        add_one(&self.connections(door).closed);
    }

    const fn connections(&self, door: Door) -> &Connections {
        let [api, health] = &self.connections;
        match door {
            Door::Api => api,
            Door::Health => health,
        }
    }

    pub(crate) fn reload(&self, done: bool) {
        add_one(match done {
            true => &self.reloads,
            false => &self.failed_reloads,
        });
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
