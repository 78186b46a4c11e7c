//! Between hyper and the pipeline: reads bodies within their limits and writes every answer, errors included.

use std::convert::Infallible;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use xks_api::error::ErrorBody;
use zeroize::Zeroizing;

use crate::audit::AuditLog;
use crate::error::XksError;
use crate::pipeline::{self, Answer, Encoded, RequestHead};
use crate::runtime::Runtime;
use crate::server::activity::Activity;
use crate::server::body_room::SharedRoom;

/// Which of the two listeners a request came through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    /// TLS, with the API.
    Api,
    /// Plain HTTP, for load balancers alone.
    Health,
}

/// Serves one request. Never fails: what goes wrong is an answer, too.
pub(crate) async fn serve(
    request: Request<Incoming>,
    door: Door,
    runtime: &Runtime,
    activity: &Activity,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _in_flight = activity.request();
    let version = request.version();
    let head_alone = request.method() == Method::HEAD && version >= Version::HTTP_2;
    let mut response = if request.uri().path() == PING_PATH {
        ping(request.method(), runtime)
    } else {
        match door {
            Door::Api => api(request, runtime, activity).await,
            Door::Health => error_response(&XksError::INVALID_URI_PATH),
        }
    };
    if activity.closing() && version < Version::HTTP_2 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(match head_alone {
        true => without_body(response),
        false => response,
    })
}

/// The answer to HEAD. hyper leaves the body out over HTTP/1.1 alone, and clients end a stream that brings one.
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(len) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, len.into());
    }
    Response::from_parts(head, Full::default())
}

/// The answer to a load balancer.
//= xks §Load balancer health checks R40
fn ping(method: &Method, runtime: &Runtime) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return method_not_allowed("GET, HEAD");
    }
    let (status, text) = if runtime.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if runtime.audit().is_some_and(AuditLog::is_refusing) {
        // A proxy whose disk has room is a better place to send requests to.
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the audit log cannot be written\n",
        )
    } else {
        (StatusCode::OK, "ok\n")
    };
    let body = Bytes::from_static(text.as_bytes());
    response(status, body, "text/plain; charset=utf-8")
}

async fn api(
    request: Request<Incoming>,
    runtime: &Runtime,
    activity: &Activity,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let (limit, time_limit) = {
        let limits = &runtime.snapshot().limits;
        (limits.max_body_bytes, limits.body_timeout)
    };
    let head = RequestHead {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        client: activity.client(),
        headers: &parts.headers,
    };
    let body = Body {
        unread: !body.is_end_stream(),
        incoming: body,
        activity,
        shared_room: runtime.body_room(),
    };
    // Pinned here: moved on, it would take its place in each of the futures that it goes through.
    let body = pin!(body.read(limit, time_limit));
    match pipeline::answer(runtime, head, body).await {
        Answer::Ok(encoded) => ok_response(encoded),
        Answer::MethodNotAllowed => method_not_allowed("POST"),
        Answer::Error(error) => error_response(&error),
    }
}

/// A request body, and whether some of it has been left unread.
struct Body<'a> {
    incoming: Incoming,
    unread: bool,
    activity: &'a Activity,
    shared_room: &'a SharedRoom,
}

impl Body<'_> {
    /// Reads to the end: no byte more than `limit`, no later than after `time_limit`.
    async fn read(
        mut self,
        limit: usize,
        time_limit: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, XksError> {
        let result = self.bytes(limit, time_limit).await;
        match &result {
            Ok(_) => self.unread = false,
            Err(_) => self.activity.close(),
        }
        result
    }

    async fn bytes(
        &mut self,
        limit: usize,
        time_limit: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, XksError> {
        let announced = self.incoming.size_hint();
        let least = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
        if least > limit {
            return Err(XksError::BODY_TOO_LONG);
        }
        let most = announced.upper().and_then(|n| usize::try_from(n).ok());
        let most = most.map_or(limit, |most| most.min(limit));
        // Given back when the body is complete: then its signature is verified at once.
        let Some(_room) = self.activity.body_room.take(most, limit, self.shared_room) else {
            return Err(XksError::TOO_MANY_BODIES);
        };
        // Of the announced length from the beginning, so that no half-grown copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(least));
        let frames = async {
            while let Some(frame) = self.incoming.frame().await {
                let frame = frame.map_err(|e| XksError::BODY_INCOMPLETE.because(e))?;
                // Trailers are not signed and mean nothing here.
                if let Ok(data) = frame.into_data() {
                    if data.len() > limit - bytes.len() {
                        return Err(XksError::BODY_TOO_LONG);
                    }
                    append(&mut bytes, &data);
                }
            }
            Ok(())
        };
        let mut frames = pin!(frames);
        // A body that is there already needs no timer.
        let read = match pipeline::poll_once(frames.as_mut()).await {
            Poll::Ready(read) => read,
            Poll::Pending => timeout(time_limit, frames).await.unwrap_or_else(|_| {
                Err(XksError::BODY_INCOMPLETE.because("the body deadline passed"))
            }),
        };
        read.map(|()| bytes)
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        if self.unread {
            self.activity.leave_unread();
        }
    }
}

/// Appends; where the buffer has to grow, the old one is wiped.
fn append(bytes: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let needed = bytes.len() + data.len();
    if needed > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(data);
}

//= xks §API content type R1
fn ok_response(encoded: Encoded) -> Response<Full<Bytes>> {
    let body = match encoded {
        Encoded::Open(bytes) => Bytes::from(bytes),
        Encoded::Secret(bytes) => Bytes::from_owner(bytes),
    };
    response(StatusCode::OK, body, JSON)
}

//= xks §Error codes R30
fn error_response(error: &XksError) -> Response<Full<Bytes>> {
    let body = ErrorBody {
        error_name: error.name.as_str().into(),
        error_message: Some(error.message.into()),
    };
    let body = serde_json::to_vec(&body).expect("two strings always encode");
    let status =
        StatusCode::from_u16(error.name.status()).expect("a status of the specification's table");
    response(status, body.into(), JSON)
}

//= xks §API operations R6
fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn response(status: StatusCode, body: Bytes, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const PING_PATH: &str = "/ping";
const JSON: &str = "application/json";
