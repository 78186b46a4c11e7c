//! The console: pages for people at the port of the control API, rendered here, with one small script that keeps them
//! up to date.
//!
//! Pages are made of what the control API reads; forms do what `kms-sim ctl` and the KMS API do, through the same
//! functions. `kms-sim/docs/console.md` describes it. Nothing is loaded from elsewhere and nothing secret is shown.

mod actions;
mod assets;
mod badge;
mod confirmation;
mod disconnect_page;
mod events_page;
mod explain;
mod figures;
mod form;
mod infrastructure;
mod key_page;
mod key_search;
mod keys_page;
mod layout;
mod overview;
mod presets;
mod store_page;
mod stores;
mod switchboard;
mod switches;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use ring::digest::{SHA256, digest};
use xks_page::{Asset, Fields, SECURITY_POLICY, html};

use crate::api::KmsError;
use crate::control::{ControlError, collect, decode, known_host, same_origin};
use crate::simulator::Simulator;
use crate::visibility::Home;
use actions::Done;
use form::{Token, hex};
use layout::{Page, Place};

/// What all pages of a process have in common.
pub(crate) struct Console {
    token: Token,
}

impl Console {
    /// With a token of its own.
    ///
    /// # Errors
    /// No random bytes.
    pub(crate) fn new() -> Result<Self, KmsError> {
        Ok(Self {
            token: Token::random()?,
        })
    }
}

/// Whether a request is for the console.
pub(crate) fn has(method: &Method, path: &str) -> bool {
    path == "/console" || path.starts_with(ROOT) || (path == "/" && reads(method))
}

/// HEAD is GET without the body of the answer (RFC 9110, 9.3.2).
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

enum Answer {
    Page(Page),
    Asset(Asset),
    /// After a form, or to where the console begins.
    SeeOther(String),
}

/// Answers one request.
pub(crate) async fn answer(
    simulator: &Arc<Simulator>,
    console: &Console,
    head: Parts,
    body: Incoming,
) -> Response<Full<Bytes>> {
    let query = Fields::read(head.uri.query().unwrap_or_default());
    let answer = route(simulator, console, &head, &query, body).await;
    if !reads(&head.method) {
        tracing::info!(
            path = head.uri.path(),
            error = answer.as_ref().err().map(ControlError::message),
            "console request"
        );
    }
    let mut response = match answer {
        Ok(Answer::Page(page)) => {
            let text = page.render(console, query.get("done"));
            unless_known(&head.headers, HTML, text.into())
        }
        Ok(Answer::Asset(asset)) => {
            let bytes = Bytes::from_static(asset.content.as_bytes());
            unless_known(&head.headers, asset.content_type, bytes)
        }
        Ok(Answer::SeeOther(to)) => {
            let mut response = response(StatusCode::SEE_OTHER, HTML, Bytes::new());
            if let Ok(to) = HeaderValue::try_from(to) {
                response.headers_mut().insert(LOCATION, to);
            }
            response
        }
        Err(error) => refusal(console, &error),
    };
    protect(response.headers_mut());
    match head.method {
        Method::HEAD => without_body(response),
        _ => response,
    }
}

/// What HEAD gets: it says how long the body is, and has none.
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Full::default())
}

async fn route(
    simulator: &Arc<Simulator>,
    console: &Console,
    head: &Parts,
    query: &Fields,
    body: Incoming,
) -> Result<Answer, ControlError> {
    known_host(&head.headers, &simulator.config().control_hosts)?;
    if !is_visit(head) {
        same_origin(&head.headers)?;
    }
    let path = head.uri.path();
    if let Some(asset) = assets::find(path) {
        return Ok(Answer::Asset(asset));
    }
    let Some(rest) = path.strip_prefix(ROOT) else {
        return Ok(Answer::SeeOther(ROOT.to_owned()));
    };
    let segments = rest.split('/').map(decode).collect::<Option<Vec<_>>>();
    let segments = segments.ok_or_else(nothing_here)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match head.method {
        Method::GET | Method::HEAD => page(simulator, console, &segments, query)
            .map(Answer::Page)
            .ok_or_else(nothing_here),
        Method::POST => {
            let fields = read_form(&head.headers, body).await?;
            console.token.check(&fields)?;
            let Done { back, word } = actions::act(simulator, &segments, &fields, head).await?;
            Ok(Answer::SeeOther(format!("{back}?done={word}")))
        }
        _ => Err(ControlError::method("GET, HEAD, POST")),
    }
}

/// The page at that path; `None` if there is none.
fn page(
    simulator: &Arc<Simulator>,
    console: &Console,
    path: &[&str],
    query: &Fields,
) -> Option<Page> {
    match *path {
        [""] => Some(overview::page(simulator, console)),
        ["stores", id] => store_page::page(simulator, console, id),
        ["stores", id, "disconnect"] => confirmation::disconnect(simulator, console, id),
        ["keys"] => Some(keys_page::page(simulator, query)),
        ["keys", account, region, id] => {
            let home = Home {
                account: account.to_owned(),
                region: region.to_owned(),
            };
            key_page::page(simulator, &home, id)
        }
        ["events"] => Some(events_page::page(simulator, query)),
        ["switchboard"] => Some(switchboard::page(simulator, console)),
        ["reset"] => Some(confirmation::reset(simulator, console)),
        ["disconnect"] => Some(disconnect_page::page()),
        _ => None,
    }
}

/// Whether somebody follows a link to a page: that may come from anywhere, for nobody but them sees the page.
fn is_visit(head: &Parts) -> bool {
    let is = |name: &'static str, value: &[u8]| {
        let found = head.headers.get(name);
        found.is_some_and(|found| found.as_bytes() == value)
    };
    reads(&head.method) && is("sec-fetch-mode", b"navigate") && is("sec-fetch-dest", b"document")
}

async fn read_form(headers: &HeaderMap, body: Incoming) -> Result<Fields, ControlError> {
    let body = collect(body, LARGEST_FORM).await?;
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(FORM));
    if !is_form {
        return Err(ControlError::invalid("That is no form of the console."));
    }
    Ok(Fields::read(&String::from_utf8_lossy(&body)))
}

fn nothing_here() -> ControlError {
    ControlError::not_found("There is nothing here, or not any more.")
}

/// The page of an error.
fn refusal(console: &Console, error: &ControlError) -> Response<Full<Bytes>> {
    let mut page = Page::new("That cannot be done", Place::Elsewhere);
    html!(
        page.main,
        "<h1>That cannot be done</h1>\n<p class=\"problem bad\" role=\"alert\">{}</p>\n<p><a class=\"button\" \
         href=\"/console/\">Custom key stores</a></p>\n",
        error.message()
    );
    let text = page.render(console, None);
    let mut response = response(error.status, HTML, text.into());
    if let Some(allow) = error.allow {
        let allow = HeaderValue::from_static(allow);
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// The answer, or 304 to those who have it already.
fn unless_known(
    headers: &HeaderMap,
    content_type: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let digest = digest(&SHA256, &body);
    let tag = format!("\"{}\"", hex(digest.as_ref().split_at(16).0));
    let known = headers.get(IF_NONE_MATCH);
    let mut response = match known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        true => response(StatusCode::NOT_MODIFIED, content_type, Bytes::new()),
        false => response(StatusCode::OK, content_type, body),
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Nothing but this console's own files is loaded, nobody frames it, and nothing is kept.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, SECURITY_POLICY),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms have no Origin without a referrer.
        (REFERRER_POLICY, "same-origin"),
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

const ROOT: &str = "/console/";
const HTML: &str = "text/html; charset=utf-8";
const FORM: &[u8] = b"application/x-www-form-urlencoded";
const LARGEST_FORM: usize = 64 * 1024;
