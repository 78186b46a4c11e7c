//! Encrypt over real TLS on loopback: what one client waits for. Both sides run on this machine, so the figures hold the
//! client's work and the scheduler's, too; `compare` tells what the server costs.

mod fixture;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use fixture::request::{SIZES, http1};
use fixture::store::Crowd;
use fixture::{Fixture, HOST};
use harness::certificates;
use harness::signer::SignedRequest;
use harness::tls::TlsClient;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xks_proxy::server::{self, Drain, Listeners};

/// The server on a runtime of its own, as `xks-proxy` has it; drained on drop.
struct Server {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    executor: Runtime,
    fixture: Fixture,
}

impl Server {
    fn start() -> Self {
        let fixture = Fixture::with(Crowd::default(), "");
        let executor = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let (shutdown, signal) = oneshot::channel();
        let api = executor
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let address = api.local_addr().unwrap();
        let drain = Drain {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(2),
        };
        let listeners = Listeners { api, health: None };
        let runtime = Arc::clone(&fixture.runtime);
        executor.spawn(server::run(listeners, runtime, drain, async {
            drop(signal.await);
        }));
        Self {
            address,
            shutdown: Some(shutdown),
            executor,
            fixture,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        let idle = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        std::mem::replace(&mut self.executor, idle).shutdown_timeout(Duration::from_secs(3));
    }
}

fn client(alpn: &str) -> ClientConfig {
    let trusted = certificates::path("root-ca.crt.pem");
    let config = TlsClient::trusting(&trusted).alpn(&[alpn]).config();
    Arc::unwrap_or_clone(config)
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, socket).await.unwrap()
}

async fn open1(address: SocketAddr, config: &Arc<ClientConfig>) -> http1::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(connect(address, config).await);
    let (sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn tls_loopback(c: &mut Criterion) {
    let server = Server::start();
    let address = server.address;
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();

    // Timed: one request and its answer over a connection that is open, TLS 1.3.
    let config = Arc::new(client("http/1.1"));
    for len in SIZES {
        let request = http1(&server.fixture.encrypt(len)).map(Full::new);
        let mut sender = executor.block_on(open1(address, &config));
        c.bench_function(
            &format!("loopback/Encrypt {len} B/HTTP 1.1, kept alive"),
            |b| {
                b.iter(|| {
                    executor.block_on(async {
                        let response = sender.send_request(request.clone()).await.unwrap();
                        assert_eq!(response.status(), 200);
                        response.into_body().collect().await.unwrap()
                    })
                });
            },
        );
    }

    // The same over HTTP/2.
    let config = Arc::new(client("h2"));
    let request = server.fixture.encrypt(32);
    let mut sender = executor.block_on(async {
        let io = TokioIo::new(connect(address, &config).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    });
    c.bench_function("loopback/Encrypt 32 B/HTTP 2, kept alive", |b| {
        b.iter(|| {
            executor.block_on(async {
                sender.ready().await.unwrap();
                let request = http2_request(&request);
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap()
            })
        });
    });

    // Timed: TCP connect, TLS 1.3 handshake (P-256), one request, its answer, close.
    for (name, resumption) in [
        ("new connection", Resumption::disabled()),
        ("new connection, session resumed", Resumption::default()),
    ] {
        let mut config = client("http/1.1");
        config.resumption = resumption;
        let config = Arc::new(config);
        let request = http1(&server.fixture.encrypt(32)).map(Full::new);
        c.bench_function(&format!("loopback/Encrypt 32 B/{name}"), |b| {
            b.iter(|| {
                executor.block_on(async {
                    let mut sender = open1(address, &config).await;
                    let response = sender.send_request(request.clone()).await.unwrap();
                    assert_eq!(response.status(), 200);
                    response.into_body().collect().await.unwrap()
                })
            });
        });
    }
}

fn http2_request(request: &SignedRequest) -> http::Request<Full<Bytes>> {
    request.http2().map(Full::new)
}

criterion_group!(benches, tls_loopback);
criterion_main!(benches);
