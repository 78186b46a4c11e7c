//! The admin listener: commands and the status page over TLS, to whoever shows the token of a named administrator.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::desk::Door;
use super::http::{Website, is_http};
use super::socket::{IO_DEADLINE, Server, converse};

/// Serves until it is dropped. `tls` gives the certificates of the moment.
pub async fn listen(
    listener: TcpListener,
    server: Arc<dyn Server>,
    tls: impl Fn() -> Option<Arc<rustls::ServerConfig>>,
) {
    let mut connections = JoinSet::new();
    let website = Arc::new(Website::new(Arc::clone(&server)));
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    if let Some(tls) = tls() {
                        let (server, website) = (Arc::clone(&server), Arc::clone(&website));
                        connections.spawn(connection(stream, tls, server, website));
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

async fn connection(
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    server: Arc<dyn Server>,
    website: Arc<Website>,
) {
    let handshake = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream));
    let Ok(Ok(stream)) = handshake.await else {
        return;
    };
    // One byte and no more is read ahead, so that no copy of a secret stays behind.
    let mut stream = BufReader::with_capacity(1, stream);
    let first = match timeout(IO_DEADLINE, stream.fill_buf()).await {
        Ok(Ok(&[first, ..])) => first,
        _ => return,
    };
    match is_http(first) {
        true => website.converse(stream).await,
        false => converse(&mut stream, None, Door::Proxy, server).await,
    }
}

const MAX_CONNECTIONS: usize = 16;
const HANDSHAKE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
