//! The order of checks, one straight line.
//!
//! route → key store → body → authenticate → operation. Nothing of a body is parsed before its signature is verified.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::SystemTime;

use tokio::time::{timeout, timeout_at};
use xks_api::route::{NoRoute, Operation, route};
use zeroize::Zeroizing;

use crate::audit::{AuditLog, Receipt};
use crate::authenticate::authenticate;
use crate::error::XksError;
use crate::metrics::{Ending, Mark, Metrics};
use crate::ops;
use crate::request_log::{Outcome, Record, RequestLog};
use crate::runtime::{Runtime, Snapshot};
use crate::traces::Traces;

pub use crate::ops::Encoded;

/// A request as it came, without its body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, neither decoded nor normalised.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// `:authority` of HTTP/2, which stands for `host`.
    pub authority: Option<&'a str>,
    /// For whom a load balancer connected, if it said so.
    pub client: Option<&'a str>,
    /// Every header.
    pub headers: &'a http::HeaderMap,
}

/// A request as it came.
pub(crate) struct RawRequest<'a> {
    pub(crate) head: RequestHead<'a>,
    /// Wiped on drop: it may hold a plaintext.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Drop for RawRequest<'_> {
    fn drop(&mut self) {
        // The whole capacity is wiped all the same, and in bulk, which elements are not.
        self.body.clear();
    }
}

/// What a request is answered with, before it becomes HTTP.
pub enum Answer {
    /// 200 and JSON.
    Ok(Encoded),
    /// 405 and nothing but `Allow: POST`.
    MethodNotAllowed,
    /// One of the twelve errors.
    Error(XksError),
}

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Ok(_) => 200,
            Self::MethodNotAllowed => 405,
            Self::Error(error) => error.name.status(),
        }
    }

    fn error(&self) -> Option<&XksError> {
        match self {
            Self::Ok(_) | Self::MethodNotAllowed => None,
            Self::Error(error) => Some(error),
        }
    }
}

/// Answers a request and logs it. The body is asked for only where there is a key store that it is for.
pub async fn answer(
    runtime: &Runtime,
    head: RequestHead<'_>,
    body: impl Future<Output = Result<Zeroizing<Vec<u8>>, XksError>>,
) -> Answer {
    let snapshot = runtime.snapshot();
    let now = runtime.now();
    let mut logged = Logged {
        log: runtime.log(),
        audit: runtime.audit(),
        metrics: runtime.metrics(),
        traces: runtime.traces().filter(|traces| traces.wants()),
        record: Some(Record::new(now)),
    };
    let record = logged.record.as_mut().expect("taken at the end");
    if logged.metrics.is_some() || logged.traces.is_some() {
        record.measure();
    }
    let answer = {
        let serving = pin!(serve(runtime, &snapshot, now, head, body, record));
        match without_panic(serving).await {
            Ok(encoded) => Answer::Ok(encoded),
            Err(Refusal::MethodNotAllowed) => Answer::MethodNotAllowed,
            Err(Refusal::Error(error)) => Answer::Error(error),
        }
    };
    match logged.answered(&answer) {
        None => answer,
        // In a box, so that requests without an audit log that is waited for do not have the room for it.
        Some(receipt) => Box::pin(recorded(runtime, receipt, answer)).await,
    }
}

/// Holds an answer back until its line is on the disk.
async fn recorded(runtime: &Runtime, receipt: Receipt, answer: Answer) -> Answer {
    let limit = runtime.snapshot().limits.key_manager_timeout;
    let lenient = receipt.lenient();
    match timeout(limit, receipt.recorded()).await {
        Ok(true) => answer,
        Err(_) if lenient => answer,
        Ok(false) | Err(_) => Answer::Error(XksError::NOT_RECORDED),
    }
}

/// Writes the line of a request however it ends: also if its client goes away, and this future is dropped.
//= xks §Logging R38
struct Logged<'a> {
    log: &'a RequestLog,
    audit: Option<&'a AuditLog>,
    metrics: Option<&'a Metrics>,
    /// If this request is traced.
    traces: Option<&'a Traces>,
    record: Option<Record>,
}

impl Logged<'_> {
    /// A receipt says that the answer has to wait.
    fn answered(mut self, answer: &Answer) -> Option<Receipt> {
        let record = self.record.take()?;
        let outcome = Outcome {
            status: answer.status(),
            error: answer.error(),
            took: record.started().elapsed(),
        };
        let ending = match answer {
            Answer::Ok(_) => Ending::Ok,
            Answer::MethodNotAllowed => Ending::MethodNotAllowed,
            Answer::Error(error) => Ending::Error(error.name),
        };
        record.count(self.metrics, ending, outcome.took);
        let stages = record.stages(outcome.took);
        let line = record.finish(outcome);
        self.log.write(&line);
        if let Some(traces) = self.traces {
            traces.record(&line, outcome.took, stages);
        }
        let audit = self.audit?;
        // They are counted, and told of together.
        let unrecorded = outcome.error.is_some_and(XksError::is_not_recorded);
        match unrecorded {
            true => None,
            false => audit.record_request(&line),
        }
    }
}

impl Drop for Logged<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let took = record.started().elapsed();
            record.count(self.metrics, Ending::Abandoned, took);
            let stages = record.stages(took);
            let line = record.abandoned();
            self.log.write(&line);
            if let Some(traces) = self.traces {
                traces.record(&line, took, stages);
            }
            if let Some(audit) = self.audit {
                audit.record_request(&line);
            }
        }
    }
}

async fn serve(
    runtime: &Runtime,
    snapshot: &Snapshot,
    now: SystemTime,
    head: RequestHead<'_>,
    body: impl Future<Output = Result<Zeroizing<Vec<u8>>, XksError>>,
    record: &mut Record,
) -> Result<Encoded, Refusal> {
    if let Some(client) = head.client {
        record.client(client);
    }
    let route = match route(head.method, head.path) {
        Ok(route) => route,
        Err(no_route) => {
            record.no_route(head.method, head.path);
            return Err(match no_route {
                NoRoute::MethodNotAllowed => Refusal::MethodNotAllowed,
                NoRoute::NotFound => XksError::INVALID_URI_PATH.into(),
            });
        }
    };
    record.operation(&route.operation);
    let key_store = match snapshot.key_stores.get(route.prefix) {
        Ok(key_store) => key_store,
        Err(e) => {
            record.no_route(head.method, head.path);
            return Err(e.into());
        }
    };
    record.key_store(&key_store.prefix, key_store.key_manager.name());
    record.belongs(&key_store.measures, route.operation.name());
    let request = RawRequest {
        head,
        body: body.await?,
    };
    if runtime.audit().is_some_and(AuditLog::refuses) {
        return Err(XksError::NOT_RECORDED.into());
    }
    // After the body, which would have to be read all the same, and before all work. Health is asked for when it matters.
    if route.operation != Operation::GetHealthStatus && runtime.overload().sheds() {
        if let Some(metrics) = runtime.metrics() {
            metrics.shed();
        }
        return Err(XksError::OVERLOADED.into());
    }
    record.mark(Mark::BodyRead);
    let request = authenticate(request, &key_store.credentials, now, record)?;
    record.mark(Mark::Authenticated);
    if key_store.blocks.any() {
        key_store.refuse_blocked(route.operation.external_key_id(), now)?;
    }
    // After authentication, so that strangers cannot use a quota up.
    let _permit = match &key_store.quota {
        Some(quota) if route.operation != Operation::GetHealthStatus => {
            Some(quota.admit(record.started())?)
        }
        _ => None,
    };
    let deadline = record.started() + snapshot.limits.key_manager_timeout;
    let context = ops::Context {
        key_store,
        identity: &snapshot.identity,
        record,
        now,
        deadline,
    };
    let mut operation = pin!(ops::run(&route.operation, &request, context));
    // A key manager that answers at once needs no timer.
    if let Poll::Ready(result) = poll_once(operation.as_mut()).await {
        return Ok(result?);
    }
    match timeout_at(deadline, operation).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(XksError::TOO_LATE.into()),
    }
}

/// Polls a future in the context of this task; it may be polled on.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Why a request has no successful answer.
enum Refusal {
    MethodNotAllowed,
    Error(XksError),
}

impl From<XksError> for Refusal {
    fn from(e: XksError) -> Self {
        Self::Error(e)
    }
}

/// A panic is a defect of the proxy: it ends its own request, not its neighbours.
///
/// Pinned by the caller, since a future that is moved into another one takes its place twice in there.
async fn without_panic<T>(
    mut request: Pin<&mut impl Future<Output = Result<T, Refusal>>>,
) -> Result<T, Refusal> {
    poll_fn(|context| {
        let poll = AssertUnwindSafe(|| request.as_mut().poll(context));
        std::panic::catch_unwind(poll).unwrap_or_else(|_| {
            let error = XksError::INTERNAL.because("a panic, reported where it happened");
            Poll::Ready(Err(error.into()))
        })
    })
    .await
}
