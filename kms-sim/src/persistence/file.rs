//! The redb file: opened whole or not at all, changed by durable commits.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition, WriteTransaction,
};
use zeroize::Zeroizing;

use super::error::PersistenceError;
use crate::state_image::{Record, StateError, VERSION, check_version};

/// The open file. Whoever has it holds the folder's lock.
pub(super) struct StateFile {
    database: Database,
    path: PathBuf,
    _lock: File,
}

/// What a commit changes.
pub(super) struct Changes {
    /// Nothing of what there was stays.
    everything: bool,
    /// `None` removes.
    records: Vec<(String, Option<Zeroizing<Vec<u8>>>)>,
}

impl Changes {
    /// Encodes records; `None` is one that is gone.
    pub(super) fn new(
        everything: bool,
        records: impl Iterator<Item = (String, Option<Record>)>,
    ) -> Self {
        let encode = |record: Record| {
            let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_LEN));
            serde_json::to_writer(&mut *bytes, &record).expect("records have text keys alone");
            bytes
        };
        Self {
            everything,
            records: records
                .map(|(name, record)| (name, record.map(encode)))
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        !self.everything && self.records.is_empty()
    }
}

impl StateFile {
    /// Opens the file in the folder, or makes both.
    pub(super) fn open(folder: &Path) -> Result<Self, PersistenceError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| PersistenceError::io(folder, error))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        let there = path
            .try_exists()
            .map_err(|error| PersistenceError::io(&path, error))?;
        if !there {
            create(folder, &path)?;
        }
        let database = Database::builder()
            .set_cache_size(CACHE_LEN)
            .set_check_integrity_on_open(true)
            .open(&path)
            .map_err(|error| not_opened(folder, &path, error))?;
        Ok(Self {
            database,
            path,
            _lock: lock,
        })
    }

    /// Reads every record; `None` if nothing was ever saved.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&mut dyn Iterator<Item = Record>) -> Result<T, StateError>,
    ) -> Result<Option<T>, PersistenceError> {
        let damaged = |error: redb::Error| self.damaged(error.to_string());
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| damaged(error.into()))?;
        let about = transaction
            .open_table(ABOUT)
            .map_err(|error| damaged(error.into()))?;
        let version = about
            .get(VERSION_NAME)
            .map_err(|error| damaged(error.into()))?;
        let version = version.ok_or_else(|| self.damaged("it has no version".to_owned()))?;
        check_version(version.value())
            .map_err(|error| PersistenceError::state(&self.path, &error))?;
        let table = transaction
            .open_table(RECORDS)
            .map_err(|error| damaged(error.into()))?;
        if table.is_empty().map_err(|error| damaged(error.into()))? {
            return Ok(None);
        }
        let entries = table.iter().map_err(|error| damaged(error.into()))?;
        let mut defect = None;
        let mut records = entries.map_while(|entry| {
            let record = entry
                .map_err(|error| error.to_string())
                .and_then(|(name, value)| {
                    serde_json::from_slice(value.value())
                        .map_err(|error| format!("the record {} is none: {error}", name.value()))
                });
            record.map_err(|found| defect = Some(found)).ok()
        });
        let result = read(&mut records);
        drop(records);
        match (defect, result) {
            (Some(defect), _) => Err(self.damaged(defect)),
            (None, Err(error)) => Err(PersistenceError::state(&self.path, &error)),
            (None, Ok(state)) => Ok(Some(state)),
        }
    }

    /// Makes changes, all or none, durable before it returns.
    pub(super) fn save(&self, changes: Changes) -> Result<(), PersistenceError> {
        if changes.is_empty() {
            return Ok(());
        }
        commit(&self.database, |transaction| {
            if changes.everything {
                transaction.delete_table(RECORDS)?;
            }
            let mut table = transaction.open_table(RECORDS)?;
            for (name, record) in &changes.records {
                match record {
                    Some(bytes) => drop(table.insert(&**name, &***bytes)?),
                    None => drop(table.remove(&**name)?),
                }
            }
            Ok(())
        })
        .map_err(|error| PersistenceError::NotSaved {
            path: self.path.clone(),
            error,
        })
    }

    fn damaged(&self, defect: String) -> PersistenceError {
        PersistenceError::Damaged {
            path: self.path.clone(),
            defect,
        }
    }
}

/// Takes the folder for this process, until the file is closed.
fn lock(folder: &Path) -> Result<File, PersistenceError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| PersistenceError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PersistenceError::Held(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(PersistenceError::io(&path, error)),
    }
}

/// Makes a file without records; it has its name only when it is whole.
fn create(folder: &Path, path: &Path) -> Result<(), PersistenceError> {
    let temporary = folder.join(TEMPORARY);
    let io = |error| PersistenceError::io(&temporary, error);
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io)?;
    let not_saved = |error| PersistenceError::NotSaved {
        path: temporary.clone(),
        error,
    };
    let database = Database::builder()
        .create(&temporary)
        .map_err(|error| not_saved(error.into()))?;
    commit(&database, |transaction| {
        transaction
            .open_table(ABOUT)?
            .insert(VERSION_NAME, VERSION)?;
        transaction.open_table(RECORDS)?;
        Ok(())
    })
    .map_err(not_saved)?;
    drop(database);
    std::fs::rename(&temporary, path).map_err(io)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| PersistenceError::io(folder, error))
}

fn commit(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    change(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn not_opened(folder: &Path, path: &Path, error: DatabaseError) -> PersistenceError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => PersistenceError::Held(folder.to_owned()),
        DatabaseError::Storage(StorageError::Io(error)) if is_access(&error) => {
            PersistenceError::io(path, error)
        }
        other => PersistenceError::Damaged {
            path: path.to_owned(),
            defect: other.to_string(),
        },
    }
}

/// Whether the operating system refused, rather than the content of the file.
fn is_access(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::StorageFull
    )
}

const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'static, &str, u32> = TableDefinition::new("about");
const VERSION_NAME: &str = "version";
const FILE: &str = "state.redb";
const TEMPORARY: &str = "state.redb.tmp";
const LOCK: &str = "lock";
/// Most pages are written once and read at the next start.
const CACHE_LEN: usize = 64 * 1024 * 1024;
/// Of a key with a short policy.
const USUAL_LEN: usize = 1024;
