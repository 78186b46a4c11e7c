//! `kms-sim ctl clock`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Call;

#[derive(Args, Debug)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Moves the time forward.
    Advance {
        /// How far, such as 8d, 1h30m or 45s.
        by: String,
    },
    /// Stops the time; only `advance` moves it then.
    Freeze,
    /// Lets the time go on from where it stands.
    Resume,
    /// Shows the system's time again.
    Reset,
}

impl ClockArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            None => Call::get("/clock"),
            Some(Command::Advance { by }) => Call::post("/clock/advance", json!({"By": by})),
            Some(Command::Freeze) => Call::post("/clock/freeze", json!({})),
            Some(Command::Resume) => Call::post("/clock/resume", json!({})),
            Some(Command::Reset) => Call::post("/clock/reset", json!({})),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  What time is it there?
    kms-sim ctl clock

  A key that was scheduled for deletion with the shortest window is gone:
    kms-sim ctl clock advance 8d

  Dates that a test can compare:
    kms-sim ctl clock freeze";
