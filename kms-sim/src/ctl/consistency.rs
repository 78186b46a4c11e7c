//! `kms-sim ctl consistency`.

use clap::Args;
use serde_json::Value;

use super::client::{Call, members};

#[derive(Args, Debug)]
pub(super) struct ConsistencyArgs {
    /// A change is seen after so many milliseconds of the simulator's time at most; 0: at once. Without it nothing is
    /// changed, only shown.
    #[arg(long, value_name = "N")]
    lag_ms: Option<u32>,

    /// Decides how late each change is seen, always the same way.
    #[arg(long, value_name = "N", requires = "lag_ms")]
    seed: Option<u64>,
}

impl ConsistencyArgs {
    pub(super) fn call(self) -> Call {
        match self.lag_ms {
            None => Call::get("/consistency"),
            Some(lag) => {
                let body = members([
                    ("LagMs", Some(lag.into())),
                    ("Seed", self.seed.map(Value::from)),
                ]);
                Call::put("/consistency", body)
            }
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  A new alias, tag or grant, and a disconnect, are seen within half a second:
    kms-sim ctl consistency --lag-ms 500 --seed 7

  At once again:
    kms-sim ctl consistency --lag-ms 0

  The lag passes in the simulator's time, so a test need not wait:
    kms-sim ctl clock advance 1s";
