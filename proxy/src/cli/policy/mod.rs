//! `xks-proxy policy …`: what a configuration's policies do, found out without a server.

mod cases;
mod lint;

use clap::{Args, Subcommand};

use super::{Failure, File};

/// Try and check the policies of external key stores.
///
/// Both commands read no more of the configuration than its policies: they need no key, no certificate and no credential,
/// so that they run where changes are reviewed.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Run the cases of a file, and explain what decides each of them
    Test(cases::Arguments),
    /// Find rules that can never match or never decide, and fields that no request has
    Lint(lint::Arguments),
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        PolicyCommand::Test(arguments) => cases::run(arguments),
        PolicyCommand::Lint(arguments) => lint::run(arguments),
    }
}

/// Which configuration, and how results look.
#[derive(Args, Debug)]
struct ConfigArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: File,
    #[command(flatten)]
    output: super::output::OutputArguments,
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy policy test cases.toml --config /etc/xks-proxy.toml    try whether it allows and denies what it should
  xks-proxy policy lint --config /etc/xks-proxy.toml               find what can never have an effect";
