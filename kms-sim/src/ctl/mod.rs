//! `kms-sim ctl`: the control API of a running simulator, from a shell.

mod client;
mod clock;
mod cloudhsm;
mod consistency;
mod events;
mod link;
mod metrics;
mod quota;
mod render;
mod requests;
mod state;
mod transition;
mod vpc;

use std::error::Error;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::runtime;

use client::{Call, ControlUrl};

use crate::cli::print;

/// Arguments of `kms-sim ctl`.
#[derive(Args, Debug)]
pub(crate) struct CtlArgs {
    /// Where the simulator's control API is, as `serve --control` was told.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "KMS_SIM_CONTROL",
        default_value = "http://127.0.0.1:4600"
    )]
    control: ControlUrl,

    /// Prints the answer as JSON.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The simulator's time: deletion windows and rotations fall due by it.
    #[command(after_help = clock::EXAMPLES)]
    Clock(clock::ClockArgs),
    /// Faults of the links to external key store proxies: latency, loss, refused, TLS, wrong answers.
    #[command(after_help = link::EXAMPLES)]
    Link(link::LinkArgs),
    /// Lets reads be stale for a while after a change, as those of KMS may be.
    #[command(after_help = consistency::EXAMPLES)]
    Consistency(consistency::ConsistencyArgs),
    /// Simulated CloudHSM clusters for CloudHSM key stores: made, broken, repaired.
    #[command(after_help = cloudhsm::EXAMPLES)]
    Cloudhsm(cloudhsm::CloudHsmArgs),
    /// Simulated VPC endpoint services for external key stores: made, broken, repaired.
    #[command(after_help = vpc::EXAMPLES)]
    Vpc(vpc::VpcArgs),
    /// The custom key stores of every account and Region, and the states that they are in.
    Stores,
    /// What CloudWatch would show of the external key stores: errors, latency, health, certificate, credential.
    Metrics,
    /// The last requests to the proxies of external key stores, the latest first.
    #[command(after_help = requests::EXAMPLES)]
    Requests(requests::RequestsArgs),
    /// What was called, and what has happened by itself, as CloudTrail records it.
    #[command(after_help = events::EXAMPLES)]
    Events(events::EventsArgs),
    /// Keeps stores in CONNECTING or DISCONNECTING, or lets an attempt to connect fail.
    #[command(after_help = transition::EXAMPLES)]
    Transition(transition::TransitionArgs),
    /// Requests per second that are allowed; more get a ThrottlingException.
    #[command(after_help = quota::EXAMPLES)]
    Quota(quota::QuotaArgs),
    /// Writes the whole state into a file, with its secrets.
    #[command(after_help = state::EXAMPLES)]
    Snapshot(state::SnapshotArgs),
    /// Brings the simulator into the state of a snapshot; what it had is forgotten.
    #[command(after_help = state::EXAMPLES)]
    Restore(state::RestoreArgs),
    /// Forgets everything: keys, stores, faults; as if just started.
    Reset,
}

impl Command {
    /// How an answer is shown to people.
    const fn renderer(&self) -> fn(&Value) -> String {
        match self {
            Self::Metrics => metrics::render,
            Self::Quota(_) => quota::render,
            Self::Requests(_) => requests::render,
            _ => render::render,
        }
    }

    fn call(self) -> Result<Call, state::FileError> {
        Ok(match self {
            Self::Clock(arguments) => arguments.call(),
            Self::Consistency(arguments) => arguments.call(),
            Self::Link(arguments) => arguments.call(),
            Self::Cloudhsm(arguments) => arguments.call(),
            Self::Vpc(arguments) => arguments.call(),
            Self::Stores => Call::get("/stores"),
            Self::Metrics => Call::get("/metrics"),
            Self::Requests(arguments) => arguments.call(),
            Self::Events(arguments) => arguments.call(None),
            Self::Transition(arguments) => arguments.call(),
            Self::Quota(arguments) => arguments.call(),
            Self::Snapshot(arguments) => arguments.call(),
            Self::Restore(arguments) => arguments.call()?,
            Self::Reset => Call::post("/reset", json!({})),
        })
    }
}

/// Asks the simulator and prints its answer.
pub(crate) fn run(arguments: CtlArgs) -> Result<(), Box<dyn Error>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Command::Events(events) = arguments.command {
        return runtime.block_on(events.run(&arguments.control, arguments.json));
    }
    let snapshot = match &arguments.command {
        Command::Snapshot(snapshot) => Some(snapshot.clone()),
        _ => None,
    };
    let render = arguments.command.renderer();
    let call = arguments.command.call()?;
    let answer = runtime.block_on(client::send(&arguments.control, call))?;
    let answer = match snapshot {
        None => answer,
        Some(snapshot) => {
            let is_file = snapshot.write(&answer)?;
            if !(is_file && arguments.json) {
                return Ok(());
            }
            snapshot.told()
        }
    };
    let text = match arguments.json {
        true => format!("{answer}\n"),
        false => render(&answer),
    };
    Ok(print(text.as_bytes())?)
}

/// Of `kms-sim ctl` itself.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Start a simulator that can be controlled:
    kms-sim serve --control 127.0.0.1:4600

  Let eight days pass, so that a scheduled deletion happens:
    kms-sim ctl clock advance 8d

  Begin again with nothing:
    kms-sim ctl reset

Each command explains itself: kms-sim ctl clock --help";
