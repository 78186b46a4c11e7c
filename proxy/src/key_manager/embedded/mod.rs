//! The embedded software key manager: keys of this process, in memory for requests, on disk wrapped under a root key.
//!
//! Requests read `keyring` (and `cipher`, the message format) and `credentials`; administrators change both through
//! `administration`, which writes `store` first; the store publishes to `live`. `record` is what is kept, `root_key` what wraps it,
//! `backup` what is taken elsewhere, `migrate` what moves to another store.

mod admin_error;
mod administration;
mod backup;
mod cipher;
mod credentials;
pub(crate) mod durable;
mod info;
mod keyring;
mod live;
mod migrate;
mod record;
mod root_key;
mod store;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xks_api::ids::ExternalKeyId;

pub use admin_error::AdminError;
pub use administration::{Administration, Force, ListedKeys};
pub use backup::{BackupError, BackupHeader, BackupSeal, Restored, restore};
pub use cipher::KeyMaterial;
pub use credentials::{Credential, CredentialMap, Credentials};
pub(crate) use info::timestamp;
pub use info::{CredentialInfo, KeyInfo, NewCredential, VersionInfo};
pub use migrate::{MigrateError, Migrated, migrate};
pub use record::{InvalidUsages, Usages, VersionState};
pub use root_key::{
    OpenKeyManager, RootKeyError, RootKeyId, RootKeySource, WrappedRootKey, read_key_material,
};
pub use store::postgres::{
    DatabaseUrl, InvalidDatabaseUrl, InvalidSchemaName, PostgresConfig, PostgresError, SchemaName,
};
pub use store::{Defect, StoreError};

use self::live::{Freshness, Live, SnapshotTooOld};
use self::store::postgres::PostgresStore;
use self::store::{Contents, KeyringStore, LocalStore, Store};
use crate::control::Blocks;

use super::{
    Answer, Description, ExternalKey, Instance, InstanceHealth, KeyManager, KeyManagerError,
};

/// The embedded key manager.
pub struct Embedded {
    live: Live,
    administration: Arc<Administration>,
}

/// Where a store is, and what it is wrapped under.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StorePlace {
    /// The data folder: a redb store is in it, and the admin socket of whoever has the store open.
    pub data_dir: PathBuf,
    /// What everything is wrapped under.
    pub root_key: RootKeySource,
    /// The database, if the store is a shared one.
    pub database: Option<PostgresConfig>,
}

impl StorePlace {
    /// A redb store in its data folder.
    pub fn folder(data_dir: &Path, root_key: RootKeySource) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            root_key,
            database: None,
        }
    }

    fn create(&self, contents: &Contents) -> Result<(), StoreError> {
        let Self {
            data_dir,
            root_key,
            database,
        } = self;
        match database {
            None => Store::create(data_dir, root_key, contents),
            Some(database) => PostgresStore::create(data_dir, root_key, database, contents),
        }
    }
}

impl Embedded {
    /// [`init_at`](Self::init_at) for a redb store.
    ///
    /// # Errors
    /// [`StoreError::AlreadyInitialised`], [`StoreError::Missing`]: what is, or was, there is never replaced.
    pub fn init(data_dir: &Path, root_key: &RootKeySource) -> Result<(), StoreError> {
        Self::init_at(&StorePlace::folder(data_dir, root_key.clone()))
    }

    /// Prepares a store: root key, unless it comes from elsewhere, and an empty store.
    ///
    /// An interrupted call is repeated.
    ///
    /// # Errors
    /// What is, or was, there is never replaced.
    pub fn init_at(place: &StorePlace) -> Result<(), StoreError> {
        place.create(&Contents::default())
    }

    /// Takes a store for the newest although the file `generation` says otherwise, or is gone.
    ///
    /// # Errors
    /// Those of [`open_at`](Self::open_at) but the ones about the generation.
    pub fn accept_older_store(place: &StorePlace) -> Result<(), StoreError> {
        match &place.database {
            None => Store::accept(&place.data_dir, &place.root_key),
            Some(database) => PostgresStore::accept(&place.data_dir, &place.root_key, database),
        }
    }

    /// [`open_at`](Self::open_at) for a redb store.
    ///
    /// # Errors
    /// [`StoreError`] for anything but the whole, newest, authentic store under its root key.
    pub fn open(data_dir: &Path, root_key: RootKeySource) -> Result<Self, StoreError> {
        Self::open_at(StorePlace::folder(data_dir, root_key))
    }

    /// Opens a store and keeps other processes out of its data folder.
    ///
    /// # Errors
    /// [`StoreError`] for anything but the whole, newest, authentic store under its root key.
    pub fn open_at(place: StorePlace) -> Result<Self, StoreError> {
        let StorePlace {
            data_dir,
            root_key,
            database,
        } = place;
        let (store, live): (Box<dyn KeyringStore>, Live) = match database {
            None => {
                let (store, contents) = Store::open(&data_dir, &root_key)?;
                let live = Live::new(contents, Freshness::without_limit())?;
                (Box::new(LocalStore::new(store, live.clone())), live)
            }
            Some(database) => {
                let (store, live) = PostgresStore::open(&data_dir, root_key.clone(), &database)?;
                (Box::new(store), live)
            }
        };
        let administration = Administration::new(store, root_key, live.clone());
        Ok(Self {
            live,
            administration: Arc::new(administration),
        })
    }

    /// The credentials in the store, for authentication.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.live.credentials)
    }

    /// The blocks on its keys.
    pub fn blocks(&self) -> Arc<Blocks> {
        self.live.control.blocks()
    }

    /// What changes keys and credentials.
    pub fn administration(&self) -> Arc<Administration> {
        Arc::clone(&self.administration)
    }

    /// What a snapshot that is too old answers instead of a key.
    fn fresh(&self) -> Result<(), KeyManagerError> {
        match self.live.freshness.is_over() {
            false => Ok(()),
            true => Err(KeyManagerError::Unavailable(Box::new(SnapshotTooOld {
                age: self.live.freshness.age(),
            }))),
        }
    }
}

impl KeyManager for Embedded {
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        if let Err(error) = self.fresh() {
            return Answer::ready(Err(error));
        }
        Answer::ready(match self.live.keyring.key(id) {
            Some(key) => Ok(key),
            None => Err(KeyManagerError::UnknownKey),
        })
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        Answer::ready(match self.fresh() {
            Ok(()) => Ok(self.live.keyring.test_key()),
            Err(error) => Err(error),
        })
    }

    fn description(&self) -> Description {
        let model = |version: &str| format!("xks-proxy embedded key manager {version}");
        let proxies = self.live.proxies.load();
        let instances = match &***proxies {
            [] => vec![Instance {
                id: "embedded".into(),
                model: model(env!("CARGO_PKG_VERSION")),
                health: InstanceHealth::Probed,
            }],
            proxies => proxies
                .iter()
                .map(|proxy| Instance {
                    id: proxy.id.clone(),
                    model: model(&proxy.version),
                    health: proxy.health,
                })
                .collect(),
        };
        Description {
            vendor: "xks-proxy".into(),
            instances,
        }
    }

    fn fleet_size(&self) -> Option<NonZeroU32> {
        let proxies = self.live.proxies.load();
        let there = proxies.iter().filter(|proxy| proxy.is_there).count();
        NonZeroU32::new(u32::try_from(there).unwrap_or(u32::MAX))
    }
}
