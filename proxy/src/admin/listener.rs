//! The admin listener: commands over TLS, each with the token of a named administrator.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::desk::Door;
use super::socket::{Server, converse};

/// Serves until it is dropped. `tls` gives the certificates of the moment.
pub async fn listen(
    listener: TcpListener,
    server: Arc<dyn Server>,
    tls: impl Fn() -> Option<Arc<rustls::ServerConfig>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    if let Some(tls) = tls() {
                        connections.spawn(connection(stream, tls, Arc::clone(&server)));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener accepts no connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, tls: Arc<rustls::ServerConfig>, server: Arc<dyn Server>) {
    let handshake = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream));
    if let Ok(Ok(mut stream)) = handshake.await {
        converse(&mut stream, None, Door::Proxy, server).await;
    }
}

const MAX_CONNECTIONS: usize = 16;
const HANDSHAKE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
