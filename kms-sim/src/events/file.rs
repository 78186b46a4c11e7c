//! Events into a file, a line each: from a thread with a queue that has an end, so that a slow disk or a full one keeps nobody waiting.
//!
//! What finds the queue full, or cannot be written, is counted, and the next line that can be written says how many are missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::Event;
use super::event::{KMS_SIM, KMS_SIM_EVENT, Record};
use crate::visibility::Home;

/// A file that gets every event.
pub(crate) struct EventFile {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Event(Arc<Event>),
    /// To be answered when all that came before is written.
    Flush(SyncSender<()>),
}

impl EventFile {
    /// Writes after what is in the file; makes it if it is not there.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(super) fn append(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(path)?;
        Self::write(file, QUEUE)
    }

    fn write(file: impl Sink, queue_len: usize) -> io::Result<Self> {
        let (queue, events) = sync_channel(queue_len);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            // The last process may have died in the middle of a line.
            torn: file.is_torn(),
            file,
            events,
            lost: Arc::clone(&lost),
            failing: false,
        };
        thread::Builder::new()
            .name("events".into())
            .spawn(move || writer.run())?;
        Ok(Self { queue, lost })
    }

    /// Takes the event, or counts it as lost.
    pub(super) fn take(&self, event: &Arc<Event>) {
        if self
            .queue
            .try_send(Message::Event(Arc::clone(event)))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, but not for a file that takes nothing, until everything so far is written.
    pub(super) fn flush(&self) {
        let (written, done) = sync_channel(1);
        if self.queue.try_send(Message::Flush(written)).is_ok() {
            // Whether all are written or the file is blocked: there is no one left to tell.
            let _ = done.recv_timeout(LAST_EVENTS_TIME);
        }
    }
}

/// What lines are written to.
trait Sink: Write + Send + 'static {
    /// Whether its last line has no end.
    fn is_torn(&self) -> bool;
}

impl Sink for File {
    fn is_torn(&self) -> bool {
        let metadata = self.metadata();
        let length = metadata.map_or(0, |file| if file.is_file() { file.len() } else { 0 });
        let Some(last) = length.checked_sub(1) else {
            return false;
        };
        let mut byte = [0];
        self.read_at(&mut byte, last).is_ok() && byte != *b"\n"
    }
}

struct Writer<F> {
    file: F,
    events: Receiver<Message>,
    lost: Arc<AtomicU64>,
    torn: bool,
    /// The last attempt to write failed: it was said in the log.
    failing: bool,
}

impl<F: Sink> Writer<F> {
    /// Until nobody sends any more.
    fn run(&mut self) {
        loop {
            let first = match self.events.recv_timeout(RETRY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.write_batch(first);
        }
    }

    /// Writes what is in the queue now, in one go.
    fn write_batch(&mut self, first: Option<Message>) {
        let mut lines = Vec::new();
        let mut count = 0;
        let mut flushed = Vec::new();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line = lost_events(lost);
            push_line(&mut lines, line.line());
        }
        let mut next = first;
        while let Some(message) = next.take() {
            match message {
                Message::Event(event) => {
                    push_line(&mut lines, event.line());
                    count += 1;
                }
                Message::Flush(done) => flushed.push(done),
            }
            if lines.len() < BATCH {
                next = self.events.try_recv().ok();
            }
        }
        if !lines.is_empty() {
            if self.torn {
                lines.insert(0, b'\n');
            }
            self.write_lines(&lines, lost + count);
        }
        for done in flushed {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }

    fn write_lines(&mut self, lines: &[u8], count: u64) {
        match self.file.write_all(lines).and_then(|()| self.file.flush()) {
            Ok(()) => {
                (self.torn, self.failing) = (false, false);
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "events cannot be written to the file of --events; they are counted as lost");
                }
                (self.torn, self.failing) = (true, true);
                self.lost.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

fn push_line(lines: &mut Vec<u8>, line: &str) {
    lines.extend_from_slice(line.as_bytes());
    lines.push(b'\n');
}

/// Says in the file that some events are not in it.
fn lost_events(count: u64) -> Event {
    tracing::warn!(
        count,
        "events are not in the file of --events: it could not take them"
    );
    let nowhere = Home {
        account: String::new(),
        region: String::new(),
    };
    let mut record = Record::new("EventsLost", &nowhere, SystemTime::now());
    (record.source_ip_address, record.user_agent) = (KMS_SIM, KMS_SIM);
    record.user_identity = json!({"invokedBy": KMS_SIM});
    record.event_type = KMS_SIM_EVENT;
    record.service_event_details = Some(json!({"lost": count}));
    record.into_event(Vec::new(), None)
}

/// Events that wait for a file that is slow.
const QUEUE: usize = 8 * 1024;
/// Written in one go.
const BATCH: usize = 256 * 1024;
/// How often a count of lost events is tried again when nothing else is to be written.
const RETRY: Duration = Duration::from_secs(1);
/// For the events that are left when the program ends.
const LAST_EVENTS_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use serde_json::Value;

    use super::*;

    /// Takes a batch when it is told how.
    struct Gate {
        verdicts: mpsc::Receiver<io::Result<()>>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.verdicts.recv().map_err(io::Error::other)??;
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Gate {
        fn is_torn(&self) -> bool {
            false
        }
    }

    fn event(name: &'static str) -> Arc<Event> {
        let home = Home {
            account: "111122223333".into(),
            region: "us-east-1".into(),
        };
        let record = Record::new(name, &home, SystemTime::now());
        Arc::new(record.into_event(Vec::new(), None))
    }

    /// The names and how many events are said to be lost, of complete lines.
    fn read(bytes: &[u8]) -> Vec<(String, Option<u64>)> {
        let text = std::str::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                let name = event["eventName"].as_str().unwrap().to_owned();
                (name, event["serviceEventDetails"]["lost"].as_u64())
            })
            .collect()
    }

    fn gate(
        queue: usize,
    ) -> (
        EventFile,
        mpsc::Sender<io::Result<()>>,
        mpsc::Receiver<Vec<u8>>,
    ) {
        let (verdicts, told) = mpsc::channel();
        let (written, found) = mpsc::channel();
        let gate = Gate {
            verdicts: told,
            written,
        };
        (EventFile::write(gate, queue).unwrap(), verdicts, found)
    }

    #[test]
    fn a_file_that_takes_nothing_keeps_nobody_waiting_and_the_lost_are_counted() {
        let (file, verdicts, written) = gate(4);
        // The writer holds one at least, and four wait.
        for _ in 0..50 {
            file.take(&event("Encrypt"));
        }
        let mut kept = 0;
        let mut lost = 0;
        while kept + lost < 50 {
            verdicts.send(Ok(())).unwrap();
            let bytes = written.recv_timeout(Duration::from_secs(20)).unwrap();
            for (name, count) in read(&bytes) {
                match count {
                    Some(count) => lost += count,
                    None => {
                        assert_eq!(name, "Encrypt");
                        kept += 1;
                    }
                }
            }
        }
        assert_eq!(kept + lost, 50);
        assert!(lost >= 40, "{lost}");
    }

    #[test]
    fn events_that_a_full_disk_refuses_are_counted_in_a_line_of_their_own() {
        let (file, verdicts, written) = gate(64);
        verdicts
            .send(Err(io::ErrorKind::StorageFull.into()))
            .unwrap();
        file.take(&event("Encrypt"));
        // The writer takes the next batch only after the first has failed.
        file.take(&event("Decrypt"));
        verdicts.send(Ok(())).unwrap();
        verdicts.send(Ok(())).unwrap();
        let mut found = Vec::new();
        let total = |found: &[(String, Option<u64>)]| {
            found.iter().map(|(_, lost)| lost.unwrap_or(1)).sum::<u64>()
        };
        while total(&found) < 2 {
            let bytes = written.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(bytes.first(), Some(&b'\n'), "half a line may be there");
            found.extend(read(&bytes));
        }
        assert!(
            found
                .iter()
                .any(|(name, lost)| name == "EventsLost" && *lost >= Some(1))
        );
    }

    #[test]
    fn a_file_goes_on_after_what_is_in_it() {
        let dir = harness::temp_dir();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "half a li").unwrap();
        for name in ["Encrypt", "Decrypt"] {
            let file = EventFile::append(&path).unwrap();
            file.take(&event(name));
            file.flush();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (half, rest) = text.split_once('\n').unwrap();
        assert_eq!(half, "half a li");
        assert!(!rest.contains("\n\n"));
        let names: Vec<_> = read(rest.as_bytes())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["Encrypt", "Decrypt"]);
        assert!(EventFile::append(&dir.path().join("none/events")).is_err());
    }
}
