//! The HTTP client of `kms-sim ctl`: one request, one answer, errors that say what to do next.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What to ask of the control API.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below `/control/v1`, with its query.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Call {
    /// Reads.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// Changes.
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::POST, path, Some(body))
    }

    /// Changes what exists.
    pub(crate) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PATCH, path, Some(body))
    }

    /// Replaces.
    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PUT, path, Some(body))
    }

    /// Removes.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    fn new(method: Method, path: impl Into<String>, body: Option<Value>) -> Self {
        Self {
            method,
            path: path.into(),
            body,
        }
    }
}

/// A JSON object of the members that are there.
pub(crate) fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A segment of a path, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The query of a path, of the parameters that are there.
pub(crate) fn query<const N: usize>(parameters: [(&str, Option<String>); N]) -> String {
    let given = parameters.into_iter();
    let given = given.filter_map(|(name, value)| Some(format!("{name}={}", segment(&value?))));
    match given.collect::<Vec<_>>().join("&") {
        none if none.is_empty() => none,
        pairs => format!("?{pairs}"),
    }
}

/// Where the control API is: `http://host:port`.
#[derive(Clone, Debug)]
pub(crate) struct ControlUrl(Authority);

impl FromStr for ControlUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = "expected http://HOST:PORT, for example http://127.0.0.1:4600";
        // A bare address, as `serve --control` takes it, is as good.
        let text = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = text.parse().map_err(|_| invalid)?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        match uri.authority() {
            Some(authority) if plain && authority.port_u16().is_some() => {
                Ok(Self(authority.clone()))
            }
            _ => Err(invalid),
        }
    }
}

impl fmt::Display for ControlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "cannot reach the control API at {0}: {1}. Start the simulator with it, for example `kms-sim serve --control \
         127.0.0.1:4600`, or say where it is with --control or KMS_SIM_CONTROL."
    )]
    Unreachable(ControlUrl, std::io::Error),
    #[error("{0} does not answer; expected the control API of kms-sim there")]
    Silent(ControlUrl),
    #[error("no answer from {0}: {1}")]
    Http(ControlUrl, hyper::Error),
    #[error(
        "{0} answers, but it is no control API of kms-sim (HTTP {1}); the address that `serve --control` was given is \
         another one than --listen"
    )]
    NoControlApi(ControlUrl, StatusCode),
    #[error("{0}")]
    Refused(String),
}

/// Sends the call and reads the answer.
pub(crate) async fn send(url: &ControlUrl, call: Call) -> Result<Value, ClientError> {
    let connect = TcpStream::connect(url.0.as_str());
    let stream = timeout(CONNECT, connect)
        .await
        .map_err(|_| ClientError::Silent(url.clone()))?
        .map_err(|error| ClientError::Unreachable(url.clone(), error))?;
    let exchange = timeout(ANSWER, exchange(url, stream, call));
    let (status, body) = exchange
        .await
        .map_err(|_| ClientError::Silent(url.clone()))?
        .map_err(|error| ClientError::Http(url.clone(), error))?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    match answer {
        Some(answer) if status == StatusCode::OK => Ok(answer),
        Some(answer) if answer.get("Error").is_some() => {
            let message = answer.get("Message").and_then(Value::as_str);
            Err(ClientError::Refused(message.unwrap_or_default().to_owned()))
        }
        _ => Err(ClientError::NoControlApi(url.clone(), status)),
    }
}

async fn exchange(
    url: &ControlUrl,
    stream: TcpStream,
    call: Call,
) -> Result<(StatusCode, Bytes), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    let body = call
        .body
        .map_or_else(Bytes::new, |body| body.to_string().into());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = call.method;
    let path = format!("/control/v1{}", call.path);
    if let Ok(path) = path.parse() {
        *request.uri_mut() = path;
    }
    let headers = request.headers_mut();
    if let Ok(host) = url.0.as_str().parse() {
        headers.insert(HOST, host);
    }
    headers.insert(CONTENT_TYPE, JSON);
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

const JSON: http::HeaderValue = http::HeaderValue::from_static("application/json");
const CONNECT: Duration = Duration::from_secs(5);
/// A restore of a large state takes its time.
const ANSWER: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_url_is_plain_http_with_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:4600", Some("http://127.0.0.1:4600")),
            ("http://localhost:4600/", Some("http://localhost:4600")),
            ("127.0.0.1:4600", Some("http://127.0.0.1:4600")),
            ("[::1]:4600", Some("http://[::1]:4600")),
            ("https://127.0.0.1:4600", None),
            ("http://127.0.0.1", None),
            ("http://127.0.0.1:4600/x", None),
            ("", None),
        ] {
            let found = text.parse::<ControlUrl>().ok().map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
