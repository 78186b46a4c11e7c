//! What was seen of all external key stores as metrics, with CloudWatch's names, dimensions and units.

use std::time::SystemTime;

use super::certificate::days;
use super::latency::Latency;
use super::{Health, StoreObservation, UNREACHABLE};
use crate::custom_key_store::{CustomKeyStore, CustomKeyStoreType};
use crate::simulator::Simulator;
use crate::visibility::Home;

/// One metric of the namespace `AWS/KMS`.
pub(crate) struct Metric {
    pub(crate) home: Home,
    pub(crate) name: MetricName,
    /// In CloudWatch's order.
    pub(crate) dimensions: Vec<(&'static str, String)>,
    pub(crate) value: MetricValue,
}

/// The names of the metrics.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum MetricName {
    ExternalKeyStoreThrottle,
    XksProxyErrors,
    XksProxyLatency,
    XksExternalKeyManagerStates,
    XksProxyCertificateDaysToExpire,
    XksProxyCredentialAge,
}

/// What a metric shows.
pub(crate) enum MetricValue {
    /// How often it happened.
    Count(u64),
    /// How it is now.
    Now(f64),
    Milliseconds(Box<Latency>),
}

impl MetricName {
    /// CloudWatch's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalKeyStoreThrottle => "ExternalKeyStoreThrottle",
            Self::XksProxyErrors => "XksProxyErrors",
            Self::XksProxyLatency => "XksProxyLatency",
            Self::XksExternalKeyManagerStates => "XksExternalKeyManagerStates",
            Self::XksProxyCertificateDaysToExpire => "XksProxyCertificateDaysToExpire",
            Self::XksProxyCredentialAge => "XksProxyCredentialAge",
        }
    }

    /// CloudWatch's unit; it has none for days.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::ExternalKeyStoreThrottle
            | Self::XksProxyErrors
            | Self::XksExternalKeyManagerStates => "Count",
            Self::XksProxyLatency => "Milliseconds",
            Self::XksProxyCertificateDaysToExpire | Self::XksProxyCredentialAge => "None",
        }
    }
}

/// The metrics of every external key store that there is, in the order of their names.
pub(crate) fn of_simulator(simulator: &Simulator) -> Vec<Metric> {
    let now = simulator.clock().now();
    let mut metrics = Vec::new();
    for (home, region) in simulator.regions() {
        let state = region.lock();
        for store in state.stores.iter() {
            if store.kind() == CustomKeyStoreType::ExternalKeyStore {
                metrics.extend(of_store(&home, store, now));
            }
        }
    }
    metrics.sort_by_key(|metric| metric.name);
    metrics
}

fn of_store(home: &Home, store: &CustomKeyStore, now: SystemTime) -> Vec<Metric> {
    let id = store.id().as_str();
    let metric = |name, dimensions: Vec<(&'static str, &str)>, value| Metric {
        home: home.clone(),
        name,
        dimensions: std::iter::once((CUSTOM_KEY_STORE_ID, id))
            .chain(dimensions)
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
        value,
    };
    let mut metrics = seen(store.observation(), metric);
    // The clock may have been set back.
    let age = now.duration_since(store.credential_set());
    let age = MetricValue::Now(days(age.unwrap_or_default()));
    metrics.push(metric(MetricName::XksProxyCredentialAge, Vec::new(), age));
    metrics
}

fn seen(
    observation: &StoreObservation,
    metric: impl Fn(MetricName, Vec<(&'static str, &str)>, MetricValue) -> Metric,
) -> Vec<Metric> {
    let seen = observation.lock();
    let mut metrics = Vec::new();
    for (operation, count) in &seen.throttled {
        metrics.push(metric(
            MetricName::ExternalKeyStoreThrottle,
            vec![(KMS_OPERATION, operation), KEY_SPEC],
            MetricValue::Count(*count),
        ));
    }
    for (which, calls) in &seen.calls {
        let operations = [
            (KMS_OPERATION, which.kms_operation),
            (XKS_OPERATION, which.xks_operation),
            KEY_SPEC,
        ];
        for (exception, count) in &calls.errors {
            let mut dimensions = operations.to_vec();
            dimensions.push(("ErrorType", error_type(exception)));
            dimensions.push(("ExceptionName", exception));
            let count = MetricValue::Count(*count);
            metrics.push(metric(MetricName::XksProxyErrors, dimensions, count));
        }
        if calls.latency.count() > 0 {
            let latency = MetricValue::Milliseconds(Box::new(calls.latency.clone()));
            let dimensions = operations.to_vec();
            metrics.push(metric(MetricName::XksProxyLatency, dimensions, latency));
        }
    }
    for (state, count) in seen.health.iter().flat_map(Health::states) {
        metrics.push(metric(
            MetricName::XksExternalKeyManagerStates,
            vec![("XksExternalKeyManagerState", state)],
            MetricValue::Now(count),
        ));
    }
    if let Some(certificate) = &seen.certificate {
        metrics.push(metric(
            MetricName::XksProxyCertificateDaysToExpire,
            vec![("CertificateName", &certificate.name)],
            MetricValue::Now(certificate.days_to_expire(SystemTime::now())),
        ));
    }
    metrics
}

impl Health {
    fn states(&self) -> [(&'static str, f64); 3] {
        let count = |n: u64| u32::try_from(n).map_or(f64::INFINITY, f64::from);
        [
            ("Active", count(self.active)),
            ("Degraded", count(self.degraded)),
            ("Unavailable", count(self.unavailable)),
        ]
    }
}

/// `ErrorType`: whether the same request may succeed later.
fn error_type(exception: &str) -> &'static str {
    match exception {
        "InternalException"
        | "DependencyTimeoutException"
        | "ThrottlingException"
        | UNREACHABLE => "Retryable",
        _ => "Non-retryable",
    }
}

const CUSTOM_KEY_STORE_ID: &str = "CustomKeyStoreId";
const KMS_OPERATION: &str = "KmsOperation";
const XKS_OPERATION: &str = "XksOperation";

/// The only one that keys in external key stores have.
const KEY_SPEC: (&str, &str) = ("KeySpec", "SYMMETRIC_DEFAULT");
