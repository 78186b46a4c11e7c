//! One connection to the stub: its handshake, then request and answer in turn, over a blocking socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::answer::{Answer, Handshake, Seen};
use super::{SECRET_ERROR_MESSAGE, Shared};

/// Leads a connection to its end.
pub(super) fn converse(shared: &Shared, stream: TcpStream, handshake: Handshake) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut counted = Counted { stream, shared };
    let config = match handshake {
        Handshake::Hangup => return counted.stream.shutdown(Shutdown::Both),
        Handshake::Silence => return io::copy(&mut counted, &mut io::sink()).map(drop),
        Handshake::PlainHttp => {
            return say(
                &mut counted,
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            );
        }
        // A fatal alert of TLS 1.0: protocol_version.
        Handshake::OldVersion => return say(&mut counted, &[21, 3, 1, 0, 2, 2, 70]),
        tls => {
            let found = shared.configs.iter().find(|(known, _)| *known == tls);
            let (_, config) = found.ok_or_else(|| io::Error::other("no such handshake"))?;
            Arc::clone(config)
        }
    };
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(tls, counted));
    while let Some((method, seen, body)) = read_request(&mut reader)? {
        let (delay, answer) = shared.plan(&seen);
        thread::sleep(delay);
        let writer = reader.get_mut();
        let sound = || shared.sound.answer(&method, &seen, &body);
        let mut hang_up = false;
        let (status, body) = match answer {
            Answer::Hangup => break,
            Answer::Bytes(bytes) => {
                writer.write_all(bytes)?;
                break;
            }
            Answer::Error(status, name) => {
                let body = json!({"errorName": name, "errorMessage": SECRET_ERROR_MESSAGE});
                (status, body.to_string().into_bytes())
            }
            Answer::Body(status, body) => (status, body.into_bytes()),
            Answer::Sound => bytes(sound()),
            Answer::SoundThenHangup => {
                hang_up = true;
                bytes(sound())
            }
            Answer::Late(delay) => {
                thread::sleep(delay);
                bytes(sound())
            }
            Answer::Defect(defect) => {
                let (status, body) = bytes(sound());
                (status, defect.apply(&body))
            }
            Answer::Changed(change) => {
                let (status, body) = sound();
                let mut body: Value = serde_json::from_str(&body)?;
                change(&mut body);
                (status, body.to_string().into_bytes())
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all(&[head.as_bytes(), &body].concat())?;
        writer.flush()?;
        if hang_up {
            break;
        }
    }
    let stream = reader.get_mut();
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.stream.shutdown(Shutdown::Both)
}

fn bytes((status, body): (u16, String)) -> (u16, Vec<u8>) {
    (status, body.into_bytes())
}

/// Waits for the client to begin, says something, and listens on.
fn say(stream: &mut Counted<'_>, bytes: &[u8]) -> io::Result<()> {
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)?;
    stream.write_all(bytes)?;
    io::copy(stream, &mut io::sink()).map(drop)
}

/// Method, request and exact body; `None` at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Seen, Vec<u8>)>> {
    let mut head = reader.take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        head.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let length = length.and_then(|n| n.parse().ok()).unwrap_or(0);
    if length > MAX_BODY {
        return Err(io::Error::other("a body longer than any request's"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let seen = Seen {
        path: words.next().unwrap_or_default().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Ok(Some((method, seen, body)))
}

/// A socket that counts what comes in.
struct Counted<'s> {
    stream: TcpStream,
    shared: &'s Shared,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.shared.lock().bytes += u64::try_from(n).unwrap_or(u64::MAX);
        Ok(n)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection on which nothing happens for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
