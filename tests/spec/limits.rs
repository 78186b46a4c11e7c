//! What a client may use of time, memory and connections.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use harness::h2::H2Connection;
use harness::https::Connection;
use harness::signer::SignedRequest;
use xks_proxy::runtime::Limits;

use crate::operations::{ENCRYPT_EXAMPLE, refused};
use crate::proxy::{HOST, PREFIX, Proxy, Setup, signed};

fn with_limits(limits: Limits) -> Proxy {
    Proxy::start_with(Setup {
        limits,
        ..Setup::default()
    })
}

fn head(length: usize) -> String {
    format!(
        "POST {PREFIX}/kms/xks/v1/keys/demo/encrypt HTTP/1.1\r\nhost: {HOST}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

const SOON: Duration = Duration::from_millis(300);
/// Much longer than SOON, much shorter than any default.
const IN_TIME: Duration = Duration::from_secs(3);

#[test]
fn a_body_above_the_cap_is_refused_unread() {
    let proxy = Proxy::start();
    let mut connection = proxy.connect();
    // Not a byte of the body has been sent.
    let response = connection.exchange(head(65_537).as_bytes()).unwrap();
    refused(&response, 501, "UnsupportedOperationException");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(proxy.key_manager.take_calls(), []);
}

#[test]
fn the_answer_can_be_read_although_the_body_still_comes() {
    let proxy = Proxy::start();
    let body = vec![b' '; 900_000];
    let request = signed("/keys/demo/encrypt", body);
    for _ in 0..5 {
        // The client writes everything before it reads: a reset would lose the answer.
        let mut connection = proxy.connect();
        connection.send(&request.http1()).unwrap();
        let response = connection.receive().unwrap();
        refused(&response, 501, "UnsupportedOperationException");
        assert!(connection.is_closed_within(Duration::from_secs(5)));
    }
}

#[test]
fn a_body_without_a_length_is_refused_as_it_passes_the_cap() {
    let proxy = Proxy::start();
    let mut request = signed("/keys/demo/encrypt", "");
    request.set("transfer-encoding", "chunked");
    let mut connection = proxy.connect();
    connection.send(&request.http1()).unwrap();
    let chunk = [b"8000\r\n", &[b' '; 0x8000][..], b"\r\n"].concat();
    for _ in 0..3 {
        connection.send(&chunk).unwrap();
    }
    refused(
        &connection.receive().unwrap(),
        501,
        "UnsupportedOperationException",
    );
}

#[test]
fn a_chunked_body_within_the_cap_is_read() {
    let proxy = Proxy::start();
    let mut request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    request.set("transfer-encoding", "chunked");
    let (first, second) = ENCRYPT_EXAMPLE.split_at(300);
    request.body.clear();
    let mut bytes = request.http1();
    for part in [first, second] {
        bytes.extend(format!("{:x}\r\n{part}\r\n", part.len()).bytes());
    }
    bytes.extend(b"0\r\n\r\n");
    assert_eq!(proxy.connect().exchange(&bytes).unwrap().status, 200);
}

#[test]
fn a_body_above_the_cap_is_refused_over_http_2_and_the_connection_goes_on() {
    let proxy = Proxy::start();
    let config = Proxy::tls().alpn(&["h2"]).config();
    let mut connection = H2Connection::open(proxy.address, HOST, config);
    let large = signed("/keys/demo/encrypt", vec![b' '; 900_000]);
    let response = connection.exchange(large.http2()).unwrap();
    refused(&response, 501, "UnsupportedOperationException");
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    assert_eq!(connection.exchange(request.http2()).unwrap().status, 200);
}

#[test]
fn a_larger_cap_can_be_configured() {
    let proxy = with_limits(Limits {
        max_body_bytes: 128 * 1024,
        ..Limits::default()
    });
    let mut body = ENCRYPT_EXAMPLE.as_bytes().to_vec();
    body.resize(100_000, b' ');
    assert_eq!(proxy.post("/keys/demo/encrypt", body).status, 200);
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let proxy = with_limits(Limits {
        body_timeout: SOON,
        ..Limits::default()
    });
    let mut connection = proxy.connect();
    let start = Instant::now();
    let response = connection.exchange(head(100).as_bytes()).unwrap();
    refused(&response, 400, "ValidationException");
    assert!(start.elapsed() >= SOON);
    assert!(connection.is_closed_within(IN_TIME));
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let proxy = with_limits(Limits {
        header_timeout: SOON,
        ..Limits::default()
    });
    let mut fresh = proxy.connect();
    let mut used = proxy.connect();
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    assert_eq!(used.exchange(&request).unwrap().status, 200);
    for connection in [&mut fresh, &mut used] {
        let start = Instant::now();
        connection.send(b"POST /example").unwrap();
        assert!(connection.is_closed_within(IN_TIME));
        assert!(start.elapsed() >= SOON);
    }
    // A byte now and then does not help.
    let mut slow = proxy.connect();
    let start = Instant::now();
    while slow.send(b"P").is_ok() && !slow.is_closed_within(Duration::from_millis(50)) {
        assert!(start.elapsed() < IN_TIME);
    }
}

#[test]
fn an_idle_connection_is_closed_and_a_used_one_is_not() {
    let proxy = with_limits(Limits {
        idle_timeout: Duration::from_secs(1),
        header_timeout: SOON,
        ..Limits::default()
    });
    let mut idle = proxy.connect();
    let mut used = proxy.connect();
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let start = Instant::now();
    // Longer than either limit in all.
    for _ in 0..5 {
        assert_eq!(used.exchange(&request).unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(400));
    }
    assert!(idle.is_closed_within(IN_TIME));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(used.is_closed_within(IN_TIME));
}

#[test]
fn an_idle_connection_of_http_2_is_closed_and_a_used_one_is_not() {
    let proxy = with_limits(Limits {
        idle_timeout: Duration::from_secs(1),
        header_timeout: SOON,
        ..Limits::default()
    });
    let open = || H2Connection::open(proxy.address, HOST, Proxy::tls().alpn(&["h2"]).config());
    let start = Instant::now();
    let (idle, mut used) = (open(), open());
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    for _ in 0..5 {
        assert_eq!(used.exchange(request.http2()).unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(400));
    }
    assert!(idle.is_closed_within(IN_TIME));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(used.is_closed_within(IN_TIME));
}

#[test]
fn a_handshake_that_does_not_come_is_given_up() {
    let proxy = with_limits(Limits {
        handshake_timeout: SOON,
        ..Limits::default()
    });
    // Nothing, and the beginning of a ClientHello.
    for bytes in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let start = Instant::now();
        let mut connection = TcpStream::connect(proxy.address).unwrap();
        connection.set_read_timeout(Some(IN_TIME)).unwrap();
        connection.write_all(bytes).unwrap();
        assert!(!timed_out(connection.read(&mut [0])));
        assert!(start.elapsed() >= SOON);
    }
}

fn timed_out(result: io::Result<usize>) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    result.is_err_and(|e| matches!(e.kind(), TimedOut | WouldBlock))
}

#[test]
fn connections_above_the_cap_wait() {
    let proxy = with_limits(Limits {
        max_connections: 2,
        ..Limits::default()
    });
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let mut first = proxy.connect();
    let mut second = proxy.connect();
    assert_eq!(first.exchange(&request).unwrap().status, 200);
    // The kernel completes the TCP handshake; nobody answers the TLS handshake.
    let mut third = TcpStream::connect(proxy.address).unwrap();
    third.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    third.set_read_timeout(Some(SOON)).unwrap();
    assert!(timed_out(third.read(&mut [0])));
    drop(first);
    // Now it is its turn, and what it sent is no TLS.
    third.set_read_timeout(Some(IN_TIME)).unwrap();
    assert!(!timed_out(third.read(&mut [0])));
    assert_eq!(second.exchange(&request).unwrap().status, 200);
    assert_eq!(
        proxy
            .exchange(&signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE))
            .status,
        200
    );
}

#[test]
fn a_head_beyond_all_measure_is_refused() {
    let proxy = Proxy::start();
    let mut request = SignedRequest::unsigned("POST", HOST, "/", "");
    request.set("x-long", "x".repeat(100_000));
    let mut connection = proxy.connect();
    // The server may close before all of it is written.
    let _ = connection.send(&request.http1());
    match connection.receive() {
        Ok(response) => assert_eq!(response.status, 431),
        Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock),
    }
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        200
    );
}

#[test]
fn a_client_that_goes_away_leaves_the_server_as_it_was() {
    let proxy = Proxy::start();
    for _ in 0..20 {
        let mut connection = proxy.connect();
        connection.send(&head(100).as_bytes()[..50]).unwrap();
        drop(connection);
        let tcp = TcpStream::connect(proxy.address).unwrap();
        tcp.shutdown(Shutdown::Both).unwrap();
    }
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        200
    );
}

#[test]
fn several_requests_at_once_on_one_connection_are_answered_in_order() {
    let proxy = Proxy::start();
    let good = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let bad = signed("/keys/nothing/encrypt", ENCRYPT_EXAMPLE).http1();
    let mut connection: Connection = proxy.connect();
    connection.send(&[&good[..], &bad, &good].concat()).unwrap();
    let statuses = [(); 3].map(|()| connection.receive().unwrap().status);
    assert_eq!(statuses, [200, 404, 200]);
}
