//! `/control/v1/metrics` and `/metrics`: what CloudWatch would show of the external key stores.

use http::Method;
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest, Reply};
use crate::observation::{CONTENT_TYPE, Metric, MetricValue, exposition, of_simulator};
use crate::simulator::Simulator;

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => {
            let metrics = of_simulator(simulator);
            let metrics: Vec<_> = metrics.iter().map(describe).collect();
            Ok(json!({"Metrics": metrics}))
        }
        ([], _) => Err(ControlError::method("GET")),
        _ => Err(super::unknown_path()),
    }
}

/// For Prometheus, at the path where it looks.
pub(super) fn scrape(simulator: &Simulator, method: &Method) -> Result<Reply, ControlError> {
    match *method {
        Method::GET => Ok(Reply::Text {
            content_type: CONTENT_TYPE,
            body: exposition(&of_simulator(simulator)),
        }),
        _ => Err(ControlError::method("GET")),
    }
}

fn describe(metric: &Metric) -> Value {
    let dimensions: Vec<_> = metric
        .dimensions
        .iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    json!({
        "Namespace": "AWS/KMS",
        "MetricName": metric.name.as_str(),
        "Dimensions": dimensions,
        "Unit": metric.name.unit(),
        "Account": metric.home.account,
        "Region": metric.home.region,
        "Statistics": statistics(&metric.value),
    })
}

/// CloudWatch's statistics, over all the time that was observed.
fn statistics(value: &MetricValue) -> Value {
    match value {
        MetricValue::Count(count) => json!({"SampleCount": count, "Sum": count}),
        MetricValue::Now(now) => json!({"Average": now, "Minimum": now, "Maximum": now}),
        MetricValue::Milliseconds(latency) => {
            let percentiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
            let mut statistics = Map::from_iter([
                ("SampleCount".to_owned(), json!(latency.count())),
                ("Sum".to_owned(), json!(latency.sum())),
                ("Average".to_owned(), json!(latency.average())),
                ("Minimum".to_owned(), json!(latency.minimum())),
                ("Maximum".to_owned(), json!(latency.maximum())),
            ]);
            statistics.extend(
                percentiles
                    .map(|(name, share)| (name.to_owned(), json!(latency.percentile(share)))),
            );
            statistics.into()
        }
    }
}
