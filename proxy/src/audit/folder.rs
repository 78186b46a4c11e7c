//! The folder of an audit log: its files in the order of their lines, the lock, and where the chain goes on.
//!
//! A file is named after the number of its first line, so that names sort as lines do.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::{Line, Position};
use super::head::{Found, HeadFile};
use super::key::AuditKey;

/// A folder that one process writes to.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Where the chain goes on.
pub(super) struct Resumed {
    pub(super) position: Position,
    /// The newest file and its length, if more can be appended to it.
    pub(super) file: Option<(PathBuf, u64)>,
    /// What the new lines have to say of the old ones.
    pub(super) remarks: Vec<Remark>,
}

/// Something that is not as a writer left it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remark {
    /// A line that was not written to its end, as when a machine stops: so many bytes.
    Torn(u64),
    /// The head is of later lines than there are.
    TailMissing,
    /// There are lines, but no head.
    HeadMissing,
    /// The head is nobody's who has the key.
    HeadInvalid,
    /// The last line is nobody's who has the key.
    LastLineInvalid,
}

impl Remark {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Torn(_) => "torn-line",
            Self::TailMissing => "tail-missing",
            Self::HeadMissing => "head-missing",
            Self::HeadInvalid => "head-invalid",
            Self::LastLineInvalid => "last-line-invalid",
        }
    }
}

impl Folder {
    /// Makes the folder where it is missing, and takes it for this process.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process writes to it",
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head(&self) -> io::Result<HeadFile> {
        HeadFile::open(&self.path.join(HEAD_NAME))
    }

    /// Makes the file whose first line will have this number.
    pub(super) fn create(&self, first: u64) -> io::Result<(PathBuf, File)> {
        let path = self.path.join(file_name(first));
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&path)?;
        // What has the name already holds no whole line, or the number would be another one.
        file.set_len(0)?;
        File::open(&self.path)?.sync_all()?;
        Ok((path, file))
    }

    /// Looks at the newest line and the head.
    pub(super) fn resume(&self, key: &AuditKey) -> io::Result<Resumed> {
        Resumed::find(&self.path, key)
    }

    /// Whether there is a line of an audit log in the folder.
    pub(super) fn is_used(path: &Path) -> io::Result<bool> {
        match list(path) {
            Ok(files) => Ok(!files.is_empty()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// What a writer would find in a folder that is there, without becoming it.
///
/// # Errors
/// If the folder or a file of it cannot be read.
pub fn inspect(folder: &Path, key: &AuditKey) -> io::Result<Vec<Remark>> {
    Resumed::find(folder, key).map(|resumed| resumed.remarks)
}

impl Resumed {
    fn find(folder: &Path, key: &AuditKey) -> io::Result<Self> {
        let mut remarks = Vec::new();
        let mut last = None;
        for (path, _) in list(folder)?.into_iter().rev() {
            let (tail, len) = tail(&path)?;
            let end = tail
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(0, |at| at + 1);
            let (whole, torn) = tail.split_at_checked(end).unwrap_or_default();
            if !torn.is_empty() {
                remarks.push(Remark::Torn(u64::try_from(torn.len()).unwrap_or(u64::MAX)));
            }
            let Some(line) = whole.trim_ascii_end().rsplit(|&b| b == b'\n').next() else {
                continue;
            };
            if line.is_empty() {
                continue;
            }
            let line = Line::parse(line);
            let authentic = line.filter(|line| line.is_authentic(key));
            if authentic.is_none() {
                remarks.push(Remark::LastLineInvalid);
            }
            last = Some((
                path,
                len,
                line.map(|line| line.position()),
                authentic.is_some(),
            ));
            break;
        }
        let head = match HeadFile::read(&folder.join(HEAD_NAME), key)? {
            Found::Head(head) => head.position(),
            Found::Nothing => {
                if last.is_some() {
                    remarks.push(Remark::HeadMissing);
                }
                None
            }
            Found::Invalid => {
                remarks.push(Remark::HeadInvalid);
                None
            }
        };
        let of_line = last.as_ref().and_then(|(.., position, _)| *position);
        let position = match (of_line, head) {
            (line, Some(head)) if line.is_none_or(|line| line.sequence < head.sequence) => {
                remarks.push(Remark::TailMissing);
                head
            }
            (Some(line), _) => line,
            (None, _) => Position::default(),
        };
        let file = last.filter(|(.., authentic)| *authentic && remarks.is_empty());
        Ok(Self {
            position,
            file: file.map(|(path, len, ..)| (path, len)),
            remarks,
        })
    }
}

/// The id of the key that the first line of the newest file names, whether or not that line is whole.
pub(super) fn key_id(folder: &Path) -> io::Result<Option<String>> {
    let files = match list(folder) {
        Ok(files) => files,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    for (path, _) in files.iter().rev() {
        let mut line = Vec::new();
        let mut reader = BufReader::new(File::open(path)?).take(MAX_LINE);
        reader.read_until(b'\n', &mut line)?;
        let line: Option<serde_json::Value> = serde_json::from_slice(&line).ok();
        let id = line.and_then(|line| Some(line.get("keyId")?.as_str()?.to_owned()));
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}

/// The files of a folder with the number of their first line, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(first_line) {
            files.push((entry.path(), first));
        }
    }
    files.sort_by_key(|(_, first)| *first);
    Ok(files)
}

/// The end of a file, and its length.
fn tail(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(MAX_LINE)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok((tail, len))
}

pub(super) fn file_name(first: u64) -> String {
    format!("{PREFIX}{first:020}{SUFFIX}")
}

pub(super) fn first_line(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

pub(super) const HEAD_NAME: &str = "head";
const LOCK_NAME: &str = "lock";
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
/// No line is longer: a dozen fields of 2,100 bytes, each of which may become six.
pub(super) const MAX_LINE: u64 = 256 << 10;
