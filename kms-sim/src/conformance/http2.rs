//! Requests over HTTP/2, through hyper; the rest of the suite writes its own bytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::answer::Answer;
use super::case::Finding;
use super::connection::dial;
use super::kit::Kit;
use super::tls_client::Offer;
use super::wire::Wire;

/// The answers to these requests, which all go over one connection at a time; skipped if the proxy does not offer HTTP/2.
pub(super) fn exchange(kit: &Kit<'_>, wires: &[Wire]) -> Result<Vec<Answer>, Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        match timeout(kit.target.patience, exchange_all(kit, wires)).await {
            Ok(result) => result,
            Err(_) => Err(Finding::failed("no answer over HTTP/2 in time")),
        }
    })
}

async fn exchange_all(kit: &Kit<'_>, wires: &[Wire]) -> Result<Vec<Answer>, Finding> {
    let target = kit.target;
    let offer = Offer {
        protocol: "h2",
        ..Offer::of_kms(target)
    };
    let config = offer.config(target).map_err(failed)?;
    let socket = dial(target).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let socket = TcpStream::from_std(socket).map_err(failed)?;
    let name = ServerName::try_from(target.host.clone()).map_err(failed)?;
    let connector = TlsConnector::from(Arc::clone(&config));
    let not_offered = || Finding::Skipped("the proxy does not offer HTTP/2".to_owned());
    // A server that knows none of the protocols may refuse the handshake.
    let stream = connector.connect(name, socket).await;
    let stream = stream.map_err(|_| not_offered())?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(not_offered());
    }
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(failed)?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    let mut streams = Vec::new();
    for wire in wires {
        let request = request(&target.authority(), wire)?;
        let mut sender = sender.clone();
        streams.push(tokio::spawn(async move {
            let start = Instant::now();
            sender.ready().await?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            let text =
                |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = head.headers.iter();
            Ok::<_, hyper::Error>(Answer {
                status: head.status.as_u16(),
                headers: headers
                    .map(|(name, value)| (name.to_string(), text(value)))
                    .collect(),
                body,
                elapsed: start.elapsed(),
            })
        }));
    }
    let mut answers = Vec::new();
    for stream in streams {
        answers.push(stream.await.map_err(failed)?.map_err(failed)?);
    }
    driver.abort();
    Ok(answers)
}

/// With `:authority` for `Host`.
fn request(authority: &str, wire: &Wire) -> Result<http::Request<Full<Bytes>>, Finding> {
    let uri = format!("https://{authority}{}", wire.target);
    let mut builder = http::Request::builder().method(&*wire.method).uri(uri);
    for (name, value) in &wire.headers {
        if !name.eq_ignore_ascii_case("host") {
            builder = builder.header(name.to_ascii_lowercase(), value);
        }
    }
    let body = Full::new(Bytes::from(wire.body.clone()));
    builder.body(body).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Finding {
    Finding::failed(format!("no exchange over HTTP/2: {error}"))
}
