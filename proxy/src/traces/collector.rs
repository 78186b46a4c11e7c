//! One POST to a collector, with a deadline. It comes once in a second at the most, so each has a connection of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

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
    /// If there is no answer, or one that is no success.
    pub(super) fn post(&self, json: &[u8]) -> io::Result<()> {
        let stream = self.connect()?;
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

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("its name has no address");
        for address in (&*self.endpoint.host, self.endpoint.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, LIMIT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(LIMIT))?;
                    stream.set_write_timeout(Some(LIMIT))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
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
    // `HTTP/1.1 200`; what follows is read by nobody.
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = start
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..));
    let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::other("it does not answer in HTTP/1.1"))
}

/// For each step.
const LIMIT: Duration = Duration::from_secs(2);
