//! The embedded software key manager: keys of this process, in memory for requests, on disk wrapped under a root key.
//!
//! Requests read `keyring` (and `cipher`, the message format) and `credentials`; administrators change both through
//! `administration`, which writes `store` first. `record` is what is kept, `root_key` what wraps it,
//! `backup` what is taken elsewhere.

mod admin_error;
mod administration;
mod backup;
mod cipher;
mod credentials;
pub(crate) mod durable;
mod info;
mod keyring;
mod record;
mod root_key;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use xks_api::ids::ExternalKeyId;

pub use admin_error::AdminError;
pub use administration::{Administration, Force, ListedKeys};
pub use backup::{BackupError, BackupHeader, BackupSeal, Restored, restore};
pub use cipher::KeyMaterial;
pub use credentials::{Credential, CredentialMap, Credentials};
pub use info::{CredentialInfo, KeyInfo, NewCredential, VersionInfo};
pub use record::{InvalidUsages, Usages, VersionState};
pub use root_key::{RootKeyError, RootKeyId, RootKeySource, read_key_material};
pub use store::{Defect, StoreError};

use self::keyring::Keyring;
use self::store::{Contents, Store};
use super::{Answer, Description, ExternalKey, KeyManager, KeyManagerError};

/// The embedded key manager.
pub struct Embedded {
    keyring: Arc<Keyring>,
    credentials: Arc<Credentials>,
    administration: Arc<Administration>,
}

impl Embedded {
    /// Prepares a data folder: root key, unless it comes from elsewhere, and an empty store.
    ///
    /// An interrupted call is repeated.
    ///
    /// # Errors
    /// [`StoreError::AlreadyInitialised`], [`StoreError::Missing`]: what is, or was, there is never replaced.
    pub fn init(data_dir: &Path, root_key: &RootKeySource) -> Result<(), StoreError> {
        Store::create(data_dir, root_key, &Contents::default())
    }

    /// Takes the store of a data folder for the newest although the file `generation` says otherwise, or is gone.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) but the ones about the generation.
    pub fn accept_older_store(data_dir: &Path, root_key: &RootKeySource) -> Result<(), StoreError> {
        Store::accept(data_dir, root_key)
    }

    /// Opens the store of a data folder and keeps other processes out of it.
    ///
    /// # Errors
    /// [`StoreError`] for anything but the whole, newest, authentic store under its root key.
    pub fn open(data_dir: &Path, root_key: RootKeySource) -> Result<Self, StoreError> {
        let (store, contents) = Store::open(data_dir, &root_key)?;
        let (keys, credentials) = administration::in_memory(contents);
        let keyring = Arc::new(Keyring::new(keys)?);
        let credentials = Arc::new(Credentials::new(credentials));
        let administration = Administration::new(
            store,
            root_key,
            Arc::clone(&keyring),
            Arc::clone(&credentials),
        );
        Ok(Self {
            keyring,
            credentials,
            administration: Arc::new(administration),
        })
    }

    /// The credentials in the store, for authentication.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials)
    }

    /// What changes keys and credentials.
    pub fn administration(&self) -> Arc<Administration> {
        Arc::clone(&self.administration)
    }
}

impl KeyManager for Embedded {
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        Answer::ready(match self.keyring.key(id) {
            Some(key) => Ok(key),
            None => Err(KeyManagerError::UnknownKey),
        })
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        Answer::ready(Ok(self.keyring.test_key()))
    }

    fn description(&self) -> Description {
        Description {
            vendor: "xks-proxy".into(),
            instances: vec![(
                "embedded".into(),
                concat!("xks-proxy embedded key manager ", env!("CARGO_PKG_VERSION")).into(),
            )],
        }
    }
}
