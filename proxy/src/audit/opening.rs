//! What has to fit before a log is opened: its secret and its lines.

use std::io;
use std::path::PathBuf;

use super::folder::{Folder, key_id};
use super::key::AuditKey;
use super::settings::Settings;

/// An audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The secret.
    #[error("audit.key_file: {path}: {error}", path = .path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// Why it cannot be used.
        error: io::Error,
    },
    /// The secret is gone, though lines were written with it.
    #[error(
        "audit.key_file: there is no {path}, though {folder} has lines that were chained with it: put it back, or begin \
         another folder with another key",
        path = .path.display(), folder = .folder.display()
    )]
    KeyLost {
        /// Where it should be.
        path: PathBuf,
        /// The lines.
        folder: PathBuf,
    },
    /// The secret is another one.
    #[error(
        "audit.key_file: {path}: {folder} has lines that were chained with the key {found}, and this is the key {given}: \
         put that one back, or begin another folder with this one",
        path = .path.display(), folder = .folder.display()
    )]
    OtherKey {
        /// Where it is.
        path: PathBuf,
        /// Its id.
        given: String,
        /// The lines,
        folder: PathBuf,
        /// and the id of the key that they were chained with.
        found: String,
    },
    /// The files.
    #[error("audit.folder: {folder}: {error}", folder = .folder.display())]
    Folder {
        /// Where they are.
        folder: PathBuf,
        /// Why they cannot be used.
        error: io::Error,
    },
}

/// The secret of a log: read, or made for a log that has no lines yet.
pub(super) fn key(settings: &Settings) -> Result<AuditKey, OpenError> {
    let path = &settings.key_file;
    let unusable = |error| OpenError::Key {
        path: path.clone(),
        error,
    };
    match AuditKey::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let folder = settings.folder.clone();
            match Folder::is_used(&folder) {
                Ok(false) => {
                    let key = AuditKey::create(path).map_err(unusable)?;
                    tracing::info!(file = %path.display(), "made the key of the audit log");
                    Ok(key)
                }
                Ok(true) => Err(OpenError::KeyLost {
                    path: path.clone(),
                    folder,
                }),
                Err(error) => Err(OpenError::Folder { folder, error }),
            }
        }
        result => {
            let key = result.map_err(unusable)?;
            require_same_key(settings, &key)?;
            Ok(key)
        }
    }
}

/// A slip with the files is no attack on the log, and would look like one afterwards.
fn require_same_key(settings: &Settings, key: &AuditKey) -> Result<(), OpenError> {
    let folder = settings.folder.clone();
    match key_id(&folder) {
        Ok(Some(found)) if found != key.id() => Err(OpenError::OtherKey {
            path: settings.key_file.clone(),
            given: key.id().to_owned(),
            folder,
            found,
        }),
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::Folder { folder, error }),
    }
}
