//! The line of one request: a JSON object, formatted while the request is served.
//!
//! No line ever holds plaintext, AAD or a secret: only what [`Record`] has a method for.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use xks_api::ids::{AccessKeyId, UriPathPrefix};
use xks_api::metadata::{HealthRequestMetadata, RequestMetadata};
use xks_api::route::{Operation, OperationName};

use crate::error::XksError;
use crate::metrics::{Ending, Mark, Marks, Metrics, StoreMetrics};

/// How a request ended.
#[derive(Clone, Copy)]
pub(crate) struct Outcome<'a> {
    pub(crate) status: u16,
    pub(crate) error: Option<&'a XksError>,
    pub(crate) took: Duration,
}

/// The line of one request, as far as it is known.
//= xks §Logging R39: no method takes a plaintext.
pub(crate) struct Record {
    line: String,
    started: Instant,
    /// Where requests are measured.
    marks: Option<Marks>,
}

impl Record {
    /// Begins the line of a request that came at `now`.
    pub(crate) fn new(now: SystemTime) -> Self {
        let mut line = String::with_capacity(LINE_CAPACITY);
        line.push_str("{\"time\":\"");
        push_time(&mut line, now);
        line.push('"');
        Self {
            line,
            started: Instant::now(),
            marks: None,
        }
    }

    /// Takes note of when its stages begin and end, from here on.
    pub(crate) fn measure(&mut self) {
        self.marks = Some(Marks::default());
    }

    /// Notes a moment; without measuring, the clock is not looked at.
    pub(crate) fn mark(&mut self, mark: Mark) {
        if let Some(marks) = &mut self.marks {
            marks.set(mark, self.started.elapsed());
        }
    }

    /// Says whose request it is.
    pub(crate) fn belongs(&mut self, store: &Arc<StoreMetrics>, operation: OperationName) {
        if let Some(marks) = &mut self.marks {
            marks.belong(store, operation);
        }
    }

    /// Counts the request, at its end.
    pub(crate) fn count(&self, metrics: Option<&Metrics>, ending: Ending, took: Duration) {
        if let (Some(marks), Some(metrics)) = (&self.marks, metrics) {
            marks.count(metrics, ending, took);
        }
    }

    /// How long its stages took, where they are measured and the request took `took`.
    pub(crate) fn stages(&self, took: Duration) -> [Option<(Duration, Duration)>; 2] {
        let marks = self.marks.as_ref();
        marks.map_or([None; 2], |marks| marks.stages(took))
    }

    /// When the request came.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn client(&mut self, address: &str) {
        self.text("clientAddress", address);
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

    /// The rule or statement of a policy that denied the request.
    //= xks §Authorization R37
    pub(crate) fn denied_by(&mut self, by: &str) {
        self.text("deniedBy", by);
    }

    /// The complete line.
    pub(crate) fn finish(mut self, outcome: Outcome<'_>) -> String {
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

    /// The line of a request whose client went away before it was answered.
    pub(crate) fn abandoned(mut self) -> String {
        self.text("outcome", "abandoned");
        let took = self.started.elapsed();
        self.end(took)
    }

    fn end(mut self, took: Duration) -> String {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.number("microseconds", micros);
        self.line.push_str("}\n");
        self.line
    }

    fn name(&mut self, name: &str) {
        push_name(&mut self.line, name);
    }

    /// A caller's text is opaque: escaped whatever it is, and cut where it is longer than an ARN can be.
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_text(&mut self.line, value);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{value}");
    }
}

/// A comma, and the name of a member.
pub(crate) fn push_name(line: &mut String, name: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":");
}

/// A text, cut where it is longer than any ARN.
pub(crate) fn push_text(line: &mut String, value: &str) {
    let end = value.floor_char_boundary(MAX_VALUE.min(value.len()));
    push_quoted(line, value.get(..end).unwrap_or_default());
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
pub(crate) fn push_time(line: &mut String, now: SystemTime) {
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
