//! Faults of the link between KMS and a proxy: what was asked for, and what one attempt of a request meets.
//!
//! The one seam: `xks_exchange.rs` draws a [`Fault`] for each attempt and lets it happen where it would happen for
//! real. What can be done for real is: ports that refuse, servers that are silent, certificates that do not verify,
//! connections that are reset. Whatever then fails is told as any other failure.

mod impostor;
mod reply;
mod stream;
mod tls;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xks_api::route::OperationName;

use crate::seeded_random::SeededRandom;

pub(crate) use reply::{Reply, word};
pub(crate) use stream::Unreliable;

/// The faults of every link; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<Scope, Active>>>);

/// Whose link; the first that is set counts, from a store to all.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Scope {
    /// Of one custom key store.
    Store(String),
    /// To that host, in lower case, also for stores that are being created.
    Endpoint(String),
    /// Every link.
    All,
}

/// What a link does to requests and answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LinkFault {
    /// The operations of the proxy that meet it; all if empty.
    pub(crate) operations: Vec<OperationName>,
    /// How many attempts meet it; all, if `None`.
    pub(crate) times: Option<u32>,
    /// Added before the answer.
    pub(crate) latency: Duration,
    /// Up to so much is added as well.
    pub(crate) jitter: Duration,
    /// How many of a million requests never arrive.
    pub(crate) loss_millionths: u32,
    /// For loss and jitter.
    pub(crate) seed: u64,
    /// What is dialled in place of the proxy.
    pub(crate) connect: Option<ConnectFault>,
    /// The connection is reset after so many bytes of the answer.
    pub(crate) reset_after: Option<u64>,
    /// The answer comes as slowly as this.
    pub(crate) bytes_per_second: Option<NonZeroU32>,
    /// What comes in place of the proxy's answer.
    pub(crate) reply: Option<Reply>,
}

impl LinkFault {
    /// Whether it does nothing to anyone.
    pub(crate) fn is_harmless(&self) -> bool {
        let harmless = Self {
            operations: self.operations.clone(),
            times: self.times,
            seed: self.seed,
            ..Self::default()
        };
        *self == harmless
    }
}

/// No connection, or no TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ConnectFault {
    Tcp(TcpFault),
    Tls(TlsFault),
}

/// Why there is no TCP connection with the proxy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TcpFault {
    /// The port is closed.
    Refused,
    /// Packets vanish.
    BlackHole,
    /// The host has no address.
    NoAddress,
    /// Something accepts the connection and says nothing.
    Silent,
}

/// Why there is no TLS session with the proxy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsFault {
    /// Nobody trusts the authority of the certificate.
    UntrustedAuthority,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is for another name.
    OtherName,
    /// The proxy speaks TLS 1.0 at most.
    OldVersion,
    /// The proxy has no cipher suite in common.
    NoCommonSuite,
    /// The proxy refuses the client certificate.
    ClientCertificate,
    /// The proxy speaks plain HTTP.
    PlainHttp,
    /// The proxy closes the connection in the handshake.
    Closed,
}

/// What one attempt meets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// The request never arrives.
    pub(crate) lost: bool,
    /// Before the answer.
    pub(crate) delay: Duration,
    pub(crate) connect: Option<ConnectFault>,
    pub(crate) reset_after: Option<u64>,
    pub(crate) bytes_per_second: Option<NonZeroU32>,
    pub(crate) reply: Option<Reply>,
}

impl Fault {
    /// Whether it is about a connection from its beginning: one of before is not used, nor is this one again.
    pub(crate) const fn needs_own_connection(&self) -> bool {
        self.connect.is_some() || self.reset_after.is_some() || self.bytes_per_second.is_some()
    }
}

/// A fault and how much of it is left.
#[derive(Debug)]
struct Active {
    fault: LinkFault,
    random: SeededRandom,
    left: Option<u32>,
}

impl Faults {
    /// Sets the fault of a link in place of the one that it had.
    pub(crate) fn set(&self, scope: Scope, fault: LinkFault) {
        let active = Active {
            random: SeededRandom::new(fault.seed),
            left: fault.times,
            fault,
        };
        self.lock().insert(scope, active);
    }

    /// Mends a link; false if it had no fault.
    pub(crate) fn clear(&self, scope: &Scope) -> bool {
        self.lock().remove(scope).is_some()
    }

    /// Mends every link.
    pub(crate) fn reset(&self) {
        self.lock().clear();
    }

    /// Every link with a fault, and how many attempts will still meet it.
    pub(crate) fn list(&self) -> Vec<(Scope, LinkFault, Option<u32>)> {
        let links = self.lock();
        let links = links.iter();
        links
            .map(|(scope, active)| (scope.clone(), active.fault.clone(), active.left))
            .collect()
    }

    /// What an attempt meets on its way.
    pub(crate) fn draw(&self, store: Option<&str>, host: &str, operation: OperationName) -> Fault {
        let mut links = self.lock();
        if links.is_empty() {
            return Fault::default();
        }
        let scopes = [
            store.map(|id| Scope::Store(id.to_owned())),
            Some(Scope::Endpoint(host.to_ascii_lowercase())),
            Some(Scope::All),
        ];
        for scope in scopes.into_iter().flatten() {
            let Some(active) = links.get_mut(&scope) else {
                continue;
            };
            let operations = &active.fault.operations;
            if !operations.is_empty() && !operations.contains(&operation) {
                continue;
            }
            let fault = active.draw();
            if active.left == Some(0) {
                links.remove(&scope);
            }
            return fault;
        }
        Fault::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Active>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn draw(&mut self) -> Fault {
        let Self {
            fault,
            random,
            left,
        } = self;
        if let Some(left) = left {
            *left = left.saturating_sub(1);
        }
        Fault {
            lost: random.happens(fault.loss_millionths),
            delay: fault.latency + random.up_to(fault.jitter),
            connect: fault.connect,
            reset_after: fault.reset_after,
            bytes_per_second: fault.bytes_per_second,
            reply: fault.reply.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTH: OperationName = OperationName::GetHealthStatus;

    fn latency(millis: u64) -> LinkFault {
        LinkFault {
            latency: Duration::from_millis(millis),
            ..LinkFault::default()
        }
    }

    #[test]
    fn a_store_comes_before_its_endpoint_and_that_before_all() {
        let faults = Faults::default();
        let delay = |store| {
            let fault = faults.draw(store, "Xks.test", HEALTH);
            u64::try_from(fault.delay.as_millis()).unwrap()
        };
        assert_eq!(delay(Some("cks-1")), 0);
        faults.set(Scope::All, latency(1));
        assert_eq!(delay(Some("cks-1")), 1);
        faults.set(Scope::Endpoint("xks.test".to_owned()), latency(2));
        faults.set(Scope::Store("cks-1".to_owned()), latency(3));
        assert_eq!(
            (delay(Some("cks-1")), delay(Some("cks-2")), delay(None)),
            (3, 2, 2)
        );
        assert!(faults.clear(&Scope::Endpoint("xks.test".to_owned())));
        assert_eq!((delay(Some("cks-1")), delay(None)), (3, 1));
        faults.reset();
        assert_eq!(delay(Some("cks-1")), 0);
    }

    #[test]
    fn a_fault_of_some_operations_and_attempts_is_for_these_alone() {
        let faults = Faults::default();
        let fault = LinkFault {
            operations: vec![OperationName::Encrypt],
            times: Some(2),
            ..latency(5)
        };
        faults.set(Scope::All, fault);
        let delayed = |operation| !faults.draw(None, "x", operation).delay.is_zero();
        assert!(!delayed(HEALTH));
        assert!(delayed(OperationName::Encrypt) && delayed(OperationName::Encrypt));
        assert!(!delayed(OperationName::Encrypt));
        assert!(faults.list().is_empty());
    }

    #[test]
    fn the_same_seed_loses_the_same_requests() {
        let lost = |seed| {
            let faults = Faults::default();
            let fault = LinkFault {
                loss_millionths: 500_000,
                jitter: Duration::from_millis(10),
                seed,
                ..LinkFault::default()
            };
            faults.set(Scope::All, fault);
            let draws = (0..64).map(|_| faults.draw(None, "x", HEALTH));
            draws
                .map(|fault| (fault.lost, fault.delay))
                .collect::<Vec<_>>()
        };
        assert_eq!(lost(1), lost(1));
        assert_ne!(lost(1), lost(2));
        assert!(lost(1).iter().any(|(lost, _)| *lost) && lost(1).iter().any(|(lost, _)| !*lost));
    }
}
