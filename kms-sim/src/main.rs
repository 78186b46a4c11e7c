//! The program `kms-sim`.

mod cli;
mod ctl;
mod demo;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
