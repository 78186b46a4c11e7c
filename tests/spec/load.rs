//! Many clients at once: what strangers can cost in memory and descriptors, and a drain that loses no request.

use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use harness::h2::H2Connection;
use harness::https::Connection;
use harness::programs::DevProxy;
use harness::tls::TlsClient;
use harness::{temp_dir, wait_for};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use xks_proxy::server::Drain;

use crate::key_manager::Call;
use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, Proxy, Setup, signed};

/// The peak of resident memory so far, in KiB.
fn peak_kib(proxy: &mut DevProxy) -> u64 {
    let file = format!("/proc/{}/status", proxy.process().id());
    let status = std::fs::read_to_string(file).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    digits
        .and_then(|digits| digits.trim().parse().ok())
        .expect("VmHWM in KiB")
}

/// Nothing here has a signature.
fn head(proxy: &DevProxy, length: usize) -> String {
    format!(
        "POST {}/keys/demo/encrypt HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\n",
        proxy.env.uri_path
    )
}

#[test]
fn strangers_cost_no_more_than_the_cap_each_over_http_1() {
    let folder = temp_dir();
    let mut proxy = DevProxy::start(folder.path());
    let before = peak_kib(&mut proxy);
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let mut connection = proxy.connect();
        if number % 2 == 0 {
            // All but the last byte.
            let bytes = [head(&proxy, CAP).as_bytes(), &vec![b' '; CAP - 1]].concat();
            connection.send(&bytes).unwrap();
            held.push(connection);
        } else {
            let announced = head(&proxy, 1 << 30);
            let response = connection.exchange(announced.as_bytes()).unwrap();
            assert_eq!(response.status, 501);
            // It may have been closed in the meantime.
            let _ = connection.send(&vec![b' '; 1 << 20]);
        }
    }
    // What was sent has arrived when each of them is answered: 401 after the last byte.
    for connection in &mut held {
        assert_eq!(connection.exchange(b" ").unwrap().status, 401);
    }
    let grown = peak_kib(&mut proxy) - before;
    let allowed = CONNECTIONS * (CAP / 1024 + OVERHEAD_KIB);
    assert!(grown < u64::try_from(allowed).unwrap(), "{grown} KiB");
}

#[test]
fn strangers_cost_no_more_than_the_cap_each_over_http_2() {
    let folder = temp_dir();
    let mut proxy = DevProxy::start(folder.path());
    let before = peak_kib(&mut proxy);
    let config = TlsClient::trusting(&proxy.env.ca_file)
        .alpn(&["h2"])
        .config();
    let uri = format!("https://{HOST}{}/keys/demo/encrypt", proxy.env.uri_path);
    let unsigned = |announced: bool| {
        let request = http::Request::post(&uri);
        let request = if announced {
            request.header("content-length", CAP)
        } else {
            request
        };
        // A byte less than what was announced, and no end.
        let body = Stalling(Some(vec![b' '; CAP - 1].into()));
        request.body(body).unwrap()
    };
    let executor = tokio::runtime::Runtime::new().unwrap();
    let statuses = executor.block_on(async {
        let mut answers = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS / 4 {
            let mut sender = h2_connection(proxy.env.address, Arc::clone(&config)).await;
            for number in 0..STREAMS {
                sender.ready().await.unwrap();
                let answer = sender.send_request(unsigned(number % 2 == 0));
                answers.spawn(async { answer.await.expect("an answer").status().as_u16() });
            }
        }
        answers.join_all().await
    });
    // Every stream is answered: that it takes too much, or that its time is over.
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!(count(429) + count(400), CONNECTIONS / 4 * STREAMS);
    assert!(count(429) > 0 && count(400) > 0);
    let grown = peak_kib(&mut proxy) - before;
    let each = CAP / 1024 + OVERHEAD_KIB + WINDOW_KIB;
    let allowed = CONNECTIONS / 4 * each + SHARED_KIB;
    assert!(grown < u64::try_from(allowed).unwrap(), "{grown} KiB");
    // Strangers have taken nothing from those who come later.
    let body: serde_json::Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    assert_eq!(proxy.env.call("keys/demo/encrypt", &body).status, 200);
}

async fn h2_connection(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> http2::SendRequest<Stalling> {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(name, socket).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    // Its errors show at the requests.
    tokio::spawn(async { drop(connection.await) });
    sender
}

/// Some bytes, and then nothing, not even an end.
struct Stalling(Option<Bytes>);

impl Body for Stalling {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

#[test]
fn running_out_of_descriptors_does_not_end_the_loop() {
    let folder = temp_dir();
    let mut proxy = DevProxy::start_with_limit(folder.path(), "-n 64");
    assert!(
        proxy.output().contains("LimitNOFILE=4224"),
        "{}",
        proxy.output()
    );
    let mut early = proxy.connect();
    let ping = format!("GET /ping HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    assert_eq!(early.exchange(ping.as_bytes()).unwrap().status, 200);
    for round in 1..=2 {
        // The kernel takes connections that the process cannot.
        let crowd: Vec<_> = (0..100)
            .map(|_| TcpStream::connect(proxy.env.address).expect("a place in the queue"))
            .collect();
        let told = |proxy: &DevProxy| {
            let output = proxy.output();
            output.matches("a connection cannot be accepted").count() >= round
        };
        wait_for("word of the missing descriptor", LIMIT, || {
            told(&proxy).then_some(())
        });
        // Who is connected is served.
        assert_eq!(early.exchange(ping.as_bytes()).unwrap().status, 200);
        drop(crowd);
        let body = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
        assert_eq!(proxy.env.call("keys/demo/encrypt", &body).status, 200);
        wait_for("word of the end", LIMIT, || {
            let output = proxy.output();
            (output.matches("connections are accepted again").count() >= round).then_some(())
        });
    }
    // A line when it begins and one when it ends, none for each attempt.
    let output = proxy.output();
    let lines = output.lines().filter_map(|line| {
        let begins = line.contains("a connection cannot be accepted");
        let ends = line.contains("connections are accepted again");
        (begins || ends).then_some(begins)
    });
    for (number, begins) in lines.enumerate() {
        assert_eq!(begins, number % 2 == 0, "{output}");
    }
    assert!(proxy.process().exited().is_none());
}

#[test]
fn descriptors_are_taken_as_far_as_allowed() {
    let folder = temp_dir();
    let proxy = DevProxy::start_with_limit(folder.path(), "-S -n 64");
    let crowd: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    let body = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    assert_eq!(proxy.env.call("keys/demo/encrypt", &body).status, 200);
    drop(crowd);
    assert!(!proxy.output().contains("cannot be accepted"));
}

fn draining_late() -> Setup {
    Setup {
        drain: Drain {
            delay: Duration::from_millis(300),
            timeout: Duration::from_secs(30),
        },
        ..Setup::default()
    }
}

/// How many times the key manager encrypted.
fn sealed(proxy: &Proxy) -> usize {
    let calls = proxy.key_manager.take_calls();
    calls
        .iter()
        .filter(|call| matches!(call, Call::Seal(_)))
        .count()
}

#[test]
fn r40_a_drain_under_load_loses_no_request_over_http_1() {
    let mut proxy = Proxy::start_with(draining_late());
    let address = proxy.address;
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = || {
            let config = Proxy::tls().config();
            let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
            let mut kept = None;
            for _ in 0..MANY {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    // Refused before anything was sent.
                    None => match Connection::tls(address, HOST, config.clone()) {
                        Ok(connection) => connection,
                        Err(_) => return,
                    },
                };
                // What was sent is answered, come what may.
                let response = connection.exchange(&request).expect("an answer");
                assert_eq!(response.status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
                if response.header("connection") != Some("close") {
                    kept = Some(connection);
                }
            }
            panic!("the drain did not end within {MANY} requests");
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        wait_for("requests", LIMIT, || {
            (answered.load(Ordering::Relaxed) > 200).then_some(())
        });
        proxy.shut_down();
        for client in clients {
            client.join().expect("a client that lost nothing");
        }
    });
    proxy.wait();
    assert_eq!(sealed(&proxy), answered.into_inner());
}

#[test]
fn r40_a_drain_under_load_loses_no_request_over_http_2() {
    let mut proxy = Proxy::start_with(draining_late());
    let address = proxy.address;
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = || {
            let config = Proxy::tls().alpn(&["h2"]).config();
            let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
            let mut connection = H2Connection::open(address, HOST, config);
            for _ in 0..MANY {
                match connection.exchange(request.http2()) {
                    Ok(response) => assert_eq!(response.status, 200),
                    // GOAWAY came first: the request was not processed, as the count at the end proves.
                    Err(_) => return,
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            panic!("the drain did not end within {MANY} requests");
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        wait_for("requests", LIMIT, || {
            (answered.load(Ordering::Relaxed) > 200).then_some(())
        });
        proxy.shut_down();
        for client in clients {
            client.join().expect("a client that lost nothing");
        }
    });
    proxy.wait();
    assert_eq!(sealed(&proxy), answered.into_inner());
}

#[test]
fn connections_above_the_cap_are_served_as_others_leave() {
    let mut setup = Setup::default();
    setup.limits.max_connections = 3;
    let proxy = Proxy::start_with(setup);
    let served = AtomicUsize::new(0);
    // Four times the cap: each gets its turn.
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut connection = proxy.connect();
                let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
                for _ in 0..5 {
                    assert_eq!(connection.exchange(&request.http1()).unwrap().status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(served.into_inner(), 60);
}

/// The default of `max_body_bytes`.
const CAP: usize = 64 * 1024;
const CONNECTIONS: usize = 64;
/// The default of `max_http2_streams`.
const STREAMS: usize = 128;
/// Buffers of TLS and HTTP for a connection, generously.
const OVERHEAD_KIB: usize = 384;
/// What may have come over an HTTP/2 connection and not been read yet.
const WINDOW_KIB: usize = 1024;
/// What all connections may have in addition.
const SHARED_KIB: usize = 16 * 1024;
/// More requests than a client gets through.
const MANY: usize = 100_000;
const LIMIT: Duration = Duration::from_secs(30);
