//! The admin listener for browsers: the status page, to whoever shows the token of a named administrator. Read-only.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use xks_page::{Asset, Fields, SECURITY_POLICY};
use zeroize::Zeroizing;

use super::protocol::Refusal;
use super::socket::Server;
use crate::audit::{AdminEvent, AuditLog};
use crate::control;
use crate::status::{Page, Pages, Wanted};

/// What answers browsers.
pub(super) struct Website {
    server: Arc<dyn Server>,
    process: String,
    /// Who has looked, and since when that is on record.
    looked: Mutex<HashMap<String, Instant>>,
}

/// What a request is about.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Website {
    pub(super) fn new(server: Arc<dyn Server>) -> Self {
        let mut random = [0; 8];
        // Without random bytes, pages of two processes are not told apart.
        let _ = SystemRandom::new().fill(&mut random);
        Self {
            server,
            process: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            looked: Mutex::default(),
        }
    }

    /// Answers one request. No connection is kept: they are few, and administrators with a command need one.
    pub(super) async fn converse(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) {
        let service = service_fn(move |request| Arc::clone(&self).service(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD_LEN)
            .serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = timeout(CONNECTION_TIME, connection).await {
            tracing::debug!(%error, "a browser's connection ended");
        }
    }

    async fn service(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        // No request that is answered has a body.
        let (head, _) = request.into_parts();
        let asked = Asked {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
        };
        // A reload may be reading files meanwhile, and the disk of the audit log is waited for.
        let answered = tokio::task::spawn_blocking(move || self.answer(&asked)).await;
        let mut response = answered.unwrap_or_else(|_| {
            let text = "The status could not be read: the proxy's log says why.";
            plain(StatusCode::INTERNAL_SERVER_ERROR, text)
        });
        protect(response.headers_mut());
        Ok(response)
    }

    fn answer(&self, asked: &Asked) -> Response<Full<Bytes>> {
        let Some(admin) = self.authenticate(&asked.headers) else {
            let text = "Log in with the name of an admin, and the token that `xks-proxy admin create` printed as the \
                        password.\n";
            let mut response = plain(StatusCode::UNAUTHORIZED, text);
            let challenge = HeaderValue::from_static(CHALLENGE);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return response;
        };
        let pages = Pages {
            process: &self.process,
            admin: &admin,
        };
        let refused = |status, text| html(status, pages.refusal(text));
        let path = asked.uri.path();
        let (page, asset) = (Page::find(path), Page::asset(path));
        if page.is_none() && asset.is_none() && !matches!(path, "/" | JSON) {
            return refused(StatusCode::NOT_FOUND, "There is nothing here.");
        }
        if !matches!(asked.method, Method::GET | Method::HEAD) {
            let text = "This is read-only: it is changed by the commands of xks-proxy.";
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, text);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        if let Some(Asset {
            content_type,
            content,
        }) = asset
        {
            let content = Bytes::from_static(content.as_bytes());
            return respond(StatusCode::OK, content_type, content);
        }
        if path == "/" {
            let mut response = plain(StatusCode::SEE_OTHER, "");
            let status = HeaderValue::from_static("/status");
            response.headers_mut().insert(LOCATION, status);
            return response;
        }
        let query = Fields::read(asked.uri.query().unwrap_or_default());
        let wanted = match (Wanted::asked(&query), page) {
            (Ok(wanted), _) => wanted,
            (Err(unknown), Some(_)) => {
                return refused(StatusCode::BAD_REQUEST, &unknown.to_string());
            }
            (Err(unknown), None) => {
                let text = format!("{}\n", serde_json::json!({ "error": unknown.to_string() }));
                return respond(StatusCode::BAD_REQUEST, "application/json", text.into());
            }
        };
        if let Err(refusal) = self.record(&admin) {
            return refused(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string());
        }
        let status = self.server.status(&wanted);
        match page {
            None => {
                let mut text = serde_json::to_string_pretty(&status).unwrap_or_default();
                text.push('\n');
                respond(StatusCode::OK, "application/json", text.into())
            }
            Some(page) => match pages.render(page, &status, &query) {
                Some(text) => html(StatusCode::OK, text),
                None => refused(
                    StatusCode::NOT_FOUND,
                    "There is no such external key store.",
                ),
            },
        }
    }

    /// The admin whose token it is: `Basic` with the admin's name, as browsers send it, or `Bearer`.
    fn authenticate(&self, headers: &HeaderMap) -> Option<String> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (all.next(), all.next()) else {
            return None;
        };
        let admin = self.admin_of(given.to_str().ok()?);
        if admin.is_none() {
            tracing::warn!("the status was asked for without the token of an admin");
        }
        admin
    }

    fn admin_of(&self, given: &str) -> Option<String> {
        let (scheme, given) = given.split_once(' ')?;
        let of_token = |token: &str| control::authenticate(&self.server.scopes(), token);
        if scheme.eq_ignore_ascii_case("bearer") {
            return of_token(given.trim());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(given.trim()).ok().map(Zeroizing::new)?;
        let (name, token) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        of_token(token).filter(|admin| admin == name)
    }

    /// Has it on record who looks: at first, and then once an hour, however often a page is loaded.
    fn record(&self, admin: &str) -> Result<(), Refusal> {
        let is_fresh = |since: &Instant| since.elapsed() < RECORD_AGAIN;
        let looked = || self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked().get(admin).is_some_and(is_fresh) {
            return Ok(());
        }
        let event = AdminEvent::requested(admin, "status", "");
        AuditLog::administer(self.server.audit(), event, || Ok::<_, Refusal>(()))?;
        tracing::info!(command = "status", who = admin, "administered");
        let mut looked = looked();
        looked.retain(|_, since| is_fresh(since));
        looked.insert(admin.to_owned(), Instant::now());
        Ok(())
    }
}

/// Whether what begins with this byte is HTTP: methods are in capitals, commands are JSON.
pub(super) const fn is_http(first: u8) -> bool {
    first.is_ascii_uppercase()
}

fn html(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/html; charset=utf-8", text.into())
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let text = Bytes::from_static(text.as_bytes());
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Nothing but the pages' own files is loaded, nobody frames them, and nothing is kept.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, SECURITY_POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

const JSON: &str = "/status.json";
const CHALLENGE: &str = "Basic realm=\"xks-proxy\", charset=\"UTF-8\"";
const HEAD_TIME: Duration = Duration::from_secs(10);
const CONNECTION_TIME: Duration = Duration::from_secs(30);
const MAX_HEAD_LEN: usize = 16 * 1024;
const RECORD_AGAIN: Duration = Duration::from_secs(60 * 60);
