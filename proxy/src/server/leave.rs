//! How a server ends: it sends its clients elsewhere, or it hands its sockets over to the process after it.

use std::time::Duration;

/// How long an end may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drain {
    /// How long it still takes connections. In a drain `/ping` answers 503 meanwhile; a hand-over needs less, if all connections
    /// of before are closed sooner.
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

/// How a server ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Leave {
    /// Its sockets are closed with it, so clients and load balancers are told to go elsewhere first.
    Drain(Drain),
    /// Somebody keeps its sockets open: connections that come meanwhile wait there for the next process. Nobody has to go
    /// elsewhere, and from the moment that it takes no connection any more, the sooner it is gone the better.
    HandOver(Drain),
}

impl From<Drain> for Leave {
    fn from(drain: Drain) -> Self {
        Self::Drain(drain)
    }
}

/// In a hand-over, a connection over HTTP/1.1 on which nothing came for this long is closed. The longer it was silent, the
/// less likely is it that a request is on its way at that very moment.
pub(super) const SILENCE: Duration = Duration::from_millis(100);
/// In a hand-over, for what is left when no connection is taken any more: KMS waits no longer for any answer.
pub(super) const LAST_ANSWERS: Duration = Duration::from_millis(250);
