//! The certificate of the server; what a load balancer sees; the drain.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::certificates::path;
use harness::h2::H2Connection;
use harness::https::{Connection, Response};
use xks_proxy::server::Drain;

use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, Proxy, Setup, read_certificates, signed};

fn ping(connection: &mut Connection) -> io::Result<Response> {
    connection.exchange(format!("GET /ping HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes())
}

#[test]
fn r31_the_server_shows_its_certificate() {
    let proxy = Proxy::start();
    let foreign = harness::tls::TlsClient::trusting(&path("foreign-ca.crt.pem")).config();
    assert!(Connection::tls(proxy.address, HOST, foreign).is_err());
    assert!(Connection::tls(proxy.address, "example.com", Proxy::tls().config()).is_err());
    // Without TLS there is no answer of HTTP.
    let mut plain = Connection::plain(proxy.address).unwrap();
    assert!(ping(&mut plain).is_err());
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_leaves_old_ones_alone() {
    let mut proxy = Proxy::start();
    let mut old = proxy.connect();
    assert_eq!(ping(&mut old).unwrap().status, 200);
    let shown = |connection: &Connection| {
        let certificates = connection.session().unwrap().peer_certificates();
        certificates.unwrap()[0].clone().into_owned()
    };
    proxy.change(|setup| setup.certificate = "server-rsa");
    assert_eq!(ping(&mut old).unwrap().status, 200);
    let new = proxy.connect();
    assert_eq!(shown(&old), read_certificates("server-ecdsa.crt.pem")[0]);
    assert_eq!(shown(&new), read_certificates("server-rsa.crt.pem")[0]);
}

#[test]
fn r40_ping_is_answered_at_both_listeners_and_nothing_else_on_the_plain_one() {
    let proxy = Proxy::start();
    let mut plain = Connection::plain(proxy.health_address).unwrap();
    for connection in [&mut proxy.connect(), &mut plain] {
        assert_eq!(ping(connection).unwrap().status, 200);
        let head = format!("HEAD /ping HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        connection.send(head.as_bytes()).unwrap();
        assert_eq!(connection.receive_answer_to("HEAD").unwrap().status, 200);
        let post = format!("POST /ping HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\n\r\n");
        let response = connection.exchange(post.as_bytes()).unwrap();
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
    let h2 = Proxy::tls().alpn(&["h2"]).config();
    let mut h2 = H2Connection::open(proxy.address, HOST, h2);
    for (path, status) in [("/ping", 200), ("/pong", 404)] {
        let head = http::Request::head(format!("https://{HOST}{path}"));
        let response = h2.exchange(head.body(Bytes::new()).unwrap()).unwrap();
        assert_eq!((response.status, response.body.len()), (status, 0));
        assert_ne!(response.header("content-length"), Some("0"), "of a GET");
    }
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    assert_eq!(plain.exchange(&request).unwrap().status, 404);
    assert_eq!(proxy.key_manager.take_calls(), []);
}

#[test]
fn r40_a_drain_is_told_first_and_then_refuses() {
    let mut proxy = Proxy::start_with(Setup {
        drain: Drain {
            delay: Duration::from_secs(2),
            timeout: Duration::from_secs(30),
        },
        ..Setup::default()
    });
    let mut idle = proxy.connect();
    assert_eq!(ping(&mut idle).unwrap().status, 200);
    proxy.shut_down();
    let mut plain = Connection::plain(proxy.health_address).unwrap();
    let told = harness::wait_for("503 from /ping", Duration::from_secs(2), || {
        (ping(&mut plain).unwrap().status == 503).then(Instant::now)
    });
    // During the delay, everything else goes on, on new connections, too.
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    assert_eq!(response.status, 200);
    assert_eq!(ping(&mut idle).unwrap().status, 503);
    proxy.wait();
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "idle connections do not hold a drain up"
    );
    assert!(Connection::plain(proxy.address).is_err());
    assert!(idle.is_closed_within(Duration::from_secs(1)));
}

#[test]
fn requests_in_flight_finish_in_a_drain() {
    let mut proxy = Proxy::start();
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let (head, rest) = request.split_at(request.len() - 10);
    let mut connection = proxy.connect();
    connection.send(head).unwrap();
    // The head has arrived when the server has answered someone who came later.
    assert_eq!(ping(&mut proxy.connect()).unwrap().status, 200);
    proxy.shut_down();
    harness::wait_for("the listener to close", Duration::from_secs(5), || {
        Connection::plain(proxy.address).err()
    });
    connection.send(rest).unwrap();
    assert_eq!(connection.receive().unwrap().status, 200);
    assert!(connection.is_closed_within(Duration::from_secs(5)));
    proxy.wait();
}

#[test]
fn a_drain_ends_in_time_whatever_clients_do() {
    let mut proxy = Proxy::start_with(Setup {
        drain: Drain {
            delay: Duration::ZERO,
            timeout: Duration::from_millis(300),
        },
        ..Setup::default()
    });
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let mut connection = proxy.connect();
    connection.send(&request[..request.len() - 10]).unwrap();
    assert_eq!(ping(&mut proxy.connect()).unwrap().status, 200);
    let start = Instant::now();
    proxy.shut_down();
    proxy.wait();
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "the body deadline is 5 s"
    );
    assert!(connection.receive().is_err());
}
