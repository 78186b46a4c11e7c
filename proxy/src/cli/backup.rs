//! `xks-proxy key export-backup` and `key restore`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;

use super::Failure;
use super::location::{LocationArguments, full};
use super::output::{OutputArguments, unexpected};
use super::progress::waiting;
use crate::admin::{Command, Reply};
use crate::key_manager::embedded::{self, BackupSeal, RootKeySource, durable};

/// Write all keys and credentials to an encrypted file.
///
/// The backup has a key of its own: it can be restored without the root key of the store.
#[derive(Args, Debug)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    location: LocationArguments,
    /// The backup, a new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    key: BackupKeyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// Make the store of an empty data folder from a backup, under a root key of its own.
#[derive(Args, Debug)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    location: LocationArguments,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    key: BackupKeyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// What a backup is encrypted under.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct BackupKeyArguments {
    /// A passphrase of at least 16 characters, in a file
    #[arg(long, value_name = "FILE")]
    backup_passphrase_file: Option<PathBuf>,
    /// A file of 32 bytes with mode 0600; an export creates it where it is missing
    #[arg(long, value_name = "FILE")]
    backup_key_file: Option<PathBuf>,
}

impl BackupKeyArguments {
    fn source(self) -> Result<RootKeySource, Failure> {
        match (self.backup_passphrase_file, self.backup_key_file) {
            (Some(path), _) => Ok(RootKeySource::Passphrase(full(&path)?)),
            (None, Some(path)) => Ok(RootKeySource::File(full(&path)?)),
            (None, None) => Err(failed(
                &"give --backup-passphrase-file or --backup-key-file",
            )),
        }
    }
}

pub(super) fn export(arguments: ExportArguments) -> Result<(), Failure> {
    let location = arguments.location;
    let source = arguments.key.source()?;
    let (header, reply) = waiting("wrapping all keys and credentials", || {
        let (seal, header) = BackupSeal::new(&source).map_err(|e| failed(&e))?;
        let reply = location.execute(Command::export_backup(&seal))?;
        Ok::<_, Failure>((header, reply))
    })?;
    let sealed = match reply {
        Reply::Backup(text) => STANDARD.decode(text).ok(),
        other => return Err(unexpected(other)),
    };
    let sealed = sealed.ok_or_else(|| unexpected(Reply::Done))?;
    let to = arguments.to.display();
    durable::create(&arguments.to, &header.with(&sealed)).map_err(|e| Failure::of(&to, &e))?;
    let sentence = format!("all keys and credentials are in {to}");
    let object = json!({"backup": to.to_string()});
    arguments.output.done(&sentence, &object)
}

pub(super) fn restore(arguments: RestoreArguments) -> Result<(), Failure> {
    let location = arguments.location.locate()?;
    let from = arguments.from.display();
    let backup = std::fs::read(&arguments.from).map_err(|e| Failure::of(&from, &e))?;
    let source = arguments.key.source()?;
    let restored = waiting("writing the store", || {
        embedded::restore(&backup, &source, &location.place)
    });
    let restored = restored.map_err(|e| failed(&e))?;
    let (keys, credentials) = (restored.keys, restored.credentials);
    let data_dir = location.place.data_dir.display();
    let sentence = format!("{data_dir} has {keys} keys and {credentials} credentials of {from}");
    let object = json!({
        "data_dir": data_dir.to_string(),
        "keys": keys,
        "credentials": credentials,
    });
    arguments.output.done(&sentence, &object)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
