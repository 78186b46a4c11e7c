//! HTTP/1.1 with exact bytes, over TLS or plain TCP: what a test writes is what the server reads.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

/// One connection; every read and write has a limit of [`LIMIT`].
pub struct Connection {
    stream: Stream,
    /// Read but not yet part of an answer.
    buffered: Vec<u8>,
}

enum Stream {
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Plain(TcpStream),
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, values as sent.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(
            found.next().is_none(),
            "{name} is there twice: {:?}",
            self.headers
        );
        first
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{error} in {}: {:?}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }
}

impl Connection {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// No TCP connection, or a handshake that the client's side ends. A server that refuses the client's certificate
    /// in TLS 1.3 shows only at the first read.
    pub fn tls(address: SocketAddr, host: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        Self::tls_after(b"", address, host, config)
    }

    /// The same, but with other bytes first, as a load balancer sends them.
    ///
    /// # Errors
    /// As [`tls`](Self::tls).
    pub fn tls_after(
        first: &[u8],
        address: SocketAddr,
        host: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let mut socket = connect(address)?;
        socket.write_all(first)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(session, socket)));
        Ok(Self {
            stream,
            buffered: Vec::new(),
        })
    }

    /// Connects without TLS.
    ///
    /// # Errors
    /// No TCP connection.
    pub fn plain(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: Stream::Plain(connect(address)?),
            buffered: Vec::new(),
        })
    }

    /// The TLS session, for what was negotiated.
    pub fn session(&self) -> Option<&ClientConnection> {
        match &self.stream {
            Stream::Tls(stream) => Some(&stream.conn),
            Stream::Plain(_) => None,
        }
    }

    /// Writes exactly these bytes.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one whole answer.
    ///
    /// # Errors
    /// The connection broke, was closed, or the limit is over.
    pub fn receive(&mut self) -> io::Result<Response> {
        self.receive_answer_to("POST")
    }

    /// Reads one whole answer to a request with that method: one to HEAD has no body.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_answer_to(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let head = self.take_head()?;
            let (status, headers) = parse_head(&head)?;
            // 100 Continue and its kind come before the answer.
            if (100..200).contains(&status) {
                continue;
            }
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
            };
            if method != "HEAD" && !matches!(status, 204 | 304) {
                response.body = self.take_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Writes a request and reads its answer.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`receive`](Self::receive).
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        self.send(request)?;
        self.receive()
    }

    /// Whether the server has closed the connection, waiting at most `limit` for it.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.set_read_limit(limit);
        let closed = match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !is_timeout(&error),
        };
        self.set_read_limit(LIMIT);
        closed
    }

    fn set_read_limit(&self, limit: Duration) {
        let socket = match &self.stream {
            Stream::Tls(stream) => &stream.sock,
            Stream::Plain(socket) => socket,
        };
        // A socket that is gone shows at the read.
        drop(socket.set_read_timeout(Some(limit)));
    }

    fn take_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self
                .buffered
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                return Ok(self.buffered.drain(..at + 4).collect());
            }
            self.fill()?;
        }
    }

    fn take_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let chunked = response
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            return self.take_chunks();
        }
        if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            return self.take(length);
        }
        // Without a length the body ends with the connection.
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffered));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if length == 0 {
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(length)?);
            self.take_line()?;
        }
    }

    fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self
                .buffered
                .windows(2)
                .position(|window| window == b"\r\n")
            {
                let line: Vec<u8> = self.buffered.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffered.len() < length {
            self.fill()?;
        }
        Ok(self.buffered.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffered.extend(&chunk[..read]);
                Ok(())
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.read(buffer),
            Self::Plain(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.write(bytes),
            Self::Plain(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Plain(stream) => stream.flush(),
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    Ok(socket)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Vec<(String, String)>)> {
    let bad = || {
        io::Error::other(format!(
            "no HTTP/1.1 head: {:?}",
            String::from_utf8_lossy(head)
        ))
    };
    let text = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| {
            line.strip_prefix("HTTP/1.1 ")
                .or_else(|| line.strip_prefix("HTTP/1.0 "))
        })
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(bad)?;
    let headers = lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<io::Result<_>>()?;
    Ok((status, headers))
}

/// How long one connect, read or write may take.
pub const LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// A connection to a server that writes `bytes` and closes.
    fn answering(bytes: &'static [u8]) -> Connection {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(bytes));
        Connection::plain(address).unwrap()
    }

    #[test]
    fn bodies_end_by_length_by_chunks_and_by_the_end_of_the_connection() {
        let mut connection = answering(
            b"HTTP/1.1 100 Continue\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc\
              HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n\
              HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\n\r\nto the end",
        );
        let first = connection.receive().unwrap();
        assert_eq!((first.status, &first.body[..]), (200, &b"abc"[..]));
        assert_eq!(first.header("x-a"), Some("b"));
        let second = connection.receive().unwrap();
        assert_eq!((second.status, &second.body[..]), (404, &b"def"[..]));
        let third = connection.receive().unwrap();
        assert_eq!((third.status, &third.body[..]), (405, &b"to the end"[..]));
        assert!(connection.is_closed_within(LIMIT));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        let cut = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").receive();
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let mut connection = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(connection.receive_answer_to("HEAD").unwrap().body, b"");
    }
}
