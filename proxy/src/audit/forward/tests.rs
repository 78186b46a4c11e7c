//! Receivers that are sockets and files of these tests: what arrives is what the log holds.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;

/// Sends lines to a place, and waits until they are sent.
fn send(place: Forward, lines: &[u8]) -> u64 {
    let state = Arc::new(State::default());
    let forwarders = Forwarders::start(&[place], &state).unwrap();
    forwarders.forward(lines);
    drop(forwarders);
    state.not_forwarded.load(Ordering::Relaxed)
}

/// RFC 5424: `<PRI>VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD SP MSG`.
fn check_syslog(message: &[u8], line: &str) {
    let message = str::from_utf8(message).unwrap();
    let parts: Vec<_> = message.splitn(8, ' ').collect();
    let [version, time, host, app, process, id, data, text] = parts[..] else {
        panic!("{message}")
    };
    assert_eq!(version, "<109>1");
    assert_eq!(time, "2026-11-24T07:38:39.000123Z");
    assert!(!host.is_empty() && host.len() <= 255);
    assert_eq!((app, id, data), ("xks-proxy", "audit", "-"));
    assert_eq!(process, std::process::id().to_string());
    assert_eq!(text, line);
}

#[test]
fn syslog_gets_a_datagram_for_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_eq!(
        send(Forward::Syslog(Transport::Unix(path)), LINES.as_bytes()),
        0
    );
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    assert_eq!(
        send(Forward::Syslog(Transport::Udp(address)), LINES.as_bytes()),
        0
    );
    let mut buffer = [0; 2_000];
    for line in LINES.lines() {
        let len = socket.recv(&mut buffer).unwrap();
        check_syslog(&buffer[..len], line);
        let len = udp.recv(&mut buffer).unwrap();
        check_syslog(&buffer[..len], line);
    }
}

#[test]
fn syslog_over_streams_has_the_length_before_each_message() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let from_tcp = std::thread::spawn(move || {
        let mut text = Vec::new();
        tcp.accept().unwrap().0.read_to_end(&mut text).unwrap();
        text
    });
    assert_eq!(
        send(Forward::Syslog(Transport::Tcp(address)), LINES.as_bytes()),
        0
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let unix = UnixListener::bind(&path).unwrap();
    let from_unix = std::thread::spawn(move || {
        let mut text = Vec::new();
        unix.accept().unwrap().0.read_to_end(&mut text).unwrap();
        text
    });
    assert_eq!(
        send(Forward::Syslog(Transport::Unix(path)), LINES.as_bytes()),
        0
    );
    for received in [from_tcp.join().unwrap(), from_unix.join().unwrap()] {
        let mut rest = BufReader::new(&*received);
        for line in LINES.lines() {
            let mut len = Vec::new();
            rest.read_until(b' ', &mut len).unwrap();
            let len: usize = str::from_utf8(&len).unwrap().trim().parse().unwrap();
            let mut message = vec![0; len];
            rest.read_exact(&mut message).unwrap();
            check_syslog(&message, line);
        }
        assert_eq!(rest.fill_buf().unwrap(), b"");
    }
}

#[test]
fn journald_gets_fields_to_look_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_eq!(send(Forward::Journald(path), LINES.as_bytes()), 0);
    let mut buffer = [0; 2_000];
    let len = socket.recv(&mut buffer).unwrap();
    let text = str::from_utf8(&buffer[..len]).unwrap();
    let fields: Vec<_> = text.lines().collect();
    let first = LINES.lines().next().unwrap();
    assert!(fields.contains(&"XKS_AUDIT_SEQUENCE=1"), "{text}");
    assert!(fields.contains(&"XKS_KMS_REQUEST_ID=r-1"), "{text}");
    assert!(
        fields.contains(&"SYSLOG_IDENTIFIER=xks-proxy-audit"),
        "{text}"
    );
    assert!(fields.contains(&&*format!("MESSAGE={first}")), "{text}");
    let len = socket.recv(&mut buffer).unwrap();
    let text = str::from_utf8(&buffer[..len]).unwrap();
    assert!(
        text.contains("XKS_AUDIT_SEQUENCE=2") && !text.contains("REQUEST_ID="),
        "{text}"
    );
}

#[test]
fn a_file_is_appended_to_and_what_nobody_takes_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    assert_eq!(send(Forward::File(path.clone()), LINES.as_bytes()), 0);
    assert_eq!(send(Forward::File(path.clone()), LINES.as_bytes()), 0);
    assert_eq!(std::fs::read_to_string(path).unwrap(), LINES.repeat(2));
    let nobody = folder.path().join("nobody");
    assert_eq!(send(Forward::Journald(nobody), LINES.as_bytes()), 2);
}

#[test]
fn each_place_reads_as_it_is_written() {
    for text in [
        "stdout",
        "file:/var/log/copy.jsonl",
        "syslog+unix:/dev/log",
        "syslog+udp://127.0.0.1:514",
        "syslog+tcp://[::1]:601",
        "journald:/run/systemd/journal/socket",
    ] {
        assert_eq!(Forward::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "syslog",
        "file:x",
        "syslog+udp:127.0.0.1:514",
        "syslog+tcp://host:1",
    ] {
        assert_eq!(Forward::parse(text), None, "{text}");
    }
}

const LINES: &str = concat!(
    r#"{"sequence":1,"previous":"A","time":"2026-11-24T07:38:39.000123Z","kmsRequestId":"r-1","mac":"M"}"#,
    "\n",
    r#"{"sequence":2,"previous":"M","time":"2026-11-24T07:38:39.000123Z","event":"closed","mac":"N"}"#,
    "\n",
);
