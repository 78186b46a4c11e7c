//! A proxy under load for a long time: memory, descriptors, threads and tasks each second, and that none of them grows.
//!
//! Requests come over kept connections. Beside them, `disturbances` rotates keys, changes the configuration, and makes clients fail in
//! every way that leaves something behind if it is not cleared away. No request of the load may fail for all that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::https::Connection;

use crate::Run;
use crate::disturbances::Disturbances;
use crate::load_tool::Load;
use crate::memory::{resident, status};
use crate::results::Results;
use crate::servers::{Placement, Server, Setup};
use crate::store::Crowd;

pub(crate) fn soak(run: &Run, results: &mut Results) {
    let metrics = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
    let server = Server::proxy_with(Setup {
        crowd: Crowd {
            keys: 1,
            prefixes: 0,
        },
        before: format!("metrics_listen = \"{metrics}\"\n"),
        ..Setup::default()
    });
    let process = server.processes[0];
    let load = Load {
        rate: Some(run.of(1_800.0, 100.0)),
        connections: 64,
        presigned: false,
        streams: 1,
        timeout: Duration::from_secs(1),
        warm_up: Duration::ZERO,
        time: run.soak,
        placement: Placement::default(),
    };
    let start = Instant::now();
    let loading = load.start(&server);
    let mut samples = Vec::new();
    let mut disturbances = Disturbances::of(&server, metrics);
    while start.elapsed() + EVERY < run.soak {
        let next = Instant::now() + EVERY;
        // The last tenth is quiet: what is left then is left for good.
        if start.elapsed() < run.soak.mul_f64(0.9) {
            disturbances.one_more();
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"));
        samples.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            resident: resident(process) as f64 / 1024.0,
            descriptors: descriptors.expect("a running process").count() as f64,
            threads: status(process, "Threads:") as f64,
            tasks: metric(metrics, "xks_tasks"),
        });
    }
    let report = loading.report();
    // Caches and pools fill at first.
    let settled = &samples[samples.len() / 5..];
    let hours = run.soak.as_secs_f64() / 3_600.0;
    let of: [Watched; 4] = [
        ("resident", "KiB", |sample| sample.resident, 1_024.0),
        ("descriptors", "", |sample| sample.descriptors, 4.0),
        ("threads", "", |sample| sample.threads, 1.0),
        ("tasks", "", |sample| sample.tasks, 4.0),
    ];
    for (figure, unit, value, allowed) in of {
        let values: Vec<f64> = samples.iter().map(value).collect();
        results.row("xks-proxy", figure, unit, None, values);
        let slope = slope(settled, value) * 3_600.0;
        let name = format!("{figure}, slope per hour");
        results.row("xks-proxy", &name, unit, None, vec![slope]);
        // Over the whole time, and not more than measuring itself makes of a sample that is short.
        let growth = slope * hours;
        results.at_most(
            &format!("{figure}, growth over the run"),
            growth,
            allowed,
            unit,
        );
    }
    for (what, count) in disturbances.told() {
        results.row("disturbances", what, "", None, vec![count as f64]);
    }
    results.row("xks-proxy", "requests", "/s", None, vec![report.rate]);
    for (kind, count) in &report.errors_by_kind {
        results.row("errors", kind, "", None, vec![*count as f64]);
    }
    results.at_most("errors", report.errors as f64, 0.0, "");
}

/// A figure, its unit, how it is taken, and how much it may grow.
type Watched = (&'static str, &'static str, fn(&Sample) -> f64, f64);

struct Sample {
    seconds: f64,
    /// KiB
    resident: f64,
    descriptors: f64,
    threads: f64,
    tasks: f64,
}

/// What the proxy says of itself.
pub(crate) fn metric(metrics: SocketAddr, name: &str) -> f64 {
    let mut connection = Connection::plain(metrics).expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = connection.exchange(request).expect("an answer");
    let text = String::from_utf8(answer.body).expect("text");
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("no number {name} in {text}"))
}

/// Of the line that is closest to the samples, per second.
fn slope(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(&|s| s.seconds), mean(&value));
    let covariance: f64 = samples
        .iter()
        .map(|s| (s.seconds - x) * (value(s) - y))
        .sum();
    let variance: f64 = samples.iter().map(|s| (s.seconds - x).powi(2)).sum();
    match variance > 0.0 {
        true => covariance / variance,
        false => 0.0,
    }
}

const EVERY: Duration = Duration::from_secs(1);
