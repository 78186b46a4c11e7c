//! Many clients at a time, and more than are allowed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use harness::https::Connection;
use harness::process::Process;
use kms_sim::{ClientLimits, Config};

use crate::server::{SIGNED, Server, call};

#[test]
fn two_thousand_clients_at_a_time_are_served() {
    harness::descriptors::raise();
    let mut program = Process::start(Command::new(env!("CARGO_BIN_EXE_kms-sim")).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "warn",
    ]));
    let address: SocketAddr = program.wait_until("it serves", Duration::from_secs(60), |process| {
        let output = process.stdout();
        let (_, after) = output.split_once("kms-sim listens on http://")?;
        after.split_once(char::is_whitespace)?.0.parse().ok()
    });
    let mut connections: Vec<Connection> = (0..2_000)
        .map(|at| {
            Connection::plain(address).unwrap_or_else(|error| panic!("connection {at}: {error}"))
        })
        .collect();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nx-amz-target: TrentService.CreateKey\r\n{SIGNED}content-length: 2\r\n\r\n{{}}"
    );
    // Twice each: all have asked before the first answer is read.
    for _ in 0..2 {
        for connection in &mut connections {
            connection.send(request.as_bytes()).expect("it reads");
        }
        for connection in &mut connections {
            assert_eq!(connection.receive().expect("an answer").status, 200);
        }
    }
    program.terminate();
    assert!(program.wait(Duration::from_secs(60)).success());
}

#[test]
fn more_than_are_allowed_wait_for_one_to_end() {
    let server = Server::start(Config {
        limits: ClientLimits {
            max_connections: 3,
            ..ClientLimits::default()
        },
        ..Config::default()
    });
    let mut allowed: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut allowed {
        assert_eq!(call(connection, "ListKeys", "{}").status, 200);
    }
    let mut waiting = TcpStream::connect(server.address).expect("the kernel takes it");
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\nx-amz-target: TrentService.ListKeys\r\n{SIGNED}\
         content-length: 2\r\n\r\n{{}}"
    );
    waiting
        .write_all(request.as_bytes())
        .expect("the kernel takes it");
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a socket");
    assert!(waiting.read(&mut [0]).is_err(), "nobody reads it yet");
    // Those that are connected are served as ever.
    assert_eq!(call(&mut allowed[1], "ListKeys", "{}").status, 200);
    drop(allowed.pop());
    waiting
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    drop(allowed);
    assert!(server.stop());
}
