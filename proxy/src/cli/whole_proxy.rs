//! Commands for a proxy as a whole: through its server, whichever of its sockets answers, or, where none runs, with all of
//! its records opened here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::identity::IdentityArguments;
use super::location::{
    PlaceArguments, RootKeyArguments, absolute_source, answered, audited, full, needs_server, open,
};
use super::{Failure, File};
use crate::admin::{Client, Command, Refusal, Reply, Who, govern};
use crate::config::{Config, KeyConfig};
use crate::control::{ControlStore, Scope, Scopes, StateDir};
use crate::key_manager::embedded::{Embedded, StorePlace};
use crate::process_memory;

/// Which proxy a command is for.
#[derive(Args, Debug)]
pub(super) struct ProxyArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    root_key: RootKeyArguments,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// A proxy, and where its records are.
pub(super) struct WholeProxy {
    keyrings: Vec<(String, StorePlace)>,
    others: Vec<String>,
    state_dir: Option<PathBuf>,
    config: Option<KeyConfig>,
    remote: Option<String>,
    identity: IdentityArguments,
}

impl ProxyArguments {
    pub(super) fn locate(self) -> Result<WholeProxy, Failure> {
        process_memory::protect();
        let identity = self.identity;
        match (self.place.data_dir, self.place.config, self.place.server) {
            (_, _, Some(server)) => Ok(WholeProxy {
                keyrings: Vec::new(),
                others: Vec::new(),
                state_dir: None,
                config: None,
                remote: Some(server),
                identity,
            }),
            (Some(data_dir), _, None) => {
                let root_key = self.root_key.source(&data_dir)?;
                let place = StorePlace::folder(&full(&data_dir)?, root_key);
                Ok(WholeProxy {
                    keyrings: vec![(data_dir.display().to_string(), place)],
                    others: Vec::new(),
                    state_dir: None,
                    config: None,
                    remote: None,
                    identity,
                })
            }
            (None, Some(file), None) => WholeProxy::in_config(&file, identity),
            (None, None, None) => Err(Failure::Failed(
                "give --config FILE or --data-dir DIR".into(),
            )),
        }
    }
}

impl WholeProxy {
    fn in_config(file: &File, identity: IdentityArguments) -> Result<Self, Failure> {
        let config = Config::load_keys(file)?;
        let (mut keyrings, mut others) = (Vec::new(), Vec::new());
        for (name, key_manager) in &config.key_managers {
            match key_manager.embedded() {
                None => others.push(name.clone()),
                Some(place) => {
                    let place = StorePlace {
                        data_dir: full(&place.data_dir)?,
                        root_key: absolute_source(&place.root_key)?,
                        database: place.database.clone(),
                    };
                    keyrings.push((name.clone(), place));
                }
            }
        }
        Ok(Self {
            keyrings,
            others,
            state_dir: config.state_dir.as_deref().map(full).transpose()?,
            config: Some(config),
            remote: None,
            identity,
        })
    }

    /// The server, if one runs.
    ///
    /// # Errors
    /// A socket that is there and cannot be used.
    pub(super) fn server(&self) -> Result<Option<Client>, Failure> {
        if let Some(remote) = &self.remote {
            let client = self.identity.connect(remote)?;
            return self.identity.introduce(client, None).map(Some);
        }
        for folder in self.folders() {
            let client = Client::connect(folder).map_err(|e| Failure::of("admin.sock", &e))?;
            if let Some(client) = client {
                return self.identity.introduce(client, None).map(Some);
            }
        }
        Ok(None)
    }

    /// Each once: a `state_dir` that is not set is the first data folder.
    fn folders(&self) -> Vec<&PathBuf> {
        let data_dirs = self.keyrings.iter().map(|(_, place)| &place.data_dir);
        let mut folders = Vec::new();
        for folder in data_dirs.chain(&self.state_dir) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// That no server runs, for a command that only one can carry out.
    pub(super) fn no_server(&self) -> Failure {
        let folders = self.folders().into_iter();
        let folders: Vec<_> = folders.map(|f| f.display().to_string()).collect();
        let text = match &*folders {
            [] => "set state_dir in the configuration, and start the server anew".to_owned(),
            folders => format!(
                "no server is running with the data folder {}: start one with `xks-proxy serve`",
                folders.join(" or ")
            ),
        };
        Failure::Failed(text)
    }

    /// Has the running server carry out a command, or carries it out here.
    pub(super) fn execute(&self, command: Command) -> Result<Reply, Failure> {
        if let Some(client) = self.server()? {
            return answered(client.execute(&command));
        }
        let approval = self.config.as_ref().map(|config| &config.approval);
        if approval.is_some_and(|approval| approval.of(&command).is_some()) {
            return Err(needs_server());
        }
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::of("cannot start", &e))?;
        let keyrings = self.open()?;
        let scopes = self.scopes(&keyrings)?;
        let who = Who::this_process();
        let settings = self.config.as_ref().and_then(|c| c.audit.as_ref());
        let reply = audited(settings, command, |command| {
            match govern(command, &who, || scopes, executor.handle())? {
                Ok(reply) => Ok(reply),
                Err(_) => Err(Refusal::new(&self.no_server())),
            }
        });
        for (_, embedded) in keyrings {
            embedded.administration().close();
        }
        reply
    }

    fn open(&self) -> Result<Vec<(String, Arc<Embedded>)>, Failure> {
        let opened =
            |(name, place): &(String, StorePlace)| Ok((name.clone(), Arc::new(open(place)?)));
        self.keyrings.iter().map(opened).collect()
    }

    fn scopes(&self, keyrings: &[(String, Arc<Embedded>)]) -> Result<Scopes, Failure> {
        let mut scopes = Vec::new();
        for (name, embedded) in keyrings {
            scopes.push(Scope {
                key_managers: vec![name.clone()],
                store: Some(embedded.administration()),
                keyring: Some(embedded.administration()),
                open: vec![Arc::<Embedded>::clone(embedded)],
            });
        }
        if !self.others.is_empty() {
            let store: Option<Arc<dyn ControlStore>> = match &self.state_dir {
                None => None,
                Some(folder) => {
                    let opened = StateDir::open(&full(folder)?);
                    Some(Arc::new(
                        opened.map_err(|e| Failure::Failed(e.to_string()))?,
                    ))
                }
            };
            scopes.push(Scope {
                key_managers: self.others.clone(),
                store,
                keyring: None,
                open: Vec::new(),
            });
        }
        let prefixes = self.config.as_ref().map(|config| {
            let stores = config.key_stores.iter();
            stores
                .map(|store| (store.prefix.clone(), store.key_manager.clone()))
                .collect::<BTreeMap<_, _>>()
        });
        Ok(Scopes { scopes, prefixes })
    }
}
