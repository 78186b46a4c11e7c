//! The listener: accepts connections, bounds what each may cost, and ends them.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::crypto::ring;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientLimits, Config, ServerTls};
use crate::console::Console;
use crate::control;
use crate::http::{PeerAddress, answer};
use crate::persistence::Persistence;
use crate::simulator::Simulator;

/// Where a simulator listens.
#[derive(Debug)]
pub struct Listeners {
    /// For the KMS API.
    pub api: TcpListener,
    /// For the control API, which can do anything with the simulator: keep it to this machine.
    pub control: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(api: TcpListener) -> Self {
        Self { api, control: None }
    }
}

/// Serves the KMS API, and the control API if it has a listener, until `shutdown` completes and the requests in flight
/// have ended.
///
/// # Errors
/// As [`Server::start`] and [`Server::run`].
pub async fn serve(
    listeners: impl Into<Listeners>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = Server::start(config).await?;
    server.run(listeners, shutdown).await
}

/// A simulator with its state, ready to serve.
pub struct Server {
    simulator: Arc<Simulator>,
    persistence: Option<Persistence>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Makes a simulator, with what is in its data folder if it has one.
    ///
    /// # Errors
    /// A certificate and key that do not fit together, authorities that cannot be read, a data folder that cannot be
    /// used, or a store of the seed that cannot be connected.
    pub async fn start(mut config: Config) -> io::Result<Self> {
        let seed = config.seed.take();
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let simulator = Simulator::new(Arc::new(config)).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the certificates for proxies cannot be used: {error}"),
            )
        })?;
        let simulator = Arc::new(simulator);
        let opened = match &simulator.config().data_dir {
            Some(folder) => Some(Persistence::open(folder, &simulator).await?),
            None => None,
        };
        if let Some(file) = &simulator.config().events {
            let opened = simulator.events().write_to(file);
            opened.map_err(|error| {
                let file = file.display();
                let text = format!(
                    "--events {file}: {error}; expected a file that this user may append to"
                );
                io::Error::new(error.kind(), text)
            })?;
        }
        let is_new = opened.as_ref().is_none_or(|(_, is_new)| *is_new);
        match seed {
            Some(seed) if is_new => {
                let planted = simulator.plant(seed).await;
                planted.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))?;
            }
            Some(_) => tracing::info!("the data folder has a state already: the seed is not used"),
            None => {}
        }
        let persistence = match opened {
            Some((persistence, _)) => Some(persistence.save().await?),
            None => None,
        };
        Ok(Self {
            simulator,
            persistence,
            tls,
        })
    }

    /// Serves until `shutdown` completes, the requests in flight have ended, and everything is saved.
    ///
    /// # Errors
    /// The state cannot be saved any more.
    pub async fn run(
        self,
        listeners: impl Into<Listeners>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Listeners { api, control } = listeners.into();
        let events = self.simulator.events().clone();
        let followed = events.clone();
        let limits = self.simulator.config().limits;
        let (simulator, controlled) = (Arc::clone(&self.simulator), self.simulator);
        let answer_api = move |request| answer(Arc::clone(&simulator), request);
        let console = Console::new().map_err(|_| io::Error::other("no random bytes"))?;
        let console = Arc::new(console);
        let answer_control =
            move |request| control::answer(Arc::clone(&controlled), Arc::clone(&console), request);
        let (stop, stopped) = watch::channel(());
        let serve_control = async {
            if let Some(listener) = control {
                accept(listener, None, limits, answer_control, stopped.clone()).await;
            }
        };
        let mut ended = stopped.clone();
        let until_told = async {
            tokio::select! {
                () = shutdown => {}
                // Saving has failed.
                _ = ended.changed() => {}
            }
            followed.end_waiting();
            stop.send_replace(());
        };
        let (end_saving, saving_ends) = oneshot::channel();
        let serve = async {
            let serve_api = accept(api, self.tls, limits, answer_api, stopped.clone());
            tokio::join!(until_told, serve_api, serve_control);
            // It may have ended already.
            let _ = end_saving.send(());
        };
        let save = async {
            let Some(persistence) = self.persistence else {
                return Ok(());
            };
            let saved = persistence.save_until(saving_ends).await;
            // Without it nothing more can be promised.
            stop.send_replace(());
            saved
        };
        let ((), saved) = tokio::join!(serve, save);
        // Its panic would be a defect that the thread's own output shows.
        drop(tokio::task::spawn_blocking(move || events.flush()).await);
        Ok(saved?)
    }
}

/// Accepts connections until it is told to stop and those in flight have ended.
async fn accept<A, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: ClientLimits,
    answer: A,
    mut stopped: watch::Receiver<()>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let stop = stopped.clone();
    let mut full = false;
    loop {
        let room = connections.len() < limits.max_connections;
        if !room && !full {
            let limit = limits.max_connections;
            tracing::warn!(
                limit,
                "as many connections as are allowed: further ones wait (--max-connections)"
            );
        }
        full = !room;
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let answer = answer.clone();
                    let answer = move |mut request: Request<Incoming>| {
                        request.extensions_mut().insert(PeerAddress(peer));
                        answer(request)
                    };
                    let header = limits.header;
                    connections.spawn(connection(stream, tls.clone(), header, answer, stop.clone()));
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
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    header: Duration,
    answer: A,
    stopped: watch::Receiver<()>,
) where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    // Answers are small and written at once: waiting for more of them only adds delay.
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, header, answer, stopped).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, header, answer, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS connection"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        },
    }
}

async fn exchange<A, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    header: Duration,
    answer: A,
    mut stopped: watch::Receiver<()>,
) where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(header);
    // hyper waits for the first bytes, which tell one HTTP from the other, without a limit.
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    let service = service_fn(move |request| {
        asks.notify_one();
        answer(request)
    });
    let nobody_asks = async {
        if tokio::time::timeout(header, asked.notified()).await.is_ok() {
            pending::<()>().await;
        }
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = nobody_asks => {
            tracing::debug!("no request came in time");
            return;
        }
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

const HANDSHAKE: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
