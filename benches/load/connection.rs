//! One connection to the server, HTTP/1.1 or HTTP/2, and what can happen to a request on it.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::arguments::HttpVersion;
use crate::target::Target;

/// A connection that takes requests.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why there is no answer. The texts are what reports count.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Broken {
    Refused,
    Handshake,
    Closed,
}

impl Broken {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Refused => "no TCP connection",
            Self::Handshake => "TLS handshake failed",
            Self::Closed => "connection closed before the answer",
        }
    }
}

impl Connection {
    /// Dials, and shakes hands.
    ///
    /// # Errors
    /// What did not work.
    pub(crate) async fn open(target: &Target) -> Result<Self, Broken> {
        let socket = TcpStream::connect(target.address)
            .await
            .map_err(|_| Broken::Refused)?;
        socket.set_nodelay(true).map_err(|_| Broken::Refused)?;
        match &target.tls {
            Some((config, name)) => {
                let connecting =
                    TlsConnector::from(std::sync::Arc::clone(config)).connect(name.clone(), socket);
                let stream = connecting.await.map_err(|_| Broken::Handshake)?;
                Self::over(target.http, stream).await
            }
            None => Self::over(target.http, socket).await,
        }
    }

    async fn over<S>(version: HttpVersion, stream: S) -> Result<Self, Broken>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(stream);
        match version {
            HttpVersion::Http1 => {
                let (sender, connection) =
                    http1::handshake(io).await.map_err(|_| Broken::Closed)?;
                tokio::spawn(connection);
                Ok(Self::Http1(sender))
            }
            HttpVersion::Http2 => {
                let handshake = http2::handshake(TokioExecutor::new(), io).await;
                let (sender, connection) = handshake.map_err(|_| Broken::Closed)?;
                tokio::spawn(connection);
                Ok(Self::Http2(sender))
            }
        }
    }

    /// Another handle of the same connection, where it takes several requests at a time.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Broken> {
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|_| Broken::Closed)?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(|_| Broken::Closed)?;
                sender.send_request(request).await
            }
        };
        let answer = answer.map_err(|_| Broken::Closed)?;
        let status = answer.status();
        Ok((status, body(answer.into_body()).await?))
    }
}

async fn body(incoming: Incoming) -> Result<Bytes, Broken> {
    Ok(incoming
        .collect()
        .await
        .map_err(|_| Broken::Closed)?
        .to_bytes())
}
