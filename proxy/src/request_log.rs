//! One line per request, written by a thread of its own.
//!
//! `record` is the line, `text` its form for people. If the output cannot keep up, lines are dropped and counted, and the
//! count is written as a line of its own.

mod record;
mod text;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::line_thread::{BATCH_TIME, LineBuffer, LineThread, reuse};

pub(crate) use record::{Outcome, Record, push_name, push_text, push_time};

/// How lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// `name=value` pairs, for people.
    Text,
}

/// Takes the lines of requests.
#[derive(Clone)]
pub struct RequestLog {
    lines: Arc<LineBuffer>,
    dropped: Arc<AtomicU64>,
}

/// Ends the writing thread after what was logged before, or leaves it behind with an output that takes nothing more.
pub struct RequestLogGuard {
    thread: LineThread,
}

impl RequestLogGuard {
    /// The next process waits for the end of this one: lines that the output does not take at once are lost then.
    pub fn hasten(&mut self) {
        self.thread.hasten();
    }
}

impl RequestLog {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        sink: Box<dyn Write + Send>,
        format: LogFormat,
    ) -> std::io::Result<(Self, RequestLogGuard)> {
        let lines = Arc::new(LineBuffer::default());
        let work = move |lines: &LineBuffer| write_lines(lines, sink, format);
        let thread = LineThread::start("request-log", LAST_LINES_TIME, Arc::clone(&lines), work)?;
        let dropped = Arc::default();
        Ok((Self { lines, dropped }, RequestLogGuard { thread }))
    }

    /// Hands a complete line to the thread.
    pub(crate) fn write(&self, line: &str) {
        if !self.lines.append(line.as_bytes()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines found no room since the start.
    pub(crate) fn dropped(&self) -> &AtomicU64 {
        &self.dropped
    }
}

fn write_lines(buffer: &LineBuffer, mut sink: Box<dyn Write + Send>, format: LogFormat) {
    let (mut lines, mut spare) = (Vec::new(), Vec::new());
    let mut failing = false;
    loop {
        let taken = buffer.take(&mut lines, None);
        if taken.dropped > 0 {
            let line = format!("{{\"droppedLogLines\":{}}}\n", taken.dropped);
            lines.extend_from_slice(line.as_bytes());
        }
        if format == LogFormat::Text {
            text::from_json(&mut lines, &mut spare);
        }
        match sink.write_all(&lines).and_then(|()| sink.flush()) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the request log cannot be written");
            }
            Err(_) => {}
        }
        reuse(&mut lines);
        reuse(&mut spare);
        if taken.closed {
            return;
        }
        std::thread::sleep(BATCH_TIME);
    }
}

/// For the lines that are left when the server ends.
const LAST_LINES_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::SystemTime;

    use xks_api::error::ErrorName;
    use xks_api::metadata::RequestMetadata;

    use super::*;
    use crate::error::XksError;
    use crate::line_thread::MAX_PENDING;

    struct Sink(mpsc::Sender<Vec<u8>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, fill: impl Fn(&mut Record), error: Option<&XksError>) -> String {
        let (sender, receiver) = mpsc::channel();
        let (log, guard) = RequestLog::start(Box::new(Sink(sender)), format).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_505_919_000_123);
        let mut record = Record::new(time);
        fill(&mut record);
        let outcome = Outcome {
            status: error.map_or(200, |e| e.name.status()),
            error,
            took: Duration::from_micros(42),
        };
        log.write(&record.finish(outcome));
        drop(guard);
        String::from_utf8(receiver.iter().flatten().collect()).unwrap()
    }

    fn metadata(id: &str) -> String {
        serde_json::json!({
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsOperation": "Encrypt",
            "kmsRequestId": id,
        })
        .to_string()
    }

    #[test]
    fn a_line_is_json_whatever_the_caller_sends() {
        for id in [
            "",
            "4112f4d6",
            "a\"b\\c",
            "\u{0}\n\u{1b}[31m",
            "ä\u{1F600}",
            "\u{2028}",
        ] {
            let text = metadata(id);
            let metadata: RequestMetadata<'_> = serde_json::from_str(&text).unwrap();
            let line = logged(LogFormat::Json, |r| r.request_metadata(&metadata), None);
            assert!(line.is_ascii() && line.matches('\n').count() == 1, "{line}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["kmsRequestId"], id);
            assert_eq!(value["time"], "2026-11-24T07:38:39.000123Z");
            assert_eq!(value["outcome"], "ok");
            assert_eq!(value["microseconds"], 42);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_the_line_stays_whole() {
        let text = metadata(&"ä".repeat(5_000));
        let metadata: RequestMetadata<'_> = serde_json::from_str(&text).unwrap();
        let line = logged(LogFormat::Json, |r| r.request_metadata(&metadata), None);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["kmsRequestId"].as_str().unwrap().len(), 2_100);
    }

    #[test]
    fn the_cause_of_an_error_is_logged() {
        let error = XksError::new(ErrorName::Internal, "the proxy failed").because("disk full");
        let line = logged(LogFormat::Text, |_| {}, Some(&error));
        assert_eq!(
            line,
            "time=2026-11-24T07:38:39.000123Z outcome=failed status=500 errorName=InternalException \
             errorMessage=\"the proxy failed\" cause=\"disk full\" microseconds=42\n"
        );
    }

    #[test]
    fn what_the_output_cannot_take_is_counted() {
        let (sender, receiver) = mpsc::sync_channel::<()>(0);
        struct Stuck(mpsc::SyncSender<()>, Arc<Mutex<Vec<u8>>>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.send(());
                self.1.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Stuck(sender, Arc::clone(&written));
        let (log, guard) = RequestLog::start(Box::new(sink), LogFormat::Json).unwrap();
        let count = 2 * MAX_PENDING / 100;
        for _ in 0..count {
            let outcome = Outcome {
                status: 200,
                error: None,
                took: Duration::ZERO,
            };
            log.write(&Record::new(SystemTime::UNIX_EPOCH).finish(outcome));
        }
        drop(receiver);
        drop(guard);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let mut lines = 0;
        let mut dropped = 0;
        for line in written.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            match value["droppedLogLines"].as_u64() {
                Some(n) => dropped += n,
                None => lines += 1,
            }
        }
        assert!(dropped > 0);
        assert_eq!(dropped + lines, u64::try_from(count).unwrap());
    }

    /// Blocks as a full pipe does.
    struct Full(mpsc::Receiver<()>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_takes_nothing_keeps_nobody_from_leaving() {
        assert!(leaves_within(30 * LAST_LINES_TIME, |_| ()));
        assert!(leaves_within(
            LAST_LINES_TIME * 3 / 4,
            RequestLogGuard::hasten
        ));
    }

    fn leaves_within(time: Duration, prepare: impl FnOnce(&mut RequestLogGuard)) -> bool {
        let (unblock, blocked) = mpsc::channel();
        let (log, mut guard) = RequestLog::start(Box::new(Full(blocked)), LogFormat::Json).unwrap();
        prepare(&mut guard);
        let outcome = Outcome {
            status: 200,
            error: None,
            took: Duration::ZERO,
        };
        log.write(&Record::new(SystemTime::UNIX_EPOCH).finish(outcome));
        let (left, leaves) = mpsc::channel();
        std::thread::spawn(move || {
            drop(guard);
            left.send(())
        });
        let in_time = leaves.recv_timeout(time).is_ok();
        drop(unblock);
        in_time
    }
}
