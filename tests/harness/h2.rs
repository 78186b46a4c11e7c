//! HTTP/2 over TLS through hyper, behind blocking calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::https::{LIMIT, Response};

/// One HTTP/2 connection, on a runtime of its own.
pub struct H2Connection {
    runtime: Runtime,
    sender: http2::SendRequest<Full<Bytes>>,
}

impl H2Connection {
    /// Connects; `config` must offer `h2` by ALPN and the server must take it.
    pub fn open(address: SocketAddr, host: &str, config: Arc<ClientConfig>) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a tokio runtime");
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        let sender = runtime.block_on(async {
            let socket = timeout(LIMIT, TcpStream::connect(address))
                .await
                .expect("a TCP connection in time")
                .unwrap_or_else(|error| panic!("{address}: {error}"));
            let connector = tokio_rustls::TlsConnector::from(config);
            let stream = timeout(LIMIT, connector.connect(name, socket))
                .await
                .expect("a TLS handshake in time")
                .unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("an HTTP/2 connection");
            // Ends with the sender or the server; its error shows at the request.
            tokio::spawn(async move { drop(connection.await) });
            sender
        });
        Self { runtime, sender }
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// What hyper says when the stream or the connection ends instead.
    pub fn exchange(&mut self, request: http::Request<Bytes>) -> Result<Response, hyper::Error> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let exchange = async {
                sender.ready().await?;
                let answer = sender.send_request(request.map(Full::new)).await?;
                let (head, body) = answer.into_parts();
                let body = body.collect().await?.to_bytes().to_vec();
                let headers = head
                    .headers
                    .iter()
                    .map(|(name, value)| {
                        (
                            name.to_string(),
                            String::from_utf8_lossy(value.as_bytes()).into_owned(),
                        )
                    })
                    .collect();
                Ok(Response {
                    status: head.status.as_u16(),
                    headers,
                    body,
                })
            };
            timeout(LIMIT, exchange)
                .await
                .expect("an HTTP/2 answer in time")
        })
    }

    /// Whether the connection has ended, by GOAWAY or without a word, waiting at most `limit` for it.
    pub fn is_closed_within(&self, limit: Duration) -> bool {
        let closed = async {
            while !self.sender.is_closed() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        self.runtime
            .block_on(async { timeout(limit, closed).await.is_ok() })
    }
}
