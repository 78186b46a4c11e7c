//! Syslog: each line is the message of a header of RFC 5424.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::{Receiver, SEND_TIMEOUT, Transport};

pub(super) fn connect(transport: &Transport) -> io::Result<Box<dyn Receiver>> {
    Ok(match transport {
        Transport::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            match socket.connect(path) {
                Ok(()) => {
                    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                    Box::new(Datagrams(move |message: &[u8]| socket.send(message)))
                }
                // It listens for streams.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
                    let stream = UnixStream::connect(path)?;
                    stream.set_write_timeout(Some(SEND_TIMEOUT))?;
                    Box::new(Counted(stream))
                }
                Err(error) => return Err(error),
            }
        }
        Transport::Udp(address) => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Box::new(Datagrams(move |message: &[u8]| socket.send(message)))
        }
        Transport::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, SEND_TIMEOUT)?;
            stream.set_write_timeout(Some(SEND_TIMEOUT))?;
            Box::new(Counted(stream))
        }
    })
}

/// A datagram for each message.
struct Datagrams<S>(S);

impl<S: FnMut(&[u8]) -> io::Result<usize> + Send> Receiver for Datagrams<S> {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        for message in messages(lines) {
            (self.0)(&message)?;
        }
        Ok(())
    }
}

/// A stream in which each message has its length before it.
struct Counted<S>(S);

impl<S: io::Write + Send> Receiver for Counted<S> {
    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut framed = Vec::with_capacity(2 * lines.len());
        for message in messages(lines) {
            write!(framed, "{} ", message.len())?;
            framed.extend_from_slice(&message);
        }
        self.0.write_all(&framed)?;
        self.0.flush()
    }
}

fn messages(lines: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().into_owned();
    let lines = lines.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines.map(move |line| {
        let host = if host.is_empty() { "-" } else { host.as_str() };
        let (time, process) = (time(line), std::process::id());
        let mut message = format!("<{PRIORITY}>1 {time} {host} xks-proxy {process} audit - ");
        message.push_str(&String::from_utf8_lossy(line));
        message.into_bytes()
    })
}

/// The line's own time, which is in the form that the header has.
fn time(line: &[u8]) -> &str {
    let name = b"\"time\":\"";
    let at = line.windows(name.len()).position(|part| part == name);
    let text = at.and_then(|at| line.get(at + name.len()..));
    let text = text.and_then(|text| text.split(|&b| b == b'"').next());
    text.and_then(|text| str::from_utf8(text).ok())
        .unwrap_or("-")
}

/// Facility 13, "log audit"; severity 5, "notice".
const PRIORITY: u8 = 13 * 8 + 5;
