//! The program `kms-sim`.

mod cli;
#[path = "../../proxy/src/cli/completion.rs"]
mod completion;
mod conformance_command;
mod ctl;
mod demo;
mod descriptor_limit;
mod log_output;
#[path = "../../proxy/src/cli/manual.rs"]
mod manual;
mod stub_command;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
