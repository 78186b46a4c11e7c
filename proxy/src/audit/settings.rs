//! How an audit log is kept, as its configuration says.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::forward::Forward;

/// How an audit log is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The folder that its files are in; nobody else's.
    pub folder: PathBuf,
    /// The file with the secret that lines are chained with.
    pub key_file: PathBuf,
    /// When lines are brought to the disk.
    pub sync: Sync,
    /// What happens to requests while lines cannot be written.
    pub when_failing: WhenFailing,
    /// A file that is larger is followed by another one.
    pub rotate_bytes: u64,
    /// So is one that is older.
    pub rotate_after: Option<Duration>,
    /// How many files are kept; all of them, if `None`.
    pub keep_files: Option<NonZeroUsize>,
    /// Where copies of the lines go.
    pub forward: Vec<Forward>,
}

/// When lines are brought to the disk. What administrators do is there in any case before they are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sync {
    /// Before a request is answered.
    Always,
    /// So often; at once to the operating system.
    Interval(Duration),
    /// When a file ends; before that, when the operating system thinks so.
    Rotation,
}

/// What happens to requests while lines cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFailing {
    /// They are refused.
    Strict,
    /// They are served, and the gap is told.
    Lenient,
}
