//! One POST to a collector, with one deadline for all of it. It comes once in a second at the most, so each has a connection
//! of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Endpoint, Settings};

/// Where spans go.
pub(super) struct Collector {
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
}

impl Collector {
    /// # Errors
    /// For certificates that cannot be roots.
    pub(super) fn new(settings: &Settings) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in &settings.roots {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            tls: Arc::new(tls),
        })
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// If there is no answer until `end`, or one that is no success.
    pub(super) fn post(&self, json: &[u8], end: Instant) -> io::Result<()> {
        let stream = self.connect(end)?;
        let status = match &self.endpoint.tls {
            None => exchange(stream, &self.endpoint, json)?,
            Some(name) => {
                let connection = ClientConnection::new(Arc::clone(&self.tls), name.clone())
                    .map_err(io::Error::other)?;
                exchange(StreamOwned::new(connection, stream), &self.endpoint, json)?
            }
        };
        match status {
            200..300 => Ok(()),
            status => Err(io::Error::other(format!("it answers with status {status}"))),
        }
    }

    fn connect(&self, end: Instant) -> io::Result<Timed> {
        let mut last = io::Error::other("its name has no address");
        for address in (&*self.endpoint.host, self.endpoint.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(end)?) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Timed { stream, end });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A connection that ends at a time, however little it carries until then.
struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(buffer).map_err(in_time)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(in_time(io::ErrorKind::WouldBlock.into())),
        false => Ok(left),
    }
}

/// Says what the operating system means by this error.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")
        }
        _ => error,
    }
}

/// The status of the answer.
fn exchange(mut stream: impl Read + Write, to: &Endpoint, json: &[u8]) -> io::Result<u16> {
    let host = match to.host.contains(':') {
        true => format!("[{}]", to.host),
        false => to.host.clone(),
    };
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {host}:{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        to.path,
        to.port,
        json.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(json)?;
    stream.flush()?;
    // `HTTP/1.1 200`
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    // The rest changes nothing, but a peer whose answer is not read to its end sees a reset.
    let _ = io::copy(&mut stream.take(MAX_ANSWER_LEN), &mut io::sink());
    let status = start
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..));
    let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::other("it does not answer in HTTP/1.1"))
}

const MAX_ANSWER_LEN: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::num::NonZeroU64;
    use std::thread;

    use super::*;

    /// Posts to somebody who answers that way.
    fn post_to(
        time: Duration,
        answer: impl FnOnce(TcpStream) + Send + 'static,
    ) -> (io::Result<()>, thread::JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let peer = thread::spawn(move || answer(listener.accept().unwrap().0));
        let settings = Settings {
            endpoint: Endpoint::try_from(&*url).unwrap(),
            roots: Vec::new(),
            one_in: NonZeroU64::MIN,
            service_name: String::new(),
        };
        let collector = Collector::new(&settings).unwrap();
        (collector.post(b"{}", Instant::now() + time), peer)
    }

    #[test]
    fn one_that_drips_has_no_more_time_than_one_that_is_silent() {
        let (posted, peer) = post_to(Duration::from_millis(200), |mut stream| {
            // It would take a second and a half for the status.
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(125));
            }
        });
        assert_eq!(posted.unwrap_err().kind(), io::ErrorKind::TimedOut);
        peer.join().unwrap();
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let (posted, peer) = post_to(Duration::from_secs(60), |mut stream| {
            let body = [b' '; 32 << 10];
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // An error would be a reset.
            io::copy(&mut stream, &mut io::sink()).unwrap();
        });
        posted.unwrap();
        peer.join().unwrap();
    }
}
