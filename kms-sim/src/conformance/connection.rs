//! A TLS connection to the proxy over a blocking socket, and HTTP/1.1 on it, byte for byte as a case wants it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::answer::Answer;
use super::target::Target;

/// One connection.
pub(super) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffered: Vec<u8>,
    /// How many answers came over it.
    pub(super) answers: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No TCP connection.
    #[error("no TCP connection: {0}")]
    Connect(io::Error),
    /// No TLS on it.
    #[error("no TLS connection: {0}")]
    Handshake(io::Error),
    /// TCP, and then nothing for longer than the suite waits.
    #[error("no TLS connection: the handshake timed out, since nothing came for {} s", .0.as_secs())]
    SilentHandshake(Duration),
    /// The connection ended in place of an answer.
    #[error("the connection ended without an answer: {0}")]
    Ended(io::Error),
    /// Nothing came for longer than the suite waits.
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    /// Something that is not HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {0}")]
    NotHttp(&'static str),
}

impl Connection {
    /// Connects and shakes hands.
    pub(super) fn open(target: &Target, config: &Arc<ClientConfig>) -> Result<Self, Trouble> {
        let socket = dial(target)?;
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| Trouble::Handshake(io::Error::other(error)))?;
        let tls = ClientConnection::new(Arc::clone(config), name)
            .map_err(|error| Trouble::Handshake(io::Error::other(error)))?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| {
                match is_timeout(&error) {
                    true => Trouble::SilentHandshake(target.patience),
                    false => Trouble::Handshake(error),
                }
            })?;
        }
        Ok(Self {
            stream,
            buffered: Vec::new(),
            answers: 0,
        })
    }

    /// Writes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut write = || {
            self.stream.write_all(bytes)?;
            self.stream.flush()
        };
        write().map_err(|error| self.trouble(error))
    }

    /// Reads one answer to a request of this method.
    pub(super) fn receive(&mut self, method: &str) -> Result<Answer, Trouble> {
        let start = Instant::now();
        loop {
            let head = self.take_head()?;
            let (status, headers) = parse_head(&head)?;
            // 100 Continue and its kind come before the answer.
            if (100..200).contains(&status) {
                continue;
            }
            let mut answer = Answer {
                status,
                headers,
                body: Vec::new(),
                elapsed: Duration::ZERO,
            };
            if method != "HEAD" && !matches!(status, 204 | 304) {
                answer.body = self.take_body(&answer)?;
            }
            answer.elapsed = start.elapsed();
            self.answers += 1;
            return Ok(answer);
        }
    }

    /// Writes a request and reads its answer.
    pub(super) fn exchange(&mut self, bytes: &[u8], method: &str) -> Result<Answer, Trouble> {
        let start = Instant::now();
        // A proxy may answer a request that it does not read to its end, and close.
        let sent = self.send(bytes);
        let mut answer = match (sent, self.receive(method)) {
            (_, Ok(answer)) => answer,
            (Err(trouble), Err(_)) | (Ok(()), Err(trouble)) => return Err(trouble),
        };
        answer.elapsed = start.elapsed();
        Ok(answer)
    }

    /// Whether the proxy closes within `limit`.
    pub(super) fn is_closed_within(&mut self, limit: Duration) -> bool {
        // A socket that is gone shows at the read.
        let _ = self.stream.sock.set_read_timeout(Some(limit));
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !is_timeout(&error),
        }
    }

    fn take_head(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            let mut windows = self.buffered.windows(4);
            if let Some(at) = windows.position(|window| window == b"\r\n\r\n") {
                return Ok(self.buffered.drain(..at + 4).collect());
            }
            if self.buffered.len() > MAX_HEAD {
                return Err(Trouble::NotHttp("a head of more than 64 KiB"));
            }
            self.fill()?;
        }
    }

    fn take_body(&mut self, answer: &Answer) -> Result<Vec<u8>, Trouble> {
        let chunked = answer.header("transfer-encoding");
        if chunked.is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.take_chunks();
        }
        if let Some(length) = answer.header("content-length") {
            let length = length
                .parse()
                .map_err(|_| Trouble::NotHttp("a Content-Length that is no number"))?;
            return self.take(length);
        }
        // Without a length the body ends with the connection.
        loop {
            match self.fill() {
                Ok(()) if self.buffered.len() > MAX_BODY => return Err(TOO_LONG),
                Ok(()) => {}
                Err(Trouble::Ended(_)) => return Ok(std::mem::take(&mut self.buffered)),
                Err(trouble) => return Err(trouble),
            }
        }
    }

    fn take_chunks(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)
                .map_err(|_| Trouble::NotHttp("a chunk whose length is no number"))?;
            if length == 0 {
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(length)?);
            if body.len() > MAX_BODY {
                return Err(TOO_LONG);
            }
            self.take_line()?;
        }
    }

    fn take_line(&mut self) -> Result<String, Trouble> {
        loop {
            let mut windows = self.buffered.windows(2);
            if let Some(at) = windows.position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffered.drain(..at + 2).take(at).collect();
                return String::from_utf8(line)
                    .map_err(|_| Trouble::NotHttp("a line that is not text"));
            }
            if self.buffered.len() > MAX_HEAD {
                return Err(Trouble::NotHttp("a line of more than 64 KiB"));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Trouble> {
        if length > MAX_BODY {
            return Err(TOO_LONG);
        }
        while self.buffered.len() < length {
            self.fill()?;
        }
        Ok(self.buffered.drain(..length).collect())
    }

    fn fill(&mut self) -> Result<(), Trouble> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Trouble::Ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => {
                self.buffered.extend(chunk.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(self.trouble(error)),
        }
    }

    fn trouble(&self, error: io::Error) -> Trouble {
        match is_timeout(&error) {
            true => Trouble::Silence(
                self.stream
                    .sock
                    .read_timeout()
                    .ok()
                    .flatten()
                    .unwrap_or_default(),
            ),
            false => Trouble::Ended(error),
        }
    }
}

/// The first address that answers, with the patience of the target on it.
pub(super) fn dial(target: &Target) -> Result<TcpStream, Trouble> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in &target.addresses {
        match TcpStream::connect_timeout(address, target.patience) {
            Ok(socket) => {
                let prepare = || {
                    socket.set_nodelay(true)?;
                    socket.set_read_timeout(Some(target.patience))?;
                    socket.set_write_timeout(Some(target.patience))
                };
                prepare().map_err(Trouble::Connect)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(Trouble::Connect(last))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

type Headers = Vec<(String, String)>;

fn parse_head(head: &[u8]) -> Result<(u16, Headers), Trouble> {
    let text =
        std::str::from_utf8(head).map_err(|_| Trouble::NotHttp("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| {
        let mut words = line.split(' ');
        let version = words.next()?;
        version.starts_with("HTTP/1.").then_some(())?;
        words.next()?.parse().ok()
    });
    let status = status.ok_or(Trouble::NotHttp("no status line"))?;
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Ok((status, headers.collect()))
}

const TOO_LONG: Trouble = Trouble::NotHttp("a body of more than 1 MiB");
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
