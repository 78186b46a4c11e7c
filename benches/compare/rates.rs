//! How many requests a proxy answers, and how soon, as `xks-load` sees it. Latency in an open loop counts from the moment that
//! a request was due, so that a stall is charged for all that should have been sent meanwhile.

use std::time::Duration;

use crate::Run;
use crate::load_tool::{Load, Report};
use crate::process;
use crate::results::Results;
use crate::servers::{Placement, Server, Setup};
use crate::store::Crowd;

/// Server and tool on the same processors.
pub(crate) fn throughput(run: &Run, results: &mut Results) {
    let server = Server::proxy(Crowd::default());
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..run.rounds {
        for (presigned, rates) in [true, false].into_iter().zip(&mut rates) {
            let report = closed(run, 16, presigned).run(&server);
            assert_eq!(report.errors, 0, "{:?}", report.errors_by_kind);
            rates.push(report.rate);
        }
    }
    let [presigned, live] = rates;
    let most = results.row("signed before", "requests", "/s", None, presigned);
    results.row("signed live", "requests", "/s", None, live);
    results.at_least("requests, signed before", most, 30_000.0, "/s");
}

/// Busy connections, from one to a thousand.
pub(crate) fn connections(run: &Run, results: &mut Results) {
    let server = Server::proxy(Crowd::default());
    for count in run.of(vec![1, 4, 16, 64, 256, 1_000], vec![1, 16]) {
        let (mut rates, mut micros) = (Vec::new(), Vec::new());
        for _ in 0..run.rounds {
            let before = process::cpu(&server.processes);
            let mut load = closed(run, count, true);
            // Warm-up is counted by the server's account and not in the report.
            load.warm_up = Duration::ZERO;
            let report = load.run(&server);
            assert_eq!(report.errors, 0, "{:?}", report.errors_by_kind);
            let spent = process::cpu(&server.processes).saturating_sub(before);
            rates.push(report.rate);
            micros.push(spent.as_secs_f64() * 1e6 / report.answered as f64);
        }
        let at = Some(count as f64);
        results.row(&format!("{count} connections"), "requests", "/s", at, rates);
        let figure = "CPU per request, handshakes included";
        results.row(&format!("{count} connections"), figure, "µs", at, micros);
    }
}

/// KMS's default quota, each request signed live.
pub(crate) fn latency(run: &Run, results: &mut Results) {
    let server = on_one_core();
    let mut reports = Vec::new();
    for _ in 0..run.rounds {
        reports.push(open(run, QUOTA, false).run(&server));
    }
    let [p50, p99, p99_9] = told(results, "1,800/s", None, &reports);
    results.at_most("p50", p50, 0.3, "ms");
    results.at_most("p99", p99, 1.0, "ms");
    results.at_most("p99.9", p99_9, 3.0, "ms");
    let errors: u64 = reports.iter().map(|report| report.errors).sum();
    results.at_most("errors", errors as f64, 0.0, "");
}

/// The same at other rates, signed before: the tool has one core, too.
pub(crate) fn rates(run: &Run, results: &mut Results) {
    let server = on_one_core();
    let rates = [500.0, 1_000.0, QUOTA, 4_000.0, 8_000.0, 12_000.0, 16_000.0];
    for rate in run.of(rates.to_vec(), vec![100.0, 200.0]) {
        let reports: Vec<_> = (0..run.rounds)
            .map(|_| open(run, rate, true).run(&server))
            .collect();
        told(results, &format!("{rate}/s"), Some(rate), &reports);
    }
}

/// Gives the medians of p50, p99 and p99.9 in milliseconds.
fn told(results: &mut Results, series: &str, at: Option<f64>, reports: &[Report]) -> [f64; 3] {
    let mut row = |figure: &str, of: fn(&Report) -> f64| {
        let values = reports.iter().map(|report| of(report) / 1e3).collect();
        results.row(series, figure, "ms", at, values)
    };
    let medians = [
        row("p50", |report| report.latency.p50),
        row("p99", |report| report.latency.p99),
        row("p99.9", |report| report.latency.p99_9),
    ];
    row("p99.99", |report| report.latency.p99_99);
    row("longest", |report| report.latency.max);
    row("the tool's own delay, at most", |report| {
        report.worst_schedule_micros.unwrap_or_default()
    });
    let errors = reports.iter().map(|report| report.errors as f64).collect();
    results.row(series, "errors", "", at, errors);
    medians
}

fn closed(run: &Run, connections: usize, presigned: bool) -> Load {
    Load {
        rate: None,
        connections,
        presigned,
        streams: 1,
        timeout: Duration::from_secs(5),
        warm_up: run.time / 4,
        time: run.time,
        placement: Placement::default(),
    }
}

/// The server has the first core for itself, the tool the second.
fn open(run: &Run, rate: f64, presigned: bool) -> Load {
    Load {
        rate: Some(rate),
        connections: 16,
        presigned,
        streams: 1,
        timeout: Duration::from_secs(1),
        warm_up: run.time / 4,
        time: run.time,
        placement: Placement::core(second_core()),
    }
}

fn on_one_core() -> Server {
    Server::proxy_with(Setup {
        placement: Placement::core(0),
        ..Setup::default()
    })
}

/// The last core that there is.
pub(crate) fn second_core() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| usize::from(cores) - 1)
}

const QUOTA: f64 = 1_800.0;
