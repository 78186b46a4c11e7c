//! What a new connection costs: TCP, a TLS 1.3 handshake (ECDSA P-256), full or resumed, one small request, its answer, the
//! end. The floor server is a bare acceptor of rustls here. A session that should be resumed and is not is a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls::HandshakeKind;
use rustls::client::Resumption;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::Run;
use crate::clients::{Destination, Protocol, Round, account};
use crate::results::Results;
use crate::servers::Server;
use crate::store::Crowd;

pub(crate) fn handshakes(run: &Run, results: &mut Results) {
    let servers = [Server::proxy(Crowd::default()), Server::floor()];
    for (kind, resumed) in [("full", false), ("resumed", true)] {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..run.rounds {
            for (server, figures) in servers.iter().zip(&mut figures) {
                figures.push(run.executor.block_on(round(run, server, resumed)));
            }
        }
        let [proxy, floor] = [0, 1].map(|at| {
            let rates = figures[at].iter().map(|round| round.rate).collect();
            let name = servers[at].name;
            results.row(name, &format!("{kind} handshakes"), "/s", None, rates);
            let micros = figures[at].iter().map(|round| round.micros).collect();
            let figure = format!("CPU per {kind} handshake");
            results.row(name, &figure, "µs", None, micros)
        });
        let figure = format!("CPU of a {kind} handshake, of the bare acceptor's");
        results.at_most(&figure, proxy / floor, 1.1, "×");
    }
}

async fn round(run: &Run, server: &Server, resumed: bool) -> Round {
    let ended = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let to = server.destination();
        let (ended, made) = (Arc::clone(&ended), Arc::clone(&made));
        clients.spawn(async move {
            let mut config = to.config(Protocol::Http1);
            config.resumption = match resumed {
                true => Resumption::in_memory_sessions(32),
                false => Resumption::disabled(),
            };
            let config = Arc::new(config);
            let mut first = true;
            while !ended.load(Ordering::Relaxed) {
                let kind = connection(&to, &config).await;
                let wanted = match resumed && !first {
                    true => HandshakeKind::Resumed,
                    false => HandshakeKind::Full,
                };
                assert_eq!(kind, wanted);
                first = false;
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(run.time / 4).await;
    let figure = account(&server.processes, &made, run.time).await;
    ended.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
    figure
}

/// One whole connection.
async fn connection(to: &Destination, config: &Arc<rustls::ClientConfig>) -> HandshakeKind {
    let mut stream = to.connect(config).await;
    stream.write_all(PING).await.expect("it takes a request");
    let mut answer = Vec::with_capacity(1_024);
    // Some servers end TCP without ending TLS.
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "no answer");
    let (_, tls) = stream.get_ref();
    tls.handshake_kind().expect("a handshake")
}

const PING: &[u8] = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const CLIENTS: usize = 16;
