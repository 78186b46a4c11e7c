//! One connection: hyper's state machine for it, and the deadlines that hyper does not have.
//!
//! hyper's own header deadline also ends idle connections, so there is one timer here instead: it is set only when
//! the connection's [`Activity`] asks for an earlier end than before, which a request that comes whole never does.

use std::net::SocketAddr;
use std::ops::DerefMut;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::activity::{Activity, Expiry};
use super::leave::SILENCE;
use super::rarely::Rarely;
use super::stream::{Observed, Transport};
use super::{Life, Phase};
use crate::http::{self, Door};
use crate::runtime::Runtime;

/// What ALPN agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Serves requests until the peer, a deadline or the server's end closes the connection.
pub(super) async fn serve<T: Transport>(
    transport: T,
    protocol: Protocol,
    client: Option<SocketAddr>,
    door: Door,
    runtime: Arc<Runtime>,
    mut clients_changed: watch::Receiver<()>,
    mut life: Life,
) {
    let activity = Arc::new(Activity::new(client));
    let limits = runtime.snapshot().limits.clone();
    let io = TokioIo::new(Observed::new(transport, Arc::clone(&activity)));
    let service = {
        let activity = Arc::clone(&activity);
        service_fn(move |request| {
            let (runtime, activity) = (Arc::clone(&runtime), Arc::clone(&activity));
            async move { http::serve(request, door, &runtime, &activity).await }
        })
    };
    let ended = Rarely::new({
        let activity = Arc::clone(&activity);
        async move {
            tokio::select! {
                () = left(&mut life, protocol, &activity) => {}
                _ = clients_changed.changed() => {
                    activity.close();
                    last_request(protocol, &activity).await;
                }
            }
        }
    });
    let idle = limits.idle_timeout;
    match protocol {
        Protocol::Http1 => {
            let connection = pin!(
                http1::Builder::new()
                    .max_buf_size(MAX_HEAD_BYTES)
                    .header_read_timeout(None)
                    .serve_connection(io, service)
            );
            let bounds = Bounds {
                head: Some(limits.header_timeout),
                idle,
                request_bytes: u64::MAX,
            };
            drive(connection, activity, bounds, ended).await;
        }
        Protocol::Http2 => {
            // In a box: it is three times as large as HTTP/1.1's, whose connections would have the room for it, too.
            let connection = Box::pin(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(limits.max_http2_streams)
                    .max_header_list_size(MAX_HEADER_LIST_BYTES)
                    .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
                    .max_send_buf_size(MAX_SEND_BUFFER)
                    .serve_connection(io, service),
            );
            // Bytes between requests are frames of the connection, no head that is slow to come.
            let body = u64::try_from(limits.max_body_bytes).unwrap_or(u64::MAX);
            let bounds = Bounds {
                head: None,
                idle,
                request_bytes: body.saturating_add(2 * u64::from(MAX_HEADER_LIST_BYTES)),
            };
            Box::pin(drive(connection, activity, bounds, ended)).await;
        }
    }
}

/// Waits until a server that leaves has no more than goodbye to say.
///
/// An HTTP/1.1 connection that is closed between requests may lose the one that is on its way. So answers ask for the
/// end of the connection as soon as the server begins to leave, and a connection without a request stays open for a moment.
/// HTTP/2 needs no such care: GOAWAY says which requests are served.
//= xks §Load balancer health checks R40
async fn left(life: &mut Life, protocol: Protocol, activity: &Activity) {
    let is_old = life.old.is_some();
    let phases = &mut life.phases;
    let begin = if is_old {
        Phase::Renewing
    } else {
        Phase::Leaving
    };
    super::reached(phases, begin).await;
    activity.close();
    let renewing = *phases.borrow() == Phase::Renewing;
    if renewing && protocol == Protocol::Http2 {
        return;
    }
    super::reached(phases, Phase::Closing).await;
    let handing_over = *phases.borrow() == Phase::HandingOver;
    match protocol {
        Protocol::Http1 if handing_over => silence(activity).await,
        Protocol::Http1 | Protocol::Http2 => last_request(protocol, activity).await,
    }
}

/// Waits for a request that was sent before the client could know that the connection ends.
async fn last_request(protocol: Protocol, activity: &Activity) {
    if protocol == Protocol::Http1 {
        sleep(LAST_REQUEST_TIME).await;
        while activity.expects_head() {
            sleep(LAST_REQUEST_TIME).await;
        }
    }
}

/// Waits until nothing came for a while, which is over by now on all connections but those that were just opened.
///
/// A request that is in flight has its answer asked for the end already; one that has begun is waited for.
async fn silence(activity: &Activity) {
    loop {
        match activity.silent_at(SILENCE) {
            Some(at) if at <= Instant::now() => return,
            Some(at) => sleep_until(at).await,
            None => sleep(LOOK_AGAIN).await,
        }
    }
}

#[derive(Clone, Copy)]
struct Bounds {
    head: Option<Duration>,
    idle: Duration,
    /// What a request may have, with all that goes with it. Over HTTP/1.1, nothing comes but requests.
    request_bytes: u64,
}

/// The two kinds of connection, as far as they are alike.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Takes no further request and ends after the answers to those in flight.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Connection for http1::Connection<I, S>
where
    I: Read + Write + Unpin + 'static,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Connection for http2::Connection<I, S, TokioExecutor>
where
    I: Read + Write + Unpin + 'static,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The connection is pinned by the caller: a future that is moved into another one takes its place twice in there.
async fn drive<P>(
    connection: Pin<P>,
    activity: Arc<Activity>,
    bounds: Bounds,
    ended: Rarely<impl Future<Output = ()>>,
) where
    P: DerefMut<Target: Connection>,
{
    let first = activity.expiry(bounds.head, bounds.idle);
    let mut driver = Driver {
        connection,
        timer: Rarely::new(sleep_until(first.at(bounds.idle))),
        activity,
        bounds,
        ended: Some(ended),
        cut_off: None,
    };
    if let Err(error) = std::future::poll_fn(|context| driver.poll(context)).await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Polls a connection, and ends it when its activity or the server says so.
struct Driver<P, E> {
    connection: Pin<P>,
    activity: Arc<Activity>,
    bounds: Bounds,
    timer: Rarely<Sleep>,
    /// Until the connection was asked to finish for it.
    ended: Option<Rarely<E>>,
    /// When a connection that was asked to finish is dropped.
    cut_off: Option<Instant>,
}

impl<P: DerefMut<Target: Connection>, E: Future<Output = ()>> Driver<P, E> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        loop {
            if let Poll::Ready(result) = self.connection.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if self.activity.floods(self.bounds.request_bytes) {
                tracing::info!(
                    "a connection was ended: it sent megabytes that belong to no request"
                );
                return Poll::Ready(Ok(()));
            }
            if let Some(ended) = &mut self.ended
                && ended.poll(context).is_ready()
            {
                self.ended = None;
                self.connection.as_mut().finish();
                continue;
            }
            let idle = self.bounds.idle;
            let expiry = self.activity.expiry(self.bounds.head, idle);
            let at = match (self.cut_off, expiry) {
                (Some(at), _) => at,
                // A timer that goes off meanwhile is set anew.
                (None, Expiry::NotNow) => self.timer.get().deadline(),
                (None, Expiry::Head(at) | Expiry::Idle(at)) => at,
            };
            if at < self.timer.get().deadline() {
                self.timer.change().reset(at);
            }
            ready!(self.timer.poll(context));
            let now = Instant::now();
            let at = self.cut_off.unwrap_or_else(|| expiry.at(idle));
            if now < at {
                // The activity has moved on since the timer was set.
                self.timer.change().reset(at);
                continue;
            }
            match (self.cut_off, expiry) {
                (Some(_), _) | (None, Expiry::Head(_)) => return Poll::Ready(Ok(())),
                (None, Expiry::Idle(_) | Expiry::NotNow) => {
                    let cut_off = now + FINISH_TIME;
                    self.cut_off = Some(cut_off);
                    self.timer.change().reset(cut_off);
                    self.connection.as_mut().finish();
                }
            }
        }
    }
}

/// Of HTTP/1.1, with the part of a body that comes with the head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
const MAX_RESET_STREAMS: usize = 20;
const MAX_SEND_BUFFER: usize = 256 * 1024;
/// For a request that was sent before the client knew that the connection ends.
const LAST_REQUEST_TIME: Duration = Duration::from_millis(500);
/// In a hand-over, at a connection whose request has not come to its end.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// For an idle connection to say goodbye.
const FINISH_TIME: Duration = Duration::from_secs(2);
