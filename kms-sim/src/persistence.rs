//! The state in a data folder: read at the start, and every change saved, by one writer, before it is told.
//!
//! One redb file of records. What the writer saves is one moment of the whole state (`state_image/still.rs`); requests
//! that change something at the same time share a commit and its fsync.

mod error;
mod file;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

pub use error::PersistenceError;

use crate::journal::{Journal, Serial};
use crate::simulator::Simulator;
use crate::state_image::Restored;
use file::{Changes, StateFile};

/// The data folder of a simulator that runs.
pub(crate) struct Persistence {
    file: StateFile,
    simulator: Arc<Simulator>,
}

impl Persistence {
    /// Opens the folder, makes it if it is not there, and brings the simulator into the state that is in it; whether there
    /// is none yet.
    ///
    /// # Errors
    /// Another process has it, or what is in it cannot be used; then nothing in it has changed.
    pub(crate) async fn open(
        folder: &Path,
        simulator: &Arc<Simulator>,
    ) -> Result<(Self, bool), PersistenceError> {
        let path = folder.to_owned();
        let opened = spawn_blocking(move || {
            let file = StateFile::open(&path)?;
            let records = file.read(|records| Restored::read(records))?;
            Ok((file, records))
        });
        let (file, restored) = opened.await.map_err(|_| PersistenceError::Ended)??;
        let folder = folder.display();
        let is_new = restored.is_none();
        match restored {
            None => {
                simulator.journal().everything_changed();
                tracing::info!(%folder, "a new data folder, which holds secrets in clear");
            }
            Some(restored) => {
                simulator.restore(restored).await;
                // It is saved: only what the restored stores do from here on is new.
                simulator.journal().nothing_changed();
                tracing::info!(%folder, "the state was read from the data folder");
            }
        }
        let persistence = Self {
            file,
            simulator: Arc::clone(simulator),
        };
        Ok((persistence, is_new))
    }

    /// Saves what changes until it is told to end.
    ///
    /// # Errors
    /// What could not be saved; from then on nobody is told of a change.
    pub(crate) async fn save_until(
        self,
        mut end: oneshot::Receiver<()>,
    ) -> Result<(), PersistenceError> {
        let journal = self.simulator.journal().clone();
        let Some(mut changes) = journal.changes() else {
            return Ok(());
        };
        // What changed before anybody listened.
        let mut persistence = self.save().await?;
        loop {
            let last = tokio::select! {
                // Its sender is in the journal.
                _ = changes.changed() => false,
                _ = &mut end => true,
            };
            persistence = persistence.save().await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Saves what has changed, and hands itself back.
    pub(crate) async fn save(self) -> Result<Self, PersistenceError> {
        let journal = self.simulator.journal().clone();
        let saving = spawn_blocking(move || {
            let (serial, changes) = changes(&self.simulator);
            self.file.save(changes)?;
            Ok((self, serial))
        });
        match saving.await.map_err(|_| PersistenceError::Ended).flatten() {
            Ok((persistence, serial)) => {
                journal.saved(serial);
                Ok(persistence)
            }
            Err(error) => {
                journal.failed();
                tracing::error!(%error, "the state cannot be saved");
                Err(error)
            }
        }
    }
}

/// What has changed, up to the change of that number.
fn changes(simulator: &Simulator) -> (Serial, Changes) {
    let journal: &Journal = simulator.journal();
    simulator.while_still(|still| {
        let everything = journal.take_everything();
        let names = match everything {
            true => {
                still.take_changed();
                still.names().collect()
            }
            false => still.take_changed(),
        };
        let records = names
            .into_iter()
            .map(|name| (name.to_string(), still.record(&name)));
        let changes = Changes::new(everything, records);
        (journal.latest(), changes)
    })
}

#[cfg(test)]
mod tests;
