//! One call to a proxy: an attempt within the time limit, a second one if the first ran out of time, and what went wrong.

use std::future::pending;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};
use xks_api::error::{ErrorBody, ErrorName};
use xks_api::route::{Operation, OperationName};
use zeroize::{Zeroize as _, Zeroizing};

use crate::fault::Fault;
use crate::observation::Following;
use crate::proxy_failure::ProxyFailure;
use crate::xks_pool::{Connection, Pool, Progress, Started};
use crate::xks_target::{BadRequest, Target};

/// Posts `body` for the operation and gives the body of a 200.
///
/// # Errors
/// Whatever kept the proxy from giving one.
pub(crate) async fn call(
    pool: &Pool,
    target: &Target,
    operation: &Operation,
    kms_request_id: &str,
    body: Zeroizing<Vec<u8>>,
    following: &mut Following<'_>,
) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
    let started = pool.start()?;
    let call = Call {
        target,
        started: &started,
        operation: operation.name(),
        path: operation.path_below(&target.uri_path),
        body: Bytes::from_owner(body),
        kms_request_id,
    };
    let attempts = async {
        match call.attempt().await {
            Err(AttemptError::OutOfTime(failure)) => {
                following.again_after(failure);
                call.attempt().await
            }
            result => result,
        }
    };
    let result = tokio::select! {
        biased;
        () = started.aborted() => return Err(ProxyFailure::NotConnected),
        result = attempts => result,
    };
    result.map_err(|error| match error {
        AttemptError::OutOfTime(failure) | AttemptError::Failed(failure) => failure,
    })
}

/// Everything that the attempts of one call share.
struct Call<'c> {
    target: &'c Target,
    started: &'c Started<'c>,
    operation: OperationName,
    path: String,
    body: Bytes,
    kms_request_id: &'c str,
}

/// How an attempt failed.
enum AttemptError {
    /// KMS tries once more, but for no other reason.
    OutOfTime(ProxyFailure),
    Failed(ProxyFailure),
}

impl Call<'_> {
    async fn attempt(&self) -> Result<Zeroizing<Vec<u8>>, AttemptError> {
        self.started.permitted().map_err(AttemptError::Failed)?;
        if !self.target.is_reachable() {
            return Err(AttemptError::Failed(ProxyFailure::Unreachable));
        }
        let progress = Progress::default();
        let fault = self.started.fault(self.target, self.operation);
        let exchange = self.exchange(&fault, &progress);
        match timeout(self.started.time_limit(), exchange).await {
            Ok(result) => result.map_err(AttemptError::Failed),
            Err(_) => {
                let host = &*self.target.host;
                let kms_request_id = self.kms_request_id;
                tracing::warn!(
                    host,
                    kms_request_id,
                    "no answer of the proxy within the time limit"
                );
                Err(AttemptError::OutOfTime(progress.timeout_failure()))
            }
        }
    }

    /// Sends over a connection of before if one is good, else over a new one.
    async fn exchange(
        &self,
        fault: &Fault,
        progress: &Progress,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        while !fault.needs_own_connection()
            && let Some(mut connection) = self.started.idle_connection().await
        {
            progress.reused();
            let before = connection.bytes_written();
            match self.send(&mut connection, fault).await {
                // The proxy had closed the connection: nothing was sent, so this is no retry.
                Err(SendError::Http(_)) if connection.bytes_written() == before => {}
                sent => return self.finish(connection, fault, sent).await,
            }
        }
        self.started.permitted()?;
        let mut connection = self.started.dial(self.target, fault, progress).await?;
        let sent = self.send(&mut connection, fault).await;
        self.finish(connection, fault, sent).await
    }

    async fn send(
        &self,
        connection: &mut Connection,
        fault: &Fault,
    ) -> Result<Response<Incoming>, SendError> {
        let request = self.signed().map_err(|BadRequest| SendError::Unsignable)?;
        self.started.permitted().map_err(SendError::NotPermitted)?;
        if fault.lost {
            return pending().await;
        }
        let sent = connection.sender.try_send_request(request).await;
        if !fault.delay.is_zero() {
            sleep(fault.delay).await;
        }
        sent.map_err(|error| SendError::Http(error.into_error()))
    }

    fn signed(&self) -> Result<Request<Full<Bytes>>, BadRequest> {
        let mut request = Request::post(&self.path)
            .header(HOST, &*self.target.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.body.clone()))
            .map_err(|_| BadRequest)?;
        let signature = self
            .target
            .sign(&self.path, &self.body, SystemTime::now())?;
        request.headers_mut().extend(signature);
        Ok(request)
    }

    /// Reads the answer to its end, gives the connection back, and tells success from error.
    async fn finish(
        &self,
        connection: Connection,
        fault: &Fault,
        sent: Result<Response<Incoming>, SendError>,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        let answer = match sent {
            Ok(answer) => answer,
            Err(SendError::NotPermitted(failure)) => {
                // The proxy may still have the handshake to read: a reset would leave open when it does.
                connection.retire();
                return Err(failure);
            }
            Err(error) => return Err(self.failure(error)),
        };
        let mut status = answer.status();
        let mut body = Limited::new(answer.into_body(), MAX_ANSWER);
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => self.failure(SendError::Http(*error)),
                Err(_) => self.malformed(TOO_LONG, status),
            })?;
            if let Ok(data) = frame.into_data() {
                bytes.extend_from_slice(&data);
                // Frames that nobody else holds can be wiped.
                if let Ok(mut data) = data.try_into_mut() {
                    wipe(&mut data);
                }
            }
        }
        match fault.needs_own_connection() {
            true => connection.retire(),
            false => self.started.give_back(connection),
        }
        if let Some(reply) = &fault.reply {
            let (code, body) = reply.replace(status.as_u16(), bytes);
            status = StatusCode::from_u16(code).unwrap_or(status);
            bytes = body;
        }
        match status {
            _ if bytes.len() > MAX_ANSWER => Err(self.malformed(TOO_LONG, status)),
            StatusCode::OK => Ok(bytes),
            _ => Err(self.error_answer(status, &bytes)),
        }
    }

    /// The `errorName` decides, not the status; the message goes to the log alone.
    fn error_answer(&self, status: StatusCode, body: &[u8]) -> ProxyFailure {
        let Ok(error) = serde_json::from_slice::<ErrorBody<'_>>(body) else {
            return self.malformed("an HTTP error without an errorName", status);
        };
        let Some(name) = ErrorName::from_wire(&error.error_name) else {
            return self.malformed("an errorName that the specification does not know", status);
        };
        let message = error.error_message.as_deref().unwrap_or_default();
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            access_key_id = self.target.access_key_id.as_str(),
            status = status.as_u16(),
            error_name = name.as_str(),
            error_message = message
                .escape_default()
                .take(MAX_LOGGED)
                .collect::<String>(),
            "the proxy answered with an error"
        );
        ProxyFailure::Answered(name)
    }

    fn malformed(&self, defect: &'static str, status: StatusCode) -> ProxyFailure {
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            status = status.as_u16(),
            defect,
            "malformed answer of the proxy"
        );
        ProxyFailure::Malformed(defect)
    }

    fn failure(&self, error: SendError) -> ProxyFailure {
        let error = match error {
            SendError::NotPermitted(failure) => return failure,
            SendError::Unsignable => {
                return ProxyFailure::Malformed("the request cannot be signed");
            }
            SendError::Http(error) => error,
        };
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            error = causes(&error),
            "the exchange with the proxy failed"
        );
        if error.is_parse() {
            return ProxyFailure::Malformed("not HTTP");
        }
        match is_tls(&error) {
            // TLS 1.3 refuses a client certificate only after the client's handshake.
            true => ProxyFailure::Tls,
            false => ProxyFailure::Unreachable,
        }
    }
}

/// Why a request got no answer.
enum SendError {
    NotPermitted(ProxyFailure),
    Unsignable,
    Http(hyper::Error),
}

/// The error and what led to it, for the log.
fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether a TLS alert or another fault of the TLS session is the cause.
fn is_tls(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}

fn wipe(data: &mut BytesMut) {
    data.as_mut().zeroize();
}

const TOO_LONG: &str = "the answer is longer than any that is allowed";

/// Far above the longest answer that can be right.
const MAX_ANSWER: usize = 128 * 1024;

/// Of a proxy's `errorMessage` no more is logged; the specification allows 511 characters.
const MAX_LOGGED: usize = 1024;
