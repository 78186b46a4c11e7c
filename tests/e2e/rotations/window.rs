//! One rotation under load: what was sent meanwhile, and what came of it.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::process::Process;
use harness::wait_for;
use serde_json::{Value, json};

use super::world::World;
use super::{LIMIT, Options};

/// Something that is rotated.
pub(super) struct Rotation {
    pub(super) name: &'static str,
    /// Seconds that it takes beyond a moment.
    pub(super) takes: u64,
    /// Carries it out, and makes sure that it was. May be done again.
    pub(super) run: fn(&World),
}

/// The load around one rotation.
pub(super) struct Window {
    /// The rotation itself.
    took: Duration,
    report: Value,
    /// Attempts of KMS that were not answered in time, or wrongly.
    failed_attempts: u64,
}

impl Window {
    pub(super) fn of(world: &World, options: &Options, rotation: &Rotation) -> Self {
        let length = options.window + Duration::from_secs(rotation.takes);
        eprintln!("rotating: {}", rotation.name);
        Self::around(world, options, length, || (rotation.run)(world))
    }

    /// Has `rotate` carried out while KMS is asked at the rate. If it takes longer than the load, both are done again.
    pub(super) fn around(
        world: &World,
        options: &Options,
        mut length: Duration,
        mut rotate: impl FnMut(),
    ) -> Self {
        for _ in 0..ATTEMPTS {
            let (before, overloads) = (world.attempts(), world.overloads());
            let mut load = start(world, options, length);
            let warm = u64::from(options.rate) * 7 / 10;
            wait_for("the load", LIMIT, || {
                let asked = world.attempts().all - before.all;
                (asked > warm || load.exited().is_some()).then_some(())
            });
            let begin = Instant::now();
            rotate();
            let took = begin.elapsed();
            let within = load.exited().is_none();
            let status = load.wait(length + LIMIT);
            assert!(status.success(), "{status}: {}", load.outputs());
            if within {
                let window = Self {
                    took,
                    report: serde_json::from_str(&load.stdout()).expect("a report"),
                    failed_attempts: world.attempts().failed - before.failed,
                };
                if window.failed() == 0 {
                    return window;
                }
                eprintln!("{}", world.what_kms_met());
                // A proxy that gets no processor turns requests away, whatever is rotated.
                if !(options.is_patient() && world.overloads() > overloads) {
                    return window;
                }
                eprintln!("the machine is too busy for the load: once more");
                continue;
            }
            length *= 2;
        }
        panic!("it takes longer than {length:?}, or the machine is too busy");
    }

    pub(super) fn failed(&self) -> u64 {
        self.report["errors"].as_u64().expect("a count")
    }

    /// The numbers that are printed and written: times in milliseconds.
    pub(super) fn numbers(&self) -> Value {
        let answered = self.report["answered"].as_u64().expect("a count");
        let millis = |name: &str| self.report["latency"][name].as_f64().expect("a time") / 1e3;
        json!({
            "took_ms": self.took.as_secs_f64() * 1e3,
            "sent": answered + self.failed(),
            "answered": answered,
            "failed": self.failed(),
            "failed_by_kind": self.report["errors_by_kind"],
            "failed_attempts": self.failed_attempts,
            "p50_ms": millis("p50"),
            "p99_ms": millis("p99"),
            "longest_ms": millis("max"),
        })
    }
}

fn start(world: &World, options: &Options, length: Duration) -> Process {
    let tool = std::env::var_os("XKS_LOAD_BIN");
    let mut command = Command::new(tool.unwrap_or_else(|| env!("CARGO_BIN_EXE_xks-load").into()));
    command
        .args(["--kms", "--json", "--mix=encrypt,decrypt"])
        .arg(format!("--endpoint={}", world.endpoint_url()))
        .arg(format!("--key-id={}", world.key))
        .arg(format!("--rate={}", options.rate))
        .arg(format!("--connections={CONNECTIONS}"))
        .arg(format!("--warm-up={}ms", WARM_UP.as_millis()))
        .arg(format!("--duration={}ms", length.as_millis()))
        // Whoever calls KMS waits for a while.
        .arg("--timeout=20s")
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any");
    Process::start(&mut command)
}

const ATTEMPTS: usize = 3;
/// Then 7/10 of a second's requests are past it.
const WARM_UP: Duration = Duration::from_millis(500);
/// As many as kms-sim keeps to a proxy.
const CONNECTIONS: u32 = 64;
