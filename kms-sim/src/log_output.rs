//! Standard error for the log, behind a thread: a pipe that nobody reads loses lines, and never stops a request.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Takes lines of the log; clones write to the same output.
#[derive(Clone)]
pub(crate) struct LogOutput(Arc<Shared>);

/// Waits for the lines that are left, as long as the output takes any.
pub(crate) struct LogOutputGuard(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lost: u64,
    /// The thread is writing what it took.
    writing: bool,
}

impl LogOutput {
    /// Starts the thread that writes to `sink`.
    pub(crate) fn start(sink: impl Write + Send + 'static) -> io::Result<(Self, LogOutputGuard)> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".into())
            .spawn(move || for_thread.write_to(sink))?;
        Ok((Self(Arc::clone(&shared)), LogOutputGuard(shared)))
    }
}

impl Write for LogOutput {
    /// Takes one whole event, or counts it as lost.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.lock();
        if pending.bytes.len() + event.len() > MAX_PENDING {
            pending.lost += 1;
        } else {
            pending.bytes.extend_from_slice(event);
        }
        drop(pending);
        self.0.changed.notify_all();
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogOutputGuard {
    fn drop(&mut self) {
        let left = |pending: &mut Pending| pending.writing || !pending.bytes.is_empty();
        let pending = self.0.lock();
        // Whether all are written or the output is blocked: there is no one left to tell.
        drop(
            self.0
                .changed
                .wait_timeout_while(pending, LAST_LINES_TIME, left),
        );
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write) {
        loop {
            let idle = |pending: &mut Pending| pending.bytes.is_empty() && pending.lost == 0;
            let waited = self.changed.wait_while(self.lock(), idle);
            let mut pending = waited.unwrap_or_else(PoisonError::into_inner);
            pending.writing = true;
            let mut bytes = std::mem::take(&mut pending.bytes);
            let lost = std::mem::take(&mut pending.lost);
            drop(pending);
            if lost > 0 {
                let line = format!("kms-sim: {lost} lines of the log are lost: nobody read them\n");
                bytes.extend_from_slice(line.as_bytes());
            }
            // There is nowhere left to say that standard error is closed.
            let _ = sink.write_all(&bytes);
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

const MAX_PENDING: usize = 1 << 20;
/// For the lines that are left when the program ends.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes a write when it is let.
    struct Gate {
        open: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_output_stops_nobody_and_what_it_lost_is_told() {
        let (open, gate) = mpsc::channel();
        let (written, output) = mpsc::channel();
        let sink = Gate {
            open: gate,
            written,
        };
        let (mut log, guard) = LogOutput::start(sink).unwrap();
        let event = vec![b'x'; MAX_PENDING / 2];
        for _ in 0..8 {
            log.write_all(&event).unwrap();
        }
        drop(guard);
        for _ in 0..2 {
            open.send(()).unwrap();
        }
        // The thread wrote the first events by themselves, or slept until some were lost.
        let limit = Duration::from_secs(60);
        let mut text = output.recv_timeout(limit).unwrap();
        if text.ends_with(b"x") {
            text.extend(output.recv_timeout(limit).unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("nobody read them\n"), "{}", text.len());
    }

    #[test]
    fn the_last_lines_are_written() {
        let (open, gate) = mpsc::channel();
        let (written, output) = mpsc::channel();
        let sink = Gate {
            open: gate,
            written,
        };
        let (mut log, guard) = LogOutput::start(sink).unwrap();
        open.send(()).unwrap();
        log.write_all(b"the last\n").unwrap();
        drop(guard);
        assert_eq!(output.try_recv().unwrap(), b"the last\n");
    }
}
