//! Where a connection comes from: from its peer, or from whom a named peer says; and whether it has too many already.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::per_address::{Counted, PerAddress, TooMany};
use super::proxy_protocol;
use crate::runtime::Runtime;

/// Where an accepted connection comes from.
pub(super) struct Origin {
    /// For whom the peer connected, if it said so.
    pub(super) client: Option<SocketAddr>,
    /// The client, else the peer.
    pub(super) address: SocketAddr,
    /// The connection counts as long as this lasts.
    _counted: Option<Counted>,
}

/// Finds it out. `None` ends the connection: it is told of here.
pub(super) async fn find(
    stream: &mut TcpStream,
    peer: SocketAddr,
    runtime: &Runtime,
    counts: &Arc<PerAddress>,
) -> Option<Origin> {
    let (named, time_limit, limit) = {
        let limits = &runtime.snapshot().limits;
        let mut networks = limits.proxy_protocol_from.iter();
        let named = networks.any(|network| network.contains(peer.ip()));
        (
            named,
            limits.handshake_timeout,
            limits.max_connections_per_address,
        )
    };
    let mut client = None;
    if named {
        // In a box, so that connections without a header do not have the room for it.
        match timeout(time_limit, Box::pin(proxy_protocol::read(stream))).await {
            Ok(Ok(source)) => client = source,
            Ok(Err(error)) => {
                tracing::info!(%peer, %error, "a connection from proxy_protocol_from was closed");
                return None;
            }
            Err(_) => {
                tracing::info!(%peer, "no header of the PROXY protocol came in time");
                return None;
            }
        }
    }
    let address = client.unwrap_or(peer);
    let counted = match limit.map(|limit| counts.enter(address.ip(), limit)) {
        None => None,
        Some(Ok(counted)) => Some(counted),
        Some(Err(TooMany { first })) => {
            if first {
                tracing::warn!(
                    address = %address.ip(),
                    "more connections than limits.max_connections_per_address: closed, as are others until all have ended"
                );
            }
            return None;
        }
    };
    Some(Origin {
        client,
        address,
        _counted: counted,
    })
}
