//! awsJson 1.1 over HTTP: one request in, one response and one log line out. STS's query protocol has the same door.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderMap, HeaderName, ORIGIN, PRAGMA,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::api::KmsError;
use crate::caller::RequestBody;
use crate::control::same_origin;
use crate::cors::Cors;
use crate::credentials;
use crate::dispatch::{Body, dispatch};
use crate::events::{Origin, record_call, request_parameters};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::sts;

/// Who is at the other end of a connection; an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Answers one HTTP request.
pub(crate) async fn answer(
    simulator: Arc<Simulator>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let head_alone = request.method() == Method::HEAD && request.version() >= Version::HTTP_2;
    let cors = Cors::of(request.headers(), &simulator.config().allow_origins);
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::OPTIONS, _) if request.headers().contains_key(ORIGIN) => {
            let answer = cors.preflight(&request);
            answer.unwrap_or_else(|| foreign_page(request.headers()))
        }
        (&Method::POST, "/")
            if !request.headers().contains_key(TARGET) && sts::is_form(request.headers()) =>
        {
            query(&simulator, request).await
        }
        (&Method::GET, "/") if request.uri().query().is_some() => query(&simulator, request).await,
        (&Method::POST, "/") => operation(&simulator, request).await,
        (&Method::POST, "/moto-api/reset") => reset(&simulator, &request).await,
        (&Method::GET | &Method::HEAD, "/health") => {
            let body = Full::from(&br#"{"status":"ok"}"#[..]);
            response(StatusCode::OK, "application/json", body)
        }
        _ => {
            let error = KmsError::new(
                "UnknownOperationException",
                "kms-sim answers POST / with an X-Amz-Target header, GetCallerIdentity of STS, GET /health, and \
                 POST /moto-api/reset.",
            );
            error_response(StatusCode::NOT_FOUND, &error)
        }
    };
    cors.expose(response.headers_mut());
    // hyper leaves the body of an answer to HEAD out over HTTP/1.1 alone.
    Ok(match head_alone {
        true => response.map(|_| Full::default()),
        false => response,
    })
}

/// The answer to a browser that asks for a page that may not call.
fn foreign_page(headers: &HeaderMap) -> Response<Full<Bytes>> {
    let origin = headers
        .get(ORIGIN)
        .map(|origin| String::from_utf8_lossy(origin.as_bytes()));
    let error = KmsError::new(
        "AccessDeniedException",
        format!(
            "Web pages of the origin {} may not call kms-sim; `kms-sim serve --allow-origin` lets them.",
            origin.unwrap_or_default()
        ),
    );
    error_response(StatusCode::FORBIDDEN, &error)
}

/// Forgets everything, for test suites that know another emulator; no web page can ask for it.
async fn reset(simulator: &Simulator, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if let Err(error) = same_origin(request.headers()) {
        let error = KmsError::new("AccessDeniedException", error.message().to_owned());
        return error_response(StatusCode::FORBIDDEN, &error);
    }
    simulator.reset().await;
    let journal = simulator.journal();
    if journal.durable(journal.latest()).await.is_err() {
        return error_response(StatusCode::INTERNAL_SERVER_ERROR, &not_saved());
    }
    let body = Full::from(&br#"{"status": "ok"}"#[..]);
    response(StatusCode::OK, "application/json", body)
}

async fn operation(simulator: &Simulator, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let start = Instant::now();
    let request_id = Uuid::new_v4().to_string();
    let (head, body) = request.into_parts();
    let operation = operation_of(&head.headers);
    let origin = origin(simulator, &head);
    let read = read_in_time(simulator, body).await;
    let (caller, outcome) = match (read, &operation) {
        (Err(error), _) => (None, Err(error)),
        (Ok(body), operation) => {
            match (
                credentials::caller(simulator, &head, &body, KMS, &request_id),
                operation,
            ) {
                (Err(error), _) => (None, Err(error)),
                (Ok(caller), Err(error)) => (Some(caller), Err(error.clone())),
                (Ok(caller), Ok(operation)) => {
                    let outcome = run(simulator, &caller, *operation, Arc::new(body)).await;
                    (Some(caller), outcome)
                }
            }
        }
    };
    log(
        operation.as_ref().ok().map(|operation| operation.name()),
        caller.as_ref(),
        outcome
            .as_ref()
            .err()
            .map(|error| (error.name(), error.message())),
        start,
        &request_id,
    );
    if let (Ok(operation), Some(caller)) = (&operation, &caller) {
        let outcome = outcome.as_ref().map(|body| &***body);
        record_call(simulator.events(), *operation, caller, &origin, outcome);
    }
    let response = match outcome {
        Ok(body) => response(StatusCode::OK, AMZ_JSON, Full::new(Bytes::from_owner(body))),
        Err(error) => {
            let status = StatusCode::from_u16(error.status());
            error_response(status.unwrap_or(StatusCode::BAD_REQUEST), &error)
        }
    };
    with_id(response, request_id)
}

/// Answers for STS.
async fn query(simulator: &Simulator, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let start = Instant::now();
    let request_id = Uuid::new_v4().to_string();
    let (head, body) = request.into_parts();
    let read = read_in_time(simulator, body).await;
    let (caller, outcome) = match read.and_then(|body| {
        let caller = credentials::caller(simulator, &head, &body, STS, &request_id)?;
        Ok((caller, body))
    }) {
        Err(error) => (None, Err(error.into())),
        Ok((caller, body)) => {
            let parameters = match head.method {
                Method::GET => head.uri.query().unwrap_or_default().into(),
                _ => String::from_utf8_lossy(&body),
            };
            let outcome = sts::answer(&parameters, &caller);
            (Some(caller), outcome)
        }
    };
    log(
        Some(sts::GET_CALLER_IDENTITY).filter(|_| outcome.is_ok()),
        caller.as_ref(),
        outcome
            .as_ref()
            .err()
            .map(|error| (error.code(), Some(error.message()))),
        start,
        &request_id,
    );
    let (status, body) = match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (error.status(), error.body(&request_id)),
    };
    with_id(response(status, "text/xml", Full::from(body)), request_id)
}

/// Where a request comes from, for its event.
fn origin(simulator: &Simulator, head: &Parts) -> Origin {
    let presigned = head.uri.query().and_then(credentials::presigned);
    let authorization = header(&head.headers, &AUTHORIZATION).or(presigned.as_deref());
    let peer = head.extensions.get::<PeerAddress>();
    Origin::new(
        &head.headers,
        peer.map(|PeerAddress(address)| *address),
        authorization.and_then(credentials::access_key_id),
        simulator.clock().now(),
    )
}

async fn run(
    simulator: &Simulator,
    caller: &Caller,
    operation: Operation,
    body: RequestBody,
) -> Result<Body, KmsError> {
    caller
        .subjects()
        .requested(request_parameters(operation, &body));
    let outcome = dispatch(simulator, caller, operation, &body).await;
    let journal = simulator.journal();
    let change = match operation.only_uses_keys() {
        true => caller.last_dependency(),
        false => journal.latest(),
    };
    // Nothing is told that could be lost.
    journal.durable(change).await.map_err(|_| not_saved())?;
    outcome
}

fn not_saved() -> KmsError {
    KmsError::new(
        "KMSInternalException",
        "kms-sim cannot save its state in the data folder; its log says why. It ends.",
    )
}

/// What `X-Amz-Target` names.
fn operation_of(headers: &HeaderMap) -> Result<Operation, KmsError> {
    let target = header(headers, &TARGET).ok_or_else(|| {
        KmsError::new(
            "UnknownOperationException",
            "The request has no X-Amz-Target header; expected TrentService.<operation>.",
        )
    })?;
    operation_named(target)
}

/// The operation that a value of `X-Amz-Target` names.
///
/// # Errors
/// UnknownOperationException
pub(crate) fn operation_named(target: &str) -> Result<Operation, KmsError> {
    let name = target.strip_prefix("TrentService.");
    name.and_then(Operation::from_name).ok_or_else(|| {
        KmsError::new(
            "UnknownOperationException",
            format!("X-Amz-Target '{target}' names no operation of KMS."),
        )
    })
}

async fn read_in_time(
    simulator: &Simulator,
    body: Incoming,
) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let limit = simulator.config().limits.body;
    let read = tokio::time::timeout(limit, read(body)).await;
    read.unwrap_or_else(|_| {
        Err(KmsError::new(
            "RequestTimeoutException",
            format!(
                "The request body did not arrive within {} seconds.",
                limit.as_secs_f64()
            ),
        ))
    })
}

/// Reads a body of at most [`MAX_BODY_LEN`] bytes into a buffer that is wiped on drop.
async fn read(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let announced = body.size_hint().lower();
    let too_large = || {
        KmsError::new(
            "RequestEntityTooLargeException",
            format!("The request body is longer than {MAX_BODY_LEN} bytes."),
        )
    };
    // Room for all of a body of announced length at once: no smaller copy stays behind.
    let capacity = usize::try_from(announced).map_err(|_| too_large())?;
    if capacity > MAX_BODY_LEN {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            KmsError::new("SerializationException", "The request body ended early.")
        })?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_BODY_LEN {
            return Err(too_large());
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn error_response(status: StatusCode, error: &KmsError) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Wire<'a> {
        __type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    let wire = Wire {
        __type: error.name(),
        message: error.message(),
    };
    let body = serde_json::to_vec(&wire).unwrap_or_default();
    response(status, AMZ_JSON, Full::from(body))
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Full<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // As KMS says it; a plaintext belongs in no cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NOBODY_KEEPS));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    response
}

fn with_id(mut response: Response<Full<Bytes>>, request_id: String) -> Response<Full<Bytes>> {
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// One line a request. Inputs and outputs are not in it; a message may repeat values that are no secrets.
fn log(
    operation: Option<&'static str>,
    caller: Option<&Caller>,
    error: Option<(&str, Option<&str>)>,
    start: Instant,
    request_id: &str,
) {
    let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        operation,
        account = caller.map(|c| &*c.account),
        region = caller.map(|c| &*c.region),
        principal = caller.map(|c| &*c.principal_arn),
        subject = caller.and_then(Caller::subject),
        outcome = if error.is_none() { "ok" } else { "error" },
        error = error.map(|(name, _)| name),
        error_message = error.and_then(|(_, message)| message),
        microseconds,
        request_id,
        "request"
    );
}

/// The names of the services in signatures.
const KMS: &str = "kms";
const STS: &str = "sts";
const AMZ_JSON: &str = "application/x-amz-json-1.1";
const NOBODY_KEEPS: &str = "no-cache, no-store, must-revalidate, private";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The largest input of KMS is a key policy of 131,072 characters, each perhaps escaped.
const MAX_BODY_LEN: usize = 1024 * 1024;
