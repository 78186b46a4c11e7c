//! What is dialled in place of a proxy: on loopback, and for real.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{ConnectFault, TcpFault, TlsFault};

/// Something that is no proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Impostor {
    ClosedPort,
    BlackHole,
    NoAddress,
    /// Accepts, reads, and says nothing.
    Silence,
    /// Says this when the client has begun, and closes.
    Says(&'static [u8]),
}

impl ConnectFault {
    /// Who stands in for the proxy; `None` if the proxy itself is dialled.
    pub(crate) const fn impostor(self) -> Option<Impostor> {
        match self {
            Self::Tcp(TcpFault::Refused) => Some(Impostor::ClosedPort),
            Self::Tcp(TcpFault::BlackHole) => Some(Impostor::BlackHole),
            Self::Tcp(TcpFault::NoAddress) => Some(Impostor::NoAddress),
            Self::Tcp(TcpFault::Silent) => Some(Impostor::Silence),
            Self::Tls(fault) => match fault {
                TlsFault::UntrustedAuthority
                | TlsFault::Expired
                | TlsFault::NotYetValid
                | TlsFault::OtherName => None,
                TlsFault::OldVersion => Some(Impostor::Says(PROTOCOL_VERSION)),
                TlsFault::NoCommonSuite => Some(Impostor::Says(HANDSHAKE_FAILURE)),
                TlsFault::ClientCertificate => Some(Impostor::Says(BAD_CERTIFICATE)),
                TlsFault::PlainHttp => Some(Impostor::Says(PLAIN_HTTP)),
                TlsFault::Closed => Some(Impostor::Says(b"")),
            },
        }
    }
}

impl Impostor {
    /// Dials it.
    ///
    /// # Errors
    /// As dialling the real thing.
    pub(crate) async fn connect(self) -> io::Result<TcpStream> {
        match self {
            Self::ClosedPort => {
                // A port that is taken and on which nobody listens: it cannot become anyone else's meanwhile.
                let taken = TcpSocket::new_v4()?;
                taken.bind(LOOPBACK)?;
                TcpStream::connect(taken.local_addr()?).await
            }
            Self::BlackHole => pending().await,
            Self::NoAddress => {
                let kind = io::ErrorKind::NotFound;
                Err(io::Error::new(kind, "the host has no address"))
            }
            Self::Silence => serve(None).await,
            Self::Says(bytes) => serve(Some(bytes)).await,
        }
    }
}

/// A connection to a server that serves it alone.
async fn serve(answer: Option<&'static [u8]>) -> io::Result<TcpStream> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let address = listener.local_addr()?;
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (server, _) = accepted?;
    tokio::spawn(async move {
        // Whatever ends the connection ends this.
        let _ = timeout(LIMIT, converse(server, answer)).await;
    });
    client
}

async fn converse(mut stream: TcpStream, answer: Option<&'static [u8]>) -> io::Result<()> {
    let mut hello = [0; 1024];
    stream.read_exact(hello.split_at_mut(5).0).await?;
    if let Some(answer) = answer {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
    }
    while stream.read(&mut hello).await? > 0 {}
    Ok(())
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// No attempt lasts as long.
const LIMIT: Duration = Duration::from_secs(60);

// Fatal alerts (RFC 8446 §6): type 21, version, length 2, level 2, description.
const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
const BAD_CERTIFICATE: &[u8] = &[21, 3, 3, 0, 2, 2, 42];
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
