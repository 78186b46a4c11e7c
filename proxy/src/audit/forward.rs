//! Copies of audit lines to elsewhere: standard output, a file, syslog, journald. Each has a thread of its own, and what
//! it cannot take is counted; the numbers of the lines show the receiver what it lacks.

mod syslog;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::State;
use crate::line_thread::{BATCH_TIME, LineBuffer, LineThread, reuse};

/// Where copies of lines go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Forward {
    /// Standard output, among the lines of requests.
    Stdout,
    /// A file, or a named pipe, that is appended to.
    File(PathBuf),
    /// Syslog, RFC 5424.
    Syslog(Transport),
    /// journald's own protocol, to this socket.
    Journald(PathBuf),
}

/// How syslog is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A Unix socket, such as `/dev/log`.
    Unix(PathBuf),
    /// One datagram for each line.
    Udp(SocketAddr),
    /// A stream with each line's length before it (RFC 6587).
    Tcp(SocketAddr),
}

impl Forward {
    /// Reads `stdout`, `file:PATH`, `syslog+unix:PATH`, `syslog+udp://ADDRESS:PORT`, `syslog+tcp://ADDRESS:PORT` or
    /// `journald`, which may be followed by `:PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        let absolute = |path: &str| path.starts_with('/').then(|| path.into());
        if let Some(path) = text.strip_prefix("file:") {
            return absolute(path).map(Self::File);
        }
        if let Some(path) = text.strip_prefix("journald:") {
            return absolute(path).map(Self::Journald);
        }
        let transport = match text {
            "stdout" => return Some(Self::Stdout),
            "journald" => return Some(Self::Journald(JOURNALD.into())),
            text => match text.strip_prefix("syslog+")?.split_once(':')? {
                ("unix", path) => Transport::Unix(absolute(path)?),
                ("udp", address) => Transport::Udp(address.strip_prefix("//")?.parse().ok()?),
                ("tcp", address) => Transport::Tcp(address.strip_prefix("//")?.parse().ok()?),
                _ => return None,
            },
        };
        Some(Self::Syslog(transport))
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Syslog(Transport::Unix(path)) => write!(f, "syslog+unix:{}", path.display()),
            Self::Syslog(Transport::Udp(address)) => write!(f, "syslog+udp://{address}"),
            Self::Syslog(Transport::Tcp(address)) => write!(f, "syslog+tcp://{address}"),
            Self::Journald(path) => write!(f, "journald:{}", path.display()),
        }
    }
}

/// Takes lines, some at a time.
trait Receiver: Send {
    /// Sends whole lines, each with its end.
    fn send(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// All places that copies go to.
pub(super) struct Forwarders(Vec<(Arc<LineBuffer>, LineThread)>);

impl Forwarders {
    pub(super) fn start(places: &[Forward], state: &Arc<State>) -> io::Result<Self> {
        let mut started = Vec::new();
        for place in places {
            let lines = Arc::new(LineBuffer::default());
            let (place, state) = (place.clone(), Arc::clone(state));
            let work = move |lines: &LineBuffer| send_all(lines, &place, &state);
            let thread =
                LineThread::start("audit-forward", LAST_LINES_TIME, Arc::clone(&lines), work)?;
            started.push((lines, thread));
        }
        Ok(Self(started))
    }

    /// Lets all of them send what is left, at the same time; their ends are waited for when this is dropped.
    pub(super) fn close(&mut self, state: &State) {
        for (buffer, thread) in &mut self.0 {
            buffer.close();
            if state.hastened.load(Ordering::Relaxed) {
                thread.hasten();
            }
        }
    }

    pub(super) fn forward(&self, lines: &[u8]) {
        for (buffer, _) in &self.0 {
            for line in lines.split_inclusive(|&b| b == b'\n') {
                buffer.append(line);
            }
        }
    }
}

/// Sends what comes; where that fails, connects again, and gives up what has come together after a few attempts.
fn send_all(buffer: &LineBuffer, place: &Forward, state: &State) {
    let mut receiver = None;
    let mut lines = Vec::new();
    let mut failing = false;
    loop {
        let taken = buffer.take(&mut lines, None);
        let mut closed = taken.closed;
        let mut give_up = Instant::now()
            + if taken.closed {
                CLOSE_PATIENCE
            } else {
                PATIENCE
            };
        let mut lost = taken.dropped;
        while !lines.is_empty() {
            let connected = match &mut receiver {
                Some(receiver) => Ok(receiver),
                none => connect(place).map(|new| none.insert(new)),
            };
            match connected.and_then(|receiver| receiver.send(&lines)) {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::warn!(to = %place, "audit lines are forwarded again");
                    }
                    break;
                }
                Err(error) => {
                    receiver = None;
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, to = %place, "audit lines cannot be forwarded");
                    }
                    if Instant::now() > give_up {
                        let count = lines.split(|&b| b == b'\n').count() - 1;
                        lost += u64::try_from(count).unwrap_or_default();
                        break;
                    }
                    if closed {
                        std::thread::sleep(RETRY_PAUSE);
                    } else if buffer.gather(RETRY_PAUSE) {
                        // Nobody waits a minute for the end.
                        closed = true;
                        give_up = give_up.min(Instant::now() + CLOSE_PATIENCE);
                    }
                }
            }
        }
        state.not_forwarded.fetch_add(lost, Ordering::Relaxed);
        reuse(&mut lines);
        if taken.closed {
            return;
        }
        std::thread::sleep(BATCH_TIME);
    }
}

fn connect(place: &Forward) -> io::Result<Box<dyn Receiver>> {
    Ok(match place {
        Forward::Stdout => Box::new(Stream(io::stdout())),
        Forward::File(path) => {
            let mut options = OpenOptions::new();
            Box::new(Stream(
                options.append(true).create(true).mode(0o600).open(path)?,
            ))
        }
        Forward::Syslog(transport) => syslog::connect(transport)?,
        Forward::Journald(path) => Box::new(Journald::connect(path)?),
    })
}

/// Lines as they are.
struct Stream<W>(W);

impl<W: Write + Send> Receiver for Stream<W> {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }
}

/// journald's own protocol: a datagram of fields, one a line.
struct Journald(UnixDatagram);

impl Journald {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self(socket))
    }
}

impl Receiver for Journald {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        for line in lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let mut datagram =
                b"PRIORITY=5\nSYSLOG_FACILITY=13\nSYSLOG_IDENTIFIER=xks-proxy-audit\n".to_vec();
            for (field, member) in [
                ("XKS_AUDIT_SEQUENCE", "sequence"),
                ("XKS_KMS_REQUEST_ID", "kmsRequestId"),
            ] {
                if let Some(value) = member_of(line, member) {
                    datagram.extend_from_slice(format!("{field}={value}\n").as_bytes());
                }
            }
            datagram.extend_from_slice(b"MESSAGE=");
            datagram.extend_from_slice(line);
            datagram.push(b'\n');
            self.0.send(&datagram)?;
        }
        Ok(())
    }
}

/// A member of a line, as text.
fn member_of(line: &[u8], name: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    match line.get(name)? {
        serde_json::Value::String(text) if !text.contains('\n') => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

const JOURNALD: &str = "/run/systemd/journal/socket";
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long lines wait for a receiver that is away.
const PATIENCE: Duration = Duration::from_secs(60);
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
const LAST_LINES_TIME: Duration = Duration::from_secs(2);
