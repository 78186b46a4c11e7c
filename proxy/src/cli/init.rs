//! `xks-proxy init`.

use std::path::Path;

use clap::Args;
use serde_json::json;
use xks_api::ids::UriPathPrefix;
use zeroize::Zeroizing;

use super::credential::{self, CredentialFile};
use super::location::{Location, LocationArguments};
use super::output::{OutputArguments, note, print};
use super::{Failure, uri_path_prefix};
use crate::key_manager::embedded::{Embedded, NewCredential, RootKeySource, StoreError};

/// Prepare a data folder: root key, store, and the first credential.
///
/// What is there is never replaced; an interrupted init is simply run again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    location: LocationArguments,
    /// Make a credential for this external key store [default: the one of the configuration, if it has one]
    #[arg(long, value_name = "PREFIX", value_parser = uri_path_prefix)]
    uri_path_prefix: Option<UriPathPrefix>,
    /// Make no credential: `kms link` makes one that nobody sees
    #[arg(long, conflicts_with = "uri_path_prefix")]
    no_credential: bool,
    #[command(flatten)]
    credential_file: CredentialFile,
    /// Take the store that is there for the newest, although an older copy was recognized
    #[arg(long, conflicts_with = "uri_path_prefix")]
    accept_older_store: bool,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let location = arguments.location.locate()?;
    if arguments.accept_older_store {
        return accept(&location, arguments.output);
    }
    arguments.credential_file.refuse_unusable()?;
    Embedded::init_at(&location.place).map_err(store_failure)?;
    let data_dir = location.place.data_dir.display();
    let root_key = location.place.root_key.path().display();
    match &location.place.database {
        None => note(&format!("{data_dir} is ready; its root key is {root_key}.")),
        Some(database) => note(&format!(
            "{} is ready, schema {}; the root key, which every proxy of the fleet needs, is {root_key}.",
            database.url, database.schema
        )),
    }
    if matches!(
        location.place.root_key,
        RootKeySource::File(_) | RootKeySource::Wrapped(_)
    ) {
        note("Keep a copy of the root key elsewhere: without it nothing in the store can be read.");
    }
    let only = match location.prefixes.as_deref() {
        Some([only]) if !arguments.no_credential => Some(only.clone()),
        _ => None,
    };
    let file = &arguments.credential_file;
    let credential = match arguments.uri_path_prefix.or(only) {
        Some(prefix) => Some(credential::make(&location, prefix, file)?),
        None => None,
    };
    print(result(&location, credential.as_ref(), file, arguments.output)?.as_bytes())?;
    match credential {
        Some(credential) => file.tell(&credential),
        None => note(
            "Next: serve, and `xks-proxy kms link` creates KMS's side; `xks-proxy credential create --uri-path-prefix \
             PREFIX` makes a credential for the KMS console.",
        ),
    }
    Ok(())
}

/// What goes to standard output: as text the credential alone, so that it can go to a file.
fn result(
    location: &Location,
    credential: Option<&NewCredential>,
    file: &CredentialFile,
    output: OutputArguments,
) -> Result<Zeroizing<String>, Failure> {
    let credential = credential.filter(|_| file.path().is_none());
    let credential = credential.map(NewCredential::console_json);
    if !output.is_json() {
        let line = credential.map(|json| [&json, "\n"].concat());
        return Ok(Zeroizing::new(line.unwrap_or_default()));
    }
    let text = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
    let parts = [
        "{\"data_dir\":",
        &text(&location.place.data_dir),
        ",\"root_key\":",
        &text(location.place.root_key.path()),
        ",\"credential_file\":",
        &file.path().map_or_else(|| "null".to_owned(), text),
        ",\"credential\":",
        credential.as_ref().map_or("null", |json| json),
        "}\n",
    ];
    Ok(Zeroizing::new(parts.concat()))
}

fn accept(location: &Location, output: OutputArguments) -> Result<(), Failure> {
    Embedded::accept_older_store(&location.place).map_err(store_failure)?;
    let data_dir = location.place.data_dir.display();
    let sentence = format!("the store in {data_dir} is taken for the newest");
    output.done(&sentence, &json!({"accepted": data_dir.to_string()}))
}

fn store_failure(error: StoreError) -> Failure {
    Failure::Failed(error.to_string())
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy init --config /etc/xks-proxy/xks-proxy.toml
  xks-proxy init --data-dir /var/lib/xks-proxy --uri-path-prefix /tenant-a --to credential.json
  xks-proxy init --data-dir DIR --root-key-passphrase-file /run/credentials/passphrase";
