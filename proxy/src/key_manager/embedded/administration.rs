//! Every change of keys and credentials: durable in the store first, then visible to requests, in one place for the
//! admin socket and for commands that open the store themselves.
//!
//! The methods wait for the disk: a server calls them from threads that may block.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::message::KeyStatus;
use zeroize::Zeroizing;

use super::admin_error::AdminError;
use super::backup::BackupSeal;
use super::cipher::{KeyMaterial, VersionNumber, random_material};
use super::credentials::Credential;
use super::info::{CredentialInfo, KeyInfo, NewCredential, timestamp};
use super::keyring::Key;
use super::live::Live;
use super::record::{CredentialRecord, KeyRecord, Usages, VersionState};
use super::root_key::{self, Derivation, RootKeyId, RootKeySource};
use super::store::{Change, Contents, KeyringStore, PostgresError, StoreError};
use crate::control::{
    Block, BlockTarget, Control, ControlChange, ControlStore, Decide, FleetMember,
};

/// What administers one embedded key manager.
pub struct Administration {
    state: Mutex<State>,
    live: Live,
}

/// What one operation at a time has to itself.
struct State {
    store: Box<dyn KeyringStore>,
    root_key: RootKeySource,
    listed_keys: ListedKeys,
}

/// Which external key stores list a key by its name: such a key is not deleted by accident.
#[derive(Clone, Debug, Default)]
pub enum ListedKeys {
    /// There is no configuration that would say it.
    #[default]
    Unknown,
    /// What the configuration says: a key, and one external key store that lists it.
    Known(BTreeMap<ExternalKeyId, UriPathPrefix>),
}

/// Whether a key that is, or may be, listed by an external key store is deleted all the same.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// It is refused.
    No,
    /// It is deleted.
    Yes,
}

impl Administration {
    pub(super) fn new(store: Box<dyn KeyringStore>, root_key: RootKeySource, live: Live) -> Self {
        let listed_keys = ListedKeys::default();
        Self {
            state: Mutex::new(State {
                store,
                root_key,
                listed_keys,
            }),
            live,
        }
    }

    /// Says which keys the configuration lists, at the start and after each change of the configuration.
    pub fn set_listed_keys(&self, listed_keys: ListedKeys) {
        self.state().listed_keys = listed_keys;
    }

    /// Makes a key of fresh key material.
    ///
    /// # Errors
    /// [`AdminError::KeyExists`]; what the store refuses.
    pub fn create_key(&self, id: &ExternalKeyId, usages: Usages) -> Result<KeyInfo, AdminError> {
        let material = random_material().map_err(StoreError::from)?;
        self.import_key(id, usages, material)
    }

    /// Makes many keys of fresh key material, all or none, in the time of one commit.
    ///
    /// # Errors
    /// [`AdminError::KeyExists`] for the first that does; what the store refuses.
    pub fn create_keys(&self, ids: &[ExternalKeyId], usages: Usages) -> Result<(), AdminError> {
        let now = now();
        let records: Result<Vec<_>, StoreError> = ids
            .iter()
            .map(|_| Ok(KeyRecord::new(usages, random_material()?, now)))
            .collect();
        let records = records?;
        let changes: Vec<_> = ids
            .iter()
            .zip(&records)
            .map(|(id, record)| Change::PutKey(id, record))
            .collect();
        self.operation(
            |state| match ids.iter().find(|id| self.live.keyring.key(id).is_some()) {
                Some(id) => Err(AdminError::KeyExists(id.clone())),
                None => Ok(state.store.commit(&changes)?),
            },
        )
    }

    /// Makes a key of key material that its owner brings.
    ///
    /// # Errors
    /// [`AdminError::KeyExists`]; what the store refuses.
    pub fn import_key(
        &self,
        id: &ExternalKeyId,
        usages: Usages,
        material: KeyMaterial,
    ) -> Result<KeyInfo, AdminError> {
        let record = KeyRecord::new(usages, material, now());
        self.operation(|state| {
            if self.live.keyring.key(id).is_some() {
                return Err(AdminError::KeyExists(id.clone()));
            }
            self.put_key(state, id, &record)
        })
    }

    /// All keys, by id.
    pub fn keys(&self) -> Vec<KeyInfo> {
        let mut infos: Vec<_> = self
            .live
            .keyring
            .keys()
            .iter()
            .map(|(id, key)| self.info(id, key))
            .collect();
        infos.sort_by(|a, b| a.id.cmp(&b.id));
        infos
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.live.keyring.keys().len()
    }

    /// The first `most` of the keys that are wanted, by id. The others are looked at and not told of.
    pub fn keys_where(
        &self,
        wanted: impl Fn(&ExternalKeyId) -> bool,
        most: usize,
    ) -> Vec<(ExternalKeyId, KeyInfo)> {
        let keys = self.live.keyring.keys();
        let mut found: Vec<_> = keys.iter().filter(|(id, _)| wanted(id)).collect();
        if found.len() > most {
            found.select_nth_unstable_by_key(most, |(id, _)| *id);
            found.truncate(most);
        }
        found.sort_unstable_by_key(|(id, _)| *id);
        let info = |(id, key): (&ExternalKeyId, &Arc<Key>)| (id.clone(), self.info(id, key));
        found.into_iter().map(info).collect()
    }

    /// One key.
    ///
    /// # Errors
    /// [`AdminError::NoSuchKey`].
    pub fn key(&self, id: &ExternalKeyId) -> Result<KeyInfo, AdminError> {
        let key = self.live.keyring.key(id);
        key.map(|key| self.info(id, &key))
            .ok_or_else(|| AdminError::NoSuchKey(id.clone()))
    }

    /// Enables or disables a key.
    ///
    /// # Errors
    /// [`AdminError::NoSuchKey`]; what the store refuses.
    pub fn set_key_status(
        &self,
        id: &ExternalKeyId,
        status: KeyStatus,
    ) -> Result<KeyInfo, AdminError> {
        self.change_key(id, |record| {
            record.status = status;
            Ok(())
        })
    }

    /// Adds a version of fresh key material, which encrypts from now on; the earlier versions decrypt.
    ///
    /// # Errors
    /// [`AdminError::NoSuchKey`], [`AdminError::VersionsExhausted`]; what the store refuses.
    pub fn rotate_key(&self, id: &ExternalKeyId) -> Result<KeyInfo, AdminError> {
        self.change_key(id, |record| {
            let material = random_material().map_err(StoreError::from)?;
            match record.rotate(material, now()) {
                true => Ok(()),
                false => Err(AdminError::VersionsExhausted(id.clone())),
            }
        })
    }

    /// Retires an earlier version, or takes it into use again.
    ///
    /// # Errors
    /// [`AdminError::NoSuchKey`], [`AdminError::NoSuchVersion`], [`AdminError::CurrentVersion`]; what the store refuses.
    pub fn set_version_state(
        &self,
        id: &ExternalKeyId,
        version: u32,
        state: VersionState,
    ) -> Result<KeyInfo, AdminError> {
        self.change_key(id, |record| {
            let number = VersionNumber::try_from(version).ok();
            if number == Some(record.current_number()) {
                return Err(AdminError::CurrentVersion(id.clone(), version));
            }
            let earlier = number.and_then(|number| record.earlier.get_mut(number.index()));
            earlier
                .ok_or_else(|| AdminError::NoSuchVersion(id.clone(), version))?
                .state = state;
            Ok(())
        })
    }

    /// Deletes a key with all its versions: what it encrypted cannot be decrypted any more.
    ///
    /// # Errors
    /// [`AdminError::NoSuchKey`]; without force [`AdminError::KeyIsListed`] and [`AdminError::ListsUnknown`]; what the
    /// store refuses.
    pub fn delete_key(&self, id: &ExternalKeyId, force: Force) -> Result<(), AdminError> {
        self.operation(|state| {
            if self.live.keyring.key(id).is_none() {
                return Err(AdminError::NoSuchKey(id.clone()));
            }
            match (&state.listed_keys, force) {
                (_, Force::Yes) => {}
                (ListedKeys::Unknown, Force::No) => {
                    return Err(AdminError::ListsUnknown(id.clone()));
                }
                (ListedKeys::Known(lists), Force::No) => {
                    if let Some(prefix) = lists.get(id) {
                        return Err(AdminError::KeyIsListed(id.clone(), prefix.clone()));
                    }
                }
            }
            Ok(state.store.commit(&[Change::RemoveKey(id)])?)
        })
    }

    /// Makes a credential for an external key store; a store may have any number of them.
    ///
    /// # Errors
    /// What the store refuses.
    //= xks §Credentials rotation R35
    pub fn create_credential(
        &self,
        uri_path_prefix: &UriPathPrefix,
    ) -> Result<NewCredential, AdminError> {
        let mut made = self.create_credentials(std::slice::from_ref(uri_path_prefix))?;
        Ok(made.pop().expect("one for each"))
    }

    /// Makes a credential for each of these external key stores, all or none, in the time of one commit.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn create_credentials(
        &self,
        uri_path_prefixes: &[UriPathPrefix],
    ) -> Result<Vec<NewCredential>, AdminError> {
        let created = now();
        let record = |prefix: &UriPathPrefix| {
            let record = CredentialRecord {
                uri_path_prefix: prefix.clone(),
                secret: random_secret()?,
                created,
            };
            Ok((random_access_key_id()?, record))
        };
        let made: Result<Vec<_>, StoreError> = uri_path_prefixes.iter().map(record).collect();
        let made = made?;
        let changes: Vec<_> = made
            .iter()
            .map(|(id, record)| Change::PutCredential(id, record))
            .collect();
        self.operation(|state| Ok(state.store.commit(&changes)?))?;
        let credential = |(access_key_id, record): (_, CredentialRecord)| NewCredential {
            uri_path_prefix: record.uri_path_prefix,
            access_key_id,
            secret: record.secret,
        };
        Ok(made.into_iter().map(credential).collect())
    }

    /// All credentials, by access key id.
    pub fn credentials(&self) -> Vec<CredentialInfo> {
        let info = |(id, credential): (&AccessKeyId, &Arc<Credential>)| CredentialInfo {
            access_key_id: id.to_string(),
            uri_path_prefix: credential.uri_path_prefix.to_string(),
            created: timestamp(credential.created),
            last_used: None,
        };
        let mut infos: Vec<_> = self.live.credentials.snapshot().iter().map(info).collect();
        infos.sort_by(|a, b| a.access_key_id.cmp(&b.access_key_id));
        infos
    }

    /// Takes a credential out of use.
    ///
    /// # Errors
    /// [`AdminError::NoSuchCredential`]; what the store refuses.
    pub fn revoke_credential(&self, id: &AccessKeyId) -> Result<(), AdminError> {
        self.operation(|state| {
            if !self.live.credentials.snapshot().contains_key(id) {
                return Err(AdminError::NoSuchCredential(id.clone()));
            }
            Ok(state.store.commit(&[Change::RemoveCredential(id)])?)
        })
    }

    /// Wraps the whole store under another root key, all or nothing; keys and credentials stay what they are.
    ///
    /// Without `to`, a root key file of ours is replaced. With it, the new root key comes from there, a file of ours
    /// being created where there is none, and the configuration has to name it before the next start.
    ///
    /// # Errors
    /// [`AdminError::ForeignRootKey`], [`AdminError::SameRootKey`], [`AdminError::RootKey`]; what the store refuses.
    pub fn rotate_root_key(&self, to: Option<RootKeySource>) -> Result<RootKeyId, AdminError> {
        let new = match &to {
            Some(source) => Some((source, source.create()?)),
            None => None,
        };
        self.operation(|state| {
            let State {
                store, root_key, ..
            } = state;
            match (&new, &*root_key) {
                (Some((source, (key, derivation))), _) => {
                    if key.id() == store.root_key_id() {
                        return Err(AdminError::SameRootKey(key.id()));
                    }
                    store.rewrap(key, derivation.clone(), source)?;
                    *root_key = (*source).clone();
                }
                (None, RootKeySource::File(path)) => root_key::replace_key_file(path, |key| {
                    store.rewrap(key, Derivation::Raw, root_key)
                })?,
                (None, RootKeySource::Wrapped(wrapped)) => {
                    root_key::replace_wrapped(wrapped, |key| {
                        store.rewrap(key, Derivation::Raw, root_key)
                    })?
                }
                (None, RootKeySource::Credential(path) | RootKeySource::Passphrase(path)) => {
                    return Err(AdminError::ForeignRootKey(path.clone()));
                }
            }
            Ok(store.root_key_id())
        })
    }

    /// All keys with their material and all credentials with their secrets, wrapped under a key of the backup's own.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn export_backup(&self, seal: &BackupSeal) -> Result<Vec<u8>, AdminError> {
        let contents = self.operation(|state| Ok(state.store.contents()?))?;
        Ok(seal.wrap(&contents)?)
    }

    /// Everything that the store holds, as it is now.
    pub(super) fn contents(&self) -> Result<Contents, AdminError> {
        self.operation(|state| Ok(state.store.contents()?))
    }

    /// Makes many changes at once, if the store is empty; whether it was.
    pub(super) fn fill(&self, contents: &Contents) -> Result<bool, AdminError> {
        self.operation(|state| {
            if !state.store.contents()?.is_empty() {
                return Ok(false);
            }
            state.store.commit(&contents.changes())?;
            Ok(true)
        })
    }

    /// Changes the records that govern the keyring; the number of the commit.
    ///
    /// # Errors
    /// What `decide` refuses; what the store refuses.
    fn change_control(&self, decide: &mut Decide<'_>) -> Result<u64, AdminError> {
        self.operation(|state| {
            let changes = decide(&self.live.control.records())?;
            let changes: Vec<_> = changes
                .iter()
                .map(|change| match change {
                    ControlChange::Put(name, record) => Change::PutControl(name, record),
                    ControlChange::Remove(name) => Change::RemoveControl(name),
                })
                .collect();
            state.store.commit(&changes)?;
            Ok(state.store.generation())
        })
    }

    /// Says that this process serves the keys, and does not only administer them.
    pub fn join_fleet(&self) {
        self.state().store.join();
    }

    /// Ends what the store does in the background, and waits for it for a moment.
    pub fn close(&self) {
        self.state().store.close();
    }

    fn change_key(
        &self,
        id: &ExternalKeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), AdminError>,
    ) -> Result<KeyInfo, AdminError> {
        self.operation(|state| {
            let record = state.store.key(id)?;
            let mut record = record.ok_or_else(|| AdminError::NoSuchKey(id.clone()))?;
            change(&mut record)?;
            self.put_key(state, id, &record)
        })
    }

    fn put_key(
        &self,
        state: &mut State,
        id: &ExternalKeyId,
        record: &KeyRecord,
    ) -> Result<KeyInfo, AdminError> {
        state.store.commit(&[Change::PutKey(id, record)])?;
        Ok(self.info(id, &Key::new(record)))
    }

    fn info(&self, id: &ExternalKeyId, key: &Key) -> KeyInfo {
        let blocks = self.live.control.blocks();
        let blocks = match blocks.any() {
            true => blocks.holding(OffsetDateTime::now_utc()),
            false => Vec::new(),
        };
        let concerns = |block: &Block| match &block.target {
            BlockTarget::Key(blocked) => blocked == id,
            BlockTarget::All | BlockTarget::Prefix(_) => true,
        };
        let blocks = blocks.iter().filter(|block| concerns(block));
        KeyInfo {
            blocks: blocks.map(Block::info).collect(),
            ..key.info(id)
        }
    }

    /// Does something with the store as it is now; again, if another proxy was faster.
    ///
    /// Each repetition means that somebody's change was made, so that a fleet as a whole always comes forward.
    fn operation<T>(
        &self,
        mut operation: impl FnMut(&mut State) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let mut state = self.state();
        let mut attempts = 1..MAX_ATTEMPTS;
        loop {
            state.store.begin()?;
            match operation(&mut state) {
                Err(AdminError::Store(StoreError::Postgres(PostgresError::Stale)))
                    if attempts.next().is_some() => {}
                result => return result,
            }
        }
    }

    /// An operation that panicked left the store at its last commit, which is where the next one starts.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ControlStore for Administration {
    fn control(&self) -> Arc<Control> {
        Arc::clone(&self.live.control)
    }

    fn change(&self, decide: &mut Decide<'_>) -> Result<u64, AdminError> {
        self.change_control(decide)
    }

    fn fleet(&self) -> Result<Vec<FleetMember>, AdminError> {
        Ok(self.state().store.fleet()?)
    }
}

/// To the second, as the store keeps it.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .expect("0 is a nanosecond of every second")
}

/// How often an operation is tried while others change the store.
const MAX_ATTEMPTS: u32 = 100;

/// 26 characters of `A–Z 2–7`, 130 random bits: never made twice.
//= xks §Appendix A R42
fn random_access_key_id() -> Result<AccessKeyId, StoreError> {
    let mut random = [0; 26];
    SystemRandom::new().fill(&mut random)?;
    let letter = |byte: u8| match byte & 31 {
        letter @ 0..26 => char::from(b'A' + letter),
        digit => char::from(b'2' + (digit - 26)),
    };
    let text: String = random.into_iter().map(letter).collect();
    Ok(AccessKeyId::try_from(&*text).expect("26 characters of A-Z 2-7"))
}

/// 43 characters of base64: 256 random bits.
//= xks §Appendix A R42
fn random_secret() -> Result<SecretAccessKey, StoreError> {
    let random = random_material()?;
    let text = Zeroizing::new(STANDARD_NO_PAD.encode(*random));
    Ok(SecretAccessKey::try_from(&**text).expect("43 characters of base64"))
}
