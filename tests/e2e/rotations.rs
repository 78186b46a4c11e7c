//! Everything that is rotated in the life of a proxy, each while KMS is under load, and no request fails: `./tests/rotations`
//! at KMS's default quota, and here, for every change, with less.
//!
//! ```text
//! xks-load ──▶ kms-sim ──TLS──▶ xks-proxy, a service of systemd with xks-proxy.socket
//!                               xks-proxy ──▶ PostgreSQL, and its standby
//!                               xks-proxy ──▶ three OpenBao servers
//! ```

mod failover;
mod guide;
mod restarts;
mod steps;
mod table;
mod window;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use harness::backend;
use harness::openbao::OpenBao;
use harness::postgres::Postgres;

use table::Table;
use window::Window;
use world::World;

#[test]
fn every_rotation_goes_without_a_failed_request() {
    let _alone = crate::alone();
    let options = Options::of_environment();
    let mut table = Table::default();
    // Before anything else is started: the longest preparation, with the machine to itself.
    let database = Postgres::start().and_then(|primary| {
        let standby = primary.standby()?;
        Ok((primary, standby))
    });

    let mut world = World::in_a_folder(&options);
    for rotation in steps::ALL {
        table.add(rotation.name, Window::of(&world, &options, rotation));
    }
    match world.systemd().is_some() {
        true => {
            table.add(
                steps::BINARY_UPGRADE.name,
                Window::of(&world, &options, &steps::BINARY_UPGRADE),
            );
            table.waits = restarts::measure(&world, options.restarts);
        }
        false => table.not_run(steps::BINARY_UPGRADE.name),
    }
    world.audit_log_is_whole();
    world.end();

    match database {
        Err(reason) => {
            table.not_run(failover::DATABASE);
            backend::missing("PostgreSQL end to end", &reason);
        }
        Ok((primary, standby)) => {
            let window = failover::of_database(&options, &primary, &standby);
            table.add(failover::DATABASE, window);
        }
    }
    match OpenBao::cluster(3) {
        Err(reason) => {
            table.not_run(failover::TRANSIT);
            backend::missing("OpenBao end to end", &reason);
        }
        Ok(nodes) => table.add(failover::TRANSIT, failover::of_transit(&options, nodes)),
    }
    table.print(&options);
    assert!(table.nothing_failed(), "requests failed");
}

/// What `./tests/rotations` sets; without it, what a shared machine with programs that nobody optimized can do.
#[derive(Clone)]
struct Options {
    /// Requests per second.
    rate: u32,
    /// How long the load of each rotation is measured.
    window: Duration,
    restarts: usize,
    /// What kms-sim gives the proxy for an answer.
    proxy_timeout: Duration,
    /// Of the programs.
    profile: String,
    /// Where the results go.
    table: Option<PathBuf>,
    json: Option<PathBuf>,
    page: Option<PathBuf>,
}

impl Options {
    /// Whether the machine is known to be slow: the proxy is given more time than KMS gives.
    fn is_patient(&self) -> bool {
        self.proxy_timeout > Duration::from_secs(1)
    }

    fn of_environment() -> Self {
        let number = |name: &str, default: u64| {
            let text = std::env::var(format!("XKS_ROTATIONS_{name}"));
            text.map_or(default, |text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("XKS_ROTATIONS_{name}={text} is no number"))
            })
        };
        let file =
            |name: &str| std::env::var_os(format!("XKS_ROTATIONS_{name}")).map(PathBuf::from);
        Self {
            rate: u32::try_from(number("RATE", 200)).expect("a rate"),
            window: Duration::from_secs(number("WINDOW", 1)),
            restarts: usize::try_from(number("RESTARTS", 1)).expect("a number of restarts"),
            proxy_timeout: Duration::from_millis(number("PROXY_TIMEOUT_MS", 5_000)),
            profile: std::env::var("XKS_ROTATIONS_PROFILE").unwrap_or_else(|_| "debug".into()),
            table: file("TABLE"),
            json: file("JSON"),
            page: file("PAGE"),
        }
    }
}

/// However busy the machine is.
const LIMIT: Duration = Duration::from_secs(60);
