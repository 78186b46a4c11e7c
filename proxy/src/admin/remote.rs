//! The command line's side of the admin listener.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use super::client::Client;

/// Where an admin listener is, and whose certificates it may show.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `HOST:PORT`
    pub server: String,
    /// Roots, in PEM.
    pub ca_file: PathBuf,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("the admin listener {server}: {cause}")]
pub struct RemoteError {
    server: String,
    cause: String,
}

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn connect(&self) -> Result<Client, RemoteError> {
        self.try_connect().map_err(|cause| RemoteError {
            server: self.server.clone(),
            cause,
        })
    }

    fn try_connect(&self) -> Result<Client, String> {
        let (host, _) = self
            .server
            .rsplit_once(':')
            .ok_or("it is named as HOST:PORT")?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| format!("{host} is no host name"))?;
        let session = ClientConnection::new(Arc::new(config(&self.ca_file)?), name);
        let session = session.map_err(|e| e.to_string())?;
        let mut addresses = self.server.to_socket_addrs().map_err(|e| e.to_string())?;
        let address = addresses.next().ok_or("the name has no address")?;
        let stream = TcpStream::connect_timeout(&address, CONNECT);
        let stream = stream.map_err(|e| e.to_string())?;
        let stream = StreamOwned::new(session, timed(stream)?);
        Ok(Client::over(Box::new(stream)))
    }
}

fn timed(stream: TcpStream) -> Result<TcpStream, String> {
    let set = stream
        .set_read_timeout(Some(super::client::DEADLINE))
        .and_then(|()| stream.set_write_timeout(Some(super::client::DEADLINE)));
    set.map(|()| stream).map_err(|e| e.to_string())
}

fn config(ca_file: &Path) -> Result<ClientConfig, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", ca_file.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_file).map_err(|e| wrong(&e))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| wrong(&e))?;
        roots.add(certificate).map_err(|e| wrong(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

const CONNECT: Duration = Duration::from_secs(10);
