//! The audit log: append-only lines in files of a folder of their own, chained by HMAC, with signed heads.
//!
//! `settings` is how it is kept, `chain` the form of lines, `key` the secret behind it, `head` what tells a tail that was
//! cut off, `folder` the files, `opening` what has to fit before, `writer` the thread that writes, `events` the lines that are no requests, `forward` copies to elsewhere,
//! `verify` finds what was altered, reordered or taken away. proxy/docs/audit.md is for operators.

mod chain;
mod events;
mod folder;
pub(crate) mod forward;
mod head;
mod key;
mod opening;
mod settings;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use crate::line_thread::{LineBuffer, LineThread};
use writer::Writer;

pub use events::{AdminEvent, Phase};
pub use folder::{Remark, inspect};
pub use forward::Forward;
pub use head::{Head, newest_head, read_head};
pub use key::AuditKey;
pub use opening::OpenError;
pub use settings::{Settings, Sync, WhenFailing};
pub use verify::{Finding, Kind, Report, verify};

/// Takes the lines of requests and administrators.
#[derive(Clone)]
pub struct AuditLog {
    lines: Arc<LineBuffer<Waiting>>,
    state: Arc<State>,
    waits: bool,
    strict: bool,
}

/// Ends the writing thread after what was recorded before.
pub struct AuditGuard {
    _thread: LineThread<Waiting>,
    state: Arc<State>,
}

impl AuditGuard {
    /// The next process waits for the end of this one: lines are brought to the disk all the same, but copies that their
    /// receivers do not take at once are lost then.
    pub fn hasten(&mut self) {
        self.state.hastened.store(true, Ordering::Relaxed);
    }
}

/// What the thread tells everyone.
#[derive(Default)]
pub(crate) struct State {
    failing: AtomicBool,
    look_for_move: AtomicBool,
    /// The end is in a hurry.
    hastened: AtomicBool,
    /// The number of the last line.
    sequence: AtomicU64,
    /// The number of the line that the last head is of.
    signed: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
    refused_told: AtomicU64,
    not_forwarded: AtomicU64,
}

impl State {
    /// How many requests were refused since this was last asked.
    fn take_refused(&self) -> u64 {
        let refused = self.refused.load(Ordering::Relaxed);
        refused - self.refused_told.swap(refused, Ordering::Relaxed)
    }
}

/// Somebody who goes on when a line is on the disk.
enum Waiting {
    Request(oneshot::Sender<bool>),
    Admin(mpsc::SyncSender<bool>),
}

impl Waiting {
    fn tell(self, done: bool) {
        // Whoever waited may have left.
        match self {
            Self::Request(sender) => drop(sender.send(done)),
            Self::Admin(sender) => drop(sender.try_send(done)),
        }
    }
}

/// What the thread has done so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The number of the last line.
    pub sequence: u64,
    /// The number of the line that the last head is of.
    pub signed: u64,
    /// Whether lines cannot be written now.
    pub failing: bool,
    /// Attempts to write that failed.
    pub failures: u64,
    /// Lines that were given up.
    pub dropped: u64,
    /// Requests that were refused since no line could be written.
    pub refused: u64,
    /// Copies of lines that did not reach where they are forwarded to.
    pub not_forwarded: u64,
}

/// Something cannot be recorded, and the log is strict about that.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the audit log cannot be written, and it is strict: free room in its folder, or mend its disk"
)]
pub struct NotRecorded;

impl From<NotRecorded> for String {
    fn from(error: NotRecorded) -> Self {
        error.to_string()
    }
}

impl AuditLog {
    /// Opens the log, goes on where it ended, and starts its thread. The first time, the secret is made, too.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(settings: Settings) -> Result<(Self, AuditGuard), OpenError> {
        let key = opening::key(&settings)?;
        let state = Arc::new(State::default());
        let lines = Arc::new(LineBuffer::default());
        let log = Self {
            lines: Arc::clone(&lines),
            state: Arc::clone(&state),
            waits: settings.sync == Sync::Always,
            strict: settings.when_failing == WhenFailing::Strict,
        };
        let folder = settings.folder.clone();
        let failed = |error| OpenError::Folder { folder, error };
        let started = Writer::open(settings, key, Arc::clone(&state)).and_then(|writer| {
            let work = |lines: &LineBuffer<Waiting>| writer.run(lines);
            LineThread::start("audit-log", LAST_LINES_TIME, lines, work)
        });
        let thread = started.map_err(failed)?;
        let guard = AuditGuard {
            _thread: thread,
            state,
        };
        Ok((log, guard))
    }

    /// Whether requests are to be refused since they could not be recorded; costs a look at a flag.
    pub(crate) fn refuses(&self) -> bool {
        let refuses = self.strict && self.state.failing.load(Ordering::Relaxed);
        if refuses {
            self.state.refused.fetch_add(1, Ordering::Relaxed);
        }
        refuses
    }

    /// Whether requests are refused now.
    pub(crate) fn is_refusing(&self) -> bool {
        self.strict && self.state.failing.load(Ordering::Relaxed)
    }

    /// Records a request, whose line is a JSON object. A receipt says that there is something to wait for.
    pub(crate) fn record_request(&self, line: &str) -> Option<Receipt> {
        let (sender, receipt) = match self.waits {
            false if self.lines.append(line.as_bytes()) || !self.strict => return None,
            // There was no room in the buffer: the sender is gone, so that nothing is waited for.
            false => (None, oneshot::channel().1),
            true => {
                let (sender, receipt) = oneshot::channel();
                (Some(sender), receipt)
            }
        };
        if let Some(sender) = sender {
            let waiting = Some(Waiting::Request(sender));
            self.lines.append_for(line.as_bytes(), waiting);
        }
        Some(Receipt {
            receipt,
            strict: self.strict,
        })
    }

    /// Records what an administrator does, and waits until that is on the disk, whichever policy holds for requests.
    ///
    /// To be called on a thread that may block.
    ///
    /// # Errors
    /// [`NotRecorded`], if the log is strict. A log that is not tells of the gap where it can.
    pub fn record_admin(&self, event: &AdminEvent<'_>) -> Result<(), NotRecorded> {
        let (sender, receipt) = mpsc::sync_channel(1);
        let line = event.line(SystemTime::now());
        self.lines.append_for(&line, Some(Waiting::Admin(sender)));
        match receipt.recv_timeout(ADMIN_PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) if self.strict => Err(NotRecorded),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Does what an administrator asks for: that it is about to be done is recorded before, and what came of it afterwards.
    ///
    /// To be called on a thread that may block.
    ///
    /// # Errors
    /// Those of `work`; and, with nothing done, [`NotRecorded`] of a strict log.
    pub fn administer<T, E>(
        audit: Option<&Self>,
        event: AdminEvent<'_>,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<NotRecorded> + std::fmt::Display,
    {
        let Some(audit) = audit else {
            return work();
        };
        audit.record_admin(&event)?;
        let result = work();
        let recorded = match &result {
            Ok(_) => audit.record_admin(&event.with(Phase::Done, event.details)),
            Err(error) => {
                let reason = error.to_string();
                let details = [event.details, &[("reason", &*reason)]].concat();
                audit.record_admin(&event.with(Phase::Refused, &details))
            }
        };
        if let Err(error) = recorded {
            // The line waits in memory for the disk, and the one before says what was to be done.
            tracing::error!(command = event.command, %error, "administered, but that is not recorded yet");
        }
        result
    }

    /// Looks whether somebody has moved the current file away, and begins a new one then.
    pub fn look_for_move(&self) {
        self.state.look_for_move.store(true, Ordering::Relaxed);
        self.lines.poke();
    }

    /// How far the log has come.
    pub fn progress(&self) -> Progress {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Progress {
            sequence: get(&self.state.sequence),
            signed: get(&self.state.signed),
            failing: self.state.failing.load(Ordering::Relaxed),
            failures: get(&self.state.failures),
            dropped: get(&self.state.dropped),
            refused: get(&self.state.refused),
            not_forwarded: get(&self.state.not_forwarded),
        }
    }
}

/// For a request whose line has to be on the disk before it is answered.
pub(crate) struct Receipt {
    receipt: oneshot::Receiver<bool>,
    strict: bool,
}

impl Receipt {
    /// Whether the answer is given all the same.
    pub(crate) fn lenient(&self) -> bool {
        !self.strict
    }

    /// Waits; `false` if the request must not be answered as it was to be.
    pub(crate) async fn recorded(self) -> bool {
        // Without room in the buffer, the line was dropped, and its sender with it.
        self.receipt.await.unwrap_or(false) || !self.strict
    }
}

/// For the lines that are left when the server ends: they have to be on the disk.
const LAST_LINES_TIME: Duration = Duration::from_secs(15);
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);
