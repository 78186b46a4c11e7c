//! Traces: what a collector that is not ours understands of them, and that no request depends on it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use harness::process::Process;
use harness::{backend, free_port, wait_for};
use serde_json::Value;

use crate::two_stores::{Proxy, Tried, initialize};

#[test]
fn a_collector_is_sent_a_span_for_each_request_and_its_stages() {
    let _alone = crate::alone();
    let port = free_port();
    let Some(mut collector) = collector(port) else {
        return;
    };
    let mut proxy = traced(port);
    let id = "4112f4d6-db54-4af4-ae30-c55a22a8dfae";
    assert_eq!(proxy.tried.try_encrypt(id), Some(200));
    let mut forger = proxy.tried.signer.clone();
    forger.secret_access_key = "x".repeat(48);
    let path = format!("{}/keys/payments/encrypt", proxy.tried.uri_path);
    let forged = forger.post("localhost", &path, "{}");
    proxy.env.connect().exchange(&forged.http1()).unwrap();
    let spans = collector.wait_until("the spans", LIMIT, |collector| {
        let spans = spans(&collector.stdout());
        let of_the_forger = |span: &Value| span["attributes"]["error.type"] == REFUSED;
        spans.iter().any(of_the_forger).then_some(spans)
    });

    // CloudTrail's id of the request is the trace's.
    let trace: Vec<_> = spans
        .iter()
        .filter(|span| span["trace"] == id.replace('-', ""))
        .collect();
    assert_eq!(trace.len(), 3, "{spans:?}");
    let named = |name: &str| *trace.iter().find(|span| span["name"] == name).unwrap();
    let whole = named("Encrypt");
    assert_eq!(whole["service"], "xks-proxy");
    // SPAN_KIND_SERVER, no parent, STATUS_CODE_UNSET.
    assert_eq!(
        (&whole["kind"], &whole["parent"], &whole["status"]),
        (&2.into(), &"".into(), &0.into())
    );
    let attributes = &whole["attributes"];
    for (name, value) in [
        ("xks.kms_request_id", id),
        ("xks.external_key_id", "payments"),
        ("xks.uri_path_prefix", "/tried"),
        ("xks.kms_operation", "Encrypt"),
        ("xks.outcome", "ok"),
    ] {
        assert_eq!(attributes[name], value, "{name} of {attributes}");
    }
    assert_eq!(attributes["http.response.status_code"], 200);
    let times = |span: &Value| [&span["start"], &span["end"]].map(|time| time.as_u64().unwrap());
    let [start, end] = times(whole);
    let [first, second] = ["authenticate", "key manager"].map(|name| {
        let span = named(name);
        assert_eq!(span["parent"], whole["id"]);
        times(span)
    });
    let in_order = [start, first[0], first[1], second[0], second[1], end];
    assert!(in_order.is_sorted() && start < end, "{in_order:?}");

    let refused = spans
        .iter()
        .find(|span| span["attributes"]["error.type"] == REFUSED)
        .unwrap();
    assert_eq!(refused["attributes"]["http.response.status_code"], 401);
    // A caller's fault is none of the server's.
    assert_eq!(refused["status"], 0);
    proxy.has_not_panicked();
}

#[test]
fn requests_are_served_while_no_collector_takes_their_spans() {
    let _alone = crate::alone();
    // Nobody listens there.
    let port = free_port();
    let mut proxy = traced(port);
    proxy
        .tried
        .round_trip()
        .map_err(|answered| answered.error)
        .unwrap();
    wait_for("the warning", LIMIT, || {
        proxy
            .process
            .stderr()
            .contains("traces do not arrive")
            .then_some(())
    });
    proxy
        .tried
        .round_trip()
        .map_err(|answered| answered.error)
        .unwrap();
    proxy.has_not_panicked();
}

fn traced(port: u16) -> Proxy {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let table = format!("[traces]\nendpoint = \"http://{address}\"\n");
    let tried = Tried {
        table: "type = \"embedded\"\ndata_dir = \"tried\"",
        key: "payments",
        limits: &table,
        environment: &[],
    };
    Proxy::start(&tried, |folder| initialize(folder, &[]))
}

/// OpenTelemetry's own classes, in a process that listens at this port; nothing, and the reason told, without them.
fn collector(port: u16) -> Option<Process> {
    let modules = ["opentelemetry.proto", "google.protobuf"];
    let python = backend::python_with(&modules)
        .map_err(|reason| backend::missing("opentelemetry-proto", &reason))
        .ok()?;
    let script = harness::workspace().join("tests/e2e/collector.py");
    let mut process = Process::start(Command::new(python).arg(script).arg(port.to_string()));
    process.wait_until("its port", LIMIT, |process| {
        process.stdout().contains("port").then_some(())
    });
    Some(process)
}

fn spans(output: &str) -> Vec<Value> {
    let lines = output.lines().skip(1);
    // The last line may be under way.
    lines
        .map_while(|line| serde_json::from_str(line).ok())
        .collect()
}

const REFUSED: &str = "AuthenticationFailedException";
const LIMIT: Duration = Duration::from_secs(30);
