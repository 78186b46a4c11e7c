//! `kms-sim ctl snapshot` and `kms-sim ctl restore`: the whole state, to and from a file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::Call;

/// Which file.
#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotArgs {
    /// Where the snapshot goes; a file that is there is replaced.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which file.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// What `ctl snapshot` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What cannot be done with the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Io(io::Error),
    #[error("expected a snapshot, which `kms-sim ctl snapshot` writes as JSON: {0}")]
    Json(serde_json::Error),
}

impl SnapshotArgs {
    pub(super) fn call(&self) -> Call {
        Call::get("/snapshot")
    }

    /// What there is to tell of a snapshot that was written.
    pub(super) fn told(&self) -> Value {
        json!({"Snapshot": self.file.display().to_string()})
    }

    /// Writes the answer so that nobody else can read it, whole or not at all; whether it is in a file then.
    pub(super) fn write(&self, answer: &Value) -> Result<bool, FileError> {
        let error = |error| FileError::io(&self.file, error);
        // A pipe or a device, such as /dev/stdout, is written to: a rename would put a file in its place.
        if std::fs::metadata(&self.file).is_ok_and(|found| !found.is_file()) {
            let mut output = OpenOptions::new()
                .write(true)
                .open(&self.file)
                .map_err(error)?;
            let text = format!("{answer}\n");
            output.write_all(text.as_bytes()).map_err(error)?;
            return Ok(false);
        }
        let target = self.file.canonicalize();
        let target = target.unwrap_or_else(|_| self.file.clone());
        let mut name = target.clone().into_os_string();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(error)?;
        // Many small pieces.
        let mut file = BufWriter::new(file);
        writeln!(file, "{answer}").map_err(error)?;
        let file = file.into_inner().map_err(|e| error(e.into_error()))?;
        file.sync_all().map_err(error)?;
        std::fs::rename(&temporary, &target).map_err(error)?;
        Ok(true)
    }
}

impl RestoreArgs {
    pub(super) fn call(&self) -> Result<Call, FileError> {
        let text = std::fs::read(&self.file).map_err(|e| FileError::io(&self.file, e))?;
        let image = serde_json::from_slice(&text).map_err(|error| FileError {
            path: self.file.clone(),
            problem: Problem::Json(error),
        })?;
        Ok(Call::post("/restore", image))
    }
}

impl FileError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            problem: Problem::Io(error),
        }
    }
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  Keep the state of a test, and come back to it:
    kms-sim ctl snapshot state.json
    kms-sim ctl restore state.json

The file holds key material, passwords and proxy credentials in clear: keep it as you keep the keys of a test.";
