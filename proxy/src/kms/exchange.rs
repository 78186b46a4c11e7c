//! One HTTP/1.1 request and its answer, with a deadline; connections are kept for the next one.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::http_proxy::HttpProxy;
use super::trust::{self, TrustError};

/// Where requests go: scheme, host, port, and what all paths begin with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Url {
    secure: bool,
    host: String,
    port: u16,
    /// With its slash at the start, without one at the end.
    pub(super) path: String,
}

/// Who may be spoken to without TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plain {
    /// This machine.
    Loopback,
    /// This machine, and the addresses at which AWS hands credentials to its own machines and containers.
    Metadata,
}

impl Url {
    /// # Errors
    /// [`InvalidUrl`].
    pub(super) fn parse(text: &str, plain: Plain) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl::NoUrl)?;
        let host = uri
            .host()
            .ok_or(InvalidUrl::NoUrl)?
            .trim_matches(['[', ']']);
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidUrl::Scheme),
        };
        if !secure && !may_be_plain(host, plain) {
            return Err(InvalidUrl::Plain);
        }
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(InvalidUrl::User);
        }
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// As in the `Host` header: with the port, unless it is the scheme's own.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn may_be_plain(host: &str, plain: Plain) -> bool {
    let metadata = || match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => METADATA.contains(&address),
        Ok(IpAddr::V6(address)) => matches!(
            address.segments(),
            // Of EC2 and of EKS.
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23]
        ),
        Err(_) => false,
    };
    is_loopback(host) || (plain == Plain::Metadata && metadata())
}

/// EC2, ECS, EKS.
const METADATA: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
];

/// Why text is no address of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum InvalidUrl {
    #[error("is no URL")]
    NoUrl,
    #[error("does not begin with https://")]
    Scheme,
    #[error("is plain HTTP to another machine: use https://")]
    Plain,
    #[error("has a user name in it")]
    User,
}

/// What a server answered; may hold a secret.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Connections of a command.
pub(super) struct Http {
    bundle: Option<PathBuf>,
    proxy: Option<HttpProxy>,
    tls: Mutex<Option<Arc<ClientConfig>>>,
    idle: Mutex<HashMap<Url, Vec<SendRequest<Full<Bytes>>>>>,
}

impl Http {
    /// Trusts this bundle of CAs, else that of the system; neither is read before it is needed. TLS goes through the
    /// HTTP proxy, if there is one.
    pub(super) fn new(bundle: Option<PathBuf>, proxy: Option<HttpProxy>) -> Self {
        Self {
            bundle,
            proxy,
            tls: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    /// Sends a request, whose target is a path, and reads the answer to its end.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub(super) async fn exchange(
        &self,
        url: &Url,
        mut request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, ExchangeError> {
        let host = HeaderValue::from_str(&url.authority());
        let host = host.map_err(|e| ExchangeError::NotSent(e.into()))?;
        request.headers_mut().insert(HOST, host);
        let exchange = async {
            // One of before may have been closed by the server meanwhile: then the request is not sent, and another is made.
            while let Some(mut sender) = self.take_idle(url) {
                match send(&mut sender, request.clone()).await {
                    Err(ExchangeError::NotSent(_)) => {}
                    Ok(answer) => {
                        self.give_back(url, sender);
                        return Ok(answer);
                    }
                    error => return error,
                }
            }
            let mut sender = self.dial(url).await?;
            let answer = send(&mut sender, request.clone()).await?;
            self.give_back(url, sender);
            Ok(answer)
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(ExchangeError::TooLate(limit)),
        }
    }

    async fn dial(&self, url: &Url) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
        let not_sent = |e: Cause| ExchangeError::NotSent(e);
        let proxy = self.proxy.as_ref().filter(|_| url.secure);
        let tcp = match proxy.filter(|proxy| proxy.is_for(&url.host, url.port)) {
            Some(proxy) => proxy.connect(&url.host, url.port).await.map_err(not_sent)?,
            None => {
                let tcp = TcpStream::connect((&*url.host, url.port)).await;
                tcp.map_err(|e| not_sent(e.into()))?
            }
        };
        tcp.set_nodelay(true).map_err(|e| not_sent(e.into()))?;
        if !url.secure {
            return speak_http(tcp).await.map_err(not_sent);
        }
        let name = ServerName::try_from(url.host.clone()).map_err(|e| not_sent(e.into()))?;
        let connector = TlsConnector::from(self.tls().map_err(ExchangeError::Trust)?);
        let stream = connector.connect(name, tcp).await;
        let stream = stream.map_err(|e| not_sent(e.into()))?;
        speak_http(stream).await.map_err(not_sent)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*tls {
            return Ok(Arc::clone(config));
        }
        let config = trust::client_config(self.bundle.as_deref())?;
        *tls = Some(Arc::clone(&config));
        Ok(config)
    }

    fn take_idle(&self, url: &Url) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.get_mut(url)?;
        loop {
            let sender = idle.pop()?;
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    fn give_back(&self, url: &Url, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(url.clone()).or_default().push(sender);
    }
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ExchangeError> {
    if let Err(error) = sender.ready().await {
        return Err(ExchangeError::NotSent(error.into()));
    }
    let answer = sender.try_send_request(request).await.map_err(|mut e| {
        let unsent = e.take_message().is_some();
        let error = e.into_error().into();
        match unsent {
            true => ExchangeError::NotSent(error),
            false => ExchangeError::Lost(error),
        }
    })?;
    let (parts, body) = answer.into_parts();
    let mut body = Limited::new(body, MAX_ANSWER);
    // Large enough for any answer with a secret, so that no copy of it stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ExchangeError::Lost)?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: bytes,
    })
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>, Cause> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender; whatever goes wrong is told to whoever waits for an answer.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// Nobody can be trusted.
    Trust(TrustError),
    /// There is no connection, or none that took the request.
    NotSent(Cause),
    /// The request was sent, and the connection broke before the end of the answer.
    Lost(Cause),
    /// There was no answer in this time.
    TooLate(Duration),
}

impl ExchangeError {
    /// Whether another attempt may do better.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Trust(_) => false,
            Self::NotSent(cause) => !is_of_tls(cause),
            Self::Lost(_) | Self::TooLate(_) => true,
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, cause) = match self {
            Self::Trust(error) => return error.fmt(f),
            Self::TooLate(limit) => return write!(f, "it did not answer within {limit:?}"),
            Self::NotSent(cause) => ("it cannot be reached", cause),
            Self::Lost(cause) => ("it broke the connection off", cause),
        };
        write!(f, "{what}: {cause}")?;
        let mut source = cause.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        match is_of_tls(cause) {
            true => f.write_str(" (AWS_CA_BUNDLE names other CAs than those of the system)"),
            false => Ok(()),
        }
    }
}

impl Error for ExchangeError {}

/// Whether the server showed a certificate, or spoke something, that is not taken.
fn is_of_tls(cause: &Cause) -> bool {
    let error = cause.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData)
}

const FIRST_CAPACITY: usize = 32 * 1024;
/// A page of 1,000 keys has some 150 KiB.
const MAX_ANSWER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_are_spoken_to_without_tls() {
        let parse = |text: &str, plain| Url::parse(text, plain).map(|url| url.to_string());
        for (text, expected) in [
            ("http://127.0.0.1:4599/", "http://127.0.0.1:4599"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:1/a/", "http://[::1]:1/a"),
            ("https://KMS.example:443/x", "https://kms.example/x"),
        ] {
            assert_eq!(parse(text, Plain::Loopback).unwrap(), expected);
        }
        for (text, expected) in [
            ("http://kms.example", InvalidUrl::Plain),
            ("http://169.254.169.254", InvalidUrl::Plain),
            ("http://localhost.example", InvalidUrl::Plain),
            ("ftp://127.0.0.1", InvalidUrl::Scheme),
            ("kms.example", InvalidUrl::Scheme),
            ("https://a:b@kms.example", InvalidUrl::User),
            ("", InvalidUrl::NoUrl),
        ] {
            assert_eq!(parse(text, Plain::Loopback), Err(expected), "{text}");
        }
        for text in [
            "http://169.254.170.2/v2",
            "http://169.254.170.23/v1",
            "http://[fd00:ec2::23]/v1",
        ] {
            assert!(parse(text, Plain::Metadata).is_ok(), "{text}");
        }
        assert_eq!(
            parse("http://169.254.1.1", Plain::Metadata),
            Err(InvalidUrl::Plain)
        );
    }
}
