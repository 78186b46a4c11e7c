//! The listener: accepts connections, bounds what each may cost, and ends them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::crypto::ring;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ServerTls};
use crate::http::answer;
use crate::simulator::Simulator;

/// Serves the KMS API on `listener` until `shutdown` completes and the requests in flight have ended.
///
/// # Errors
/// A certificate and key that do not fit together, or authorities that cannot be read.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
    let simulator = Simulator::new(Arc::new(config)).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the certificates for proxies cannot be used: {error}"),
        )
    })?;
    let simulator = Arc::new(simulator);
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let simulator = Arc::clone(&simulator);
                    connections.spawn(connection(stream, tls.clone(), simulator, stopped.clone()));
                }
                // Out of descriptors, or the peer is gone already: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drop(stopped);
    // Nobody may be left to hear it.
    let _ = stop.send(());
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, all_ended).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    simulator: Arc<Simulator>,
    stopped: watch::Receiver<()>,
) {
    // Answers are small and written at once: waiting for more of them only adds delay.
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, simulator, stopped).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, simulator, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS connection"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        },
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    simulator: Arc<Simulator>,
    mut stopped: watch::Receiver<()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| answer(Arc::clone(&simulator), request));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn acceptor(tls: &ServerTls) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(tls.certificates.clone(), tls.key.clone_key())
        })
        .map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the TLS certificate and key cannot be used: {error}"),
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Until the first byte of a request, and for its header.
const IDLE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
