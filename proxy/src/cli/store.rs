//! `xks-proxy store …`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::location::{self, Location};
use super::output::{OutputArguments, note};
use super::progress::{Progress, Unit};
use super::{Failure, File};
use crate::key_manager::embedded::migrate;
use crate::process_memory;

/// Move keys and credentials between a folder and a database.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Copy everything to another store, and try every version of every key and every credential there
    ///
    /// The other store is made, or has to be empty. The old one stays as it is; end the servers that use it first, as
    /// what they change meanwhile is not copied.
    Migrate(MigrateArguments),
}

#[derive(Args, Debug)]
struct MigrateArguments {
    /// The configuration, which has both key managers
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: File,
    /// The key manager that has the keys
    #[arg(long, value_name = "NAME")]
    from: String,
    /// The key manager that gets them
    #[arg(long, value_name = "NAME")]
    to: String,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let StoreCommand::Migrate(arguments) = arguments.command;
    // A command lives for a moment; what cannot be protected in it is the server's to tell.
    process_memory::protect();
    let MigrateArguments {
        config,
        from,
        to,
        output,
    } = arguments;
    let place = |name: &str| location::in_config(&config, Some(name));
    let (old, new): (Location, Location) = (place(&from)?, place(&to)?);
    if old.place == new.place {
        let text = format!("{from} and {to} are the same store: name two");
        return Err(Failure::Failed(text));
    }
    let progress = Progress::of("trying the copies", Unit::Pieces);
    let migrated = migrate(old.place, &new.place, |done, total| {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        progress.show(number(done), number(total));
    });
    drop(progress);
    let migrated = migrated.map_err(|e| Failure::Failed(e.to_string()))?;
    let (keys, versions, credentials) = (migrated.keys, migrated.versions, migrated.credentials);
    let sentence = format!(
        "{to} has all of {from}: {keys} keys with {versions} versions, {credentials} credentials, each one tried"
    );
    let object = json!({
        "from": from,
        "to": to,
        "keys": keys,
        "versions": versions,
        "credentials": credentials,
    });
    output.done(&sentence, &object)?;
    note(&format!(
        "Next: let the key stores name {to} as their key_manager. {from} is as it was; remove it when all is well."
    ));
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy store migrate --config FILE --from embedded --to fleet    from a folder to a database
  xks-proxy store migrate --config FILE --from fleet --to embedded    and back";
