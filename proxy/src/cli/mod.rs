//! The command line. Exit status 0: done, 1: failed, 2: wrong usage or configuration.

mod admin;
mod admin_sockets;
mod audit;
mod backup;
mod block;
mod check;
mod completion;
mod credential;
mod dev;
mod identity;
mod init;
mod key;
mod kms;
mod location;
mod manual;
mod output;
mod policy;
mod progress;
mod reload;
mod root_key;
mod serve;
mod sockets;
mod status;
mod store;
mod supervisor;
mod telemetry;
mod whole_proxy;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use xks_api::ids::{
    AccessKeyId, ExternalKeyId, InvalidAccessKeyId, InvalidExternalKeyId, InvalidUriPathPrefix,
    UriPathPrefix,
};

pub(crate) use dev::dev_certificate;

use crate::config::{ConfigError, InvalidUriEndpoint, UriEndpoint};
use crate::key_manager::embedded::{InvalidUsages, Usages};
use crate::request_log::LogFormat;

/// An external key store proxy for AWS KMS.
///
/// KMS sends it data keys to encrypt and decrypt; the keys that it does so with never leave your key manager.
#[derive(Debug, Parser)]
#[command(name = "xks-proxy", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the external key stores of a configuration
    Serve(serve::Arguments),
    /// Serve a key store to try things with: makes certificates, keys and a credential, and needs no preparation
    Dev(dev::Arguments),
    /// Try a configuration: all of its problems, TLS, key managers, credentials
    Check(check::Arguments),
    /// See how the running server does: key managers, requests, errors, latency, certificates, keys, denials
    Status(status::Arguments),
    /// Have the running server read its configuration again
    Reload(reload::Arguments),
    /// Prepare a data folder: root key, store, and the first credential
    Init(init::Arguments),
    /// Make, list and change the keys of the embedded key manager
    Key(key::Arguments),
    /// Make, list and revoke the credentials that KMS signs with
    Credential(credential::Arguments),
    /// Create and look after KMS's side: link a key store, make KMS keys, compare, rotate the credential
    Kms(kms::Arguments),
    /// Refuse every call for a key, an external key store or all of them, from the next request on
    Block(block::BlockArguments),
    /// Lift a block
    Unblock(block::UnblockArguments),
    /// List what is blocked
    Blocks(block::ListArguments),
    /// Try and check the policies of external key stores: who may do what with their keys
    Policy(policy::Arguments),
    /// Name the people who administer, each with a token
    Admin(admin::Arguments),
    /// Approve what another admin has requested
    Approve(admin::DecideArguments),
    /// Refuse what an admin has requested
    Reject(admin::DecideArguments),
    /// See what waits for approval
    Approvals(admin::ApprovalsArguments),
    /// Change the root key that everything in the store is wrapped under
    RootKey(root_key::Arguments),
    /// Move keys and credentials between a folder and a database
    Store(store::Arguments),
    /// Verify the audit log
    Audit(audit::Arguments),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: CompletionShell,
    },
    /// Write the manual pages, one for each command, to a folder
    #[command(hide = true)]
    Man {
        /// The folder, which is made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// The shells that completions are made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArgument {
    Json,
    Text,
}

impl From<LogFormatArgument> for LogFormat {
    fn from(argument: LogFormatArgument) -> Self {
        match argument {
            LogFormatArgument::Json => Self::Json,
            LogFormatArgument::Text => Self::Text,
        }
    }
}

/// Why a command ends without success.
#[derive(Debug)]
enum Failure {
    /// Exit status 2.
    Config(ConfigError),
    /// Exit status 1: what was tried, and why it failed.
    Failed(String),
}

impl Failure {
    /// A failure, with everything that lies behind it.
    fn of(what: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(deeper) = source {
            let deeper_text = deeper.to_string();
            if !text.contains(&deeper_text) {
                text = format!("{text}: {deeper_text}");
            }
            source = deeper.source();
        }
        Self::Failed(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self::Config(e)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Reload(arguments) => reload::run(arguments),
        Command::Init(arguments) => init::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Credential(arguments) => credential::run(arguments),
        Command::Kms(arguments) => kms::run(arguments),
        Command::Block(arguments) => block::block(arguments),
        Command::Unblock(arguments) => block::unblock(arguments),
        Command::Blocks(arguments) => block::list(arguments),
        Command::Policy(arguments) => policy::run(arguments),
        Command::Admin(arguments) => admin::run(arguments),
        Command::Approve(arguments) => admin::approve(arguments),
        Command::Reject(arguments) => admin::reject(arguments),
        Command::Approvals(arguments) => admin::approvals(arguments),
        Command::RootKey(arguments) => root_key::run(arguments),
        Command::Store(arguments) => store::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Completions { shell } => completions(shell),
        Command::Man { folder } => manual::write(Cli::command(), &["kms-sim", "xks-load"], &folder)
            .map_err(|e| Failure::of(folder.display(), &e)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            match failure {
                Failure::Config(_) => ExitCode::from(2),
                Failure::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn complain(text: &str) {
    // Where standard error is closed there is no one to tell.
    let _ = writeln!(std::io::stderr(), "xks-proxy: {text}");
}

fn completions(shell: CompletionShell) -> Result<(), Failure> {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    output::print(&completion::script(shell, Cli::command()))
}

fn external_key_id(text: &str) -> Result<ExternalKeyId, InvalidExternalKeyId> {
    ExternalKeyId::try_from(text)
}

fn uri_endpoint(text: &str) -> Result<UriEndpoint, InvalidUriEndpoint> {
    UriEndpoint::try_from(text)
}

fn uri_path_prefix(text: &str) -> Result<UriPathPrefix, InvalidUriPathPrefix> {
    UriPathPrefix::try_from(text)
}

fn access_key_id(text: &str) -> Result<AccessKeyId, InvalidAccessKeyId> {
    AccessKeyId::try_from(text)
}

fn usages(text: &str) -> Result<Usages, InvalidUsages> {
    Usages::try_from(text)
}

/// A file name from the command line.
type File = PathBuf;

const EXAMPLES: &str = "\
Examples:
  xks-proxy dev                                   try it, with nothing prepared
  xks-proxy serve --config /etc/xks-proxy.toml    serve
  xks-proxy check --config /etc/xks-proxy.toml    find out what is wrong before KMS does
  xks-proxy init --config /etc/xks-proxy.toml     make root key, store and first credential
  xks-proxy key create payroll --config FILE      make a key
  xks-proxy kms link --config FILE                tell KMS about it, and connect
  xks-proxy completions bash                      complete commands in bash";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_prints_facts_prints_them_as_json() {
        let reasons = [
            ("serve", "serves; its log lines are JSON"),
            ("dev", "serves; DIR/env says what a client needs"),
            ("completions", "prints a script for a shell"),
            ("man", "writes pages for people"),
        ];
        let without = manual::without_json(Cli::command());
        assert_eq!(without, reasons.map(|(command, _)| command));
    }
}
