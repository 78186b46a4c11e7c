//! The records for key managers that keep none of ours, in `state_dir`: one JSON file, replaced as a whole.
//!
//! Whoever may write to the folder may lift a block, as whoever may write the configuration may point it elsewhere.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::error::ControlError;
use super::store::{Control, ControlChange, ControlRecords, ControlStore, Decide, FleetMember};
use crate::key_manager::embedded::{AdminError, durable};

/// The records of one proxy.
pub struct StateDir {
    folder: PathBuf,
    control: Arc<Control>,
    /// Held while the file is written.
    writer: Mutex<u64>,
    /// Other processes are kept out for as long as this is open.
    _lock: File,
}

impl StateDir {
    /// Opens the records, and keeps other processes out of them.
    ///
    /// # Errors
    /// [`ControlError::Damaged`]: without knowing what is blocked, nothing is served.
    pub fn open(folder: &Path) -> Result<Self, ControlError> {
        let failed = |path: &Path, error| ControlError::File {
            path: path.to_owned(),
            error,
        };
        durable::create_dir(folder).map_err(|e| failed(folder, e))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        let records = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes).ok_or(ControlError::Damaged { path })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => ControlRecords::default(),
            Err(e) => return Err(failed(&path, e)),
        };
        Ok(Self {
            folder: folder.to_owned(),
            control: Arc::new(Control::new(records)),
            writer: Mutex::new(0),
            _lock: lock,
        })
    }

    /// Where the records are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl ControlStore for StateDir {
    fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    fn change(&self, decide: &mut Decide<'_>) -> Result<u64, AdminError> {
        let mut generation = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = ControlRecords::clone(&self.control.records());
        for change in decide(&records)? {
            match change {
                ControlChange::Put(name, record) => drop(records.insert(name, record)),
                ControlChange::Remove(name) => drop(records.remove(&name)),
            }
        }
        let path = self.folder.join(FILE);
        durable::replace(&path, &encode(&records))
            .map_err(|error| ControlError::File { path, error })?;
        self.control.replace(records);
        *generation += 1;
        Ok(*generation)
    }

    fn fleet(&self) -> Result<Vec<FleetMember>, AdminError> {
        Ok(Vec::new())
    }
}

/// A file of its own: what is replaced cannot be locked, and the folder may be an embedded key manager's, too.
fn lock(folder: &Path) -> Result<File, ControlError> {
    let path = folder.join(LOCK);
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = match open {
        Ok(file) => file,
        Err(error) => return Err(ControlError::File { path, error }),
    };
    let mut attempts = 0..ATTEMPTS;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A command, or a server that leaves, has it for a moment.
            Err(TryLockError::WouldBlock) if attempts.next().is_some() => {
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let path = folder.to_owned();
                return Err(ControlError::Held { path });
            }
            Err(TryLockError::Error(error)) => return Err(ControlError::File { path, error }),
        }
    }
}

fn encode(records: &ControlRecords) -> Vec<u8> {
    let records: BTreeMap<_, _> = records
        .iter()
        .map(|(name, record)| {
            let record: Value = serde_json::from_slice(record).expect("records are JSON");
            (name, record)
        })
        .collect();
    let mut text = serde_json::to_vec_pretty(&records).expect("JSON encodes");
    text.push(b'\n');
    text
}

fn decode(bytes: &[u8]) -> Option<ControlRecords> {
    let records: BTreeMap<String, Value> = serde_json::from_slice(bytes).ok()?;
    let records = records.into_iter();
    Some(
        records
            .map(|(name, record)| (name, record.to_string().into_bytes()))
            .collect(),
    )
}

const FILE: &str = "control.json";
const LOCK: &str = "control.lock";
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);
