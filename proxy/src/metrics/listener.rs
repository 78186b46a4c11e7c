//! `GET /metrics` over plain HTTP, on a port of its own: for a Prometheus on the same network, never for the Internet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::exposition;
use super::scrape;
use crate::reload::Reloader;

/// Answers scrapes. Ends, with its connections, when it is dropped.
pub(crate) async fn serve(listener: TcpListener, reloader: Arc<Reloader>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the metrics listener accepts no connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let reloader = Arc::clone(&reloader);
        connections.spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| answer(request, Arc::clone(&reloader)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE_TIME)
                .serve_connection(TokioIo::new(stream), service);
            // What a scrape needs is there at once; a connection that is kept is opened again.
            if let Ok(Err(error)) = timeout(CONNECTION_TIME, connection).await {
                tracing::debug!(%error, "a connection for metrics ended");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    reloader: Arc<Reloader>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return Ok(response);
    }
    // A reload may be reading files meanwhile.
    match tokio::task::spawn_blocking(move || scrape(&reloader)).await {
        Ok(text) => {
            *response.body_mut() = Full::from(text);
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}

const MAX_CONNECTIONS: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(30);
const CONNECTION_TIME: Duration = Duration::from_secs(600);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
