//! Spans in OTLP's JSON, made of what was recorded of a request.
//!
//! OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit numbers as strings.

use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{STAGES, Stage};

/// The spans of one request; nothing for what was not recorded by [`Traces::record`](super::Traces::record).
pub(super) fn of_request(recorded: &str) -> Option<Vec<Value>> {
    let mut rest = recorded;
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after;
        Some(word)
    };
    let took = nanoseconds(word()?)?;
    let mut stages: [Stage; STAGES.len()] = [None; STAGES.len()];
    for stage in &mut stages {
        *stage = nanoseconds(word()?).zip(nanoseconds(word()?));
    }
    let mut line: Map<String, Value> = serde_json::from_str(rest).ok()?;
    let time = line.remove("time")?;
    let start: SystemTime = OffsetDateTime::parse(time.as_str()?, &Rfc3339).ok()?.into();
    line.remove("microseconds");
    // Whoever follows a KMS request in CloudTrail finds its trace by the same id, and both requests of a ReEncrypt in one.
    let request = line.get("kmsRequestId").and_then(Value::as_str);
    let trace = match request.and_then(trace_id) {
        Some(id) => id,
        None => random::<16>()?,
    };
    let id = random::<8>()?;
    let name = line.get("operation").and_then(Value::as_str);
    let mut whole = span(
        &trace,
        name.unwrap_or("no route"),
        SERVER,
        start,
        (Duration::ZERO, took),
    )?;
    whole.insert("spanId".into(), json!(id));
    let failed = line
        .get("outcome")
        .is_some_and(|outcome| outcome == "failed");
    if failed {
        whole.insert("status".into(), json!({"code": ERROR}));
    }
    let attributes: Vec<Value> = line.into_iter().filter_map(attribute).collect();
    whole.insert("attributes".into(), attributes.into());
    let mut spans = vec![Value::Object(whole)];
    for (name, stage) in STAGES.into_iter().zip(stages) {
        let Some(stage) = stage else { continue };
        let mut part = span(&trace, name, INTERNAL, start, stage)?;
        part.insert("spanId".into(), json!(random::<8>()?));
        part.insert("parentSpanId".into(), json!(id));
        spans.push(Value::Object(part));
    }
    Some(spans)
}

/// A request of the protocol with these spans.
pub(super) fn export(service_name: &str, instance: &str, spans: Vec<Value>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service_name}},
            {"key": "service.version", "value": {"stringValue": version}},
            {"key": "service.instance.id", "value": {"stringValue": instance}},
        ]},
        "scopeSpans": [{"scope": {"name": "xks-proxy", "version": version}, "spans": spans}],
    }]})
}

fn span(
    trace: &str,
    name: &str,
    kind: u8,
    start: SystemTime,
    (from, to): (Duration, Duration),
) -> Option<Map<String, Value>> {
    let since_1970 = start.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let at = |after: Duration| since_1970.saturating_add(after).as_nanos().to_string();
    let Value::Object(span) = json!({
        "traceId": trace,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": at(from),
        "endTimeUnixNano": at(to),
    }) else {
        return None;
    };
    Some(span)
}

/// A member of the log line, by OpenTelemetry's names where there is one.
fn attribute((name, value): (String, Value)) -> Option<Value> {
    let key = match &*name {
        "status" => "http.response.status_code".to_owned(),
        "errorName" => "error.type".to_owned(),
        "method" => "http.request.method".to_owned(),
        "path" => "url.path".to_owned(),
        "clientAddress" => "client.address".to_owned(),
        name => "xks.".to_owned() + &snake_case(name),
    };
    let value = match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(json!({"key": key, "value": value}))
}

/// A UUID as the id of a trace, which is as long.
fn trace_id(uuid: &str) -> Option<String> {
    let id = uuid.replace('-', "").to_ascii_lowercase();
    let fits = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    // Of zeros alone is none.
    (fits && id.bytes().any(|b| b != b'0')).then_some(id)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn nanoseconds(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_nanos)
}

/// An id in hexadecimal.
pub(super) fn random<const LEN: usize>() -> Option<String> {
    let mut bytes = [0; LEN];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const ERROR: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_span_with_its_stages_in_it() {
        let line = r#"{"time":"2026-11-30T07:38:39.000123Z","operation":"Encrypt","externalKeyId":"demo",
            "kmsRequestId":"4112f4d6-db54-4af4-ae30-c55a22a8dfae","outcome":"failed","status":500,
            "errorName":"InternalException","microseconds":42}"#;
        let spans = of_request(&format!("42000 1000 3000 - - {line}")).unwrap();
        assert_eq!(spans.len(), 2);
        let whole = &spans[0];
        assert_eq!(whole["traceId"], "4112f4d6db544af4ae30c55a22a8dfae");
        assert_eq!(whole["name"], "Encrypt");
        // 2026-11-30T07:38:39Z by `date -u +%s`.
        assert_eq!(whole["startTimeUnixNano"], "1796024319000123000");
        assert_eq!(whole["endTimeUnixNano"], "1796024319000165000");
        assert_eq!(whole["status"], json!({"code": 2}));
        let attributes = whole["attributes"].as_array().unwrap();
        let expected = [
            json!({"key": "error.type", "value": {"stringValue": "InternalException"}}),
            json!({"key": "http.response.status_code", "value": {"intValue": "500"}}),
            json!({"key": "xks.external_key_id", "value": {"stringValue": "demo"}}),
        ];
        assert!(expected.iter().all(|one| attributes.contains(one)));
        let part = &spans[1];
        assert_eq!(part["name"], "authenticate");
        assert_eq!(part["parentSpanId"], whole["spanId"]);
        assert_eq!(part["startTimeUnixNano"], "1796024319000124000");
        assert_eq!(part["endTimeUnixNano"], "1796024319000126000");
        assert!(of_request("1 2 3").is_none());
    }
}
