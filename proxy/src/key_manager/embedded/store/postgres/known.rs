//! What has been verified of the database: nothing of it is believed before header, manifest, digest and every changed
//! record are authentic, and not older than what was seen before.
//!
//! New manifests are made over what is known here, not over what the database holds at that moment, so that a row which
//! somebody changed is never made good by a commit.

use std::sync::Arc;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use xks_api::ids::{AccessKeyId, ExternalKeyId};
use zeroize::Zeroizing;

use super::super::super::record::{CredentialRecord, KeyRecord};
use super::super::super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use super::super::error::{Defect, StoreError};
use super::super::generation::GenerationMark;
use super::super::header::{Header, Manifest};
use super::super::records::{
    Change, Contents, RecordsSum, open_control, open_credential, open_key,
};
use super::super::seal::{Kind, StoreId, StoreKeys};
use super::error::PostgresError;
use super::rows::{GENERATION_KEY, HEADER, MANIFEST, Raw, Rows, TableChange, Write};

/// A verified state of the database.
pub(super) struct Known {
    store_keys: Arc<StoreKeys>,
    root_key_id: RootKeyId,
    generation_key: Arc<Zeroizing<Vec<u8>>>,
    header: Vec<u8>,
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    keys: Rows,
    credentials: Rows,
    control: Rows,
}

/// What one state has that another has not.
#[derive(Default)]
pub(super) struct Difference {
    put: Contents,
    removed_keys: Vec<ExternalKeyId>,
    removed_credentials: Vec<AccessKeyId>,
    removed_control: Vec<String>,
}

impl Known {
    /// A new store that holds `contents`, and how it is written.
    pub(super) fn create(
        root_key: &RootKey,
        derivation: Derivation,
        contents: &Contents,
    ) -> Result<(Self, Write), StoreError> {
        let mut store_id = StoreId::default();
        let mut generation_key = Zeroizing::new(vec![0; 32]);
        SystemRandom::new().fill(&mut store_id)?;
        SystemRandom::new().fill(&mut generation_key)?;
        let empty = Self::wrapped(root_key, derivation, store_id, Arc::new(generation_key));
        let (known, mut write) = empty.next(&contents.changes())?;
        known.put_identity(&mut write)?;
        Ok((known, write))
    }

    /// Without a record and at generation 0, which is never written.
    fn wrapped(
        root_key: &RootKey,
        derivation: Derivation,
        store_id: StoreId,
        generation_key: Arc<Zeroizing<Vec<u8>>>,
    ) -> Self {
        let store_keys = Arc::new(StoreKeys::derive(root_key, store_id));
        let header = Header {
            store_id,
            root_key_id: root_key.id(),
            derivation,
        };
        let manifest = Manifest {
            generation: 0,
            digest: [0; 32],
        };
        Self {
            root_key_id: root_key.id(),
            generation_key,
            header: header.encode(&store_keys),
            manifest_bytes: manifest.encode(&store_keys),
            manifest,
            store_keys,
            keys: Rows::default(),
            credentials: Rows::default(),
            control: Rows::default(),
        }
    }

    /// What a database holds, if it is authentic and no older than what was known `before`; and what is new in it.
    pub(super) fn verify(
        raw: Raw,
        root_key: &RootKeySource,
        before: Option<&Self>,
        place: &str,
    ) -> Result<(Self, Difference), StoreError> {
        let place = place.to_owned();
        let damaged = |defect| PostgresError::Damaged {
            place: place.clone(),
            defect,
        };
        let Raw {
            mut store,
            keys,
            credentials,
            control,
        } = raw;
        let Some(header) = store.remove(HEADER) else {
            return Err(match (store.is_empty(), before) {
                (true, None) => PostgresError::NotInitialised { place },
                _ => damaged(Defect::NoHeader),
            }
            .into());
        };
        let (store_keys, root_key_id) = match before {
            Some(before) if before.header == header => {
                (Arc::clone(&before.store_keys), before.root_key_id)
            }
            _ => unlock(&header, root_key, before, &place)?,
        };
        let manifest_bytes = store.remove(MANIFEST);
        let manifest_bytes = manifest_bytes.ok_or_else(|| damaged(Defect::Manifest))?;
        let manifest = Manifest::decode(&manifest_bytes, &store_keys);
        let manifest = manifest.ok_or_else(|| damaged(Defect::Manifest))?;
        if let Some(before) = before {
            before.precedes(&manifest, &place)?;
        }
        let generation_key = store
            .remove(GENERATION_KEY)
            .and_then(|sealed| {
                let kind = Kind::GenerationKey;
                store_keys.open(kind, GENERATION_KEY, &sealed).ok()
            })
            .ok_or_else(|| damaged(Defect::Record(GENERATION_KEY.into())))?;
        if digest(&store_keys, &keys, &credentials, &control) != manifest.digest {
            return Err(damaged(Defect::Records).into());
        }
        let known = Self {
            store_keys,
            root_key_id,
            generation_key: Arc::new(generation_key),
            header,
            manifest,
            manifest_bytes,
            keys,
            credentials,
            control,
        };
        let difference = known.since(before).map_err(damaged)?;
        Ok((known, difference))
    }

    /// Whether a manifest may follow this state.
    fn precedes(&self, later: &Manifest, place: &str) -> Result<(), PostgresError> {
        self.mark().precedes_in(later, place)
    }

    /// The records that `before` does not have, unwrapped, and those that it has in addition.
    fn since(&self, before: Option<&Self>) -> Result<Difference, Defect> {
        let empty = Rows::default();
        let (old_keys, old_credentials, old_control) = match before {
            Some(before) => (&before.keys, &before.credentials, &before.control),
            None => (&empty, &empty, &empty),
        };
        let store_keys = &self.store_keys;
        let defect = |name: &str| Defect::Record(name.into());
        let mut difference = Difference::default();
        for (name, sealed) in changed(old_keys, &self.keys) {
            let key = open_key(store_keys, name, sealed).ok_or_else(|| defect(name))?;
            difference.put.keys.insert(key.0, key.1);
        }
        for (name, sealed) in changed(old_credentials, &self.credentials) {
            let credential = open_credential(store_keys, name, sealed);
            let (id, record) = credential.ok_or_else(|| defect(name))?;
            difference.put.credentials.insert(id, record);
        }
        for (name, sealed) in changed(old_control, &self.control) {
            let control = open_control(store_keys, name, sealed).ok_or_else(|| defect(name))?;
            difference.put.control.insert(control.0, control.1);
        }
        let removed_control = removed(old_control, &self.control).map(str::to_owned);
        difference.removed_control.extend(removed_control);
        for name in removed(old_keys, &self.keys) {
            let id = ExternalKeyId::try_from(name).map_err(|_| defect(name))?;
            difference.removed_keys.push(id);
        }
        for name in removed(old_credentials, &self.credentials) {
            let id = AccessKeyId::try_from(name).map_err(|_| defect(name))?;
            difference.removed_credentials.push(id);
        }
        Ok(difference)
    }

    /// The state after some changes, and how it is written.
    pub(super) fn next(&self, changes: &[Change<'_>]) -> Result<(Self, Write), StoreError> {
        let seal = |kind, name: &str, record: &[u8]| self.store_keys.seal(kind, name, record);
        let mut write = Write::default();
        for change in changes {
            match change {
                Change::PutKey(id, record) => {
                    let sealed = seal(Kind::Key, id.as_str(), &record.encode())?;
                    write.keys.put.insert(id.to_string(), sealed);
                }
                Change::RemoveKey(id) => write.keys.remove.push(id.to_string()),
                Change::PutCredential(id, record) => {
                    let sealed = seal(Kind::Credential, id.as_str(), &record.encode())?;
                    write.credentials.put.insert(id.to_string(), sealed);
                }
                Change::RemoveCredential(id) => write.credentials.remove.push(id.to_string()),
                Change::PutControl(name, record) => {
                    let sealed = seal(Kind::Control, name, record)?;
                    write.control.put.insert((*name).to_owned(), sealed);
                }
                Change::RemoveControl(name) => write.control.remove.push((*name).to_owned()),
            }
        }
        let known = Self {
            store_keys: Arc::clone(&self.store_keys),
            root_key_id: self.root_key_id,
            generation_key: Arc::clone(&self.generation_key),
            header: self.header.clone(),
            manifest: self.manifest,
            manifest_bytes: Vec::new(),
            keys: with(&self.keys, &write.keys),
            credentials: with(&self.credentials, &write.credentials),
            control: with(&self.control, &write.control),
        };
        Ok((known.numbered(self.manifest.generation, &mut write), write))
    }

    /// The same records under another root key, and how they are written.
    pub(super) fn rewrapped(
        &self,
        root_key: &RootKey,
        derivation: Derivation,
    ) -> Result<(Self, Write), StoreError> {
        let contents = self.contents()?;
        let store_id = self.store_keys.store_id();
        let generation_key = Arc::clone(&self.generation_key);
        let mut empty = Self::wrapped(root_key, derivation, store_id, generation_key);
        empty.manifest.generation = self.manifest.generation;
        let (known, mut write) = empty.next(&contents.changes())?;
        known.put_identity(&mut write)?;
        Ok((known, write))
    }

    /// Gives the state the generation after `last`, and its manifest.
    fn numbered(mut self, last: u64, write: &mut Write) -> Self {
        self.manifest = Manifest {
            generation: last + 1,
            digest: digest(
                &self.store_keys,
                &self.keys,
                &self.credentials,
                &self.control,
            ),
        };
        self.manifest_bytes = self.manifest.encode(&self.store_keys);
        let bytes = self.manifest_bytes.clone();
        write.store.put.insert(MANIFEST.into(), bytes);
        self
    }

    fn put_identity(&self, write: &mut Write) -> Result<(), StoreError> {
        let key = &self.generation_key;
        let sealed = self
            .store_keys
            .seal(Kind::GenerationKey, GENERATION_KEY, key)?;
        write.store.put.insert(GENERATION_KEY.into(), sealed);
        write.store.put.insert(HEADER.into(), self.header.clone());
        Ok(())
    }

    /// Everything, unwrapped.
    pub(super) fn contents(&self) -> Result<Contents, StoreError> {
        // What was verified once unwraps again.
        let difference = self.since(None).map_err(|defect| PostgresError::Damaged {
            place: "memory".into(),
            defect,
        })?;
        Ok(difference.put)
    }

    /// One key, unwrapped.
    pub(super) fn key(&self, id: &ExternalKeyId) -> Option<KeyRecord> {
        let sealed = self.keys.get(id.as_str())?;
        open_key(&self.store_keys, id.as_str(), sealed).map(|(_, record)| record)
    }

    pub(super) fn generation(&self) -> u64 {
        self.manifest.generation
    }

    pub(super) fn root_key_id(&self) -> RootKeyId {
        self.root_key_id
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The generation in a manifest that was made under the same root key.
    pub(super) fn generation_in(&self, manifest: &[u8]) -> Option<u64> {
        Manifest::decode(manifest, &self.store_keys).map(|manifest| manifest.generation)
    }

    /// What the file beside says of this state.
    pub(super) fn mark(&self) -> GenerationMark {
        GenerationMark {
            store_id: self.store_keys.store_id(),
            generation: self.manifest.generation,
            digest: self.manifest.digest,
        }
    }

    /// The key of the MAC on that file.
    pub(super) fn mark_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.generation_key)
    }
}

impl Difference {
    /// A copy of what changes refer to, to be taken to another thread.
    pub(super) fn of(changes: &[Change<'_>]) -> Self {
        let mut difference = Self::default();
        for change in changes {
            match change {
                Change::PutKey(id, record) => {
                    let record = KeyRecord::decode(&record.encode()).expect("it was encoded here");
                    difference.put.keys.insert((*id).clone(), record);
                }
                Change::PutCredential(id, record) => {
                    let record =
                        CredentialRecord::decode(&record.encode()).expect("it was encoded here");
                    difference.put.credentials.insert((*id).clone(), record);
                }
                Change::RemoveKey(id) => difference.removed_keys.push((*id).clone()),
                Change::RemoveCredential(id) => {
                    difference.removed_credentials.push((*id).clone());
                }
                Change::PutControl(name, record) => {
                    let record = record.to_vec();
                    difference.put.control.insert((*name).to_owned(), record);
                }
                Change::RemoveControl(name) => difference.removed_control.push((*name).to_owned()),
            }
        }
        difference
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let mut changes = self.put.changes();
        changes.extend(self.removed_keys.iter().map(Change::RemoveKey));
        changes.extend(
            self.removed_credentials
                .iter()
                .map(Change::RemoveCredential),
        );
        let removed_control = self.removed_control.iter();
        changes.extend(removed_control.map(|name| Change::RemoveControl(name)));
        changes
    }

    pub(super) fn into_contents(self) -> Contents {
        self.put
    }
}

impl GenerationMark {
    /// Whether a manifest is of this generation or a later one, and no other history.
    pub(super) fn precedes_in(&self, later: &Manifest, place: &str) -> Result<(), PostgresError> {
        let place = place.to_owned();
        if later.generation < self.generation {
            return Err(PostgresError::Older {
                place,
                found: later.generation,
                expected: self.generation,
            });
        }
        if later.generation == self.generation && later.digest != self.digest {
            return Err(PostgresError::Diverged {
                place,
                generation: later.generation,
            });
        }
        Ok(())
    }
}

/// The keys that the root key gives, if the header is authentic under it and that of the store known before.
fn unlock(
    header_bytes: &[u8],
    source: &RootKeySource,
    before: Option<&Known>,
    place: &str,
) -> Result<(Arc<StoreKeys>, RootKeyId), StoreError> {
    let place = place.to_owned();
    let Some(header) = Header::parse(header_bytes) else {
        let defect = Defect::Header;
        return Err(PostgresError::Damaged { place, defect }.into());
    };
    if before.is_some_and(|before| before.store_keys.store_id() != header.store_id) {
        return Err(PostgresError::Foreign { place }.into());
    }
    let root_key = source.load(&header.derivation, header.root_key_id)?;
    if root_key.id() != header.root_key_id {
        return Err(PostgresError::WrongRootKey {
            place,
            found: root_key.id(),
            expected: header.root_key_id,
        }
        .into());
    }
    let store_keys = StoreKeys::derive(&root_key, header.store_id);
    if !Header::is_authentic(header_bytes, &store_keys) {
        let defect = Defect::Header;
        return Err(PostgresError::Damaged { place, defect }.into());
    }
    Ok((Arc::new(store_keys), header.root_key_id))
}

fn digest(store_keys: &StoreKeys, keys: &Rows, credentials: &Rows, control: &Rows) -> [u8; 32] {
    let mut sum = RecordsSum::default();
    for (kind, rows) in [
        (Kind::Key, keys),
        (Kind::Credential, credentials),
        (Kind::Control, control),
    ] {
        for (name, sealed) in rows {
            sum.toggle(store_keys, kind, name, sealed);
        }
    }
    sum.digest(store_keys)
}

fn changed<'a>(old: &'a Rows, new: &'a Rows) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    new.iter()
        .filter(|(name, sealed)| old.get(*name) != Some(*sealed))
        .map(|(name, sealed)| (&**name, &**sealed))
}

fn removed<'a>(old: &'a Rows, new: &'a Rows) -> impl Iterator<Item = &'a str> {
    old.keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| &**name)
}

fn with(rows: &Rows, change: &TableChange) -> Rows {
    let mut rows = rows.clone();
    rows.extend(change.put.clone());
    for name in &change.remove {
        rows.remove(name);
    }
    rows
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
