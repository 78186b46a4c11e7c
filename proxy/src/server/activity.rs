//! What a connection is doing, shared between its stream, its requests and the task that ends it in time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::body_room::OwnRoom;

/// The state of one connection. One task drives a connection, so nothing here is contended.
pub(crate) struct Activity {
    opened: Instant,
    /// For whom a load balancer connected.
    client: Option<Box<str>>,
    /// Requests that have not been answered.
    in_flight: AtomicUsize,
    /// When the last request ended, in nanoseconds after `opened`.
    idle_since: AtomicU64,
    /// When the first byte of an incomplete request head came, in the same unit, plus one; 0 for none.
    head_began: AtomicU64,
    /// Bytes that came, and requests that began, since the connection was opened.
    bytes: AtomicU64,
    requests: AtomicU64,
    unread: AtomicBool,
    closing: AtomicBool,
    /// For bodies that are not complete.
    pub(crate) body_room: OwnRoom,
}

/// Why a connection has lasted long enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expiry {
    /// A request head is not complete yet.
    Head(Instant),
    /// There is no request.
    Idle(Instant),
    /// Requests are in flight, which have deadlines of their own.
    NotNow,
}

impl Activity {
    pub(crate) fn new(client: Option<SocketAddr>) -> Self {
        Self {
            opened: Instant::now(),
            client: client.map(|address| address.to_string().into()),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            body_room: OwnRoom::default(),
        }
    }

    /// For whom a load balancer connected, if it said so.
    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// A request begins; it ends with the guard.
    pub(crate) fn request(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_began.store(0, Ordering::Relaxed);
        InFlight(self)
    }

    /// Bytes came in.
    pub(super) fn received(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_began.load(Ordering::Relaxed) == 0
        {
            self.head_began
                .store(self.now().saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Whether more came than requests explain, each of which may have so many bytes.
    pub(super) fn floods(&self, each: u64) -> bool {
        let requests = self.requests.load(Ordering::Relaxed);
        let explained = requests.saturating_mul(each).saturating_add(UNEXPLAINED);
        self.bytes.load(Ordering::Relaxed) > explained
    }

    /// A request was answered before all of its body had come.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the peer may still be sending what nobody will read.
    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// No further request is taken on this connection.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the answer must say that the connection ends.
    pub(crate) fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether a request head has begun and is not complete.
    pub(super) fn expects_head(&self) -> bool {
        self.head_began.load(Ordering::Relaxed) != 0
    }

    /// When the connection will have been silent for that long: without a request, and without any that has begun.
    pub(super) fn silent_at(&self, silence: Duration) -> Option<Instant> {
        let busy = self.in_flight.load(Ordering::Relaxed) > 0 || self.expects_head();
        let since = Duration::from_nanos(self.idle_since.load(Ordering::Relaxed));
        (!busy).then(|| self.opened + since + silence)
    }

    /// When the connection will have lasted long enough, as things are now; without `head`, bytes begin no head.
    pub(super) fn expiry(&self, head: Option<Duration>, idle: Duration) -> Expiry {
        let at = |nanos: u64| self.opened + Duration::from_nanos(nanos);
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Expiry::NotNow;
        }
        let began = self.head_began.load(Ordering::Relaxed).checked_sub(1);
        match began.zip(head) {
            Some((began, head)) => Expiry::Head(at(began) + head),
            None => Expiry::Idle(at(self.idle_since.load(Ordering::Relaxed)) + idle),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A request that is being served.
pub(crate) struct InFlight<'a>(&'a Activity);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Expiry {
    /// When to look again.
    pub(super) fn at(self, idle: Duration) -> Instant {
        match self {
            Self::Head(at) | Self::Idle(at) => at,
            Self::NotNow => Instant::now() + idle,
        }
    }
}

/// For settings, pings and windows of a connection, and for bodies that were refused while they came.
const UNEXPLAINED: u64 = 2 << 20;
