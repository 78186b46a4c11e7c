//! `kms-sim ctl transition`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Call, members};

#[derive(Args, Debug)]
pub(super) struct TransitionArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stores stay CONNECTING or DISCONNECTING when they come there, until they are released.
    Hold(Which),
    /// Ends a hold; without a store, every one.
    Release(Which),
    /// The attempt to connect that runs, or else the next one, ends FAILED with a code.
    Fail {
        /// Any ConnectionErrorCode, such as INTERNAL_ERROR.
        #[arg(long, value_name = "CODE")]
        code: String,
        /// The CustomKeyStoreId; without it the first attempt of any store.
        #[arg(long, value_name = "ID")]
        store: Option<String>,
    },
    /// Holds nothing and fails nothing.
    Reset,
}

#[derive(Args, Debug)]
struct Which {
    /// The CustomKeyStoreId; without it every store.
    #[arg(long, value_name = "ID")]
    store: Option<String>,
    /// The state; without it both.
    #[arg(long, value_enum)]
    state: Option<State>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Connecting,
    Disconnecting,
}

impl Which {
    fn body(self) -> Value {
        let state = self.state.map(|state| match state {
            State::Connecting => json!(["CONNECTING"]),
            State::Disconnecting => json!(["DISCONNECTING"]),
        });
        members([
            ("CustomKeyStoreId", self.store.map(Value::from)),
            ("States", state),
        ])
    }
}

impl TransitionArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            None => Call::get("/transition"),
            Some(Command::Hold(which)) => Call::post("/transition/hold", which.body()),
            Some(Command::Release(which)) => Call::post("/transition/release", which.body()),
            Some(Command::Fail { code, store }) => {
                let body = members([
                    ("CustomKeyStoreId", store.map(Value::from)),
                    ("ConnectionErrorCode", Some(code.into())),
                ]);
                Call::post("/transition/fail", body)
            }
            Some(Command::Reset) => Call::post("/transition/reset", json!({})),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  See what a client does while a store is CONNECTING:
    kms-sim ctl transition hold --state connecting
    aws kms connect-custom-key-store --custom-key-store-id cks-…
    kms-sim ctl transition release

  The next attempt to connect fails as no real fault lets it fail:
    kms-sim ctl transition fail --code INTERNAL_ERROR";
