//! Lines on their way to a thread of their own, so that a slow disk, terminal or network never slows whoever writes them.
//!
//! A line is appended to a buffer; the thread takes what has come together, and does with it what it is there for. What
//! does not fit into the buffer is counted.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The lines that a thread has not taken yet, each with its end; with some of them comes a `W`, for whoever waits for it.
pub(crate) struct LineBuffer<W = Infallible> {
    pending: Mutex<Pending<W>>,
    wake: Condvar,
}

struct Pending<W> {
    lines: Vec<u8>,
    waiting: Vec<W>,
    dropped: u64,
    poked: bool,
    closed: bool,
}

/// What a thread takes at a time.
pub(crate) struct Taken<W> {
    pub(crate) waiting: Vec<W>,
    /// How many lines found no room since the last time.
    pub(crate) dropped: u64,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl<W> Default for LineBuffer<W> {
    fn default() -> Self {
        Self {
            pending: Mutex::new(Pending {
                lines: Vec::new(),
                waiting: Vec::new(),
                dropped: 0,
                poked: false,
                closed: false,
            }),
            wake: Condvar::new(),
        }
    }
}

impl<W> LineBuffer<W> {
    /// Appends a line; tells whether there was room for it.
    pub(crate) fn append(&self, line: &[u8]) -> bool {
        self.append_for(line, None)
    }

    /// Appends a line that somebody waits for.
    pub(crate) fn append_for(&self, line: &[u8], waiting: Option<W>) -> bool {
        let mut pending = self.lock();
        if pending.lines.len() + line.len() > MAX_PENDING {
            pending.dropped += 1;
            return false;
        }
        let was_empty = pending.lines.is_empty();
        pending.lines.extend_from_slice(line);
        pending.waiting.extend(waiting);
        drop(pending);
        if was_empty {
            self.wake.notify_one();
        }
        true
    }

    /// Lets the thread look at what it does, without a line.
    pub(crate) fn poke(&self) {
        self.lock().poked = true;
        self.wake.notify_one();
    }

    /// Waits for lines, and exchanges them for the empty `lines`; no longer than until `end`.
    pub(crate) fn take(&self, lines: &mut Vec<u8>, end: Option<Instant>) -> Taken<W> {
        let mut pending = self.lock();
        while pending.lines.is_empty() && pending.dropped == 0 && !pending.closed && !pending.poked
        {
            pending = match end {
                None => self
                    .wake
                    .wait(pending)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.wake.wait_timeout(pending, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::swap(lines, &mut pending.lines);
        pending.poked = false;
        Taken {
            waiting: std::mem::take(&mut pending.waiting),
            dropped: std::mem::take(&mut pending.dropped),
            closed: pending.closed,
        }
    }

    /// Lets lines come together for a time; no longer than until nothing more will come, which it tells.
    pub(crate) fn gather(&self, time: Duration) -> bool {
        let waited = self
            .wake
            .wait_timeout_while(self.lock(), time, |pending| !pending.closed);
        let (pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        pending.closed
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Pending<W>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Empties what the thread has done with, and keeps no more room than is commonly needed.
pub(crate) fn reuse(lines: &mut Vec<u8>) {
    lines.clear();
    lines.shrink_to(MAX_KEPT);
}

/// Ends a thread after what was appended before, or leaves it behind if it does not come to its end.
pub(crate) struct LineThread<W = Infallible> {
    name: &'static str,
    patience: Duration,
    buffer: Arc<LineBuffer<W>>,
    /// Without a sender as soon as the thread has ended.
    ended: Mutex<mpsc::Receiver<Infallible>>,
}

impl<W: Send + 'static> LineThread<W> {
    /// Starts a thread that does `work` until its buffer is closed. `patience` is for the lines that are left then.
    pub(crate) fn start(
        name: &'static str,
        patience: Duration,
        buffer: Arc<LineBuffer<W>>,
        work: impl FnOnce(&LineBuffer<W>) + Send + 'static,
    ) -> io::Result<Self> {
        let (ends, ended) = mpsc::channel();
        let of_thread = Arc::clone(&buffer);
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // Dropped at the end of the thread, however it ends.
                let _ends = ends;
                work(&of_thread);
            })?;
        Ok(Self {
            name,
            patience,
            buffer,
            ended: Mutex::new(ended),
        })
    }
}

impl<W> LineThread<W> {
    /// From now on, its end is waited for no longer than until the next process would be missed.
    pub(crate) fn hasten(&mut self) {
        self.patience = self.patience.min(HAND_OVER_PATIENCE);
    }
}

impl<W> Drop for LineThread<W> {
    fn drop(&mut self) {
        self.buffer.close();
        // A panic of the thread has already been reported by the panic hook. A pipe that nobody reads must not keep
        // the process from leaving.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(self.patience) {
            tracing::error!(
                thread = self.name,
                "an output is blocked: its last lines are lost"
            );
        }
    }
}

/// In a hand-over, for each thread: KMS waits for 250 ms, and the next process has to start within them.
const HAND_OVER_PATIENCE: Duration = Duration::from_millis(50);
pub(crate) const MAX_PENDING: usize = 4 << 20;
const MAX_KEPT: usize = 256 << 10;
/// What comes within this time is written together: few system calls under load.
pub(crate) const BATCH_TIME: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_waited_for_by_nobody_who_gathers() {
        let buffer = Arc::new(LineBuffer::default());
        let (gathered, gathers) = mpsc::channel();
        let work = move |buffer: &LineBuffer| {
            let mut lines = Vec::new();
            while !buffer.take(&mut lines, None).closed {
                lines.clear();
                let _ = gathered.send(());
                buffer.gather(HOUR);
            }
            assert_eq!(lines, b"late\n");
            let _ = gathered.send(());
        };
        let thread = LineThread::start("test", HOUR, Arc::clone(&buffer), work).unwrap();
        buffer.append(b"early\n");
        gathers.recv().unwrap();
        buffer.append(b"late\n");
        drop(thread);
        assert_eq!(gathers.try_recv(), Ok(()));
    }

    #[test]
    fn in_a_hand_over_nobody_waits_for_a_thread_that_is_stuck() {
        let buffer = Arc::new(LineBuffer::default());
        let (unblock, blocked) = mpsc::channel::<()>();
        let work = move |_: &LineBuffer| {
            let _ = blocked.recv();
        };
        let mut thread = LineThread::start("test", HOUR, buffer, work).unwrap();
        thread.hasten();
        drop(thread);
        drop(unblock);
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);
}
