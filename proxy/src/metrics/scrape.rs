//! Everything that there is to tell, read at one moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::time::Instant;
use xks_api::message::HealthStatus;
use xks_api::route::OperationName;

use super::exposition::Exposition;
use super::requests::{Ending, Stage};
use super::{Handshake, Metrics};
use crate::audit::AuditLog;
use crate::http::Door;
use crate::key_store::ExternalKeyStore;
use crate::reload::Reloader;
use crate::runtime::Runtime;
use crate::traces::Counts;

/// The text of a scrape.
pub(crate) fn scrape(reloader: &Reloader) -> String {
    let runtime = reloader.runtime();
    let mut text = Exposition::default();
    if let Some(metrics) = runtime.metrics() {
        requests(&mut text, runtime, metrics);
        connections(&mut text, metrics);
        process(&mut text, runtime, metrics);
    }
    key_managers(&mut text, runtime);
    secrets(&mut text, reloader);
    if let Some(audit) = runtime.audit() {
        of_audit(&mut text, audit);
    }
    if let Some(traces) = runtime.traces() {
        of_traces(&mut text, traces.counts());
    }
    text.into_text()
}

fn requests(text: &mut Exposition, runtime: &Runtime, metrics: &Metrics) {
    let snapshot = runtime.snapshot();
    let mut stores: Vec<&ExternalKeyStore> = snapshot.key_stores.iter().collect();
    stores.sort_by_key(|store| store.prefix.as_str());
    text.family(
        "xks_requests_total",
        "counter",
        "Requests to external key stores, by how they ended.",
    );
    for store in &stores {
        let prefix = store.prefix.as_str();
        for operation in OperationName::ALL {
            let endings = &store.measures.of(operation).endings;
            for ending in Ending::all() {
                let count = endings.get(ending);
                // So that a rate begins at 0.
                if count == 0 && ending != Ending::Ok {
                    continue;
                }
                let (outcome, error_name) = ending.labels();
                let labels = [
                    ("uri_path_prefix", prefix),
                    ("operation", operation.as_str()),
                    ("outcome", outcome),
                    ("error_name", error_name),
                ];
                text.sample(&labels, count);
            }
        }
    }
    text.family(
        "xks_request_duration_seconds",
        "histogram",
        "Time from the head of a request to its answer.",
    );
    for store in &stores {
        for operation in OperationName::ALL {
            let labels = [
                ("uri_path_prefix", store.prefix.as_str()),
                ("operation", operation.as_str()),
            ];
            text.histogram(&labels, &store.measures.of(operation).duration);
        }
    }
    text.family(
        "xks_stage_duration_seconds",
        "histogram",
        "The same time in its parts.",
    );
    for operation in OperationName::ALL {
        for stage in Stage::ALL {
            let labels = [("operation", operation.as_str()), ("stage", stage.as_str())];
            text.histogram(&labels, metrics.stages.of(operation, stage));
        }
    }
    text.family(
        "xks_unrouted_requests_total",
        "counter",
        "Requests under no URI path prefix that there is.",
    );
    for ending in Ending::all() {
        let count = metrics.unrouted.get(ending);
        if count > 0 {
            let (outcome, error_name) = ending.labels();
            text.sample(&[("outcome", outcome), ("error_name", error_name)], count);
        }
    }
    text.family(
        "xks_blocks_in_force",
        "gauge",
        "1 while the external key store, or a key of it, is blocked.",
    );
    for store in &stores {
        let blocked = u8::from(store.blocks.any());
        text.sample(&[("uri_path_prefix", store.prefix.as_str())], blocked);
    }
    counter(
        text,
        "xks_shed_requests_total",
        "Requests that were turned away since requests wait too long for a processor.",
        &metrics.shed,
    );
}

fn connections(text: &mut Exposition, metrics: &Metrics) {
    text.family("xks_connections", "gauge", "Open connections.");
    let doors = [(Door::Api, "api"), (Door::Health, "health")];
    for (door, listener) in doors {
        let of = metrics.connections(door);
        let closed = of.closed.load(Ordering::Relaxed);
        let open = of.opened.load(Ordering::Relaxed).saturating_sub(closed);
        text.sample(&[("listener", listener)], open);
    }
    text.family("xks_connections_total", "counter", "Connections so far.");
    for (door, listener) in doors {
        let opened = metrics.connections(door).opened.load(Ordering::Relaxed);
        text.sample(&[("listener", listener)], opened);
    }
    text.family(
        "xks_tls_handshakes_total",
        "counter",
        "TLS handshakes, by how they ended.",
    );
    for (ended, count) in Handshake::ALL.into_iter().zip(&metrics.handshakes) {
        let (result, version) = ended.labels();
        let labels = [("result", result), ("version", version)];
        text.sample(&labels, count.load(Ordering::Relaxed));
    }
}

fn process(text: &mut Exposition, runtime: &Runtime, metrics: &Metrics) {
    text.family("xks_build_info", "gauge", "The version of the proxy.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(
        "xks_reloads_total",
        "counter",
        "Reloads of the configuration.",
    );
    for (result, count) in [
        ("ok", &metrics.reloads),
        ("failed", &metrics.failed_reloads),
    ] {
        text.sample(&[("result", result)], count.load(Ordering::Relaxed));
    }
    text.family(
        "xks_processor_wait_seconds",
        "gauge",
        "How long requests wait for a processor.",
    );
    text.sample(&[], runtime.overload().wait().as_secs_f64());
    text.family(
        "xks_draining",
        "gauge",
        "1 while the proxy takes its leave.",
    );
    text.sample(&[], u8::from(runtime.draining()));
    let dropped = "Lines that the request log lacks, since nobody read it in time.";
    counter(
        text,
        "xks_log_dropped_lines_total",
        dropped,
        runtime.log().dropped(),
    );
    if let Ok(executor) = Handle::try_current() {
        text.family(
            "xks_tasks",
            "gauge",
            "Tasks that run: one for each connection, and some more.",
        );
        text.sample(&[], executor.metrics().num_alive_tasks());
    }
    text.family(
        "process_start_time_seconds",
        "gauge",
        "When the process began, since 1970.",
    );
    text.sample(&[], seconds(metrics.started));
    if let Some(bytes) = resident_bytes() {
        text.family(
            "process_resident_memory_bytes",
            "gauge",
            "Memory that the process has.",
        );
        text.sample(&[], bytes);
    }
}

fn key_managers(text: &mut Exposition, runtime: &Runtime) {
    let snapshot = runtime.snapshot();
    let now = Instant::now();
    text.family(
        "xks_key_manager_state",
        "gauge",
        "1 for the state that the last probes give; UNKNOWN before the first one.",
    );
    for open in &snapshot.key_managers {
        let known = open.known(now);
        for (state, status) in [
            ("ACTIVE", Some(HealthStatus::Active)),
            ("DEGRADED", Some(HealthStatus::Degraded)),
            ("UNAVAILABLE", Some(HealthStatus::Unavailable)),
            ("UNKNOWN", None),
        ] {
            let labels = [("key_manager", open.name()), ("state", state)];
            text.sample(&labels, u8::from(known == status));
        }
    }
    // The embedded one has no queue and no circuit.
    let loads: Vec<_> = snapshot
        .key_managers
        .iter()
        .filter_map(|open| Some((open.name(), open.key_manager().load()?)))
        .collect();
    text.family(
        "xks_key_manager_waiting_calls",
        "gauge",
        "Calls that wait for another one to end.",
    );
    for (name, load) in &loads {
        text.sample(&[("key_manager", name)], load.waiting);
    }
    text.family(
        "xks_key_manager_running_calls",
        "gauge",
        "Calls that were not answered yet.",
    );
    for (name, load) in &loads {
        text.sample(&[("key_manager", name)], load.running);
    }
    text.family(
        "xks_key_manager_circuit_open",
        "gauge",
        "1 while a key manager that fails is left alone.",
    );
    for (name, load) in &loads {
        text.sample(&[("key_manager", name)], u8::from(load.circuit_open));
    }
}

fn secrets(text: &mut Exposition, reloader: &Reloader) {
    let now = SystemTime::now();
    if let Some(end) = reloader.certificate_end() {
        text.family(
            "xks_certificate_expires_in_seconds",
            "gauge",
            "Time until the certificate of the API's listener expires.",
        );
        let left = match end.duration_since(now) {
            Ok(left) => left.as_secs_f64(),
            Err(over) => -over.duration().as_secs_f64(),
        };
        text.sample(&[], left);
    }
    text.family(
        "xks_credential_age_seconds",
        "gauge",
        "Time since a credential was made; of those that the proxy keeps itself.",
    );
    for (prefix, id, created) in reloader.credentials() {
        let age = now.duration_since(created).unwrap_or_default();
        let labels = [("uri_path_prefix", &*prefix), ("access_key_id", &*id)];
        text.sample(&labels, age.as_secs_f64());
    }
}

fn of_audit(text: &mut Exposition, audit: &AuditLog) {
    let progress = audit.progress();
    let mut sample = |name, kind, help, value: u64| {
        text.family(name, kind, help);
        text.sample(&[], value);
    };
    for (name, help, value) in [
        (
            "xks_audit_sequence",
            "The number of the audit log's last line.",
            progress.sequence,
        ),
        (
            "xks_audit_signed_sequence",
            "The number of the line that the last signed head is of.",
            progress.signed,
        ),
        (
            "xks_audit_failing",
            "1 while the audit log cannot be written.",
            progress.failing.into(),
        ),
    ] {
        sample(name, "gauge", help, value);
    }
    for (name, help, value) in [
        (
            "xks_audit_write_failures_total",
            "Attempts to write the audit log that failed.",
            progress.failures,
        ),
        (
            "xks_audit_dropped_lines_total",
            "Lines that the audit log lacks.",
            progress.dropped,
        ),
        (
            "xks_audit_refused_requests_total",
            "Requests that were refused since they could not be recorded.",
            progress.refused,
        ),
        (
            "xks_audit_not_forwarded_lines_total",
            "Copies of lines that did not arrive where they are forwarded to.",
            progress.not_forwarded,
        ),
    ] {
        sample(name, "counter", help, value);
    }
}

fn of_traces(text: &mut Exposition, counts: &Counts) {
    let sent = "Requests whose spans a collector has taken.";
    counter(text, "xks_traced_requests_sent_total", sent, &counts.sent);
    let lost = "Requests that were to be traced and whose spans are lost.";
    counter(text, "xks_traced_requests_lost_total", lost, &counts.lost);
}

fn counter(text: &mut Exposition, name: &'static str, help: &str, value: &AtomicU64) {
    text.family(name, "counter", help);
    text.sample(&[], value.load(Ordering::Relaxed));
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// The second number of `/proc/self/statm`, in pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(pages * page)
}
