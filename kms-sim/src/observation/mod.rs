//! What KMS sees of an external key store's proxy: requests and how they ended, its health, its certificate.
//!
//! It lives as long as the store does, so that nothing piles up. Metrics are made of it when someone asks
//! (`metrics.rs`); the counters themselves are behind one lock that is held for a few additions at the end of a request
//! to the proxy, which takes a thousand times longer.

mod certificate;
mod latency;
mod metrics;
mod prometheus;
mod timeline;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::CertificateDer;
use xks_api::message::{EkmFleetDetail, HealthStatus};
use xks_api::route::OperationName;
use xks_page::Point;

use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;

use certificate::ProxyCertificate;
use latency::Latency;
pub(crate) use metrics::{Metric, MetricValue, of_simulator};
pub(crate) use prometheus::{CONTENT_TYPE, exposition};
pub(crate) use timeline::STEP;
use timeline::Timeline;

/// What was seen of one external key store; clones share it.
#[derive(Clone)]
pub(crate) struct StoreObservation(Arc<Shared>);

struct Shared {
    custom_key_store_id: Box<str>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: BTreeMap<Dimensions, Calls>,
    throttled: BTreeMap<&'static str, u64>,
    health: Option<Health>,
    certificate: Option<ProxyCertificate>,
    recent: VecDeque<ProxyRequest>,
    timeline: Timeline,
}

/// Which requests are counted together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Dimensions {
    kms_operation: &'static str,
    xks_operation: &'static str,
}

/// Requests with the same dimensions.
#[derive(Default)]
struct Calls {
    latency: Latency,
    /// By `ExceptionName`.
    errors: BTreeMap<&'static str, u64>,
}

/// The instances of the external key manager, by their state, in the last answer to GetHealthStatus.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Health {
    pub(crate) active: u64,
    pub(crate) degraded: u64,
    pub(crate) unavailable: u64,
}

/// What is known of a proxy, for people to look at.
pub(crate) struct Overview {
    /// The last minutes, the earliest first.
    pub(crate) points: Vec<Point>,
    pub(crate) health: Option<Health>,
    /// The name in its certificate, and the days that are left.
    pub(crate) certificate: Option<(String, f64)>,
    /// Requests that KMS has refused for the quota.
    pub(crate) throttled: u64,
}

/// One request to a proxy.
#[derive(Clone, Debug)]
pub(crate) struct ProxyRequest {
    /// When it ended, in the system's time, as the proxy's own log has it.
    pub(crate) time: SystemTime,
    pub(crate) kms_operation: &'static str,
    pub(crate) xks_operation: &'static str,
    pub(crate) latency: Duration,
    pub(crate) outcome: Result<(), ProxyFailure>,
    pub(crate) kms_request_id: Box<str>,
}

impl StoreObservation {
    /// Of a store of which nothing was seen yet.
    pub(crate) fn new(custom_key_store_id: &str) -> Self {
        Self(Arc::new(Shared {
            custom_key_store_id: custom_key_store_id.into(),
            seen: Mutex::default(),
        }))
    }

    /// Whose it is.
    pub(crate) fn custom_key_store_id(&self) -> &str {
        &self.0.custom_key_store_id
    }

    /// KMS has refused a request for the quota of the store.
    pub(crate) fn throttled(&self, operation: Operation) {
        *self.lock().throttled.entry(operation.name()).or_default() += 1;
    }

    /// The proxy has told how its key managers are.
    pub(crate) fn answered_health(&self, fleet: &[EkmFleetDetail]) {
        let mut health = Health::default();
        for ekm in fleet {
            match ekm.health_status {
                HealthStatus::Active => health.active += 1,
                HealthStatus::Degraded => health.degraded += 1,
                HealthStatus::Unavailable => health.unavailable += 1,
            }
        }
        self.lock().health = Some(health);
    }

    /// The proxy has proved itself with that certificate.
    pub(crate) fn presented(&self, certificate: &CertificateDer<'_>) {
        let known = |seen: &ProxyCertificate| seen.is(certificate);
        if self.lock().certificate.as_ref().is_some_and(known) {
            return;
        }
        if let Some(certificate) = ProxyCertificate::read(certificate) {
            self.lock().certificate = Some(certificate);
        }
    }

    /// The last requests, the latest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<ProxyRequest> {
        let seen = self.lock();
        seen.recent.iter().rev().take(limit).cloned().collect()
    }

    /// What is known of the proxy.
    pub(crate) fn overview(&self) -> Overview {
        let seen = self.lock();
        let certificate = seen.certificate.as_ref();
        Overview {
            points: seen.timeline.points(Instant::now()),
            health: seen.health,
            certificate: certificate.map(|certificate| {
                let days = certificate.days_to_expire(SystemTime::now());
                (certificate.name.clone(), days)
            }),
            throttled: seen.throttled.values().sum(),
        }
    }

    fn ended(&self, request: ProxyRequest) {
        let mut seen = self.lock();
        let dimensions = Dimensions {
            kms_operation: request.kms_operation,
            xks_operation: request.xks_operation,
        };
        let calls = seen.calls.entry(dimensions).or_default();
        let (latency, error) = match request.outcome.err().map(|failure| exception(&failure)) {
            None | Some(Exception::None) => (Some(request.latency), None),
            Some(Exception::Answer(name)) => (Some(request.latency), Some(name)),
            Some(Exception::NoAnswer) => (None, Some(UNREACHABLE)),
            Some(Exception::NotSent) => return,
        };
        if let Some(latency) = latency {
            calls.latency.record(latency);
        }
        if let Some(name) = error {
            *calls.errors.entry(name).or_default() += 1;
        }
        let failed = request.outcome.is_err();
        seen.timeline.record(Instant::now(), latency, failed);
        while seen.recent.len() >= RECENT {
            seen.recent.pop_front();
        }
        seen.recent.push_back(request);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failure is for the metrics.
enum Exception {
    /// The proxy has answered as it should.
    None,
    /// The proxy's answer, late ones too, has this `ExceptionName`.
    Answer(&'static str),
    /// There was no one to answer.
    NoAnswer,
    /// KMS itself kept the request back, or ended it.
    NotSent,
}

const fn exception(failure: &ProxyFailure) -> Exception {
    match failure {
        ProxyFailure::Answered(name) => Exception::Answer(name.as_str()),
        ProxyFailure::Malformed(_) => Exception::Answer("XksProxyInvalidResponseException"),
        // What took too long took at least as long as it was waited for.
        ProxyFailure::TimedOut => Exception::Answer(UNREACHABLE),
        ProxyFailure::Unreachable | ProxyFailure::Tls => Exception::NoAnswer,
        ProxyFailure::Unhealthy | ProxyFailure::InnerCiphertext => Exception::None,
        ProxyFailure::NotConnected => Exception::NotSent,
    }
}

/// `ExceptionName` of a failure, if it counts as one.
pub(crate) const fn exception_name(failure: &ProxyFailure) -> Option<&'static str> {
    match exception(failure) {
        Exception::Answer(name) => Some(name),
        Exception::NoAnswer => Some(UNREACHABLE),
        Exception::None | Exception::NotSent => None,
    }
}

/// Follows one request to a proxy; an attempt that ran out of time and the one after it are a request each.
pub(crate) struct Following<'o> {
    /// `None` for a proxy that no store has yet.
    observation: Option<&'o StoreObservation>,
    kms_operation: &'static str,
    xks_operation: OperationName,
    kms_request_id: &'o str,
    start: Instant,
}

impl<'o> Following<'o> {
    /// From now on.
    pub(crate) fn start(
        observation: Option<&'o StoreObservation>,
        kms_operation: &str,
        xks_operation: OperationName,
        kms_request_id: &'o str,
    ) -> Self {
        Self {
            observation,
            kms_operation: Operation::from_name(kms_operation)
                .map_or(HEALTH_CHECK, Operation::name),
            xks_operation,
            kms_request_id,
            start: Instant::now(),
        }
    }

    /// The attempt failed so, and another one follows.
    pub(crate) fn again_after(&mut self, failure: ProxyFailure) {
        self.end(Err(failure));
        self.start = Instant::now();
    }

    /// It is over.
    pub(crate) fn end(&self, outcome: Result<(), ProxyFailure>) {
        let Some(observation) = self.observation else {
            return;
        };
        observation.ended(ProxyRequest {
            time: SystemTime::now(),
            kms_operation: self.kms_operation,
            xks_operation: self.xks_operation.as_str(),
            latency: self.start.elapsed(),
            outcome,
            kms_request_id: self.kms_request_id.into(),
        });
    }
}

/// `kmsOperation` of the periodic check.
pub(crate) const HEALTH_CHECK: &str = "KmsHealthCheck";

/// KMS's name for "could not talk to the proxy".
const UNREACHABLE: &str = "XksProxyUnreachableException";

/// Requests that are kept of each store.
pub(crate) const RECENT: usize = 128;
