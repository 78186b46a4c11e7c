//! Metrics in Prometheus's text format: CloudWatch's names and dimensions in snake case, with `aws_kms_` before them.

use std::fmt::Write as _;

use super::metrics::{Metric, MetricName, MetricValue};

/// The text of a scrape; the metrics are in the order of their names.
pub(crate) fn exposition(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut last = None;
    for metric in metrics {
        if last != Some(metric.name) {
            last = Some(metric.name);
            let (family, kind, help) = family(metric.name);
            let name = metric.name.as_str();
            // A String takes everything.
            let _ = writeln!(text, "# HELP {family} {help} (CloudWatch: AWS/KMS {name})");
            let _ = writeln!(text, "# TYPE {family} {kind}");
        }
        write_metric(&mut text, metric);
    }
    text
}

fn write_metric(text: &mut String, metric: &Metric) {
    let (family, ..) = family(metric.name);
    let labels = labels(metric);
    match &metric.value {
        MetricValue::Count(count) => {
            let _ = writeln!(text, "{family}{{{labels}}} {count}");
        }
        MetricValue::Now(value) => {
            let _ = writeln!(text, "{family}{{{labels}}} {value}");
        }
        MetricValue::Milliseconds(latency) => {
            for (bound, total) in latency.cumulative() {
                let _ = writeln!(text, "{family}_bucket{{{labels},le=\"{bound}\"}} {total}");
            }
            let (sum, count) = (latency.sum(), latency.count());
            let _ = writeln!(text, "{family}_bucket{{{labels},le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{family}_sum{{{labels}}} {sum}");
            let _ = writeln!(text, "{family}_count{{{labels}}} {count}");
        }
    }
}

fn labels(metric: &Metric) -> String {
    let home = [
        ("account_id".to_owned(), &metric.home.account),
        ("region".to_owned(), &metric.home.region),
    ];
    let dimensions = metric.dimensions.iter();
    let dimensions = dimensions.map(|(name, value)| (snake_case(name), value));
    let labels = home.into_iter().chain(dimensions);
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    labels.join(",")
}

/// Name, type and help.
const fn family(name: MetricName) -> (&'static str, &'static str, &'static str) {
    match name {
        MetricName::ExternalKeyStoreThrottle => (
            "aws_kms_external_key_store_throttle_total",
            "counter",
            "Requests with keys of an external key store that got a ThrottlingException.",
        ),
        MetricName::XksProxyErrors => (
            "aws_kms_xks_proxy_errors_total",
            "counter",
            "Requests to an external key store proxy that ended with an exception or without an answer in time.",
        ),
        MetricName::XksProxyLatency => (
            "aws_kms_xks_proxy_latency_milliseconds",
            "histogram",
            "Time until an external key store proxy answered, or until it was waited for no longer.",
        ),
        MetricName::XksExternalKeyManagerStates => (
            "aws_kms_xks_external_key_manager_states",
            "gauge",
            "Instances of the external key manager in a state, as the last GetHealthStatus told.",
        ),
        MetricName::XksProxyCertificateDaysToExpire => (
            "aws_kms_xks_proxy_certificate_days_to_expire",
            "gauge",
            "Days until the certificate expires that the external key store proxy presented last.",
        ),
        MetricName::XksProxyCredentialAge => (
            "aws_kms_xks_proxy_credential_age_days",
            "gauge",
            "Days since the authentication credential of the external key store proxy was set in KMS.",
        ),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A label's value: the name in a certificate may have any character.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The format's media type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
