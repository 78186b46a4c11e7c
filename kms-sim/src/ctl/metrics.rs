//! `kms-sim ctl metrics`: a line for each metric.

use std::fmt::Write as _;

use serde_json::Value;

use super::render::plain;

/// `XksProxyErrors 2 Count  CustomKeyStoreId=cks-… KmsOperation=Encrypt …`
pub(super) fn render(answer: &Value) -> String {
    let metrics = answer.get("Metrics").and_then(Value::as_array);
    let metrics = metrics.map(Vec::as_slice).unwrap_or_default();
    if metrics.is_empty() {
        return "No external key store was observed.\n".to_owned();
    }
    let mut text = String::new();
    for metric in metrics {
        let member = |name| metric.get(name).map(plain).unwrap_or_default();
        let name = member("MetricName");
        // A String takes everything.
        let _ = writeln!(text, "{name}  {}  {}", value(metric), dimensions(metric));
    }
    text
}

fn value(metric: &Value) -> String {
    let statistic = |name: &str| {
        let number = metric.pointer("/Statistics")?.get(name)?.as_f64()?;
        Some(format!("{name}={}", rounded(number)))
    };
    let names = ["SampleCount", "Average", "Minimum", "Maximum", "p50", "p99"];
    let unit = match metric.get("Unit").and_then(Value::as_str) {
        Some("Milliseconds") => "ms",
        Some("None") => "days",
        _ => "",
    };
    let shown: Vec<_> = match metric.pointer("/Statistics/Sum") {
        // A counter, or what is as it is now.
        Some(sum) if metric.pointer("/Statistics/Average").is_none() => vec![plain(sum)],
        None => {
            let now = metric.pointer("/Statistics/Average");
            let now = now.and_then(Value::as_f64).unwrap_or_default();
            vec![rounded(now)]
        }
        Some(_) => names.iter().filter_map(|name| statistic(name)).collect(),
    };
    format!("{} {unit}", shown.join(" ")).trim_end().to_owned()
}

fn dimensions(metric: &Value) -> String {
    let dimensions = metric.get("Dimensions").and_then(Value::as_array);
    let dimensions = dimensions.into_iter().flatten().map(|dimension| {
        let member = |name| dimension.get(name).map(plain).unwrap_or_default();
        format!("{}={}", member("Name"), member("Value"))
    });
    dimensions.collect::<Vec<_>>().join(" ")
}

fn rounded(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_metric_is_a_line_with_what_matters_of_it() {
        let answer = json!({"Metrics": [
            {"MetricName": "XksProxyErrors", "Unit": "Count", "Statistics": {"SampleCount": 2, "Sum": 2},
             "Dimensions": [{"Name": "CustomKeyStoreId", "Value": "cks-1"}, {"Name": "ErrorType", "Value": "Retryable"}]},
            {"MetricName": "XksProxyLatency", "Unit": "Milliseconds", "Dimensions": [],
             "Statistics": {"SampleCount": 3, "Sum": 30.0, "Average": 10.0, "Minimum": 1.256, "Maximum": 20.0}},
            {"MetricName": "XksProxyCredentialAge", "Unit": "None", "Dimensions": [],
             "Statistics": {"Average": 8.0, "Minimum": 8.0, "Maximum": 8.0}},
        ]});
        let expected = "XksProxyErrors  2  CustomKeyStoreId=cks-1 ErrorType=Retryable\n\
                        XksProxyLatency  SampleCount=3 Average=10 Minimum=1.26 Maximum=20 ms  \n\
                        XksProxyCredentialAge  8 days  \n";
        assert_eq!(render(&answer), expected);
        assert_eq!(
            render(&json!({"Metrics": []})),
            "No external key store was observed.\n"
        );
    }
}
