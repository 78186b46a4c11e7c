//! The command line of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measures a proxy of this workspace against the floor server and nginx.
#[derive(Debug, Parser)]
#[command(name = "compare", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to measure, by the beginning of its name; all but `soak` without any. `plot` draws what the results hold
    pub(crate) names: Vec<String>,
    /// Tell the names and what they are
    #[arg(long)]
    pub(crate) list: bool,
    /// How often each server is measured, in turn with the others [default: 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: Option<u16>,
    /// How long a round is, after a quarter of that to warm up [default: 3]
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// How long `soak` takes
    #[arg(long, value_name = "N", default_value_t = 30)]
    minutes: u32,
    /// Where results are kept, one file for each measurement
    #[arg(long, value_name = "FOLDER", default_value_os_t = harness::workspace().join("target/compare"))]
    pub(crate) results: PathBuf,
    /// Where `plot` writes
    #[arg(long, value_name = "FOLDER", default_value_os_t = harness::workspace().join("target/compare/plots"))]
    pub(crate) plots: PathBuf,
    /// Exit with status 1 if a target is missed; `soak` does so in any case
    #[arg(long)]
    pub(crate) strict: bool,
    /// Everything once, small and short, as CI does: that it runs
    #[arg(long)]
    pub(crate) test: bool,
    /// Passed by Cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    pub(crate) fn rounds(&self) -> usize {
        let default = if self.test { 1 } else { 7 };
        self.rounds.map_or(default, usize::from)
    }

    pub(crate) fn time(&self) -> Duration {
        let default = if self.test { 0.1 } else { 3.0 };
        Duration::from_secs_f64(self.seconds.unwrap_or(default))
    }

    pub(crate) fn soak(&self) -> Duration {
        match self.test {
            // Long enough for one of each of its disturbances.
            true => Duration::from_secs(15),
            false => Duration::from_secs(60) * self.minutes,
        }
    }
}

const EXAMPLES: &str = "\
Figures of packages, of a quiet machine:
  cargo build --profile dist --bin xks-proxy --bin xks-floor --bin xks-load
  export XKS_PROXY_BIN=target/dist/xks-proxy XKS_FLOOR_BIN=target/dist/xks-floor XKS_LOAD_BIN=target/dist/xks-load
  cargo bench --bench compare -- cost
  cargo bench --bench compare -- growth/keys --rounds 11 --seconds 2
  cargo bench --bench compare -- soak --minutes 30
  cargo bench --bench compare -- plot";
