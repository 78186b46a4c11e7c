//! A proxy under load for a long time: memory, descriptors and threads each second, and that none of them grows.
//!
//! Requests come over kept connections, and over ones that are made anew, each of which leaves a session that can be resumed.

use std::time::{Duration, Instant};

use crate::Run;
use crate::load_tool::Load;
use crate::memory::{resident, status};
use crate::results::Results;
use crate::servers::{Placement, Server};
use crate::store::Crowd;

pub(crate) fn soak(run: &Run, results: &mut Results) {
    let server = Server::proxy(Crowd::default());
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
    while start.elapsed() + EVERY < run.soak {
        std::thread::sleep(EVERY);
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"));
        samples.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            resident: resident(process) as f64 / 1024.0,
            descriptors: descriptors.expect("a running process").count() as f64,
            threads: status(process, "Threads:") as f64,
        });
    }
    let report = loading.report();
    // Caches and pools fill at first.
    let settled = &samples[samples.len() / 5..];
    let hours = run.soak.as_secs_f64() / 3_600.0;
    let of: [Watched; 3] = [
        ("resident", "KiB", |sample| sample.resident, 1_024.0),
        ("descriptors", "", |sample| sample.descriptors, 4.0),
        ("threads", "", |sample| sample.threads, 1.0),
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
    results.row("xks-proxy", "requests", "/s", None, vec![report.rate]);
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
