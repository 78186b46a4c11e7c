//! Why a store does not open or takes no change, told to the person who can do something about it.

use std::io;
use std::path::{Path, PathBuf};

use super::super::root_key::{RootKeyError, RootKeyId};
use super::postgres::PostgresError;
use crate::os_error::Advised;

/// Why a store does not open or takes no change.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum StoreError {
    /// There never was a store.
    #[error(
        "{} holds no store: run `xks-proxy init --data-dir {}` first",
        data_dir.display(), data_dir.display()
    )]
    NotInitialised { data_dir: PathBuf },
    /// An `init` was interrupted.
    #[error(
        "`xks-proxy init` did not come to its end in {}: run it again",
        data_dir.display()
    )]
    InitUnfinished { data_dir: PathBuf },
    /// `init` found a store.
    #[error("{} holds a store already; it stays as it is", data_dir.display())]
    AlreadyInitialised { data_dir: PathBuf },
    /// The store is gone.
    #[error(
        "the store {} is missing, although its folder was initialised: bring the file back, or restore a \
         backup into another, empty folder; no empty store is made in its place", path.display()
    )]
    Missing { path: PathBuf },
    /// Another process has the store.
    #[error(
        "another process holds the store in {}: stop it, or, if it is `xks-proxy serve`, see why it does \
         not answer on admin.sock", data_dir.display()
    )]
    Held { data_dir: PathBuf },
    /// The store was wrapped under another root key.
    #[error(
        "the root key {found} does not belong to the store {}, which is wrapped under the root key \
         {expected}: configure that one", path.display()
    )]
    WrongRootKey {
        path: PathBuf,
        found: RootKeyId,
        expected: RootKeyId,
    },
    /// The store is another installation's.
    #[error(
        "the store {} is a foreign one: the file `generation` beside it belongs to another store; bring \
         back the store that was there", path.display()
    )]
    Foreign { path: PathBuf },
    /// The store is an older copy.
    #[error(
        "the store {} is an older copy, at generation {found} although generation {expected} was written: \
         keys or credentials may be missing. Bring back the newest copy; if there is none, accept this one \
         with `xks-proxy init --accept-older-store`", path.display()
    )]
    Older {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    /// The store is a copy that went its own way.
    #[error(
        "the store {} is not the one that was written last at generation {generation}, but a copy that \
         was changed elsewhere. Bring back the right one; if this is it, accept it with `xks-proxy init \
         --accept-older-store`", path.display()
    )]
    Diverged { path: PathBuf, generation: u64 },
    /// The generation file is gone or damaged.
    #[error(
        "{} {defect}, so an older copy of the store would not be recognized. If you know that the store \
         is the newest, accept it with `xks-proxy init --accept-older-store`", path.display()
    )]
    Generation { path: PathBuf, defect: &'static str },
    /// The store is not what was written.
    #[error(
        "the store {} is damaged ({defect}): bring back a good copy, or restore a backup into another, \
         empty folder", path.display()
    )]
    Damaged { path: PathBuf, defect: Defect },
    /// There is no root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// A file could not be read or written.
    #[error("{}: {}", path.display(), Advised(source))]
    Io { path: PathBuf, source: io::Error },
    /// The database took no change.
    #[error(
        "the store took no change, and takes none until it is opened again: {}; whether the last change \
         was written is then seen",
        .0
    )]
    Database(redb::Error),
    /// The shared store.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomBytes,
}

/// What of a store is not as it was written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum Defect {
    #[error("the database file: {0}")]
    Database(redb::Error),
    #[error("the database file cannot be read at all")]
    Unreadable,
    #[error("its header is missing")]
    NoHeader,
    #[error("its header is not authentic")]
    Header,
    #[error("its manifest is missing or not authentic")]
    Manifest,
    #[error("its records are not those of its manifest")]
    Records,
    #[error("the record of {0} does not unwrap")]
    Record(String),
}

impl StoreError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

impl From<ring::error::Unspecified> for StoreError {
    /// For wrapping, which fails for nothing else at the sizes of records.
    fn from(_: ring::error::Unspecified) -> Self {
        Self::NoRandomBytes
    }
}
