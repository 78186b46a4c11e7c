//! Load balancers that say for whom they connect, and connections of one address.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::num::NonZeroU32;
use std::time::Duration;

use harness::https::Connection;
use xks_proxy::runtime::Limits;
use xks_proxy::server::networks::Network;

use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, Proxy, Setup, signed};

fn with(peers: &[&str], per_address: Option<u32>) -> Proxy {
    Proxy::start_with(Setup {
        limits: Limits {
            proxy_protocol_from: peers
                .iter()
                .map(|p| Network::try_from(*p).unwrap())
                .collect(),
            max_connections_per_address: per_address.and_then(NonZeroU32::new),
            handshake_timeout: Duration::from_secs(2),
            ..Limits::default()
        },
        ..Setup::default()
    })
}

/// The header of a connection from this address, as the PROXY protocol's specification lays it out.
fn header_for(client: Ipv4Addr) -> Vec<u8> {
    let mut header = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c".to_vec();
    header.extend(client.octets());
    header.extend([198, 51, 100, 1, 0x30, 0x39, 0x01, 0xbb]);
    header
}

/// The header of a connection that the load balancer makes for itself.
const LOCAL: &[u8] = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00";

fn connect(proxy: &Proxy, first: &[u8]) -> std::io::Result<Connection> {
    Connection::tls_after(first, proxy.address, HOST, Proxy::tls().config())
}

fn encrypts(connection: &mut Connection) -> bool {
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
    connection
        .exchange(&request)
        .is_ok_and(|response| response.status == 200)
}

#[test]
fn a_named_peer_says_for_whom_it_connects_and_the_log_has_it() {
    let proxy = with(&["127.0.0.0/8"], None);
    let client = Ipv4Addr::new(203, 0, 113, 9);
    let mut behind = connect(&proxy, &header_for(client)).unwrap();
    assert!(encrypts(&mut behind) && encrypts(&mut behind));
    assert!(encrypts(&mut connect(&proxy, LOCAL).unwrap()));
    let lines = proxy.end_and_read_log();
    let clients: Vec<_> = lines.iter().map(|l| l["clientAddress"].as_str()).collect();
    let expected = Some("203.0.113.9:12345");
    assert_eq!(clients, [expected, expected, None]);
}

#[test]
fn a_named_peer_without_a_header_is_closed_and_so_is_another_with_one() {
    let proxy = with(&["127.0.0.0/8"], None);
    for first in [
        &b""[..],
        b"PROXY TCP4 203.0.113.9 198.51.100.1 12345 443\r\n",
        &LOCAL[..15],
    ] {
        assert!(connect(&proxy, first).is_err(), "{first:?}");
    }
    // One that comes halfway is given up.
    let mut half = TcpStream::connect(proxy.address).unwrap();
    half.write_all(&LOCAL[..8]).unwrap();
    half.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(
        matches!(half.read(&mut [0]), Ok(0)),
        "closed without an answer"
    );
    // The listener for load balancers is behind the same ones.
    let mut plain = Connection::plain(proxy.health_address).unwrap();
    let ping = format!("GET /ping HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let answer = plain.exchange(&[LOCAL, ping.as_bytes()].concat()).unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        Connection::plain(proxy.health_address)
            .unwrap()
            .exchange(ping.as_bytes())
            .is_err()
    );

    let open = with(&["10.0.0.0/8"], None);
    assert!(connect(&open, &header_for(Ipv4Addr::new(203, 0, 113, 9))).is_err());
    assert!(encrypts(&mut open.connect()));
}

#[test]
fn an_address_has_so_many_connections_and_others_have_theirs() {
    let proxy = with(&["127.0.0.0/8"], Some(3));
    let crowd = header_for(Ipv4Addr::new(203, 0, 113, 9));
    let mut crowded: Vec<_> = (0..3).map(|_| connect(&proxy, &crowd).unwrap()).collect();
    for _ in 0..20 {
        assert!(connect(&proxy, &crowd).is_err());
    }
    let mut honest = connect(&proxy, &header_for(Ipv4Addr::new(192, 0, 2, 1))).unwrap();
    assert!(encrypts(&mut honest));
    assert!(crowded.iter_mut().all(encrypts));
    crowded.pop();
    let again = harness::wait_for("a place", Duration::from_secs(10), || {
        connect(&proxy, &crowd).ok()
    });
    drop((again, crowded));

    // Without a load balancer it is the peer's own address that counts; without a limit none does.
    let direct = with(&[], Some(2));
    let held = [direct.connect(), direct.connect()];
    assert!(connect(&direct, b"").is_err());
    drop(held);
    let unlimited = with(&[], None);
    let many: Vec<_> = (0..50).map(|_| unlimited.connect()).collect();
    assert_eq!(many.len(), 50);
}
