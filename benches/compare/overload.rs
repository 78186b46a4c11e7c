//! More load than can be served: how many requests are answered in the 250 ms that KMS waits, with up to three times as many
//! as the proxy can do.
//!
//! One core of load tool cannot offer three times of what one core of proxy does. So the proxy shares its core with a busy
//! neighbour that has three times its weight, as on a host that is too full.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::Run;
use crate::load_tool::Load;
use crate::rates::second_core;
use crate::results::Results;
use crate::servers::{Placement, Server, Setup};

pub(crate) fn overload(run: &Run, results: &mut Results) {
    let _neighbour = Neighbour::on(0);
    let server = Server::proxy_with(Setup {
        placement: Placement {
            core: Some(0),
            nice: Some(5),
        },
        ..Setup::default()
    });
    for (http, connections, streams) in [
        ("HTTP/1.1", run.of(512, 16), 1),
        ("HTTP/2", run.of(16, 2), run.of(32, 8)),
    ] {
        goodput(run, results, &server, http, connections, streams);
    }
}

fn goodput(
    run: &Run,
    results: &mut Results,
    server: &Server,
    http: &str,
    connections: usize,
    streams: usize,
) {
    let load = |rate: Option<f64>, connections: usize| Load {
        rate,
        connections,
        streams,
        presigned: true,
        timeout: KMS_PATIENCE,
        warm_up: run.time / 4,
        time: run.time,
        placement: Placement::core(second_core()),
    };
    let capacities: Vec<f64> = (0..run.rounds)
        .map(|_| load(None, connections).run(server).rate)
        .collect();
    let capacity = results.row(
        &format!("{http}, closed loop"),
        "capacity",
        "/s",
        None,
        capacities,
    );
    let mut worst: f64 = 1.0;
    for share in [0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0] {
        let offered = (capacity * share).max(1.0);
        let reports: Vec<_> = (0..run.rounds)
            .map(|_| load(Some(offered), connections).run(server))
            .collect();
        let series = format!("{http}, {share} × capacity");
        let mut row = |figure: &str, unit: &str, values: Vec<f64>| {
            results.row(&series, figure, unit, Some(offered), values)
        };
        let goodput = row(
            &format!("goodput over {http}"),
            "/s",
            reports.iter().map(|r| r.rate).collect(),
        );
        row(
            "p50 of answers",
            "ms",
            reports.iter().map(|r| r.latency.p50 / 1e3).collect(),
        );
        row(
            "p99 of answers",
            "ms",
            reports.iter().map(|r| r.latency.p99 / 1e3).collect(),
        );
        let late = |r: &crate::load_tool::Report| r.worst_schedule_micros.unwrap_or_default() / 1e3;
        row(
            "the tool's own delay, at most",
            "ms",
            reports.iter().map(late).collect(),
        );
        let mut kinds: Vec<_> = reports.iter().flat_map(|r| &r.errors_by_kind).collect();
        kinds.sort();
        kinds.dedup_by_key(|(what, _)| what);
        for (what, _) in kinds {
            let count = |r: &crate::load_tool::Report| {
                let found = r.errors_by_kind.iter().find(|(kind, _)| kind == what);
                found.map_or(0.0, |(_, count)| *count as f64 / run.time.as_secs_f64())
            };
            row(what, "/s", reports.iter().map(count).collect());
        }
        if share >= 1.0 {
            worst = worst.min(goodput / capacity);
        }
    }
    let figure = format!("goodput under overload over {http}, of capacity");
    results.at_least(&figure, worst, 0.8, "×");
}

/// A process that never rests, on one core.
struct Neighbour(Child);

impl Neighbour {
    fn on(core: usize) -> Self {
        let mut command = Placement::core(core).command(Path::new("/bin/sh"));
        let busy = command.args(["-c", "while :; do :; done"]);
        Self(busy.spawn().expect("a shell"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How long KMS waits for a proxy.
const KMS_PATIENCE: Duration = Duration::from_millis(250);
