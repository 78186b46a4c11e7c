//! Where keys and credentials are kept: every record wrapped under the root key, damage and older copies recognized.
//!
//! There are two stores behind one seam, [`KeyringStore`]: a redb file of this process's own (`redb`, its records in
//! `tables`, as administration sees it in `local`), and a PostgreSQL database that a fleet shares (`postgres`). Both
//! use `records` (what is kept), `header` (what a store says of itself), `seal` (the wrapping), `folder` (the files of
//! the data folder) and `generation` (the file that tells an older copy).

mod error;
mod folder;
mod generation;
mod header;
mod local;
pub(super) mod postgres;
mod records;
mod redb;
mod seal;
mod tables;

use xks_api::ids::ExternalKeyId;

pub use self::error::{Defect, StoreError};
pub(crate) use self::header::Header;
pub(crate) use self::local::LocalStore;
pub(crate) use self::postgres::PostgresError;
pub(crate) use self::records::{Change, Contents};
pub(crate) use self::redb::Store;
pub(crate) use self::seal::{Kind, StoreId, StoreKeys};
use super::record::KeyRecord;
use super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use crate::control::FleetMember;

/// What keeps a keyring. Every change is durable, then visible to requests, before a method returns.
pub(crate) trait KeyringStore: Send {
    /// Before each operation: what others have changed becomes visible.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Makes changes, all or none.
    ///
    /// # Errors
    /// [`PostgresError::Stale`] if somebody else has changed the store since [`begin`](Self::begin): the operation has
    /// to be looked at again.
    fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError>;

    /// Wraps everything under another root key, all or nothing; `source` is where it comes from.
    fn rewrap(
        &mut self,
        root_key: &RootKey,
        derivation: Derivation,
        source: &RootKeySource,
    ) -> Result<(), StoreError>;

    /// Unwraps the record of one key.
    fn key(&mut self, id: &ExternalKeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Unwraps everything, for a backup.
    fn contents(&mut self) -> Result<Contents, StoreError>;

    /// The root key that everything is wrapped under.
    fn root_key_id(&self) -> RootKeyId;

    /// The number of the commit that was made last.
    fn generation(&self) -> u64;

    /// Which other proxies serve the keyring, and what each of them has taken up.
    fn fleet(&mut self) -> Result<Vec<FleetMember>, StoreError> {
        Ok(Vec::new())
    }

    /// From now on this process serves the keyring, and counts among those that do.
    fn join(&mut self) {}

    /// Ends what goes on in the background, and waits for it for a moment.
    fn close(&mut self);
}

#[cfg(test)]
mod tests;
