//! Whether a request costs the same with much as with little: several proxies at once, each with another number of keys,
//! prefixes or idle connections, measured in turn.

use std::sync::Arc;

use crate::Run;
use crate::clients::{Protocol, Round, Shape, round};
use crate::memory::{idle, resident};
use crate::request::{SIZES, encrypt_body};
use crate::results::Results;
use crate::servers::{Server, Setup};
use crate::store::Crowd;

/// Requests go to a thousand keys that are spread over all.
pub(crate) fn keys(run: &Run, results: &mut Results) {
    let counts = run.of([1, 1_000, 100_000], [1, 10, 100]);
    let servers = counts.map(|count| {
        let crowd = Crowd {
            keys: count - 1,
            prefixes: 0,
        };
        let server = Server::proxy(crowd);
        (count, server)
    });
    for (count, server) in &servers {
        let series = format!("{count} keys");
        let start = server.ready_after.as_secs_f64();
        results.row(&series, "start", "s", Some(*count as f64), vec![start]);
        let memory = resident(server.processes[0]) as f64 / 1024.0 / 1024.0;
        results.row(
            &series,
            "resident",
            "MiB",
            Some(*count as f64),
            vec![memory],
        );
    }
    let [(_, first), _, (most, last)] = &servers;
    let start = last.ready_after.as_secs_f64();
    results.at_most(&format!("start with {most} keys"), start, 2.0, "s");
    let [few, many] = [first, last].map(|server| resident(server.processes[0]) as f64);
    let each = (many - few) / (most - 1) as f64;
    results.at_most("memory of a key", each, 400.0, "B");
    compare(run, results, "keys", &servers);
}

/// Requests go to all prefixes in turn, each signed by its own credential.
pub(crate) fn prefixes(run: &Run, results: &mut Results) {
    let counts = run.of([1, 1_000], [1, 10]);
    let servers = counts.map(|count| {
        let crowd = Crowd {
            keys: 0,
            prefixes: count - 1,
        };
        (count, Server::proxy(crowd))
    });
    compare(run, results, "prefixes", &servers);
}

pub(crate) fn connections(run: &Run, results: &mut Results) {
    let counts = run.of([1, 1_000, 10_000], [1, 10, 50]);
    let servers = counts.map(|count| {
        let setup = Setup {
            more: "[limits]\nmax_connections = 19000\nidle_timeout = \"60m\"\n".into(),
            ..Setup::default()
        };
        let server = Server::proxy_with(setup);
        (count, server)
    });
    let held = servers
        .each_ref()
        .map(|(count, server)| run.executor.block_on(idle(server.destination(), *count)));
    compare(run, results, "idle connections", &servers);
    drop(held);
}

/// The last of the servers against the first.
fn compare(run: &Run, results: &mut Results, of: &str, servers: &[(usize, Server)]) {
    let shape = Shape {
        protocol: Protocol::Http1,
        connections: 16,
        streams: 1,
    };
    let body = encrypt_body(SIZES[0]);
    let mut figures: Vec<Vec<Round>> = vec![Vec::new(); servers.len()];
    for _ in 0..run.rounds {
        for ((_, server), figures) in servers.iter().zip(&mut figures) {
            let requests: Arc<_> = server.spread(1_000, &body);
            let to = server.destination();
            let round = round(&to, &server.processes, &requests, shape, run.time);
            figures.push(run.executor.block_on(round));
        }
    }
    let medians: Vec<f64> = servers
        .iter()
        .zip(&figures)
        .map(|((count, _), rounds)| {
            let series = format!("{count} {of}");
            let micros = rounds.iter().map(|round| round.micros).collect();
            results.row(
                &series,
                "CPU per request",
                "µs",
                Some(*count as f64),
                micros,
            )
        })
        .collect();
    let (most, _) = servers[servers.len() - 1];
    let ratio = medians[medians.len() - 1] / medians[0];
    let figure = format!("CPU with {most} {of}, of that with 1");
    results.at_most(&figure, ratio, 1.1, "×");
}
