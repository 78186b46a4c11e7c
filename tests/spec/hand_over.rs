//! One server after the other on a socket that stays open: no request is lost in between, and nobody holds it up. The same
//! where open connections end for another reason: other clients are taken than before.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::certificates::path;
use harness::h2::H2Connection;
use harness::https::Connection;
use harness::wait_for;
use rustls::ClientConfig;
use xks_proxy::runtime::Limits;
use xks_proxy::server::{Drain, Leave};
use xks_proxy::traces::{self, Endpoint};

use crate::key_manager::Call;
use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, Proxy, Setup, signed};
use crate::tls_matrix::{revoke, with_nobody_revoked};

#[test]
fn a_hand_over_under_load_loses_no_request_over_http_1() {
    let handed_over = hand_over(|load, address| {
        let clients = Clients::new(address, Proxy::tls().config());
        while load.goes_on() {
            clients.one_after_the_other(load);
        }
    });
    assert_eq!(handed_over.sealed, handed_over.answered);
}

#[test]
fn a_hand_over_under_load_loses_no_request_over_http_2() {
    let handed_over = hand_over(|load, address| {
        let config = Proxy::tls().alpn(&["h2"]).config();
        let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        while load.goes_on() {
            let mut connection = H2Connection::open(address, HOST, Arc::clone(&config));
            // GOAWAY comes before a request that is not processed, as the count at the end proves.
            while load.goes_on()
                && let Ok(response) = connection.exchange(request.http2())
            {
                assert_eq!(response.status, 200);
                load.answered();
            }
        }
    });
    assert_eq!(handed_over.sealed, handed_over.answered);
}

#[test]
fn connections_of_before_are_told_and_others_only_when_those_are_gone() {
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    let ask = |connection: &mut Connection| {
        let response = connection.exchange(&request)?;
        assert_eq!(response.status, 200);
        Ok::<_, std::io::Error>(response.header("connection") == Some("close"))
    };
    // The end of it is a matter of a tenth of a second, which a busy machine may miss.
    let told_at_the_end = (0..ATTEMPTS).any(|_| {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let hour = Duration::from_secs(60 * 60);
        let leave = Leave::HandOver(Drain {
            delay: hour,
            timeout: hour,
        });
        let mut proxy = Proxy::start_on(Setup::default(), socket.try_clone().unwrap(), leave);
        let (mut first, mut second) = (proxy.connect(), proxy.connect());
        for connection in [&mut first, &mut second] {
            assert!(!ask(connection).unwrap());
        }
        proxy.shut_down();
        wait_for("word of the end", LIMIT, || {
            ask(&mut first).unwrap().then_some(())
        });
        assert!(first.is_closed_within(LIMIT));
        // As long as the second one of before is open, others come and stay.
        let mut fresh = proxy.connect();
        for _ in 0..10 {
            assert!(!ask(&mut fresh).unwrap());
        }
        assert!(ask(&mut second).unwrap());
        assert!(second.is_closed_within(LIMIT));
        let mut told = ask(&mut fresh);
        // The server may not have seen the end of the second one yet.
        while let Ok(false) = told {
            told = ask(&mut fresh);
        }
        proxy.wait();
        told.is_ok()
    });
    assert!(told_at_the_end, "a connection was closed without a word");
}

#[test]
fn a_client_that_stays_is_answered_once_more_and_told() {
    let mut proxy = Proxy::start_with(with_nobody_revoked());
    let identity = Proxy::tls().identity(&path("client.crt.pem"), &path("client.test-key.pem"));
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    // It has half a second, which a busy machine may miss.
    let told = (0..ATTEMPTS).any(|_| {
        proxy.change(|setup| setup.client = with_nobody_revoked().client);
        let config = identity.config();
        let mut connection = Connection::tls(proxy.address, HOST, config).expect("a connection");
        assert_eq!(connection.exchange(&request).unwrap().status, 200);
        proxy.change(revoke);
        // Time enough for the server to have ended it, if it did.
        let closed = connection.is_closed_within(Duration::from_millis(30));
        let answer = connection.exchange(&request);
        !closed && answer.is_ok_and(|answer| answer.header("connection") == Some("close"))
    });
    assert!(told, "the connection was closed without a word");
}

#[test]
fn connections_that_say_nothing_do_not_hold_a_hand_over_up() {
    let hour = Duration::from_secs(60 * 60);
    let limits = Limits {
        handshake_timeout: hour,
        header_timeout: hour,
        body_timeout: hour,
        idle_timeout: hour,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut proxy = Proxy::start_on(setup, socket.try_clone().unwrap(), leave());
    let silent = TcpStream::connect(proxy.address).unwrap();
    let unused = proxy.connect();
    let mut used = proxy.connect();
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    assert_eq!(used.exchange(&request).unwrap().status, 200);
    let mut incomplete = proxy.connect();
    incomplete.send(&request[..request.len() / 2]).unwrap();
    proxy.shut_down();
    // It ends at all: none of the deadlines above would see to that today.
    proxy.wait();
    assert!(used.is_closed_within(LIMIT));
    drop((silent, unused, incomplete, socket));
}

#[test]
fn a_change_of_clients_loses_no_request_of_those_who_stay() {
    let mut proxy = Proxy::start_with(with_nobody_revoked());
    let identity = Proxy::tls().identity(&path("client.crt.pem"), &path("client.test-key.pem"));
    let (address, config) = (proxy.address, identity.config());
    let load = Load::default();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (load, clients) = (&load, Clients::new(address, Arc::clone(&config)));
            scope.spawn(move || {
                let _end = EndOfLoad(load);
                while load.goes_on() {
                    clients.one_after_the_other(load);
                }
            });
        }
        let _end = EndOfLoad(&load);
        load.more(100);
        for round in 0..6 {
            match round % 2 {
                0 => proxy.change(revoke),
                _ => proxy.change(|setup| setup.client = with_nobody_revoked().client),
            }
            load.more(100);
        }
    });
    assert_eq!(sealed(&proxy), load.answered.into_inner());
}

/// A load over a hand-over.
struct HandedOver {
    answered: usize,
    /// By both servers.
    sealed: usize,
}

/// Has clients ask while one server follows the other; nothing listens in between.
fn hand_over(client: impl Fn(&Load, SocketAddr) + Sync) -> HandedOver {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Takes connections and spans, and says nothing.
    let collector = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let start = || {
        let traces = traces::Settings {
            endpoint: Endpoint::try_from(&*endpoint).unwrap(),
            roots: Vec::new(),
            one_in: NonZeroU64::MIN,
            service_name: "xks-proxy".into(),
        };
        let setup = Setup {
            traces: Some(traces),
            ..Setup::default()
        };
        Proxy::start_on(setup, socket.try_clone().unwrap(), leave())
    };
    let mut first = start();
    let (address, load) = (first.address, Load::default());
    let mut second = None;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (load, client) = (&load, &client);
            scope.spawn(move || {
                let _end = EndOfLoad(load);
                client(load, address);
            });
        }
        let _end = EndOfLoad(&load);
        load.more(200);
        first.shut_down();
        first.wait();
        let begin = Instant::now();
        drop(first.traces_guard.take());
        // A post to the collector takes two seconds.
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        second = Some(start());
        load.more(200);
    });
    let second = second.expect("a second server");
    let both = [sealed(&first), sealed(&second)];
    assert!(both.iter().all(|sealed| *sealed > 0), "{both:?}");
    HandedOver {
        answered: load.answered.into_inner(),
        sealed: both.iter().sum(),
    }
}

/// Asks over HTTP/1.1 as clients with a pool do.
struct Clients {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    request: Vec<u8>,
}

impl Clients {
    fn new(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
        Self {
            address,
            config,
            request,
        }
    }

    /// Over one connection until the server asks for its end, or has ended it between two requests.
    fn one_after_the_other(&self, load: &Load) {
        let config = Arc::clone(&self.config);
        // The socket is open all the time.
        let mut connection = Connection::tls(self.address, HOST, config).expect("a connection");
        while load.goes_on() {
            // What was sent is answered, come what may.
            let response = connection.exchange(&self.request).expect("an answer");
            assert_eq!(response.status, 200);
            load.answered();
            let closing = response.header("connection") == Some("close");
            if closing || connection.is_closed_within(Duration::from_micros(1)) {
                return;
            }
        }
    }
}

#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for more answers.
    fn more(&self, number: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + number;
        wait_for("answers", LIMIT, || {
            let there = self.answered.load(Ordering::Relaxed) >= enough;
            assert!(self.goes_on(), "a client has failed");
            there.then_some(())
        });
    }
}

/// So that a failure of one thread ends the others.
struct EndOfLoad<'a>(&'a Load);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// How many times the key manager encrypted.
fn sealed(proxy: &Proxy) -> usize {
    let calls = proxy.key_manager.take_calls();
    let seals = calls.iter().filter(|call| matches!(call, Call::Seal(_)));
    seals.count()
}

fn leave() -> Leave {
    Leave::HandOver(Drain {
        delay: Duration::from_millis(500),
        timeout: Duration::from_secs(30),
    })
}

const CLIENTS: usize = 8;
const ATTEMPTS: usize = 3;
const LIMIT: Duration = Duration::from_secs(30);
