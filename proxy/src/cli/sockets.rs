//! The listening sockets of a server: those that systemd has opened and keeps open across restarts, and those of its own.
//!
//! The protocol is that of sd_listen_fds(3), which other supervisors speak, too.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::TcpListener;

use super::Failure;

/// What a socket is for. The name is systemd's FileDescriptorName.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Purpose {
    Api,
    Health,
    Metrics,
    Admin,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Api, Self::Health, Self::Metrics, Self::Admin];

    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// The field of the configuration.
    const fn field(self) -> &'static str {
        match self {
            Self::Api => "listen",
            Self::Health => "health_listen",
            Self::Metrics => "metrics_listen",
            Self::Admin => "admin.listen",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}

/// Sockets that were open before this process began.
#[derive(Default)]
pub(super) struct Sockets(BTreeMap<Purpose, std::net::TcpListener>);

impl Sockets {
    /// Takes those that the environment tells of, so that no later process takes them for its own. Called before there are
    /// threads.
    ///
    /// # Errors
    /// Sockets that cannot be told apart, or are none.
    pub(super) fn inherited() -> Result<Self, Failure> {
        // The environment of a shell that was started by systemd is not meant for us.
        let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own_pid());
        if !for_us {
            return Ok(Self::default());
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let purposes = purposes(&names, passed.len())?;
        let mut sockets = BTreeMap::new();
        for (index, purpose) in purposes.into_iter().enumerate() {
            let name = purpose.name();
            let unusable = |e: &dyn std::error::Error| {
                Failure::of(
                    format_args!("the inherited socket {name} cannot be used"),
                    e,
                )
            };
            let socket = passed.take_tcp_listener(index).map_err(|e| unusable(&e))?;
            let Some(socket) = socket else { continue };
            socket.set_nonblocking(true).map_err(|e| unusable(&e))?;
            if sockets.insert(purpose, socket).is_some() {
                return Err(Failure::Failed(format!(
                    "two inherited sockets are named {name}: each has one ListenStream and a FileDescriptorName of its own"
                )));
            }
        }
        Ok(Self(sockets))
    }

    /// Whether the API's stays open when this process ends.
    pub(super) fn are_handed_over(&self) -> bool {
        self.has(Purpose::Api)
    }

    /// Whether one for this purpose was open before, and has not been taken yet.
    pub(super) fn has(&self, purpose: Purpose) -> bool {
        self.0.contains_key(&purpose)
    }

    /// The socket for a purpose; opened now, at the configured address, unless it was open before. Within a runtime.
    pub(super) async fn open(
        &mut self,
        purpose: Purpose,
        configured: SocketAddr,
    ) -> Result<TcpListener, Failure> {
        let Some(socket) = self.0.remove(&purpose) else {
            return bind(purpose.field(), configured).await;
        };
        let name = purpose.name();
        let unusable = |e: &io::Error| {
            Failure::of(
                format_args!("the inherited socket {name} cannot be used"),
                e,
            )
        };
        let address = socket.local_addr().map_err(|e| unusable(&e))?;
        if address.port() != configured.port() {
            tracing::warn!(
                "{} is {configured}, but the socket {name} that was inherited listens on {address}, which counts",
                purpose.field()
            );
        }
        TcpListener::from_std(socket).map_err(|e| unusable(&e))
    }

    /// That none is left that the configuration has no use for: nobody would ever answer there.
    pub(super) fn all_taken(&self) -> Result<(), Failure> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(purpose) => Err(Failure::Failed(format!(
                "a socket named {} was inherited, but the configuration has no {}: set it, or disable that socket unit",
                purpose.name(),
                purpose.field()
            ))),
        }
    }
}

fn own_pid() -> String {
    std::process::id().to_string()
}

/// What each socket is for. A single one may have any name, which by default is that of its unit.
fn purposes(names: &str, count: usize) -> Result<Vec<Purpose>, Failure> {
    let names: Vec<_> = names.split(':').collect();
    let known: Vec<_> = Purpose::ALL.iter().map(|p| p.name()).collect();
    let purpose = |index: usize| {
        let name = names.get(index).copied().unwrap_or_default();
        match Purpose::named(name) {
            Some(purpose) => Ok(purpose),
            None if count == 1 => Ok(Purpose::Api),
            None => Err(Failure::Failed(format!(
                "{count} sockets were inherited, and one is named {name:?}: set FileDescriptorName in each socket unit, to \
                 one of {}",
                known.join(", ")
            ))),
        }
    };
    (0..count).map(purpose).collect()
}

async fn bind(field: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "another process listens there: stop it, or take another port",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 take the capability CAP_NET_BIND_SERVICE, which the systemd unit gives"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => return Failure::of(format_args!("{field}: cannot listen on {address}"), &error),
        };
        Failure::Failed(format!("{field}: cannot listen on {address}: {error}; {advice}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart_by_their_names() {
        let told = |names: &str, count| purposes(names, count).ok();
        assert_eq!(
            told("metrics:api", 2),
            Some(vec![Purpose::Metrics, Purpose::Api])
        );
        assert_eq!(told("health", 1), Some(vec![Purpose::Health]));
        assert_eq!(told("", 0), Some(vec![]));
    }

    #[test]
    fn a_single_socket_needs_no_name() {
        for name in ["", "unknown", "xks-proxy.socket"] {
            assert_eq!(purposes(name, 1).ok(), Some(vec![Purpose::Api]), "{name}");
        }
        let error = purposes("api:unknown", 2).unwrap_err().to_string();
        assert!(
            error.contains("\"unknown\"") && error.contains("api, health, metrics, admin"),
            "{error}"
        );
    }
}
