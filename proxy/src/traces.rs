//! OpenTelemetry traces: of each request a span, and in it one for its authentication and one for the key manager.
//!
//! A span is made of the line that the request log gets anyway, so that it holds no more than that: no plaintext, no AAD, no
//! secret. Whoever serves the request hands the line to a thread, which makes spans (`span`) and sends them to a collector
//! (`collector`). What the collector does not take in time is lost and counted; no request waits for it.
//!
//! Without the feature `otel` there is no such thread, and no [`Traces`].

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod span;
#[cfg(feature = "otel")]
mod thread;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};

use crate::line_thread::LineBuffer;
#[cfg(feature = "otel")]
use crate::line_thread::LineThread;

/// What an operator decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where spans go.
    pub endpoint: Endpoint,
    /// The CAs that a collector's certificate must come from.
    pub roots: Vec<CertificateDer<'static>>,
    /// Of how many requests one is traced.
    pub one_in: NonZeroU64,
    /// `service.name`.
    pub service_name: String,
}

/// Where a collector takes OTLP over HTTP: `https://…`, or `http://` on this machine.
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
    tls: Option<ServerName<'static>>,
}

/// Why text is no endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no https:// URL, nor an http:// URL of this machine")]
pub struct InvalidEndpoint;

impl Endpoint {
    /// Whether TLS goes over it.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let uri: http::Uri = text.parse().map_err(|_| InvalidEndpoint)?;
        let authority = uri.authority().ok_or(InvalidEndpoint)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let loopback = host == "localhost"
            || host
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        let (tls, port) = match uri.scheme_str() {
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| InvalidEndpoint)?;
                (Some(name), 443)
            }
            Some("http") if loopback => (None, 80),
            _ => return Err(InvalidEndpoint),
        };
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(InvalidEndpoint);
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/v1/traces",
            path => path,
        };
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(port),
            path: path.to_owned(),
            tls,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        let (host, port, path) = (&self.host, self.port, &self.path);
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}{path}"),
            false => write!(f, "{scheme}://{host}:{port}{path}"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes requests for the thread that sends them.
pub struct Traces {
    requests: Arc<LineBuffer>,
    seen: AtomicU64,
    one_in: NonZeroU64,
    counts: Arc<Counts>,
}

/// What became of the requests that were to be traced.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// Ends the thread after what was handed to it before.
#[cfg(feature = "otel")]
pub struct TracesGuard {
    thread: LineThread,
}

#[cfg(feature = "otel")]
impl TracesGuard {
    /// The next process waits for the end of this one: what the collector does not take at once is lost then.
    pub fn hasten(&mut self) {
        self.thread.hasten();
    }
}

/// From when to when a stage took, from the beginning of the request.
pub(crate) type Stage = Option<(Duration, Duration)>;

/// The stages that have spans of their own.
pub(crate) const STAGES: [&str; 2] = ["authenticate", "key manager"];

impl Traces {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there is no thread, or no TLS.
    #[cfg(feature = "otel")]
    pub fn start(settings: Settings) -> Result<(Self, TracesGuard), StartError> {
        let requests = Arc::new(LineBuffer::default());
        let counts = Arc::new(Counts::default());
        let one_in = settings.one_in;
        let sender = thread::Sender::new(settings, Arc::clone(&counts))?;
        let work = move |requests: &LineBuffer| sender.work(requests);
        let thread = LineThread::start("traces", LAST_SPANS_TIME, Arc::clone(&requests), work)?;
        let traces = Self {
            requests,
            seen: AtomicU64::new(0),
            one_in,
            counts,
        };
        Ok((traces, TracesGuard { thread }))
    }

    /// Whether this request is one that is traced; asked once of each.
    pub(crate) fn wants(&self) -> bool {
        self.seen
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(self.one_in.get())
    }

    /// Takes a request at its end: its line of the request log, and its stages.
    pub(crate) fn record(&self, line: &str, took: Duration, stages: [Stage; STAGES.len()]) {
        use fmt::Write as _;
        let mut request = String::with_capacity(line.len() + 64);
        // Writing to a string cannot fail.
        let _ = write!(request, "{}", took.as_nanos());
        for stage in stages {
            let _ = match stage {
                Some((from, to)) => write!(request, " {} {}", from.as_nanos(), to.as_nanos()),
                None => write!(request, " - -"),
            };
        }
        request.push(' ');
        request.push_str(line);
        if !self.requests.append(request.as_bytes()) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// Why there are no traces.
#[cfg(feature = "otel")]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread.
    #[error("no thread for traces can be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A CA certificate, or none.
    #[error("no TLS to the collector of traces: {0}")]
    Tls(#[from] rustls::Error),
}

/// A post may be under way, and one more may be due.
#[cfg(feature = "otel")]
const LAST_SPANS_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"),
            (
                "https://otel.example.com/x?y=z",
                "https://otel.example.com:443/x?y=z",
            ),
        ] {
            assert_eq!(Endpoint::try_from(text).unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "otel.example.com:4318",
            "http://otel.example.com:4318",
            "grpc://127.0.0.1:4317",
            "https://user:secret@otel.example.com",
            "/v1/traces",
        ] {
            assert_eq!(Endpoint::try_from(bad), Err(InvalidEndpoint), "{bad}");
        }
    }
}
