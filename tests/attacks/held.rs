//! Attackers who hold connections: heads that never end, handshakes that never do, and connections without anything.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use harness::https::Connection;

use crate::target::Target;

#[test]
fn slowloris() {
    let mut target = Target::start("header_timeout = \"2s\"\nbody_timeout = \"2s\"");
    let (figures, closed) = target.under(|proxy| {
        let mut slow: Vec<Connection> = (0..CONNECTIONS).map(|_| proxy.connect()).collect();
        for (number, connection) in slow.iter_mut().enumerate() {
            // One half never ends its head, the other one its body.
            let path = &proxy.env.uri_path;
            let start = match number % 2 {
                0 => format!("POST {path}/keys/demo/encrypt HTTP/1.1\r\nhost: localhost\r\nx-a: "),
                _ => format!(
                    "POST {path}/keys/demo/encrypt HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n"
                ),
            };
            connection.send(start.as_bytes()).unwrap();
        }
        // A byte now and then, as long as somebody takes it.
        let start = Instant::now();
        while !slow.is_empty() && start.elapsed() < PATIENCE {
            slow.retain_mut(|connection| {
                connection.send(b"x").is_ok() && !connection.is_closed_within(Duration::from_millis(1))
            });
        }
        CONNECTIONS - slow.len()
    });
    assert_eq!(
        closed, CONNECTIONS,
        "deadlines hold, whatever comes meanwhile"
    );
    assert!(figures.descriptors > CONNECTIONS, "{figures:?}");
    figures.hold("slowloris", 96 * 1024);
}

#[test]
fn half_open_tls() {
    // Long enough for all of them to be open at a time, also on a machine that is busy.
    let mut target = Target::start("handshake_timeout = \"8s\"");
    let (figures, closed) = target.under(|proxy| {
        let open = |number: usize| {
            let mut socket = TcpStream::connect(proxy.env.address).unwrap();
            // Nothing, or the beginning of a ClientHello that announces more than comes.
            if number.is_multiple_of(2) {
                socket
                    .write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])
                    .unwrap();
            }
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        let half_open: Vec<_> = (0..2 * CONNECTIONS).map(open).collect();
        let ended = |mut socket: TcpStream| {
            let mut rest = Vec::new();
            match socket.read_to_end(&mut rest) {
                Ok(_) => true,
                // It was closed over what had not been read.
                Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
            }
        };
        half_open
            .into_iter()
            .filter_map(|s| ended(s).then_some(()))
            .count()
    });
    assert_eq!(closed, 2 * CONNECTIONS);
    assert!(figures.descriptors > 2 * CONNECTIONS, "{figures:?}");
    figures.hold("half-open TLS", 96 * 1024);
}

#[test]
fn many_connections() {
    let mut target = Target::start("idle_timeout = \"60m\"");
    let (figures, ()) = target.under(|proxy| {
        // In waves, and then all at once, each with a session of TLS and nothing to say.
        for _ in 0..5 {
            let wave: Vec<Connection> = (0..200).map(|_| proxy.connect()).collect();
            drop(wave);
        }
        let all: Vec<Connection> = (0..3 * CONNECTIONS).map(|_| proxy.connect()).collect();
        std::thread::sleep(Duration::from_secs(1));
        drop(all);
    });
    assert!(figures.descriptors > 3 * CONNECTIONS, "{figures:?}");
    // Each costs buffers of TLS and HTTP; far less than this.
    figures.hold(
        "many connections",
        3 * u64::try_from(CONNECTIONS).unwrap() * 128,
    );
}

const CONNECTIONS: usize = 400;
/// Several times the deadlines of these tests.
const PATIENCE: Duration = Duration::from_secs(30);
