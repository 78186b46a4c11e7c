//! `xks-proxy credential …`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use xks_api::ids::{AccessKeyId, UriPathPrefix};
use zeroize::Zeroizing;

use super::location::{Location, LocationArguments};
use super::output::{OutputArguments, note, print, unexpected};
use super::{Failure, access_key_id, uri_path_prefix};
use crate::admin::{Command, Reply};
use crate::key_manager::embedded::{NewCredential, durable};

/// Make, list and revoke the credentials that KMS signs with.
///
/// An external key store may have any number of them: to change one, create the new one, give it to KMS, then revoke
/// the old one. Changes take effect at once, also in a running server.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    /// Make a credential and print the JSON file that the KMS console takes; the secret is shown this once
    Create {
        #[command(flatten)]
        location: LocationArguments,
        /// The external key store that it is for
        #[arg(long, value_name = "PREFIX", value_parser = uri_path_prefix)]
        uri_path_prefix: UriPathPrefix,
        #[command(flatten)]
        file: CredentialFile,
        /// Accepted for uniformity: the result is JSON in any case
        #[arg(long)]
        json: bool,
    },
    /// List the credentials of the store, without their secrets
    List {
        #[command(flatten)]
        location: LocationArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Take a credential out of use
    Revoke {
        #[command(flatten)]
        location: LocationArguments,
        /// Its access key id
        #[arg(value_name = "ACCESS_KEY_ID", value_parser = access_key_id)]
        id: AccessKeyId,
        #[command(flatten)]
        output: OutputArguments,
    },
}

/// Where a new credential goes.
#[derive(Args, Debug)]
pub(super) struct CredentialFile {
    /// Write the credential to this new file with mode 0600 instead of standard output
    #[arg(long = "to", value_name = "FILE")]
    path: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        CredentialCommand::Create {
            location,
            uri_path_prefix,
            file,
            json: _,
        } => create(&location.locate()?, uri_path_prefix, &file),
        CredentialCommand::List { location, output } => {
            match location.execute(Command::ListCredentials {})? {
                Reply::Credentials(credentials) => output.credentials(&credentials),
                other => Err(unexpected(other)),
            }
        }
        CredentialCommand::Revoke {
            location,
            id,
            output,
        } => {
            let sentence = format!("the credential {id} is revoked");
            let object = json!({"revoked": id.as_str()});
            let command = Command::RevokeCredential { access_key_id: id };
            location.execute(command)?;
            output.done(&sentence, &object)
        }
    }
}

/// Makes a credential and hands it to whoever asked, this once.
fn create(
    location: &Location,
    uri_path_prefix: UriPathPrefix,
    file: &CredentialFile,
) -> Result<(), Failure> {
    let credential = make(location, uri_path_prefix, file)?;
    if file.path.is_none() {
        let line = Zeroizing::new([&credential.console_json(), "\n"].concat());
        print(line.as_bytes()).map_err(|e| take_back(location, &credential, &e))?;
    }
    file.tell(&credential);
    Ok(())
}

/// Makes a credential, and writes it to the file if there is to be one.
pub(super) fn make(
    location: &Location,
    uri_path_prefix: UriPathPrefix,
    file: &CredentialFile,
) -> Result<NewCredential, Failure> {
    let known = location.prefixes.as_ref();
    if known.is_some_and(|prefixes| !prefixes.contains(&uri_path_prefix)) {
        note(&format!(
            "Note: no external key store of the configuration with this key manager has the prefix \
             `{uri_path_prefix}`."
        ));
    }
    file.refuse_unusable()?;
    let reply = location.execute(Command::CreateCredential { uri_path_prefix })?;
    let credential = match reply {
        Reply::Credential(credential) => credential.into_credential(),
        other => return Err(unexpected(other)),
    };
    let credential = credential.ok_or_else(|| unexpected(Reply::Done))?;
    if let Some(path) = &file.path {
        let line = Zeroizing::new([&credential.console_json(), "\n"].concat());
        durable::create(path, line.as_bytes())
            .map_err(|e| take_back(location, &credential, &Failure::of(path.display(), &e)))?;
    }
    Ok(credential)
}

/// Revokes a credential that could not be handed over: nobody will ever know its secret.
fn take_back(location: &Location, credential: &NewCredential, why: &Failure) -> Failure {
    let id = &credential.access_key_id;
    let command = Command::RevokeCredential {
        access_key_id: id.clone(),
    };
    let what = match location.execute(command) {
        Ok(_) => format!("the new credential {id} could not be handed over and is revoked"),
        Err(_) => format!(
            "the new credential {id} could not be handed over: run `xks-proxy credential revoke {id}`"
        ),
    };
    Failure::Failed(format!("{why}; {what}"))
}

impl CredentialFile {
    /// Before anything is made that the file is for.
    pub(super) fn refuse_unusable(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if path.symlink_metadata().is_ok() {
            let path = path.display();
            let text = format!("{path} is there already and stays as it is: give another --to");
            return Err(Failure::Failed(text));
        }
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                let (path, folder) = (path.display(), folder.display());
                let text = format!(
                    "{path} cannot be made, as {folder} is no folder: make it, or give another --to"
                );
                Err(Failure::Failed(text))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Says where the credential is.
    pub(super) fn tell(&self, credential: &NewCredential) {
        note(&match &self.path {
            None => "The secret is not shown again. Give the JSON to KMS, and keep no other copy."
                .into(),
            Some(path) => format!(
                "The credential {} is in {}.",
                credential.access_key_id,
                path.display()
            ),
        });
    }
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy credential create --config FILE --uri-path-prefix /tenant-a --to credential.json
  xks-proxy credential list --config FILE
  xks-proxy credential revoke ABCDEFGHIJKLMNOPQRSTUVWXYZ --config FILE";
