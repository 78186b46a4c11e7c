//! One connection to the stub: its handshake, then request and answer in turn, over a blocking socket.

use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::answer::{Answer, Call, Handshake, Reply, Seen};
use super::request::{self, Read};
use super::{SECRET_ERROR_MESSAGE, Shared};

/// Leads a connection to its end.
pub(super) fn converse(shared: &Shared, stream: TcpStream, handshake: Handshake) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let _alone = (handshake == Handshake::OneAtATime)
        .then(|| shared.alone.lock().unwrap_or_else(PoisonError::into_inner));
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
        Handshake::AgreesToTls11 => return say(&mut counted, &OLD_SERVER_HELLO),
        Handshake::WithoutTls => {
            let mut reader = BufReader::new(counted);
            return serve(shared, handshake, &mut reader, |reader| reader.get_mut());
        }
        tls => {
            let found = shared.configs.iter().find(|(known, _)| *known == tls);
            let (_, config) = found.ok_or_else(|| io::Error::other("no such handshake"))?;
            Arc::clone(config)
        }
    };
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut counted)?;
    }
    if !welcomes(&tls, handshake) {
        tls.send_close_notify();
        tls.complete_io(&mut counted)?;
        return counted.stream.shutdown(Shutdown::Both);
    }
    if handshake == Handshake::Impatient {
        counted.stream.set_read_timeout(Some(IMPATIENT))?;
    }
    let mut reader = BufReader::new(StreamOwned::new(tls, counted));
    serve(shared, handshake, &mut reader, |reader| reader.get_mut())?;
    let stream = reader.get_mut();
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.stream.shutdown(Shutdown::Both)
}

/// What the library does not check: the subject of a client, and that it agreed on a protocol.
fn welcomes(tls: &ServerConnection, handshake: Handshake) -> bool {
    match handshake {
        Handshake::InsistsOnAlpn => tls.alpn_protocol().is_some(),
        Handshake::ClientCertificate => {
            let leaf = tls.peer_certificates().and_then(<[_]>::first);
            let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
            parsed.is_some_and(|(_, certificate)| {
                let mut names = certificate.subject().iter_common_name();
                names.any(|name| name.as_str().is_ok_and(|name| name.starts_with("cks.kms.")))
            })
        }
        _ => true,
    }
}

/// Request and answer in turn, until one of the two sides ends it.
fn serve<S: BufRead>(
    shared: &Shared,
    handshake: Handshake,
    stream: &mut S,
    writer: fn(&mut S) -> &mut dyn Write,
) -> io::Result<()> {
    loop {
        let request = match request::read(stream, writer)? {
            Read::Request(request) => request,
            Read::End => return Ok(()),
            Read::Refused(status) => {
                let refused = Reply {
                    status: match handshake {
                        Handshake::Fragile => 500,
                        _ => status,
                    },
                    headers: vec![("connection".to_owned(), "close".to_owned())],
                    body: Vec::new(),
                };
                return write(writer(stream), &refused);
            }
        };
        let seen = Seen {
            path: request.target.clone(),
            headers: request.headers.iter().cloned().collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        };
        let (delay, answer) = shared.plan(&seen);
        thread::sleep(delay);
        let sound = || shared.sound.answer(&request);
        let mut hang_up = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let reply = match answer {
            Answer::Hangup => return Ok(()),
            Answer::Bytes(bytes) => return writer(stream).write_all(bytes),
            Answer::Error(status, name) => {
                let body = json!({"errorName": name, "errorMessage": SECRET_ERROR_MESSAGE});
                Reply::json(status, body.to_string())
            }
            Answer::Body(status, body) => Reply::json(status, body),
            Answer::Sound => sound(),
            Answer::SoundThenHangup => {
                hang_up = true;
                sound()
            }
            Answer::Late(delay) => {
                thread::sleep(delay);
                sound()
            }
            Answer::Defect(defect) => {
                let mut reply = sound();
                reply.body = defect.apply(&reply.body);
                reply
            }
            Answer::Changed(change) => {
                let mut reply = sound();
                let mut body: Value = serde_json::from_slice(&reply.body)?;
                change(&mut body);
                reply.body = body.to_string().into_bytes();
                reply
            }
            Answer::Broken(answer) => {
                let call = Call {
                    request: &request,
                    sound: &shared.sound,
                };
                match answer(&call) {
                    Some(reply) => reply,
                    None => return Ok(()),
                }
            }
        };
        write(writer(stream), &reply)?;
        let mut headers = reply.headers.iter();
        if let Some((_, value)) = headers.find(|(name, _)| name == "connection") {
            hang_up = value == "close";
        }
        if hang_up {
            return Ok(());
        }
    }
}

fn write(stream: &mut dyn Write, reply: &Reply) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
    stream.write_all(&[head.as_bytes(), &reply.body].concat())?;
    stream.flush()
}

/// Waits for the client to begin, says something, and listens on.
fn say(stream: &mut Counted<'_>, bytes: &[u8]) -> io::Result<()> {
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)?;
    stream.write_all(bytes)?;
    io::copy(stream, &mut io::sink()).map(drop)
}

/// A socket that counts what comes in.
struct Counted<'s> {
    stream: TcpStream,
    shared: &'s Shared,
}

impl io::Read for Counted<'_> {
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
/// As long as an impatient server waits.
const IMPATIENT: Duration = Duration::from_millis(20);
/// The beginning of a ServerHello of TLS 1.1.
const OLD_SERVER_HELLO: [u8; 11] = [22, 3, 2, 0, 6, 2, 0, 0, 2, 3, 2];
