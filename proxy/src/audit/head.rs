//! The head: how far the chain has come, signed, in a file beside it. So a tail that was cut off is missed.
//!
//! The file has two places that are written in turn, so that one is whole whenever the machine stops. A head is written
//! after the lines that it is of: lines may be newer than the head, never the other way round.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::chain::{Mac, Position};
use super::folder::HEAD_NAME;
use super::key::AuditKey;

/// What a head says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// The number of the last line.
    pub sequence: u64,
    /// The last line's MAC.
    pub mac: String,
    /// The file that the line is in.
    pub file: String,
    /// When it was written.
    pub time: String,
}

impl Head {
    pub(super) fn position(&self) -> Option<Position> {
        Some(Position {
            sequence: self.sequence,
            mac: Mac::parse(self.mac.as_bytes())?,
        })
    }

    fn sign(&self, key: &AuditKey) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("texts and a number encode");
        text.pop();
        let signature = Mac::of(&hmac::sign(key.of_heads(), &text));
        text.extend_from_slice(SIGNATURE);
        signature.push(&mut text);
        text.extend_from_slice(b"\"}");
        text
    }

    /// Reads a head as it was signed, whatever white space stands around it.
    pub(super) fn verify(text: &[u8], key: &AuditKey) -> Option<Self> {
        let text = text.trim_ascii();
        let at = text
            .windows(SIGNATURE.len())
            .position(|part| part == SIGNATURE)?;
        let (signed, signature) = text.split_at_checked(at)?;
        let signature = signature.strip_prefix(SIGNATURE)?.strip_suffix(b"\"}")?;
        if !Mac::parse(signature)?.verifies(key.of_heads(), signed) {
            return None;
        }
        serde_json::from_slice(&[signed, b"}"].concat()).ok()
    }
}

/// The file that heads are written to.
pub(super) struct HeadFile {
    file: File,
    turn: u64,
}

/// What a head file holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// Nobody who has the key wrote it.
    Invalid,
    /// The newer of its heads.
    Head(Head),
}

impl HeadFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        Ok(Self {
            file: options.open(path)?,
            turn: 0,
        })
    }

    /// Writes a head over the older one.
    pub(super) fn write(&mut self, head: &Head, key: &AuditKey) -> io::Result<()> {
        let mut text = head.sign(key);
        text.resize(PLACE - 1, b' ');
        text.push(b'\n');
        let place = u64::try_from(PLACE).unwrap_or(u64::MAX);
        self.file.write_all_at(&text, self.turn * place)?;
        self.turn = 1 - self.turn;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) fn read(path: &Path, key: &AuditKey) -> io::Result<Found> {
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(e) => return Err(e),
        };
        let heads = content
            .chunks(PLACE)
            .filter_map(|text| Head::verify(text, key));
        Ok(match heads.max_by_key(|head| head.sequence) {
            Some(head) => Found::Head(head),
            None => Found::Invalid,
        })
    }
}

/// The newest head of a folder as it was signed, in one line, to be kept elsewhere; `None` without a whole one.
///
/// # Errors
/// If the file cannot be read.
pub fn newest_head(folder: &Path, key: &AuditKey) -> io::Result<Option<String>> {
    let found = HeadFile::read(&folder.join(HEAD_NAME), key)?;
    Ok(match found {
        Found::Head(head) => String::from_utf8(head.sign(key)).ok(),
        Found::Nothing | Found::Invalid => None,
    })
}

/// Reads a head that was kept elsewhere.
///
/// # Errors
/// If it cannot be read, or was not signed with this key.
pub fn read_head(path: &Path, key: &AuditKey) -> io::Result<Head> {
    let text = std::fs::read(path)?;
    let head = Head::verify(&text, key);
    head.ok_or_else(|| io::Error::other("it is no head that was signed with this key"))
}

const SIGNATURE: &[u8] = b",\"signature\":\"";
const PLACE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_head_is_enough_and_the_newer_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        let key = AuditKey::from_bytes(&[1; 32]);
        assert_eq!(HeadFile::read(&path, &key).unwrap(), Found::Nothing);
        let head = |sequence| Head {
            sequence,
            mac: Mac::default().to_string(),
            file: "audit.jsonl".into(),
            time: String::new(),
        };
        let mut file = HeadFile::open(&path).unwrap();
        for sequence in 1..=5 {
            file.write(&head(sequence), &key).unwrap();
            let found = HeadFile::read(&path, &key).unwrap();
            assert_eq!(found, Found::Head(head(sequence)));
        }
        let mut content = std::fs::read(&path).unwrap();
        // The fifth was written to the first place.
        content[20] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert_eq!(HeadFile::read(&path, &key).unwrap(), Found::Head(head(4)));
        content[PLACE + 20] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert_eq!(HeadFile::read(&path, &key).unwrap(), Found::Invalid);
    }
}
