//! `xks-proxy check`.

use std::time::SystemTime;

use clap::Args;

use super::{Failure, File};
use crate::check::{self, Finding, Severity};
use crate::config::Config;

/// Try a configuration before KMS does.
///
/// Reads it and every file that it names, and tells all problems at once; looks at the certificates' chain, names and
/// dates, shakes hands with each TLS suite, encrypts and decrypts with every key manager, and counts credentials.
/// Exits with 1 if anything does not work, with 2 if the configuration has problems.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: File,
    /// The host of the XksProxyUriEndpoint, which the certificate must be for
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Print a JSON list instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            if arguments.json {
                print(&json(&check::problems(&error)))?;
            }
            return Err(error.into());
        }
    };
    let findings = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::of("cannot start", &e))?
        .block_on(check::run(
            &config,
            arguments.host.as_deref(),
            SystemTime::now(),
        ));
    print(&match arguments.json {
        true => json(&findings),
        false => findings.iter().map(|f| format!("{f}\n")).collect(),
    })?;
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    match count(Severity::Failure) {
        0 => Ok(()),
        1 => Err(Failure::Failed("one trial failed".into())),
        n => Err(Failure::Failed(format!("{n} trials failed"))),
    }
}

fn json(findings: &[Finding]) -> String {
    let text = serde_json::to_string_pretty(findings).expect("strings always encode");
    text + "\n"
}

fn print(text: &str) -> Result<(), Failure> {
    super::output::print(text.as_bytes())
}
