//! The redb store as administration sees it: changed by this process alone.

use xks_api::ids::ExternalKeyId;

use super::super::live::Live;
use super::super::record::KeyRecord;
use super::super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use super::{Change, Contents, KeyringStore, Store, StoreError};

/// A redb store, and what requests see of it.
pub(crate) struct LocalStore {
    store: Store,
    live: Live,
}

impl LocalStore {
    pub(crate) fn new(store: Store, live: Live) -> Self {
        Self { store, live }
    }
}

impl KeyringStore for LocalStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        self.store.commit(changes)?;
        self.live.apply(changes);
        Ok(())
    }

    fn rewrap(
        &mut self,
        root_key: &RootKey,
        derivation: Derivation,
        _source: &RootKeySource,
    ) -> Result<(), StoreError> {
        self.store.rewrap(root_key, derivation)
    }

    fn key(&mut self, id: &ExternalKeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.store.key(id)
    }

    fn contents(&mut self) -> Result<Contents, StoreError> {
        self.store.contents()
    }

    fn root_key_id(&self) -> RootKeyId {
        self.store.root_key_id()
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn close(&mut self) {}
}
