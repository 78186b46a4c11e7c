//! Why a data folder cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::state_image::StateError;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PersistenceError {
    /// The operating system refused.
    #[error(
        "{}: {error}. Expected a folder that this user may write to, with room in it; choose another with --data-dir",
        path.display()
    )]
    Io {
        /// Of what.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Two simulators would overwrite each other's changes.
    #[error(
        "the data folder {} is in use by another process. Stop it, or choose another folder with --data-dir",
        .0.display()
    )]
    Held(PathBuf),
    /// The file is not as a simulator has written it.
    #[error(
        "{} is damaged: {defect}. Nothing in it was changed. Restore it from a copy, or move the folder away to begin \
         anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        defect: String,
    },
    /// A change could not be written.
    #[error("the state cannot be saved in {}: {error}", path.display())]
    NotSaved {
        /// The file.
        path: PathBuf,
        /// Why.
        error: redb::Error,
    },
    /// The writer has ended before its time.
    #[error("the writer of the data folder has ended unexpectedly")]
    Ended,
}

impl PersistenceError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }

    pub(super) fn state(path: &Path, error: &StateError) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            defect: error.to_string(),
        }
    }
}

impl From<PersistenceError> for io::Error {
    fn from(error: PersistenceError) -> Self {
        Self::other(error)
    }
}
