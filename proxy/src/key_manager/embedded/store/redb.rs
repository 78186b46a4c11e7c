//! The store in one redb file: opened only whole and authentic, changed only by durable commits.
//!
//! The data folder holds `store.redb`, `generation` and, unless configured elsewhere, `root.key`. Whoever has the store
//! open holds a lock on the folder.

use std::io;
use std::path::Path;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use xks_api::ids::ExternalKeyId;
use zeroize::Zeroizing;

use super::super::durable;
use super::super::record::KeyRecord;
use super::super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use super::error::{Defect, StoreError};
use super::folder::{Folder, create_private};
use super::generation::{GenerationMark, UnverifiedMark};
use super::header::{Header, Manifest};
use super::records::{Change, Contents, RecordsSum, open_key};
use super::seal::{Kind, StoreId, StoreKeys};
use super::tables::{
    CONTROL, CREDENTIALS, GENERATION_KEY, HEADER, KEYS, Loaded, STORE, State, apply, commit,
    database, load, put, read,
};

/// An open store.
pub(crate) struct Store {
    folder: Folder,
    database: Database,
    keys: StoreKeys,
    root_key_id: RootKeyId,
    state: State,
    generation_key: hmac::Key,
}

impl Store {
    /// Makes a store, with these contents, in a folder that has none.
    pub(crate) fn create(
        data_dir: &Path,
        root_key: &RootKeySource,
        contents: &Contents,
    ) -> Result<(), StoreError> {
        durable::create_dir(data_dir).map_err(|e| StoreError::io(data_dir, e))?;
        let folder = Folder::lock(data_dir)?;
        match (folder.store_exists()?, folder.mark()?) {
            (true, _) => return Err(folder.already_initialised()),
            (false, Some(mark)) if !mark.is_unfinished() => return Err(folder.missing()),
            (false, _) => {}
        }
        let mut store_id = StoreId::default();
        let mut generation_key = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut store_id)?;
        SystemRandom::new().fill(&mut *generation_key)?;
        let generation_mac = hmac::Key::new(hmac::HMAC_SHA256, &*generation_key);
        // From here on a folder without a store is one where `init` did not come to its end.
        folder.write_mark(&GenerationMark::unfinished(store_id), &generation_mac)?;
        let (root_key, derivation) = root_key.create()?;
        let keys = StoreKeys::derive(&root_key, store_id);
        let header = Header {
            store_id,
            root_key_id: root_key.id(),
            derivation,
        };
        let temporary = data_dir.join("store.redb.tmp");
        durable::remove(&temporary).map_err(|e| StoreError::io(&temporary, e))?;
        create_private(&temporary).map_err(|e| StoreError::io(&temporary, e))?;
        let database = Database::builder()
            .create(&temporary)
            .map_err(|e| StoreError::Database(e.into()))?;
        let state = commit(&database, &keys, 1, |transaction| {
            put(transaction, STORE, HEADER, &header.encode(&keys))?;
            let sealed = keys.seal(Kind::GenerationKey, GENERATION_KEY, &*generation_key)?;
            put(transaction, STORE, GENERATION_KEY, &sealed)?;
            apply(transaction, &keys, None, &contents.changes())
        })?;
        drop(database);
        durable::rename(&temporary, &folder.store).map_err(|e| StoreError::io(&folder.store, e))?;
        folder.write_mark(&mark(&state.manifest, store_id), &generation_mac)
    }

    /// Opens a store and reads everything in it.
    pub(crate) fn open(
        data_dir: &Path,
        root_key: &RootKeySource,
    ) -> Result<(Self, Contents), StoreError> {
        let (store, contents, mark) = Self::open_unmarked(data_dir, root_key)?;
        let mark = mark?.ok_or_else(|| store.folder.no_generation("is missing"))?;
        if mark.store_id() != store.keys.store_id() {
            return Err(StoreError::Foreign {
                path: store.folder.store.clone(),
            });
        }
        let mark = mark
            .verify(&store.generation_key)
            .ok_or_else(|| store.folder.no_generation("is not authentic"))?;
        let (path, found) = (store.folder.store.clone(), store.state.manifest.generation);
        if found < mark.generation {
            let expected = mark.generation;
            return Err(StoreError::Older {
                path,
                found,
                expected,
            });
        }
        if found == mark.generation && store.state.manifest.digest != mark.digest {
            return Err(StoreError::Diverged {
                path,
                generation: found,
            });
        }
        if found > mark.generation {
            store.write_mark()?; // the process ended between the commit and this
        }
        Ok((store, contents))
    }

    /// Takes a store for the newest although the generation file says otherwise: its owner knows better.
    pub(crate) fn accept(data_dir: &Path, root_key: &RootKeySource) -> Result<(), StoreError> {
        let (store, _, _) = Self::open_unmarked(data_dir, root_key)?;
        store.write_mark()
    }

    /// Everything about opening but the comparison with the generation file.
    fn open_unmarked(
        data_dir: &Path,
        root_key: &RootKeySource,
    ) -> Result<(Self, Contents, Mark), StoreError> {
        let folder = Folder::lock(data_dir)?;
        let mark = folder.mark();
        if !folder.store_exists()? {
            return Err(match mark? {
                None => folder.not_initialised(),
                Some(mark) if mark.is_unfinished() => StoreError::InitUnfinished {
                    data_dir: folder.data_dir,
                },
                Some(_) => folder.missing(),
            });
        }
        let database = open_database(&folder)?;
        let header_bytes =
            read(&database, HEADER).map_err(|e| folder.damaged(Defect::Database(e)))?;
        let header_bytes = header_bytes.ok_or_else(|| folder.damaged(Defect::NoHeader))?;
        let header = Header::parse(&header_bytes).ok_or_else(|| folder.damaged(Defect::Header))?;
        let root_key = root_key.load(&header.derivation, header.root_key_id)?;
        if root_key.id() != header.root_key_id {
            let elsewhere = |mark: &UnverifiedMark| mark.store_id() != header.store_id;
            if matches!(&mark, Ok(Some(mark)) if elsewhere(mark)) {
                return Err(StoreError::Foreign { path: folder.store });
            }
            return Err(StoreError::WrongRootKey {
                path: folder.store,
                found: root_key.id(),
                expected: header.root_key_id,
            });
        }
        let keys = StoreKeys::derive(&root_key, header.store_id);
        if !Header::is_authentic(&header_bytes, &keys) {
            return Err(folder.damaged(Defect::Header));
        }
        let Loaded {
            state,
            generation_key,
            contents,
        } = load(&database, &keys).map_err(|defect| folder.damaged(defect))?;
        let store = Self {
            folder,
            database,
            keys,
            root_key_id: header.root_key_id,
            state,
            generation_key,
        };
        Ok((store, contents, mark))
    }

    /// Makes changes, all or none, durable before it returns.
    ///
    /// # Errors
    /// [`StoreError::Database`]: whether the changes were made is seen when the store is opened again.
    pub(crate) fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let keys = &self.keys;
        let generation = self.state.manifest.generation + 1;
        self.state = commit(&self.database, keys, generation, |transaction| {
            apply(transaction, keys, Some(&self.state), changes)
        })?;
        self.mark_after_commit();
        Ok(())
    }

    /// Wraps everything under another root key, all or nothing.
    pub(crate) fn rewrap(
        &mut self,
        root_key: &RootKey,
        derivation: Derivation,
    ) -> Result<(), StoreError> {
        let damaged = |defect| self.folder.damaged(defect);
        let old = &self.keys;
        let new = StoreKeys::derive(root_key, old.store_id());
        let header = Header {
            store_id: old.store_id(),
            root_key_id: root_key.id(),
            derivation,
        };
        let generation = self.state.manifest.generation + 1;
        let state = commit(&self.database, &new, generation, |transaction| {
            put(transaction, STORE, HEADER, &header.encode(&new))?;
            let mut sum = RecordsSum::default();
            for (table, kind, only) in [
                (STORE, Kind::GenerationKey, Some(GENERATION_KEY)),
                (KEYS, Kind::Key, None),
                (CREDENTIALS, Kind::Credential, None),
                (CONTROL, Kind::Control, None),
            ] {
                let mut table = transaction.open_table(table).map_err(database)?;
                let mut rewrapped = Vec::new();
                for entry in table.iter().map_err(database)? {
                    let (name, sealed) = entry.map_err(database)?;
                    if only.is_some_and(|only| only != name.value()) {
                        continue;
                    }
                    let record = old
                        .open(kind, name.value(), sealed.value())
                        .map_err(|_| damaged(Defect::Record(name.value().into())))?;
                    let sealed = new.seal(kind, name.value(), &record)?;
                    rewrapped.push((name.value().to_owned(), sealed));
                }
                for (name, sealed) in rewrapped {
                    table.insert(&*name, &*sealed).map_err(database)?;
                    if only.is_none() {
                        sum.toggle(&new, kind, &name, &sealed);
                    }
                }
            }
            Ok(sum)
        })?;
        self.keys = new;
        self.root_key_id = header.root_key_id;
        self.state = state;
        self.mark_after_commit();
        Ok(())
    }

    /// Unwraps the record of one key.
    pub(crate) fn key(&self, id: &ExternalKeyId) -> Result<Option<KeyRecord>, StoreError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let table = transaction.open_table(KEYS).map_err(database)?;
        let Some(sealed) = table.get(id.as_str()).map_err(database)? else {
            return Ok(None);
        };
        match open_key(&self.keys, id.as_str(), sealed.value()) {
            Some((_, record)) => Ok(Some(record)),
            None => Err(self.folder.damaged(Defect::Record(id.to_string()))),
        }
    }

    /// Unwraps everything again, for a backup.
    pub(crate) fn contents(&self) -> Result<Contents, StoreError> {
        load(&self.database, &self.keys)
            .map(|loaded| loaded.contents)
            .map_err(|defect| self.folder.damaged(defect))
    }

    /// One more with each commit.
    pub(crate) fn generation(&self) -> u64 {
        self.state.manifest.generation
    }

    /// The root key that everything is wrapped under.
    pub(crate) fn root_key_id(&self) -> RootKeyId {
        self.root_key_id
    }

    /// The commit is durable, so it stands whatever happens here; the next one tries again, and so does the next start.
    fn mark_after_commit(&self) {
        if let Err(error) = self.write_mark() {
            tracing::error!(%error, "the change was made, but an older copy of the store would not be recognized");
        }
    }

    fn write_mark(&self) -> Result<(), StoreError> {
        let mark = mark(&self.state.manifest, self.keys.store_id());
        self.folder.write_mark(&mark, &self.generation_key)
    }
}

/// What the generation file says, or that it does not say anything.
type Mark = Result<Option<UnverifiedMark>, StoreError>;

fn mark(manifest: &Manifest, store_id: StoreId) -> GenerationMark {
    GenerationMark {
        store_id,
        generation: manifest.generation,
        digest: manifest.digest,
    }
}

/// Opens the file with every page's checksum verified, after a crash from the last commit.
fn open_database(folder: &Folder) -> Result<Database, StoreError> {
    let open = || {
        Database::builder()
            .set_cache_size(CACHE_LEN)
            .set_check_integrity_on_open(true)
            .open(&folder.store)
    };
    open().map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Held {
            data_dir: folder.data_dir.clone(),
        },
        DatabaseError::Storage(StorageError::Io(e)) if is_access(&e) => {
            StoreError::io(&folder.store, e)
        }
        other => folder.damaged(Defect::Database(other.into())),
    })
}

/// Whether the operating system refused, rather than the content of the file.
fn is_access(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::StorageFull
    )
}

/// The store is small and read once.
const CACHE_LEN: usize = 1024 * 1024;
