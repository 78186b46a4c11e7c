//! What a proxy costs and how it behaves, measured of the real programs, side by side with the least that such a server can be.
//!
//! Not a criterion bench: the figures are the kernel's accounting of other processes, and what `xks-load` sees. Servers that are
//! compared are measured in turn, so that what else happens on the machine happens to all of them. Each measurement prints
//! its figures and the targets that they meet or miss, and is kept as JSON.
//!
//! `cargo bench --bench compare -- --help` names the measurements. What each holds is said where it is, in this folder.

mod arguments;
mod clients;
#[path = "../fixture/constant.rs"]
mod constant;
mod cost;
#[path = "../fixture/decrypt.rs"]
mod decrypt;
mod disturbances;
mod growth;
mod handshakes;
mod key_managers;
mod load_tool;
mod memory;
mod overload;
#[path = "../plot/plot.rs"]
mod plot;
mod plots;
#[path = "../fixture/process.rs"]
mod process;
mod rates;
#[path = "../fixture/request.rs"]
mod request;
mod results;
mod servers;
mod soak;
#[path = "../fixture/store.rs"]
mod store;
mod timing;
mod welch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use arguments::Arguments;
use clap::Parser as _;
use results::Results;

/// How a measurement is made.
pub(crate) struct Run {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    /// That it runs is all that matters: everything is small and short.
    pub(crate) smoke: bool,
    pub(crate) soak: Duration,
    pub(crate) executor: tokio::runtime::Runtime,
    results: PathBuf,
}

impl Run {
    /// One of two, by whether this is a trial.
    pub(crate) fn of<T>(&self, real: T, smoke: T) -> T {
        if self.smoke { smoke } else { real }
    }

    /// Makes a measurement and keeps what it gave; whether all targets were met.
    fn measure(&self, name: &str, measurement: Measurement) -> bool {
        let mut results = Results::new(name, self);
        measurement(self, &mut results);
        results.write(&self.results);
        results.targets.iter().all(|target| target.met)
    }
}

type Measurement = fn(&Run, &mut Results);

/// Name, what it is, and the function. What takes longer than some minutes is only made when it is named.
const MEASUREMENTS: [(&str, &str, Measurement); 19] = [
    (
        "cost/encrypt-32",
        "CPU per Encrypt of 32 bytes, HTTP/1.1, against the floor and nginx",
        cost::encrypt_32,
    ),
    ("cost/decrypt-32", "the same for Decrypt", cost::decrypt_32),
    (
        "cost/encrypt-4096",
        "the same for Encrypt of 4,096 bytes",
        cost::encrypt_4096,
    ),
    (
        "cost/h2-16x1",
        "Encrypt over HTTP/2: 16 connections with one request at a time",
        cost::h2_16x1,
    ),
    (
        "cost/h2-4x16",
        "Encrypt over HTTP/2: 4 connections with 16 requests at a time",
        cost::h2_4x16,
    ),
    (
        "handshakes",
        "CPU per TLS 1.3 handshake, full and resumed, against a bare acceptor of rustls",
        handshakes::handshakes,
    ),
    (
        "growth/keys",
        "CPU per Encrypt with 1, 1,000 and 100,000 keys; start and memory with them",
        growth::keys,
    ),
    (
        "growth/prefixes",
        "CPU per Encrypt with 1 and 1,000 URI path prefixes",
        growth::prefixes,
    ),
    (
        "growth/connections",
        "CPU per Encrypt beside 1, 1,000 and 10,000 idle connections",
        growth::connections,
    ),
    (
        "memory",
        "resident memory: idle, and of an idle TLS connection",
        memory::memory,
    ),
    (
        "throughput",
        "most requests per second, signed before and live",
        rates::throughput,
    ),
    (
        "connections",
        "requests per second and CPU per request with 1 to 1,000 busy connections",
        rates::connections,
    ),
    (
        "latency",
        "open loop at 1,800 requests a second, server on one core",
        rates::latency,
    ),
    (
        "rates",
        "latency against the rate, server on one core",
        rates::rates,
    ),
    (
        "overload",
        "goodput and latency with up to three times the load that can be served",
        overload::overload,
    ),
    (
        "pkcs11",
        "SoftHSM behind the proxy, and alone",
        key_managers::pkcs11,
    ),
    (
        "transit",
        "OpenBao behind the proxy, and alone",
        key_managers::transit,
    ),
    (
        "timing",
        "whether times tell which byte of a signature or a tag is wrong",
        timing::timing,
    ),
    (
        "soak",
        "memory, descriptors, threads and tasks under load, rotations, reloads and faults for --minutes; only when it is named",
        soak::soak,
    ),
];

fn main() -> ExitCode {
    // A measurement of a PKCS#11 library runs in a process that is started with the library's configuration.
    if key_managers::is_bare_pkcs11() {
        key_managers::bare_pkcs11();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    if arguments.list {
        for (name, what, _) in MEASUREMENTS {
            println!("{name:20} {what}");
        }
        return ExitCode::SUCCESS;
    }
    if arguments.names.iter().any(|name| name == "plot") {
        plots::draw(&arguments.results, &arguments.plots);
        return ExitCode::SUCCESS;
    }
    harness::descriptors::raise();
    let run = Run {
        rounds: arguments.rounds(),
        time: arguments.time(),
        smoke: arguments.test,
        soak: arguments.soak(),
        executor: tokio::runtime::Runtime::new().expect("an executor"),
        results: match arguments.test {
            true => arguments.results.join("smoke"),
            false => arguments.results.clone(),
        },
    };
    let (mut found, mut failed) = (false, false);
    for (name, _, measurement) in MEASUREMENTS {
        let named = arguments
            .names
            .iter()
            .any(|wanted| name.starts_with(wanted));
        let all = arguments.names.is_empty() && (name != "soak" || arguments.test);
        if named || all {
            let met = run.measure(name, measurement);
            failed |= !met && (arguments.strict || name == "soak");
            found = true;
        }
    }
    if !found {
        eprintln!("compare: no measurement has such a name; --list tells them");
        return ExitCode::from(2);
    }
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
