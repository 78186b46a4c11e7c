//! `xks-proxy policy lint`.

use clap::Args;
use serde::Serialize;

use super::super::{Failure, output};
use super::ConfigArguments;
use crate::authorize::{self, Lint};
use crate::config::Config;

/// Find what of the policies can never have the effect that is meant.
///
/// Rules that can never match: a key that the key store does not have, an operation that does not exist; rules that never
/// decide, since a deny covers them or a wider rule does the same; fields in Rego that no request has.
/// Exits with 1 if anything is found, with 2 if a policy cannot be read.
#[derive(Args, Debug)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    uri_path_prefix: String,
    #[serde(flatten)]
    lint: Lint,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let policies = Config::load_policies(&arguments.config.config)?;
    let mut found = Vec::new();
    let mut lines = String::new();
    for store in &policies {
        let prefix = store.prefix.as_str();
        let Some(policy) = &store.policy else {
            lines.push_str(&format!(
                "key store {prefix:?}: no policy; whoever KMS's own policies allow is served\n"
            ));
            continue;
        };
        lines.push_str(&format!("key store {prefix:?}: {policy}\n"));
        for lint in authorize::lint(policy, &store.keys) {
            lines.push_str(&format!("  {}: {}\n", lint.subject, lint.text));
            found.push(Found {
                uri_path_prefix: prefix.to_owned(),
                lint,
            });
        }
    }
    match arguments.config.output.is_json() {
        true => output::json(&found)?,
        false => output::print(lines.as_bytes())?,
    }
    match found.len() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one thing is hardly meant so".into())),
        n => Err(Failure::Failed(format!("{n} things are hardly meant so"))),
    }
}
