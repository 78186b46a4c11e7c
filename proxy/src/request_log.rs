//! One line per request, on a thread of its own, so that a slow disk or terminal never slows a request.
//!
//! A request formats its line and appends it to a buffer; the thread writes what has come together. If the output
//! cannot keep up, lines are dropped and counted, and the count is written as a line of its own.
//! No line ever holds plaintext, AAD or a secret: only what `Record` has a method for.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use xks_api::ids::{AccessKeyId, UriPathPrefix};
use xks_api::metadata::{HealthRequestMetadata, RequestMetadata};
use xks_api::route::Operation;

use crate::error::XksError;

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
    format: LogFormat,
    shared: Arc<Shared>,
}

/// Ends the writing thread after what was logged before, or leaves it behind with an output that takes nothing more.
pub struct RequestLogGuard {
    shared: Arc<Shared>,
    /// Without a sender as soon as the thread has ended.
    ended: Mutex<mpsc::Receiver<Infallible>>,
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
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let (ends, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("request-log".into())
            .spawn(move || {
                // Dropped at the end of the thread, however it ends.
                let _ends = ends;
                write_lines(&for_thread, sink, format);
            })?;
        let guard = RequestLogGuard {
            shared: Arc::clone(&shared),
            ended: Mutex::new(ended),
        };
        Ok((Self { format, shared }, guard))
    }

    /// Begins the line of a request that came at `now`.
    pub(crate) fn record(&self, now: SystemTime) -> Record {
        Record::new(self.format, now)
    }

    /// Completes a line and hands it to the thread.
    pub(crate) fn write(&self, record: Record, outcome: Outcome<'_>) {
        self.append(&record.finish(outcome));
    }

    /// Hands on the line of a request whose client went away before it was answered.
    pub(crate) fn abandon(&self, record: Record) {
        self.append(&record.abandoned());
    }

    fn append(&self, line: &str) {
        let mut pending = self.shared.lock();
        if pending.lines.len() + line.len() > MAX_PENDING {
            pending.dropped += 1;
            return;
        }
        let was_empty = pending.lines.is_empty();
        pending.lines.extend_from_slice(line.as_bytes());
        drop(pending);
        if was_empty {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for RequestLogGuard {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        // A panic of the thread has already been reported by the panic hook. A pipe that nobody reads must not keep
        // the process from leaving.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(LAST_LINES_TIME) {
            tracing::error!("the output of the request log is blocked: its last lines are lost");
        }
    }
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    dropped: u64,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_lines(shared: &Shared, mut sink: Box<dyn Write + Send>, format: LogFormat) {
    let mut lines = Vec::new();
    let mut failing = false;
    loop {
        let mut pending = shared.lock();
        while pending.lines.is_empty() && pending.dropped == 0 && !pending.closed {
            pending = shared
                .wake
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let closed = pending.closed;
        let dropped = std::mem::take(&mut pending.dropped);
        std::mem::swap(&mut lines, &mut pending.lines);
        drop(pending);
        if dropped > 0 {
            let line = match format {
                LogFormat::Json => format!("{{\"droppedLogLines\":{dropped}}}\n"),
                LogFormat::Text => format!("dropped_log_lines={dropped}\n"),
            };
            lines.extend_from_slice(line.as_bytes());
        }
        match sink.write_all(&lines).and_then(|()| sink.flush()) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the request log cannot be written");
            }
            Err(_) => {}
        }
        lines.clear();
        lines.shrink_to(MAX_KEPT);
        if closed {
            return;
        }
        // What comes in the meantime is written together: few system calls under load.
        std::thread::sleep(BATCH_TIME);
    }
}

/// How a request ended.
pub(crate) struct Outcome<'a> {
    pub(crate) status: u16,
    pub(crate) error: Option<&'a XksError>,
    pub(crate) took: Duration,
}

/// The line of one request, as far as it is known.
//= xks §Logging R39: no method takes a plaintext.
pub(crate) struct Record {
    format: LogFormat,
    line: String,
    started: Instant,
}

impl Record {
    fn new(format: LogFormat, now: SystemTime) -> Self {
        let mut record = Self {
            format,
            line: String::with_capacity(LINE_CAPACITY),
            started: Instant::now(),
        };
        if format == LogFormat::Json {
            record.line.push('{');
        }
        record.name("time");
        if format == LogFormat::Json {
            record.line.push('"');
        }
        push_time(&mut record.line, now);
        if format == LogFormat::Json {
            record.line.push('"');
        }
        record
    }

    /// When the request came.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn operation(&mut self, operation: &Operation) {
        self.text("operation", operation.name().as_str());
        match operation {
            Operation::GetHealthStatus => {}
            Operation::GetKeyMetadata(id) | Operation::Encrypt(id) | Operation::Decrypt(id) => {
                self.text("externalKeyId", id.as_str());
            }
        }
    }

    pub(crate) fn no_route(&mut self, method: &str, path: &str) {
        self.text("method", method);
        self.text("path", path);
    }

    pub(crate) fn key_store(&mut self, prefix: &UriPathPrefix, key_manager: &str) {
        self.text("uriPathPrefix", prefix.as_str());
        self.text("keyManager", key_manager);
    }

    pub(crate) fn access_key_id(&mut self, id: &AccessKeyId) {
        self.text("accessKeyId", id.as_str());
    }

    /// What a request names that is not authentic.
    pub(crate) fn claimed_access_key_id(&mut self, id: &AccessKeyId) {
        self.text("claimedAccessKeyId", id.as_str());
    }

    //= xks §Logging R38
    //= xks §all operations R11
    pub(crate) fn request_metadata(&mut self, metadata: &RequestMetadata<'_>) {
        self.text("kmsRequestId", &metadata.kms_request_id);
        self.text("kmsOperation", &metadata.kms_operation);
        self.text("awsPrincipalArn", &metadata.aws_principal_arn);
        for (name, value) in [
            ("kmsKeyArn", &metadata.kms_key_arn),
            ("kmsViaService", &metadata.kms_via_service),
            ("awsSourceVpc", &metadata.aws_source_vpc),
            ("awsSourceVpce", &metadata.aws_source_vpce),
        ] {
            if let Some(value) = value {
                self.text(name, value);
            }
        }
    }

    pub(crate) fn health_request_metadata(&mut self, metadata: &HealthRequestMetadata<'_>) {
        self.text("kmsRequestId", &metadata.kms_request_id);
        self.text("kmsOperation", &metadata.kms_operation);
    }

    fn finish(mut self, outcome: Outcome<'_>) -> String {
        let word = match outcome.error {
            None if outcome.status < 400 => "ok",
            Some(e) if e.name.status() >= 500 => "failed",
            _ => "refused",
        };
        self.text("outcome", word);
        self.number("status", outcome.status.into());
        if let Some(error) = outcome.error {
            self.text("errorName", error.name.as_str());
            self.text("errorMessage", error.message);
            if let Some(cause) = &error.cause {
                self.text("cause", &cause.to_string());
                let mut source = cause.source();
                while let Some(deeper) = source {
                    self.text("causedBy", &deeper.to_string());
                    source = deeper.source();
                }
            }
        }
        self.end(outcome.took)
    }

    fn abandoned(mut self) -> String {
        self.text("outcome", "abandoned");
        let took = self.started.elapsed();
        self.end(took)
    }

    fn end(mut self, took: Duration) -> String {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.number("microseconds", micros);
        if self.format == LogFormat::Json {
            self.line.push('}');
        }
        self.line.push('\n');
        self.line
    }

    fn name(&mut self, name: &str) {
        match self.format {
            LogFormat::Json => {
                if self.line.len() > 1 {
                    self.line.push(',');
                }
                self.line.push('"');
                self.line.push_str(name);
                self.line.push_str("\":");
            }
            LogFormat::Text => {
                if !self.line.is_empty() {
                    self.line.push(' ');
                }
                self.line.push_str(name);
                self.line.push('=');
            }
        }
    }

    /// A caller's text is opaque: escaped whatever it is, and cut where it is longer than an ARN can be.
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let end = value.floor_char_boundary(MAX_VALUE.min(value.len()));
        let value = value.get(..end).unwrap_or_default();
        match self.format {
            LogFormat::Text if is_plain(value) && !value.contains(' ') => {
                self.line.push_str(value);
            }
            LogFormat::Json | LogFormat::Text => push_quoted(&mut self.line, value),
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{value}");
    }
}

/// A JSON string that holds printable ASCII only, so that no terminal or parser takes it for anything else.
fn push_quoted(line: &mut String, value: &str) {
    line.push('"');
    if is_plain(value) {
        line.push_str(value);
    } else {
        for c in value.chars() {
            match c {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                ' '..='~' => line.push(c),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(line, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
    line.push('"');
}

/// Whether a string needs no escapes: printable ASCII without `"` and `\`.
fn is_plain(value: &str) -> bool {
    // No early end: so the compiler looks at many bytes at a time.
    value.bytes().fold(true, |plain, b| {
        plain & (0x20..=0x7e).contains(&b) & (b != b'"') & (b != b'\\')
    })
}

/// `2026-11-24T07:38:39.123456Z`
fn push_time(line: &mut String, now: SystemTime) {
    let now = time::OffsetDateTime::from(now);
    let year = now.year().unsigned_abs();
    let micros = now.microsecond();
    for (pair, mark) in [
        (year / 100, ""),
        (year % 100, "-"),
        (u8::from(now.month()).into(), "-"),
        (now.day().into(), "T"),
        (now.hour().into(), ":"),
        (now.minute().into(), ":"),
        (now.second().into(), "."),
        (micros / 10_000, ""),
        (micros / 100 % 100, ""),
        (micros % 100, "Z"),
    ] {
        for digit in [pair / 10 % 10, pair % 10] {
            line.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        line.push_str(mark);
    }
}

const LINE_CAPACITY: usize = 768;
const MAX_VALUE: usize = 2_100;
const MAX_PENDING: usize = 4 << 20;
const MAX_KEPT: usize = 256 << 10;
/// For the lines that are left when the server ends.
const LAST_LINES_TIME: Duration = Duration::from_secs(2);
const BATCH_TIME: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use xks_api::error::ErrorName;

    use super::*;

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
        let mut record = log.record(time);
        fill(&mut record);
        let outcome = Outcome {
            status: error.map_or(200, |e| e.name.status()),
            error,
            took: Duration::from_micros(42),
        };
        log.write(record, outcome);
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
        assert_eq!(value["kmsRequestId"].as_str().unwrap().len(), MAX_VALUE);
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
            log.write(log.record(SystemTime::UNIX_EPOCH), outcome);
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
        let (unblock, blocked) = mpsc::channel();
        let (log, guard) = RequestLog::start(Box::new(Full(blocked)), LogFormat::Json).unwrap();
        let outcome = Outcome {
            status: 200,
            error: None,
            took: Duration::ZERO,
        };
        log.write(log.record(SystemTime::UNIX_EPOCH), outcome);
        let (left, leaves) = mpsc::channel();
        std::thread::spawn(move || {
            drop(guard);
            left.send(())
        });
        assert_eq!(leaves.recv_timeout(30 * LAST_LINES_TIME), Ok(()));
        drop(unblock);
    }
}
