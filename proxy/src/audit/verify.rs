//! Reads an audit log from its first line to its last, and names what was altered, reordered or taken away.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{Line, Mac};
use super::folder::{HEAD_NAME, MAX_LINE, file_name, list};
use super::head::{Found, Head, HeadFile};
use super::key::AuditKey;

/// What was found in a log.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// How many lines they have.
    pub lines: u64,
    /// The number of the first line.
    pub first_sequence: u64,
    /// The highest number of a line.
    pub last_sequence: u64,
    /// What the head says, if it is whole.
    pub head: Option<Head>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is worth knowing, and not wrong.
    pub notes: Vec<String>,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The file that it is in, or before or after whose lines it would be.
    pub file: PathBuf,
    /// The line in the file, from 1.
    pub line: Option<u64>,
    /// The number of the line in the chain; the first, if it is of several.
    pub sequence: Option<u64>,
    /// In words.
    pub text: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A line is not as it was written, or was written by somebody without the key.
    Altered,
    /// Lines are not there.
    Missing,
    /// A line stands behind later ones, or twice.
    Reordered,
    /// A line is of another continuation of the same log.
    Forked,
    /// The last lines are not there.
    Truncated,
    /// There is no head.
    HeadMissing,
    /// The head is not as it was written.
    HeadAltered,
}

impl Kind {
    /// In a word, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
            Self::Forked => "forked",
            Self::Truncated => "truncated",
            Self::HeadMissing => "head-missing",
            Self::HeadAltered => "head-altered",
        }
    }
}

/// Verifies the files of a folder and its head, or, in place of them, files that were taken away from it.
///
/// `heads` are heads that were kept elsewhere. `progress` is told how many bytes have been read.
///
/// # Errors
/// If a file cannot be read.
pub fn verify(
    folder: &Path,
    files: &[PathBuf],
    heads: &[(PathBuf, Head)],
    key: &AuditKey,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Report> {
    // Before the lines, which may become more meanwhile.
    let found = match files {
        [] => Some(HeadFile::read(&folder.join(HEAD_NAME), key)?),
        _ => None,
    };
    let files = match files {
        [] => list(folder)?.into_iter().map(|(path, _)| path).collect(),
        given => in_order(given)?,
    };
    let mut heads = heads.to_vec();
    if let Some(Found::Head(head)) = &found {
        heads.push((folder.join(HEAD_NAME), head.clone()));
    }
    let mut reader = Reader {
        key,
        heads: &heads,
        last: None,
        gaps: BTreeMap::new(),
        pruned_through: 0,
        torn: None,
        report: Report::default(),
    };
    for path in &files {
        reader.file(path, progress)?;
    }
    let mut report = reader.finish(files.last());
    match found {
        Some(Found::Nothing) if report.lines > 0 => report.findings.push(Finding {
            kind: Kind::HeadMissing,
            file: folder.join(HEAD_NAME),
            line: None,
            sequence: None,
            text: "there is no head, so that nothing tells whether the last lines are there".into(),
        }),
        Some(Found::Invalid) => report.findings.push(Finding {
            kind: Kind::HeadAltered,
            file: folder.join(HEAD_NAME),
            line: None,
            sequence: None,
            text: "the head was not signed with this key, so that nothing tells whether the last lines are there".into(),
        }),
        Some(Found::Head(head)) => report.head = Some(head),
        _ => {}
    }
    Ok(report)
}

/// Files by the numbers of their first lines, whatever they are called now.
fn in_order(files: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for path in files {
        let mut line = Vec::new();
        read_line(&mut BufReader::new(File::open(path)?), &mut line)?;
        let first = Line::parse(line.trim_ascii_end()).map_or(0, |line| line.sequence);
        numbered.push((first, path.clone()));
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// What of the chain has been read.
struct Reader<'a> {
    key: &'a AuditKey,
    heads: &'a [(PathBuf, Head)],
    last: Option<Last>,
    /// The first and the last number of each gap, and where the line after it stands.
    gaps: BTreeMap<u64, (u64, Place)>,
    pruned_through: u64,
    /// A line without an end, at the end of the last file: so many bytes.
    torn: Option<(Place, u64)>,
    report: Report,
}

#[derive(Clone)]
struct Place {
    file: PathBuf,
    line: u64,
}

#[derive(Clone, Copy)]
struct Last {
    sequence: u64,
    /// Unknown of a line that was altered.
    mac: Option<Mac>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        self.report.files += 1;
        let mut bytes = Vec::new();
        let mut place = Place {
            file: path.to_owned(),
            line: 0,
        };
        loop {
            bytes.clear();
            let read = read_line(&mut reader, &mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            progress(read);
            place.line += 1;
            match bytes.strip_suffix(b"\n") {
                Some(line) => self.line(line, &place),
                None => {
                    self.settle_torn(0);
                    self.torn = Some((place.clone(), read));
                }
            }
        }
    }

    fn line(&mut self, bytes: &[u8], place: &Place) {
        self.report.lines += 1;
        let parsed = Line::parse(bytes);
        let Some(line) = parsed.filter(|line| line.is_authentic(self.key)) else {
            self.settle_torn(0);
            self.altered(parsed, place);
            return;
        };
        let event = Event::of(&line);
        let torn_bytes = event.as_ref().map_or(0, |event| event.torn_bytes());
        self.settle_torn(torn_bytes);
        if let Some(event) = event {
            self.pruned_through = self.pruned_through.max(event.pruned_through());
        }
        for (file, head) in self.heads {
            if head.sequence == line.sequence && head.mac != line.mac.to_string() {
                let text = format!("it is not the line that the head {} is of", file.display());
                self.find(Kind::Forked, place, Some(line.sequence), text);
            }
        }
        let Some(last) = self.last else {
            self.report.first_sequence = line.sequence;
            self.advance(&line);
            return;
        };
        if line.sequence <= last.sequence {
            let text = if self.close_gap(line.sequence) {
                format!("it stands behind line {} of the chain", last.sequence)
            } else {
                "it stands here a second time".to_owned()
            };
            self.find(Kind::Reordered, place, Some(line.sequence), text);
            return;
        }
        if line.sequence > last.sequence + 1 {
            let gap = (line.sequence - 1, place.clone());
            self.gaps.insert(last.sequence + 1, gap);
        } else if last.mac.is_some_and(|mac| mac != line.previous) {
            let text = "it follows another line than the one before it".to_owned();
            self.find(Kind::Forked, place, Some(line.sequence), text);
        }
        self.advance(&line);
    }

    fn advance(&mut self, line: &Line<'_>) {
        self.report.last_sequence = line.sequence;
        self.last = Some(Last {
            sequence: line.sequence,
            mac: Some(line.mac),
        });
    }

    /// A line that proves nothing, not even its number: it counts as the one that should be there.
    fn altered(&mut self, line: Option<Line<'_>>, place: &Place) {
        let sequence = self.last.map_or(1, |last| last.sequence + 1);
        let text = match line {
            None => "it has not the form of a line of the chain".to_owned(),
            Some(line) if line.sequence == sequence => "it is not as it was written".to_owned(),
            Some(line) => format!(
                "it is not as it was written; its number is said to be {}",
                line.sequence
            ),
        };
        self.find(Kind::Altered, place, Some(sequence), text);
        if self.last.is_none() {
            self.report.first_sequence = sequence;
        }
        self.report.last_sequence = sequence;
        self.last = Some(Last {
            sequence,
            mac: None,
        });
    }

    /// Takes a number out of the gap that it is in, if there is one.
    fn close_gap(&mut self, sequence: u64) -> bool {
        let before = self.gaps.range(..=sequence).next_back();
        let Some((from, (to, place))) = before.map(|(from, gap)| (*from, gap.clone())) else {
            return false;
        };
        if to < sequence {
            return false;
        }
        self.gaps.remove(&from);
        if from < sequence {
            self.gaps.insert(from, (sequence - 1, place.clone()));
        }
        if sequence < to {
            self.gaps.insert(sequence + 1, (to, place));
        }
        true
    }

    /// A line without an end is as it should be if the next line, or nothing, says how many bytes of it there are.
    fn settle_torn(&mut self, told: u64) {
        let Some((place, bytes)) = self.torn.take() else {
            return;
        };
        if bytes == told {
            let file = place.file.display();
            let note = format!(
                "{file} ends with {bytes} bytes of a line that was being written when the proxy was stopped"
            );
            self.report.notes.push(note);
            return;
        }
        let sequence = self.last.map(|last| last.sequence + 1);
        let text = "it has no end, and no line tells of that".to_owned();
        self.find(Kind::Altered, &place, sequence, text);
    }

    fn find(&mut self, kind: Kind, place: &Place, sequence: Option<u64>, text: String) {
        self.report.findings.push(Finding {
            kind,
            file: place.file.clone(),
            line: Some(place.line),
            sequence,
            text,
        });
    }

    fn finish(mut self, newest: Option<&PathBuf>) -> Report {
        if let Some((place, bytes)) = self.torn.take() {
            let file = place.file.display();
            let note = format!(
                "{file} ends with {bytes} bytes of a line that is being written, or was when the proxy was stopped"
            );
            self.report.notes.push(note);
        }
        let first = self.report.first_sequence;
        if first > 1 {
            let missing = self.pruned_through + 1..first;
            match missing.is_empty() {
                true => self.report.notes.push(format!(
                    "lines 1 to {} were removed with the oldest files, as the chain says",
                    first - 1
                )),
                false => {
                    let file = newest.cloned().unwrap_or_default();
                    let place = Place { file, line: 1 };
                    self.gaps.insert(missing.start, (first - 1, place));
                }
            }
        }
        for (from, (to, place)) in std::mem::take(&mut self.gaps) {
            let many = match from == to {
                true => format!("line {from} of the chain is missing"),
                false => format!("lines {from} to {to} of the chain are missing"),
            };
            // A file ends where the next one begins.
            let text = match place.line {
                1 => format!(
                    "{many} before this one: the file {} is not there",
                    file_name(from)
                ),
                _ => format!("{many} before this one"),
            };
            self.find(Kind::Missing, &place, Some(from), text);
        }
        let last = self.report.last_sequence;
        for (file, head) in self.heads {
            if head.sequence > last {
                self.report.findings.push(Finding {
                    kind: Kind::Truncated,
                    file: newest.cloned().unwrap_or_default(),
                    line: None,
                    sequence: Some(last + 1),
                    text: format!(
                        "lines {} to {} of the chain are missing at the end: the head {} of {} is of line {}",
                        last + 1, head.sequence, file.display(), head.time, head.sequence
                    ),
                });
            }
        }
        self.report
    }
}

/// A line that is no request.
struct Event(serde_json::Value);

impl Event {
    fn of(line: &Line<'_>) -> Option<Self> {
        // Lines of requests, which are many, need not be read for that.
        line.is_event()
            .then(|| serde_json::from_slice(&line.object()).ok().map(Self))?
    }

    fn number(&self, name: &str) -> u64 {
        let number = self.0.get(name);
        number
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default()
    }

    fn pruned_through(&self) -> u64 {
        let event = self.0.get("event").and_then(serde_json::Value::as_str);
        match event {
            Some("pruned") => self.number("through"),
            _ => 0,
        }
    }

    fn torn_bytes(&self) -> u64 {
        self.number("tornBytes")
    }
}

/// Reads to the end of a line, as far as a line can be long.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<u64> {
    let read = reader.take(MAX_LINE).read_until(b'\n', line)?;
    Ok(u64::try_from(read).unwrap_or_default())
}
