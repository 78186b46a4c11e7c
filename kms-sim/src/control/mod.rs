//! The control API: faults, time and state on demand, as JSON over HTTP on a port of its own.
//!
//! It is no part of KMS. `kms-sim/docs/control.md` describes it; `kms-sim ctl` speaks it.

mod clock;
mod cloudhsm;
mod consistency;
mod duration;
mod error;
mod events;
mod guard;
mod link;
mod metrics;
mod quota;
mod request;
mod requests;
mod state;
mod stores;
mod transition;
mod visibility;
mod vpc;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) use error::ControlError;
use events::Form;
pub(crate) use guard::{known_host, same_origin};
pub(crate) use link::{describe as fault_in_words, fault as read_fault, loss as read_loss};
pub(crate) use request::decode;

use crate::console::{self, Console};
use crate::simulator::Simulator;
use request::{Answer, ControlRequest, Reply};

/// Answers one HTTP request at the port of the control API: of the API itself, or of the console.
pub(crate) async fn answer(
    simulator: Arc<Simulator>,
    console: Arc<Console>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if console::has(&head.method, head.uri.path()) {
        return Ok(console::answer(&simulator, &console, head, body).await);
    }
    let answer = async {
        guard::known_host(&head.headers, &simulator.config().control_hosts)?;
        same_origin(&head.headers)?;
        let path = head.uri.path();
        if path == METRICS {
            return metrics::scrape(&simulator, &head.method);
        }
        let path = path.strip_prefix(ROOT).ok_or_else(unknown_path)?;
        let segments = match path {
            "" => Vec::new(),
            path => {
                let segments = path.strip_prefix('/').ok_or_else(unknown_path)?.split('/');
                let segments: Option<Vec<String>> = segments.map(request::decode).collect();
                segments.ok_or_else(unknown_path)?
            }
        };
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (resource, rest) = match &*path {
            [] => (None, &[][..]),
            [resource, rest @ ..] => (Some(*resource), rest),
        };
        let limit = match resource {
            Some("restore") => state::LARGE_BODY,
            _ => SMALL_BODY,
        };
        let body = read(body, &head.headers, limit).await?;
        let request = ControlRequest::new(&head.method, rest, head.uri.query(), &body)?;
        let answer = match resource {
            Some("events") => events::answer(&simulator, &request, Form::Json).await,
            Some("events.jsonl") => events::answer(&simulator, &request, Form::Lines).await,
            resource => route(&simulator, resource, &request).await.map(Reply::Json),
        };
        saved(&simulator).await?;
        answer
    }
    .await;
    if head.method != http::Method::GET {
        tracing::info!(
            method = head.method.as_str(),
            path = head.uri.path(),
            error = answer.as_ref().err().map(|error| &*error.message),
            "control request"
        );
    }
    Ok(response(answer))
}

/// What the console wants done: a request as `kms-sim ctl` would send it.
pub(crate) struct Call<'c> {
    pub(crate) method: http::Method,
    pub(crate) resource: &'static str,
    /// The segments after the resource's own.
    pub(crate) path: Vec<&'c str>,
    pub(crate) query: Option<String>,
    /// `null` is no body.
    pub(crate) body: Value,
}

/// Does what a call of the API does.
///
/// # Errors
/// As the API answers them.
pub(crate) async fn perform(
    simulator: &Arc<Simulator>,
    call: Call<'_>,
) -> Result<(), ControlError> {
    let body = match call.body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let request = ControlRequest::new(&call.method, &call.path, call.query.as_deref(), &body)?;
    let answer = route(simulator, Some(call.resource), &request).await;
    saved(simulator).await?;
    answer.map(drop)
}

/// Waits until what has changed survives a crash.
pub(crate) async fn saved(simulator: &Simulator) -> Result<(), ControlError> {
    let journal = simulator.journal();
    let saved = journal.durable(journal.latest()).await;
    saved.map_err(|_| {
        ControlError::internal("The state cannot be saved in the data folder; the log says why.")
    })
}

async fn route(
    simulator: &Arc<Simulator>,
    resource: Option<&str>,
    request: &ControlRequest<'_>,
) -> Answer {
    if resource.is_none_or(|resource| !QUERIED.contains(&resource)) {
        request.query(&[])?;
    }
    match resource {
        None => overview(request),
        Some("clock") => clock::answer(simulator.clock(), request),
        Some("cloudhsm") => {
            let config = simulator.config();
            cloudhsm::answer(&config.cloud_hsm, &config.region, request)
        }
        Some("consistency") => consistency::answer(simulator.consistency(), request),
        Some("link") => link::answer(simulator, request),
        Some("metrics") => metrics::answer(simulator, request),
        Some("quota") => quota::answer(simulator, request),
        Some("requests") => requests::answer(simulator, request),
        Some("stores") => stores::answer(simulator, request),
        Some("transition") => transition::answer(simulator, request),
        Some("vpc-endpoint-services") => {
            let config = simulator.config();
            vpc::answer(&config.vpc_endpoint_services, &config.region, request)
        }
        Some("reset") => reset(simulator, request).await,
        Some("restore") => state::restore(simulator, request).await,
        Some("snapshot") => state::snapshot(simulator, request),
        Some(_) => Err(unknown_path()),
    }
}

/// What there is.
fn overview(request: &ControlRequest<'_>) -> Answer {
    match *request.method {
        http::Method::GET => Ok(json!({
            "Server": concat!("kms-sim ", env!("CARGO_PKG_VERSION")),
            "Resources": RESOURCES,
        })),
        _ => Err(ControlError::method("GET")),
    }
}

async fn reset(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &http::Method::POST) => {
            request.no_input()?;
            simulator.reset().await;
            Ok(json!({}))
        }
        ([], _) => Err(ControlError::method("POST")),
        _ => Err(unknown_path()),
    }
}

fn unknown_path() -> ControlError {
    ControlError::not_found(
        "There is nothing at this path; GET /control/v1 lists what there is, kms-sim/docs/control.md explains it.",
    )
}

async fn read(
    body: Incoming,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, ControlError> {
    let body = collect(body, limit).await?;
    // A form of a web page cannot say so.
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    match body.is_empty() || is_json {
        true => Ok(body),
        false => Err(ControlError::media_type()),
    }
}

/// Reads a body of at most so many bytes, in time.
pub(crate) async fn collect(
    body: Incoming,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, ControlError> {
    let limited = Limited::new(body, limit).collect();
    match tokio::time::timeout(BODY_DEADLINE, limited).await {
        Ok(Ok(body)) => Ok(Zeroizing::new(body.to_bytes().to_vec())),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ControlError::too_large(limit))
        }
        Ok(Err(_)) => Err(ControlError::invalid("The body ended early.")),
        Err(_) => Err(ControlError::timeout()),
    }
}

fn response(answer: Result<Reply, ControlError>) -> Response<Full<Bytes>> {
    let (status, allow, reply) = match answer {
        Ok(reply) => (StatusCode::OK, None, reply),
        Err(error) => (
            error.status,
            error.allow,
            Reply::Json(json!({"Error": error.error, "Message": error.message})),
        ),
    };
    let (content_type, body) = match reply {
        Reply::Json(body) => ("application/json", line(&body)),
        Reply::Text { content_type, body } => (content_type, body),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

fn line(body: &Value) -> String {
    format!("{body}\n")
}

const ROOT: &str = "/control/v1";
/// Where Prometheus looks unless it is told otherwise.
const METRICS: &str = "/metrics";
const RESOURCES: &[&str] = &[
    "/control/v1/clock",
    "/control/v1/cloudhsm/backups",
    "/control/v1/cloudhsm/clusters",
    "/control/v1/consistency",
    "/control/v1/events",
    "/control/v1/events.jsonl",
    "/control/v1/link",
    "/control/v1/metrics",
    "/control/v1/quota",
    "/control/v1/requests",
    "/control/v1/reset",
    "/control/v1/restore",
    "/control/v1/snapshot",
    "/control/v1/stores",
    "/control/v1/transition",
    "/control/v1/vpc-endpoint-services",
    METRICS,
];
/// Resources that read a query.
const QUERIED: &[&str] = &["link", "requests"];
const SMALL_BODY: usize = 64 * 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(30);
