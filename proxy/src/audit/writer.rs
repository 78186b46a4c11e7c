//! The thread that writes: seals what came together, appends it, brings it to the disk, signs the head, begins new files.
//!
//! What is sealed stays in memory until it is written, and what is written until it is on the disk, so that a disk that
//! fails for a while loses nothing that there was room for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::chain::Position;
use super::events::{self, Event};
use super::folder::{Folder, Remark, file_name, list};
use super::forward::Forwarders;
use super::head::{Head, HeadFile};
use super::key::AuditKey;
use super::{Settings, State, Sync, Waiting, WhenFailing};
use crate::line_thread::{BATCH_TIME, LineBuffer, reuse};

/// Everything that the thread has.
pub(super) struct Writer {
    settings: Settings,
    state: Arc<State>,
    key: AuditKey,
    folder: Folder,
    head: HeadFile,
    forwarders: Forwarders,
    position: Position,
    current: Current,
    /// Sealed, and not in the file yet.
    unwritten: Vec<u8>,
    /// In the file, and perhaps not on the disk yet.
    unsynced: Vec<u8>,
    last_sync: Instant,
    /// What a head was last written of.
    signed: Position,
    trouble: Option<Trouble>,
}

struct Current {
    path: PathBuf,
    file: File,
    /// Where the last whole line ends.
    len: u64,
    /// As far as it is on the disk.
    synced_len: u64,
    began: Instant,
    /// Not before then, if a new file could not be made.
    next_attempt: Instant,
}

/// A time in which lines cannot be written.
struct Trouble {
    since: SystemTime,
    next_attempt: Instant,
    dropped: u64,
}

impl Writer {
    /// Takes the folder, and writes the first line of this process.
    pub(super) fn open(settings: Settings, key: AuditKey, state: Arc<State>) -> io::Result<Self> {
        let folder = Folder::open(&settings.folder)?;
        let head = folder.head()?;
        let resumed = folder.resume(&key)?;
        let forwarders = Forwarders::start(&settings.forward, &state)?;
        let mut position = resumed.position;
        let appended = resumed.file.filter(|(_, len)| *len < settings.rotate_bytes);
        let is_new = appended.is_none();
        let (path, file, len) = match appended {
            Some((path, len)) => {
                let file = OpenOptions::new().append(true).open(&path)?;
                (path, file, len)
            }
            None => {
                let (path, file) = folder.create(position.sequence + 1)?;
                (path, file, 0)
            }
        };
        let now = Instant::now();
        let mut unwritten = Vec::new();
        let mut opened = Event::new(if is_new { "file-began" } else { "opened" })
            .text("keyId", key.id())
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("pid", std::process::id().into());
        for remark in &resumed.remarks {
            tracing::error!(
                folder = %settings.folder.display(),
                found = remark.word(),
                "the audit log is not as it was left: `xks-proxy audit verify` tells more"
            );
            opened = opened.text("found", remark.word());
            if let Remark::Torn(bytes) = remark {
                opened = opened.number("tornBytes", *bytes);
            }
        }
        position.seal(&key, &opened.finish(), &mut unwritten);
        let mut writer = Self {
            settings,
            state,
            key,
            folder,
            head,
            forwarders,
            position,
            current: Current {
                path,
                file,
                len,
                synced_len: len,
                began: now,
                next_attempt: now,
            },
            unwritten,
            unsynced: Vec::new(),
            last_sync: now,
            signed: Position::default(),
            trouble: None,
        };
        writer.write()?;
        writer.sync()?;
        Ok(writer)
    }

    /// Writes until the buffer is closed.
    pub(super) fn run(mut self, buffer: &LineBuffer<Waiting>) {
        let mut lines = Vec::new();
        loop {
            let taken = buffer.take(&mut lines, self.next_look());
            self.seal(&lines);
            reuse(&mut lines);
            if taken.dropped > 0 {
                self.note_dropped(taken.dropped);
            }
            if taken.closed {
                self.append(Event::new("closed"));
            }
            let awaited = !taken.waiting.is_empty() || taken.closed;
            let done = self.bring_to_disk(awaited);
            for waiting in taken.waiting {
                waiting.tell(done);
            }
            if taken.closed {
                self.forwarders.close(&self.state);
                return;
            }
            if self.settings.sync != Sync::Always {
                std::thread::sleep(BATCH_TIME);
            }
        }
    }

    fn next_look(&self) -> Option<Instant> {
        if let Some(trouble) = &self.trouble {
            return Some(trouble.next_attempt);
        }
        let sync = (self.signed != self.position).then(|| self.last_sync + self.sync_interval());
        let rotation = self.rotation_due();
        [sync, rotation].into_iter().flatten().min()
    }

    /// Heads are signed as often where only a rotation brings lines to the disk.
    fn sync_interval(&self) -> Duration {
        match self.settings.sync {
            Sync::Interval(interval) => interval,
            Sync::Always | Sync::Rotation => HEAD_INTERVAL,
        }
    }

    /// Makes lines of the chain of what came; what there is no room for is counted.
    fn seal(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|&b| b == b'\n') {
            if self.unwritten.len() > MAX_UNWRITTEN {
                self.note_dropped(1);
                continue;
            }
            self.position.seal(&self.key, line, &mut self.unwritten);
        }
        let sequence = self.position.sequence;
        self.state.sequence.store(sequence, Ordering::Relaxed);
    }

    fn append(&mut self, event: Event) {
        let line = event.finish();
        self.position.seal(&self.key, &line, &mut self.unwritten);
    }

    fn note_dropped(&mut self, count: u64) {
        self.state.dropped.fetch_add(count, Ordering::Relaxed);
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: SystemTime::now(),
            next_attempt: now,
            dropped: 0,
        });
        trouble.dropped += count;
    }

    /// Whether all lines are where the policy wants them, or nobody has to wait for that.
    fn bring_to_disk(&mut self, awaited: bool) -> bool {
        let now = Instant::now();
        if let Some(trouble) = &self.trouble
            && now < trouble.next_attempt
            && !awaited
        {
            return self.settings.when_failing == WhenFailing::Lenient;
        }
        let due = now >= self.last_sync + self.sync_interval();
        let sync = match self.settings.sync {
            Sync::Always => true,
            Sync::Interval(_) => due || awaited || self.unsynced.len() > MAX_UNSYNCED,
            Sync::Rotation => awaited,
        };
        let result = self.write().and_then(|()| match (sync, due) {
            (true, _) => self.sync(),
            (false, true) => self.sign(),
            (false, false) => Ok(()),
        });
        let result = result.and_then(|()| self.recover());
        match result {
            Ok(()) => {
                if let Err(error) = self.rotate_if_due() {
                    tracing::error!(%error, "the audit log stays in its file: a new one cannot be made");
                    self.current.next_attempt = now + ROTATION_PAUSE;
                }
                true
            }
            Err(error) => {
                self.fail(&error);
                self.settings.when_failing == WhenFailing::Lenient
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let Current { file, len, .. } = &mut self.current;
        if file.metadata()?.len() > *len {
            // A part of a line that a full disk had no room for.
            file.set_len(*len)?;
        }
        if let Err(error) = file.write_all(&self.unwritten) {
            // If that fails, too, it is done before the next attempt.
            let _ = file.set_len(*len);
            return Err(error);
        }
        *len += u64::try_from(self.unwritten.len()).unwrap_or_default();
        self.forwarders.forward(&self.unwritten);
        if self.settings.sync != Sync::Rotation {
            self.unsynced.append(&mut self.unwritten);
        }
        reuse(&mut self.unwritten);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let current = &mut self.current;
        if let Err(error) = current.file.sync_data() {
            if self.settings.sync != Sync::Rotation {
                // What the disk did not take may be gone from the system's memory, too: it is written again.
                let _ = current.file.set_len(current.synced_len);
                current.len = current.synced_len;
                self.unsynced.append(&mut self.unwritten);
                std::mem::swap(&mut self.unsynced, &mut self.unwritten);
            }
            return Err(error);
        }
        current.synced_len = current.len;
        reuse(&mut self.unsynced);
        self.sign()
    }

    /// Writes a head, after the lines that it is of.
    fn sign(&mut self) -> io::Result<()> {
        self.last_sync = Instant::now();
        if self.signed == self.position {
            return Ok(());
        }
        let name = self.current.path.file_name();
        let head = Head {
            sequence: self.position.sequence,
            mac: self.position.mac.to_string(),
            file: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            time: events::time(SystemTime::now()),
        };
        self.head.write(&head, &self.key)?;
        self.signed = self.position;
        self.state
            .signed
            .store(self.position.sequence, Ordering::Relaxed);
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        let was_failing = self.state.failing.swap(true, Ordering::Relaxed);
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        let next_attempt = Instant::now() + RETRY_PAUSE;
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: SystemTime::now(),
            next_attempt,
            dropped: 0,
        });
        trouble.next_attempt = next_attempt;
        if !was_failing {
            let consequence = match self.settings.when_failing {
                WhenFailing::Strict => "requests are refused until it can",
                WhenFailing::Lenient => "requests are served all the same",
            };
            tracing::error!(%error, folder = %self.folder.path().display(), consequence, "the audit log cannot be written");
        }
    }

    /// After lines could be written: tells, in the chain and in the log, if they could not for a while.
    fn recover(&mut self) -> io::Result<()> {
        let Some(trouble) = &self.trouble else {
            return Ok(());
        };
        let (since, dropped) = (trouble.since, trouble.dropped);
        let refused = self.state.take_refused();
        let gap = Event::new("gap")
            .text("since", &events::time(since))
            .number("dropped", dropped)
            .number("refused", refused);
        self.append(gap);
        self.write()?;
        self.sync()?;
        self.trouble = None;
        self.state.failing.store(false, Ordering::Relaxed);
        tracing::warn!(dropped, refused, "the audit log is written again");
        Ok(())
    }

    fn rotation_due(&self) -> Option<Instant> {
        let after = self.settings.rotate_after?;
        Some((self.current.began + after).max(self.current.next_attempt))
    }

    /// Begins a new file: if this one is large or old enough, or somebody has moved it away.
    fn rotate_if_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if now < self.current.next_attempt {
            return Ok(());
        }
        let large = self.current.len >= self.settings.rotate_bytes;
        let old = self.rotation_due().is_some_and(|due| now >= due);
        let moved = self.state.look_for_move.swap(false, Ordering::Relaxed) && self.is_moved();
        if !(large || old || moved) {
            return Ok(());
        }
        // The line that ends this file comes before the first one of the next.
        let first = self.position.sequence + 2;
        let (path, file) = self.folder.create(first)?;
        self.append(Event::new("file-ended").text("next", &file_name(first)));
        self.write()?;
        self.sync()?;
        self.current = Current {
            path,
            file,
            len: 0,
            synced_len: 0,
            began: now,
            next_attempt: now,
        };
        self.append(Event::new("file-began").text("keyId", self.key.id()));
        self.write()?;
        self.sync()?;
        self.head.sync()?;
        self.prune()
    }

    fn is_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let own = self.current.file.metadata().ok();
        let at_path = fs::metadata(&self.current.path).ok();
        match (own, at_path) {
            (Some(own), Some(at_path)) => (own.dev(), own.ino()) != (at_path.dev(), at_path.ino()),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Removes the oldest files, where only so many are kept; the chain says so first.
    fn prune(&mut self) -> io::Result<()> {
        let Some(keep) = self.settings.keep_files else {
            return Ok(());
        };
        let files = list(self.folder.path())?;
        let surplus = files.len().saturating_sub(keep.get());
        let next = files.iter().skip(1);
        let removed: Vec<_> = files.iter().zip(next).take(surplus).collect();
        for ((path, _), (_, following)) in removed {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let pruned = Event::new("pruned").text("file", &name);
            self.append(pruned.number("through", following - 1));
            self.write()?;
            self.sync()?;
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// A second sealed batch is taken up to here while a disk fails.
const MAX_UNWRITTEN: usize = 8 << 20;
const MAX_UNSYNCED: usize = 8 << 20;
const HEAD_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const ROTATION_PAUSE: Duration = Duration::from_secs(60);
