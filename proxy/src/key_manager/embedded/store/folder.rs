//! The data folder: the store's files, the lock that keeps other processes out, and the errors that name them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::hmac;

use super::error::{Defect, StoreError};
use super::generation::{GenerationMark, UnverifiedMark};

/// The files of a data folder that this process has locked.
///
/// The lock ends with the process, however it ends.
pub(super) struct Folder {
    pub(super) data_dir: PathBuf,
    pub(super) store: PathBuf,
    generation: PathBuf,
    _lock: FolderLock,
}

impl Folder {
    /// Keeps other processes out of a folder that is there.
    pub(super) fn lock(data_dir: &Path) -> Result<Self, StoreError> {
        let lock = File::open(data_dir).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => StoreError::NotInitialised {
                data_dir: data_dir.into(),
            },
            _ => StoreError::io(data_dir, e),
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                data_dir: data_dir.into(),
                store: data_dir.join("store.redb"),
                generation: data_dir.join("generation"),
                _lock: FolderLock(lock),
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Held {
                data_dir: data_dir.into(),
            }),
            Err(TryLockError::Error(e)) => Err(StoreError::io(data_dir, e)),
        }
    }

    pub(super) fn store_exists(&self) -> Result<bool, StoreError> {
        self.store
            .try_exists()
            .map_err(|e| StoreError::io(&self.store, e))
    }

    /// `None` without a file; a file that is not one of ours is an error.
    pub(super) fn mark(&self) -> Result<Option<UnverifiedMark>, StoreError> {
        match std::fs::read(&self.generation) {
            Ok(bytes) => UnverifiedMark::parse(&bytes)
                .map(Some)
                .ok_or_else(|| self.no_generation("is damaged")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(&self.generation, e)),
        }
    }

    pub(super) fn write_mark(
        &self,
        mark: &GenerationMark,
        key: &hmac::Key,
    ) -> Result<(), StoreError> {
        mark.write(&self.generation, key)
            .map_err(|e| StoreError::io(&self.generation, e))
    }

    pub(super) fn damaged(&self, defect: Defect) -> StoreError {
        StoreError::Damaged {
            path: self.store.clone(),
            defect,
        }
    }

    pub(super) fn missing(&self) -> StoreError {
        StoreError::Missing {
            path: self.store.clone(),
        }
    }

    pub(super) fn no_generation(&self, defect: &'static str) -> StoreError {
        StoreError::Generation {
            path: self.generation.clone(),
            defect,
        }
    }

    pub(super) fn not_initialised(&self) -> StoreError {
        StoreError::NotInitialised {
            data_dir: self.data_dir.clone(),
        }
    }

    pub(super) fn already_initialised(&self) -> StoreError {
        StoreError::AlreadyInitialised {
            data_dir: self.data_dir.clone(),
        }
    }
}

/// The lock on a data folder's own entry.
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing alone would not do while a child process is being started: until its exec it has our files, too.
        // If it fails, the lock ends with the last of them.
        drop(self.0.unlock());
    }
}

/// Creates an empty file with mode 0600.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a child process has it until its exec.
    #[test]
    fn the_lock_ends_with_its_owner_though_another_has_the_file_open() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = Folder::lock(data_dir.path()).unwrap();
        let copy = folder._lock.0.try_clone().unwrap();
        let second = Folder::lock(data_dir.path()).map(drop);
        assert!(matches!(second, Err(StoreError::Held { .. })));
        drop(folder);
        Folder::lock(data_dir.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn a_generation_file_that_cannot_be_read_is_not_taken_for_a_missing_one() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = Folder::lock(data_dir.path()).unwrap();
        assert!(matches!(folder.mark(), Ok(None)));
        std::fs::create_dir(&folder.generation).unwrap();
        let error = folder.mark().map(drop);
        assert!(matches!(error, Err(StoreError::Io { .. })), "{error:?}");
    }
}
