//! What systemd hands to the program and hears of it: sockets, by its own `systemd-socket-activate`, and states.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::process::Process;
use harness::{backend, binaries, free_port};
use rustix::process::Signal;

use crate::program::{Prepared, encrypt};

#[test]
fn sockets_that_systemd_opened_are_served_by_their_names() {
    if !is_there() {
        return;
    }
    let mut prepared = Prepared::new(|text| format!("metrics_listen = \"127.0.0.1:0\"\n{text}"));
    let [api, metrics] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let configured = std::mem::replace(&mut prepared.env.address, api);
    let mut process = activated(&prepared, &[("metrics", metrics), ("api", api)]);
    let answer = prepared.env.call("keys/demo/encrypt", &encrypt());
    assert_eq!(answer.status, 200, "{}", process.outputs());
    let mut scrape = Connection::plain(metrics).unwrap();
    let get = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(scrape.exchange(get).unwrap().status, 200);
    assert!(
        Connection::plain(configured).is_err(),
        "the sockets count, not the configuration"
    );
    let told = process.stderr();
    assert!(told.contains("which counts"), "{told}");
    // With the sockets kept, nobody is sent elsewhere.
    process.terminate();
    assert!(process.wait(LIMIT).success());
    let told = process.stderr();
    assert!(told.contains("handing the sockets over"), "{told}");
}

#[test]
fn the_next_process_is_held_up_by_no_collector_and_no_administrator() {
    if !is_there() {
        return;
    }
    // Both say nothing.
    let collector = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let mut prepared = Prepared::new(|text| {
        format!("health_listen = \"127.0.0.1:0\"\n{text}\n[traces]\nendpoint = \"{endpoint}\"\n")
    });
    prepared.env.address = (Ipv4Addr::LOCALHOST, free_port()).into();
    let mut process = activated(&prepared, &[("api", prepared.env.address)]);
    let answer = prepared.env.call("keys/demo/encrypt", &encrypt());
    assert_eq!(answer.status, 200, "{}", process.outputs());
    let told = process.stderr();
    assert!(
        told.contains("health_listen has no inherited socket"),
        "{told}"
    );
    let administrator = UnixStream::connect(prepared.folder.path().join("admin.sock")).unwrap();
    let post = collector.accept().unwrap();
    let begin = Instant::now();
    process.terminate();
    assert!(process.wait(LIMIT).success());
    // Those two would take seven seconds; what else there is to do takes a few hundredths of one.
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop((administrator, post));
}

#[test]
fn a_single_socket_is_the_apis_whatever_its_name() {
    if !is_there() {
        return;
    }
    let mut prepared = Prepared::new(str::to_owned);
    prepared.env.address = (Ipv4Addr::LOCALHOST, free_port()).into();
    let _process = activated(&prepared, &[("xks-proxy.socket", prepared.env.address)]);
    let answer = prepared.env.call("keys/demo/encrypt", &encrypt());
    assert_eq!(answer.status, 200);
}

#[test]
fn sockets_that_nobody_would_serve_end_the_start() {
    if !is_there() {
        return;
    }
    let prepared = Prepared::new(str::to_owned);
    for (name, expected) in [
        ("control", "one of api, health, metrics, admin"),
        ("metrics", "the configuration has no metrics_listen"),
        ("api", "two inherited sockets are named api"),
    ] {
        let [api, other] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let mut process = activated(&prepared, &[("api", api), (name, other)]);
        // The first connection starts it.
        let _first = Connection::plain(api).unwrap();
        assert_eq!(process.wait(LIMIT).code(), Some(1), "{name}");
        let told = process.stderr();
        assert!(told.contains(expected), "{name}: {told}");
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let prepared = Prepared::new(str::to_owned);
    let mut command = serve(&prepared);
    // As in the environment of a child of a service.
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let mut process = Process::start(&mut command);
    process.wait_until("an open port", LIMIT, |_| {
        Connection::plain(prepared.env.address)
            .is_ok()
            .then_some(())
    });
}

#[test]
fn a_supervisor_hears_when_requests_are_answered_and_when_no_more_are() {
    let prepared = Prepared::new(|text| format!("{text}\n[reload]\npoll_interval = \"0s\"\n"));
    let path = prepared.folder.path().join("notify");
    let abstract_name = format!("xks-proxy-test-{}", std::process::id());
    let by_path = UnixDatagram::bind(&path).unwrap();
    let address = UnixAddress::from_abstract_name(&abstract_name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    for (socket, name) in [
        (by_path, path.display().to_string()),
        (by_name, format!("@{abstract_name}")),
    ] {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let next = || {
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).expect("a state");
            let text = std::str::from_utf8(&buffer[..length]).expect("text");
            // Assignments, one in a line: sd_notify(3).
            let lines = text
                .lines()
                .map(|line| line.split_once('=').expect("NAME=VALUE"));
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        let mut process = Process::start(serve(&prepared).env("NOTIFY_SOCKET", &name));
        assert_eq!(next()["READY"], "1");
        let answer = prepared.env.call("keys/demo/encrypt", &encrypt());
        assert_eq!(answer.status, 200);
        process.signal(Signal::HUP);
        let reloading = next();
        assert_eq!(reloading["RELOADING"], "1");
        assert!(reloading["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
        assert_eq!(next()["READY"], "1");
        process.terminate();
        assert_eq!(next()["STOPPING"], "1");
        assert!(process.wait(LIMIT).success());
    }
}

fn serve(prepared: &Prepared) -> Command {
    let mut command = Command::new(binaries::xks_proxy());
    command.args(["serve", "--config"]).arg(prepared.config());
    command
}

/// Has systemd's tool open sockets and start the proxy with the first connection.
fn activated(prepared: &Prepared, sockets: &[(&str, SocketAddr)]) -> Process {
    let mut command = Command::new(TOOL);
    for (_, address) in sockets {
        command.arg(format!("--listen={address}"));
    }
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    command
        .arg(format!("--fdname={}", names.join(":")))
        .arg(binaries::xks_proxy())
        .args(["serve", "--config"])
        .arg(prepared.config());
    let mut process = Process::start(&mut command);
    process.wait_until("open sockets", LIMIT, |process| {
        let told = process.stderr();
        let open = told.matches("Listening on").count();
        (open == sockets.len()).then_some(())
    });
    process
}

fn is_there() -> bool {
    let found = Command::new(TOOL).arg("--version").output();
    match found {
        Ok(_) => true,
        Err(error) => {
            backend::missing("systemd's sockets", &format!("{TOOL}: {error}"));
            false
        }
    }
}

const TOOL: &str = "systemd-socket-activate";
const LIMIT: Duration = Duration::from_secs(30);
