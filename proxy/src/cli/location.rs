//! Which store a command is for, and how it gets there: through the server that has it open, or by opening it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use clap::Args;
use xks_api::ids::UriPathPrefix;

use super::identity::IdentityArguments;
use super::{Failure, File};
use crate::admin::{ApprovalPolicy, Asked, Client, ClientError, Command, Refusal, Reply, Who};
use crate::audit::{AuditLog, Settings};
use crate::config::{Config, KeyConfig};
use crate::control::PendingInfo;
use crate::key_manager::embedded::{
    Embedded, ListedKeys, RootKeySource, StoreError, StorePlace, WrappedRootKey,
};
use crate::process_memory;

/// Which store a command is for.
#[derive(Args, Debug)]
pub(super) struct LocationArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// The key manager in the configuration, where it has several
    #[arg(long, value_name = "NAME", conflicts_with = "data_dir")]
    key_manager: Option<String>,
    #[command(flatten)]
    root_key: RootKeyArguments,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// One of the two is needed; the environment may give the first.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct PlaceArguments {
    /// The configuration, which names the data folder and the root key
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    pub(super) config: Option<File>,
    /// The data folder, instead of a configuration
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<File>,
    /// The admin listener of a server on another machine, instead of a configuration
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) server: Option<String>,
}

/// Where the root key is, without a configuration that says it.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(super) struct RootKeyArguments {
    /// The root key: a file of 32 bytes with mode 0600 [default: DIR/root.key]
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    root_key_file: Option<File>,
    /// The root key: a file of 32 bytes that the platform gives, such as a systemd credential
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    root_key_credential: Option<File>,
    /// The root key comes from the passphrase in this file
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    root_key_passphrase_file: Option<File>,
}

/// A store, and what a configuration says about it.
pub(super) struct Location {
    pub(super) place: StorePlace,
    listed_keys: ListedKeys,
    audit: Option<Settings>,
    approval: ApprovalPolicy,
    pub(super) identity: Option<IdentityArguments>,
    /// The external key stores whose credentials it keeps; `None` without a configuration.
    pub(super) prefixes: Option<Vec<UriPathPrefix>>,
}

impl LocationArguments {
    /// Has the server carry out a command, on whichever machine, or opens the store for it.
    pub(super) fn execute(self, command: Command) -> Result<Reply, Failure> {
        let Some(server) = &self.place.server else {
            return self.locate()?.execute(command);
        };
        let client = self.identity.connect(server)?;
        let key_manager = self.key_manager.as_deref();
        let client = self.identity.introduce(client, key_manager)?;
        answered(client.execute(&command))
    }

    pub(super) fn locate(self) -> Result<Location, Failure> {
        if self.place.server.is_some() {
            let text =
                "this is done on the machine of the server: give --config FILE or --data-dir DIR";
            return Err(Failure::Failed(text.into()));
        }
        // A command lives for a moment; what cannot be protected in it is the server's to tell.
        process_memory::protect();
        match (self.place.data_dir, self.place.config) {
            (Some(data_dir), _) => Ok(Location {
                place: StorePlace::folder(&full(&data_dir)?, self.root_key.source(&data_dir)?),
                listed_keys: ListedKeys::Unknown,
                audit: None,
                approval: ApprovalPolicy::default(),
                identity: Some(self.identity),
                prefixes: None,
            }),
            (None, Some(file)) => {
                let location = in_config(&file, self.key_manager.as_deref())?;
                Ok(Location {
                    identity: Some(self.identity),
                    ..location
                })
            }
            (None, None) => Err(Failure::Failed(
                "give --config FILE or --data-dir DIR".into(),
            )),
        }
    }
}

impl RootKeyArguments {
    pub(super) fn source(self, data_dir: &Path) -> Result<RootKeySource, Failure> {
        let Self {
            root_key_file,
            root_key_credential,
            root_key_passphrase_file,
        } = self;
        match (root_key_file, root_key_credential, root_key_passphrase_file) {
            (_, _, Some(path)) => Ok(RootKeySource::Passphrase(full(&path)?)),
            (_, Some(path), None) => Ok(RootKeySource::Credential(full(&path)?)),
            (Some(path), None, None) => Ok(RootKeySource::File(full(&path)?)),
            (None, None, None) => Ok(RootKeySource::File(full(&data_dir.join("root.key"))?)),
        }
    }
}

impl Location {
    /// Has the running server carry out a command, or opens the store for it.
    pub(super) fn execute(&self, command: Command) -> Result<Reply, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::Failed(error.to_string());
        let mut attempts = 0..MAX_ATTEMPTS;
        loop {
            let client = Client::connect(&self.place.data_dir);
            if let Some(client) = client.map_err(|e| Failure::of("admin.sock", &e))? {
                let client = match &self.identity {
                    None => client,
                    Some(identity) => identity.introduce(client, None)?,
                };
                return answered(client.execute(&command));
            }
            if self.approval.of(&command).is_some() {
                return Err(needs_server());
            }
            match Embedded::open_at(self.place.clone()) {
                Ok(embedded) => {
                    let administration = embedded.administration();
                    administration.set_listed_keys(self.listed_keys.clone());
                    let result = audited(self.audit.as_ref(), command, |command| {
                        command.execute(&administration)
                    });
                    administration.close();
                    return result;
                }
                // Another command has it for a moment, or a server that is starting.
                Err(StoreError::Held { .. }) if attempts.next().is_some() => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }
}

/// What a server said; a request that waits for approval is not done.
pub(super) fn answered(result: Result<Reply, ClientError>) -> Result<Reply, Failure> {
    match result {
        Ok(Reply::Pending(pending)) if pending.approved_by.is_none() => {
            let PendingInfo { id, operation, .. } = pending;
            Err(Failure::Failed(format!(
                "{operation} needs the approval of another admin, who runs `xks-proxy approve {id}` until {}",
                pending.expires
            )))
        }
        result => result.map_err(|e| Failure::Failed(e.to_string())),
    }
}

/// Nobody would know who asks, and who approves.
pub(super) fn needs_server() -> Failure {
    Failure::Failed(
        "the configuration has this under two-person approval, for which the server has to run"
            .into(),
    )
}

/// Carries a command out in this process, and records it where the configuration says so.
pub(super) fn audited(
    settings: Option<&Settings>,
    command: Command,
    work: impl FnOnce(Command) -> Result<Reply, Refusal>,
) -> Result<Reply, Failure> {
    let opened = settings.cloned().map(AuditLog::open).transpose();
    let opened = opened.map_err(|e| Failure::of("the audit log", &e))?;
    let audit = opened.as_ref().map(|(audit, _)| audit);
    let asked = Asked::of(&command);
    let admin = Who::this_process().to_string();
    let done = asked.audited(audit, &admin, || work(command));
    done.map_err(|refusal| Failure::Failed(refusal.to_string()))
}

/// Opens a store that no server has open; waits for other commands.
pub(super) fn open(place: &StorePlace) -> Result<Embedded, Failure> {
    let mut attempts = 0..MAX_ATTEMPTS;
    loop {
        match Embedded::open_at(place.clone()) {
            Ok(embedded) => return Ok(embedded),
            Err(StoreError::Held { .. }) if attempts.next().is_some() => std::thread::sleep(PAUSE),
            Err(error) => return Err(Failure::Failed(error.to_string())),
        }
    }
}

/// The store of a key manager in a configuration.
pub(super) fn in_config(file: &Path, name: Option<&str>) -> Result<Location, Failure> {
    let KeyConfig {
        audit,
        approval,
        key_managers,
        key_stores,
        ..
    } = Config::load_keys(file)?;
    let embedded: BTreeMap<_, _> = key_managers
        .iter()
        .filter_map(|(name, config)| Some((&**name, config.embedded()?)))
        .collect();
    let names: Vec<_> = embedded.keys().copied().collect();
    let wanted = match (name, &*names) {
        (Some(name), names) if names.contains(&name) => name,
        (Some(name), _) if key_managers.iter().any(|(other, _)| other == name) => {
            let text = format!(
                "{name} is not of type \"embedded\" or \"postgres\": its keys are made and changed with its own tools"
            );
            return Err(Failure::Failed(text));
        }
        (None, [only]) => only,
        (None, []) => {
            let file = file.display();
            let text = format!(
                "{file} has no key manager of type \"embedded\" or \"postgres\", which this is for"
            );
            return Err(Failure::Failed(text));
        }
        (given, names) => {
            let (file, names) = (file.display(), names.join(", "));
            let text = match given {
                Some(given) => format!("{file} has no key manager {given}: name one of {names}"),
                None => {
                    format!(
                        "{file} has several key managers: give --key-manager NAME, one of {names}"
                    )
                }
            };
            return Err(Failure::Failed(text));
        }
    };
    let listed: BTreeMap<_, _> = key_stores
        .iter()
        .filter(|store| store.key_manager == wanted)
        .flat_map(|store| {
            let named = store.keys.named();
            named.map(|id| (id.clone(), store.prefix.clone()))
        })
        .collect();
    let prefixes = key_stores
        .iter()
        .filter(|store| store.credential_store.as_deref() == Some(wanted))
        .map(|store| store.prefix.clone())
        .collect();
    let place = embedded.get(wanted).expect("the name is one of them");
    Ok(Location {
        approval,
        identity: None,
        place: StorePlace {
            data_dir: full(&place.data_dir)?,
            root_key: absolute_source(&place.root_key)?,
            database: place.database.clone(),
        },
        listed_keys: ListedKeys::Known(listed),
        audit: audit.map(absolute_audit).transpose()?,
        prefixes: Some(prefixes),
    })
}

pub(super) fn absolute_source(source: &RootKeySource) -> Result<RootKeySource, Failure> {
    Ok(match source {
        RootKeySource::File(path) => RootKeySource::File(full(path)?),
        RootKeySource::Credential(path) => RootKeySource::Credential(full(path)?),
        RootKeySource::Wrapped(wrapped) => RootKeySource::Wrapped(WrappedRootKey {
            path: full(&wrapped.path)?,
            ..wrapped.clone()
        }),
        RootKeySource::Passphrase(path) => RootKeySource::Passphrase(full(path)?),
    })
}

fn absolute_audit(settings: Settings) -> Result<Settings, Failure> {
    Ok(Settings {
        folder: full(&settings.folder)?,
        key_file: full(&settings.key_file)?,
        ..settings
    })
}

/// The path as a server in another folder understands it.
pub(super) fn full(path: &Path) -> Result<PathBuf, Failure> {
    absolute(path).map_err(|e| Failure::of(path.display(), &e))
}

const MAX_ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
