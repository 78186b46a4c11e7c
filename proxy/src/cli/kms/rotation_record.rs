//! What is written down of a credential's rotation, so that an interrupted one goes on: no secrets.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::proxy_side::ProxySide;
use crate::cli::Failure;
use crate::key_manager::embedded::durable;

/// A rotation that has begun. How far it got is seen in KMS: it signs with the old credential or with the new one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Rotation {
    pub(super) custom_key_store_id: String,
    /// What KMS signed with before.
    pub(super) old: String,
    /// What was made for it.
    pub(super) new: String,
}

/// The file of a store's rotation, in the folder of the store of its credentials.
pub(super) struct RotationRecord(PathBuf);

impl RotationRecord {
    pub(super) fn of(proxy: &ProxySide, custom_key_store_id: &str) -> Result<Self, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !custom_key_store_id.chars().all(plain) {
            let text = format!("{custom_key_store_id:?} is no id of a custom key store");
            return Err(Failure::Failed(text));
        }
        let name = format!("rotation-{custom_key_store_id}.json");
        Ok(Self(proxy.store()?.place.data_dir.join(name)))
    }

    /// Keeps other runs of the same rotation away, until it is dropped.
    pub(super) fn lock(&self) -> Result<File, Failure> {
        let path = self.0.with_extension("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(|e| Failure::of(path.display(), &e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::Failed(
                "another `kms rotate-credential` of this key store is under way: wait for its end"
                    .into(),
            )),
            Err(TryLockError::Error(e)) => Err(Failure::of(path.display(), &e)),
        }
    }

    pub(super) fn read(&self) -> Result<Option<Rotation>, Failure> {
        let text = match std::fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|e| Failure::of(self.0.display(), &e))?,
        };
        let rotation = serde_json::from_slice(&text);
        rotation.map(Some).map_err(|_| {
            Failure::Failed(format!(
                "{} is not what a rotation writes: look at it, and remove it to begin anew",
                self.0.display()
            ))
        })
    }

    pub(super) fn write(&self, rotation: &Rotation) -> Result<(), Failure> {
        let text = serde_json::to_vec(rotation).expect("strings encode");
        durable::replace(&self.0, &text).map_err(|e| Failure::of(self.0.display(), &e))
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        durable::remove(&self.0).map_err(|e| Failure::of(self.0.display(), &e))
    }
}
