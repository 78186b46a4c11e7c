//! Memory that is resident: of a proxy that has nothing to do, and of each idle connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::Run;
use crate::clients::{Destination, Protocol};
use crate::results::Results;
use crate::servers::{Server, Setup};

pub(crate) fn memory(run: &Run, results: &mut Results) {
    let count = run.of(10_000, 50);
    let setup = Setup {
        more: "[limits]\nmax_connections = 19000\nidle_timeout = \"60m\"\n".into(),
        ..Setup::default()
    };
    let server = Server::proxy_with(setup);
    std::thread::sleep(SETTLE);
    let alone = resident(server.processes[0]) as f64;
    let mebibytes = alone / 1024.0 / 1024.0;
    results.row("xks-proxy", "resident, idle", "MiB", None, vec![mebibytes]);
    let held = run.executor.block_on(idle(server.destination(), count));
    std::thread::sleep(SETTLE);
    let with = resident(server.processes[0]) as f64;
    let each = (with - alone) / count as f64 / 1024.0;
    let figure = "of an idle TLS connection";
    results.row("xks-proxy", figure, "KiB", Some(count as f64), vec![each]);
    drop(held);
    std::thread::sleep(SETTLE);
    let after = resident(server.processes[0]) as f64 / 1024.0 / 1024.0;
    results.row(
        "xks-proxy",
        "resident, after them",
        "MiB",
        None,
        vec![after],
    );
    results.at_most("resident, idle", mebibytes, 12.0, "MiB");
    results.at_most(figure, each, 25.0, "KiB");
}

/// Connections that have had one answer each, and do nothing any more.
pub(crate) async fn idle(to: Destination, count: usize) -> Vec<TlsStream<TcpStream>> {
    let config = Arc::new(to.config(Protocol::Http1));
    let mut opened = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    let mut left = count;
    while opened.len() < count {
        while left > 0 && opening.len() < AT_A_TIME {
            left -= 1;
            let (to, config) = (to.clone(), Arc::clone(&config));
            opening.spawn(async move {
                let mut stream = to.connect(&config).await;
                stream.write_all(PING).await.expect("it takes a request");
                let mut answer = [0; 1_024];
                let read = stream.read(&mut answer).await.expect("an answer");
                assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "no answer");
                stream
            });
        }
        let stream = opening.join_next().await.expect("one of them");
        opened.push(stream.expect("a connection"));
    }
    opened
}

/// Bytes of a process that are in memory.
pub(crate) fn resident(process: u32) -> u64 {
    status(process, "VmRSS:") * 1_024
}

/// A number in what the kernel says of a process.
pub(crate) fn status(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).expect("a number")
}

const PING: &[u8] = b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n";
const AT_A_TIME: usize = 32;
/// For what is freed after an answer.
const SETTLE: Duration = Duration::from_millis(500);
