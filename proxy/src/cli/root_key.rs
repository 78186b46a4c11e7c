//! `xks-proxy root-key …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use super::location::{LocationArguments, full};
use super::output::{OutputArguments, note, unexpected};
use super::progress::waiting;
use crate::admin::{Command, Reply};
use crate::key_manager::embedded::RootKeySource;

/// Change the root key that everything in the store is wrapped under.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: RootKeyCommand,
}

#[derive(Debug, Subcommand)]
enum RootKeyCommand {
    /// Wrap everything under another root key, all or nothing; without a --new-… option the key file is replaced
    Rotate {
        #[command(flatten)]
        location: LocationArguments,
        #[command(flatten)]
        new: NewRootKey,
        #[command(flatten)]
        output: OutputArguments,
    },
}

/// Where the new root key comes from; the configuration has to say it before the next start.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct NewRootKey {
    /// A file of 32 bytes with mode 0600, created where it is missing
    #[arg(long, value_name = "FILE")]
    new_root_key_file: Option<PathBuf>,
    /// A file of 32 bytes that the platform gives, such as a systemd credential
    #[arg(long, value_name = "FILE")]
    new_root_key_credential: Option<PathBuf>,
    /// A passphrase of at least 16 characters, in a file
    #[arg(long, value_name = "FILE")]
    new_root_key_passphrase_file: Option<PathBuf>,
}

impl NewRootKey {
    fn source(self) -> Result<Option<RootKeySource>, Failure> {
        let Self {
            new_root_key_file,
            new_root_key_credential,
            new_root_key_passphrase_file,
        } = self;
        Ok(
            match (
                new_root_key_file,
                new_root_key_credential,
                new_root_key_passphrase_file,
            ) {
                (_, _, Some(path)) => Some(RootKeySource::Passphrase(full(&path)?)),
                (_, Some(path), None) => Some(RootKeySource::Credential(full(&path)?)),
                (Some(path), None, None) => Some(RootKeySource::File(full(&path)?)),
                (None, None, None) => None,
            },
        )
    }
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let RootKeyCommand::Rotate {
        location,
        new,
        output,
    } = arguments.command;
    let location = location.locate()?;
    let to = new.source()?;
    let elsewhere = to.as_ref().is_some_and(|to| *to != location.place.root_key);
    let file = to.as_ref().unwrap_or(&location.place.root_key).path();
    let file = file.display().to_string();
    let reply = waiting("wrapping everything under another root key", || {
        location.execute(Command::RotateRootKey { to })
    });
    let id = match reply? {
        Reply::RootKey(id) => id,
        other => return Err(unexpected(other)),
    };
    let sentence = format!("everything is wrapped under the root key {id}, from {file}");
    output.done(&sentence, &json!({"root_key_id": id, "root_key": file}))?;
    if elsewhere {
        note("Name the new root key in the configuration before the next start.");
    }
    note(
        "Copies of the store made before need the old root key; keep it as long as you keep them.",
    );
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy root-key rotate --config FILE
  xks-proxy root-key rotate --config FILE --new-root-key-passphrase-file /run/credentials/passphrase";
