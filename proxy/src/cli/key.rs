//! `xks-proxy key …`, but for backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;

use super::backup::{ExportArguments, RestoreArguments};
use super::location::LocationArguments;
use super::output::{OutputArguments, unexpected};
use super::{Failure, backup, external_key_id, usages};
use crate::admin::{Command, Reply};
use crate::key_manager::embedded::{Force, Usages, VersionState, read_key_material};

/// Make, list and change the keys of the embedded key manager.
///
/// Changes take effect at once, also in a running server.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key of fresh key material
    Create {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        usage: UsageArguments,
    },
    /// Make a key of your own key material
    Import {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        usage: UsageArguments,
        /// A file of exactly 32 bytes with mode 0600
        #[arg(long, value_name = "FILE")]
        from_file: PathBuf,
    },
    /// List all keys
    List {
        #[command(flatten)]
        location: LocationArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Show a key and its versions
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Refuse both operations with a key until it is enabled again
    Disable {
        #[command(flatten)]
        target: Target,
    },
    /// Take a disabled key into use again
    Enable {
        #[command(flatten)]
        target: Target,
    },
    /// Add a version that encrypts from now on; the earlier ones still decrypt
    Rotate {
        #[command(flatten)]
        target: Target,
    },
    /// Refuse what an earlier version encrypted
    RetireVersion {
        #[command(flatten)]
        target: Target,
        /// The number of the version
        version: u32,
        /// Take the version into use again
        #[arg(long)]
        undo: bool,
    },
    /// Delete a key with all its versions: what it encrypted cannot be decrypted any more
    Delete {
        #[command(flatten)]
        target: Target,
        /// Delete the key although an external key store lists it
        #[arg(long)]
        force: bool,
    },
    /// Write all keys and credentials to an encrypted file
    ExportBackup(ExportArguments),
    /// Make the store of an empty data folder from a backup
    Restore(RestoreArguments),
}

/// One key of one store.
#[derive(Args, Debug)]
struct Target {
    /// The external key id
    #[arg(value_name = "ID", value_parser = external_key_id)]
    id: ExternalKeyId,
    #[command(flatten)]
    location: LocationArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
struct UsageArguments {
    /// What the key may be used for: ENCRYPT, DECRYPT, both, or NONE
    #[arg(
        long,
        value_name = "USAGE",
        default_value = "ENCRYPT,DECRYPT",
        value_parser = usages
    )]
    usage: Usages,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        KeyCommand::Create { target, usage } => target.change(|id| Command::CreateKey {
            id,
            usage: usage.usage,
        }),
        KeyCommand::Import {
            target,
            usage,
            from_file,
        } => {
            let material = read_key_material(&from_file);
            let material = material.map_err(|e| Failure::Failed(e.to_string()))?;
            target.change(|id| Command::import_key(id, usage.usage, &material))
        }
        KeyCommand::List { location, output } => match location.execute(Command::ListKeys {})? {
            Reply::Keys(keys) => output.keys(&keys),
            other => Err(unexpected(other)),
        },
        KeyCommand::Show { target } => target.change(|id| Command::ShowKey { id }),
        KeyCommand::Disable { target } => target.change(|id| Command::SetKeyStatus {
            id,
            status: KeyStatus::Disabled,
        }),
        KeyCommand::Enable { target } => target.change(|id| Command::SetKeyStatus {
            id,
            status: KeyStatus::Enabled,
        }),
        KeyCommand::Rotate { target } => target.change(|id| Command::RotateKey { id }),
        KeyCommand::RetireVersion {
            target,
            version,
            undo,
        } => {
            let state = match undo {
                true => VersionState::Usable,
                false => VersionState::Retired,
            };
            target.change(|id| Command::SetVersionState { id, version, state })
        }
        KeyCommand::Delete { target, force } => {
            let force = if force { Force::Yes } else { Force::No };
            let sentence = format!("the key {} is deleted", target.id);
            let object = json!({"deleted": target.id.as_str()});
            let command = Command::DeleteKey {
                id: target.id,
                force,
            };
            target.location.execute(command)?;
            target.output.done(&sentence, &object)
        }
        KeyCommand::ExportBackup(arguments) => backup::export(arguments),
        KeyCommand::Restore(arguments) => backup::restore(arguments),
    }
}

impl Target {
    /// Carries out a command that answers with the key.
    fn change(self, command: impl FnOnce(ExternalKeyId) -> Command) -> Result<(), Failure> {
        match self.location.execute(command(self.id))? {
            Reply::Key(key) => self.output.key(&key),
            other => Err(unexpected(other)),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy key create payroll --config /etc/xks-proxy/xks-proxy.toml
  xks-proxy key create archive --usage DECRYPT --data-dir /var/lib/xks-proxy
  xks-proxy key rotate payroll --config FILE
  xks-proxy key retire-version payroll 1 --config FILE
  xks-proxy key list --config FILE --json";
