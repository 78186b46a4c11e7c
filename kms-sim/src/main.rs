//! The program `kms-sim`.

mod cli;
mod conformance_command;
mod ctl;
mod demo;
mod descriptor_limit;
mod log_output;
mod stub_command;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
