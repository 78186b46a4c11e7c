//! `xks-proxy status`

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use xks_page::{Count, Milliseconds, about, counted};

use super::Failure;
use super::output::{OutputArguments, json, print, printable, rows, unexpected};
use super::whole_proxy::ProxyArguments;
use crate::admin::{Command, Reply};
use crate::status::{KeyStatus, KeyStoreStatus, Requests, Severity, Status, Wanted};

/// See how the running proxy does: key managers, requests and errors, latency, certificates, keys, denials.
///
/// The same as on the status page of the admin listener. Long lists are cut: narrow them, or go on after the last row.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// One external key store alone, by its URI path prefix; `/` is the empty one
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// External key stores whose prefix has this in it
    #[arg(long, value_name = "TEXT")]
    store: Option<String>,
    /// Keys whose id has this in it
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// External key stores after this one
    #[arg(long, value_name = "PREFIX")]
    after_store: Option<String>,
    /// Keys after this one, as "next" says in JSON
    #[arg(long, value_name = "KEY")]
    after_key: Option<String>,
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let wanted = Wanted {
        prefix: arguments.prefix,
        store: arguments.store,
        key: arguments.key,
        after_store: arguments.after_store,
        after_key: arguments.after_key,
    };
    let only = wanted.prefix.clone();
    // Only a server has anything to tell: without one, no store is opened.
    let proxy = arguments.proxy.locate()?;
    let Some(client) = proxy.server()? else {
        return Err(proxy.no_server());
    };
    let reply = client
        .execute(&Command::Status { wanted })
        .map_err(|e| Failure::Failed(e.to_string()))?;
    let status = match reply {
        Reply::Status(status) => status,
        other => return Err(unexpected(other)),
    };
    if let Some(prefix) = only.filter(|_| status.key_stores.rows.is_empty()) {
        return Err(Failure::Failed(format!(
            "there is no external key store {prefix}: `xks-proxy status` lists them"
        )));
    }
    match arguments.output.is_json() {
        true => json(&*status),
        false => print(text(&status).as_bytes()),
    }
}

/// The whole text. Writing to it does not fail.
fn text(status: &Status) -> String {
    let mut text = format!("xks-proxy {}", status.version);
    if let Some(uptime) = status.uptime_seconds {
        let _ = write!(text, ", up for {}", about(Duration::from_secs(uptime)));
    }
    text.push('\n');
    for problem in &status.problems {
        let word = match problem.severity {
            Severity::Failure => "FAILURE",
            Severity::Warning => "warning",
        };
        let _ = writeln!(text, "{word}  {}", printable(&problem.text));
    }
    match &status.traffic {
        None => text.push_str("requests are counted with metrics_listen or [admin]\n"),
        Some(traffic) => {
            let _ = writeln!(text, "\nthe last hour: {}", in_short(&traffic.last_hour));
            let _ = writeln!(text, "since its start: {}", in_short(&traffic.since_start));
        }
    }
    part(
        &mut text,
        ["BLOCKED", "SINCE", "UNTIL", "BY", "REASON"],
        status.blocks.rows.iter().map(|block| {
            let until = block.until.as_deref().unwrap_or("it is lifted");
            [
                block.target.clone(),
                block.since.clone(),
                until.to_owned(),
                block.by.clone(),
                block.reason.clone(),
            ]
        }),
    );
    if status.blocks.next.is_some() {
        text.push_str("there are more: `xks-proxy blocks` lists them\n");
    }
    part(
        &mut text,
        ["KEY MANAGER", "TYPE", "STATE", "CIRCUIT", "KEYS"],
        status.key_managers.iter().map(|manager| {
            let circuit = manager.circuit.as_ref();
            [
                manager.name.clone(),
                manager.kind.clone(),
                manager.state.clone(),
                circuit
                    .map_or("-", |c| if c.open { "open" } else { "closed" })
                    .to_owned(),
                manager
                    .keys
                    .map_or_else(|| "-".to_owned(), |keys| keys.to_string()),
            ]
        }),
    );
    part(
        &mut text,
        [
            "PREFIX",
            "REQUESTS/H",
            "NOT SERVED",
            "P50",
            "P99",
            "CREDENTIALS",
            "STATE",
        ],
        status.key_stores.rows.iter().map(key_store),
    );
    more(
        &mut text,
        status.key_stores.next.as_deref(),
        "--after-store",
    );
    part(
        &mut text,
        ["CERTIFICATE OF", "SUBJECT", "EXPIRES", "LEFT"],
        status.certificates.iter().map(|certificate| {
            let left = u64::try_from(certificate.seconds_left);
            [
                certificate.of.clone(),
                certificate.subject.clone(),
                certificate.not_after.clone(),
                left.map_or_else(
                    |_| "expired".to_owned(),
                    |left| about(Duration::from_secs(left)),
                ),
            ]
        }),
    );
    part(
        &mut text,
        ["KEY", "KEY MANAGER", "STATE", "VERSION", "PREFIXES"],
        status.keys.rows.iter().map(key),
    );
    more(&mut text, status.keys.next.as_deref(), "--after-key");
    part(
        &mut text,
        ["DENIED", "BY", "PREFIX", "KEY", "OPERATION", "WHO"],
        status.last_denials(DENIALS).into_iter().map(|denial| {
            [
                denial.at.clone(),
                denial.denied_by.clone(),
                shown(&denial.uri_path_prefix),
                denial.external_key_id.clone(),
                denial.kms_operation.clone(),
                denial.aws_principal_arn.clone(),
            ]
        }),
    );
    text
}

fn part<const N: usize>(
    text: &mut String,
    head: [&str; N],
    all: impl Iterator<Item = [String; N]>,
) {
    let all: Vec<_> = all.collect();
    if !all.is_empty() {
        text.push('\n');
        text.push_str(&rows(head, all));
    }
}

fn more(text: &mut String, next: Option<&str>, option: &str) {
    if let Some(next) = next {
        let _ = writeln!(text, "there are more: {option} \"{next}\"");
    }
}

fn in_short(requests: &Requests) -> String {
    let mut text = counted(
        usize::try_from(requests.total).unwrap_or(usize::MAX),
        "request",
        "requests",
    );
    for (count, word) in [
        (requests.refused, "refused"),
        (requests.failed, "failed"),
        (requests.abandoned, "given up by KMS"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {} {word}", Count(count));
        }
    }
    if let Some(latency) = requests.latency {
        let [half, most] = [latency.p50_us, latency.p99_us].map(micros);
        let _ = write!(text, "; 50 % within {half}, 99 % within {most}");
    }
    for error in &requests.errors {
        let _ = write!(text, "\n  {} {}", Count(error.count), error.error_name);
    }
    text
}

fn key_store(store: &KeyStoreStatus) -> [String; 7] {
    let hour = store.traffic.as_ref().map(|traffic| &traffic.last_hour);
    let count = |pick: fn(&Requests) -> u64| {
        hour.map_or_else(|| "-".to_owned(), |hour| Count(pick(hour)).to_string())
    };
    let latency = hour.and_then(|hour| hour.latency);
    let at = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), micros);
    let oldest = store.credentials.rows.first().and_then(|c| c.age_seconds);
    let credentials = match oldest {
        None => store.credentials.total.to_string(),
        Some(age) => {
            let age = about(Duration::from_secs(age));
            format!("{} (oldest {age})", store.credentials.total)
        }
    };
    [
        shown(&store.uri_path_prefix),
        count(|hour| hour.total),
        count(|hour| hour.total.saturating_sub(hour.ok)),
        at(latency.map(|latency| latency.p50_us)),
        at(latency.map(|latency| latency.p99_us)),
        credentials,
        if store.blocked { "BLOCKED" } else { "serving" }.to_owned(),
    ]
}

fn key(key: &KeyStatus) -> [String; 5] {
    let known = key.known.as_ref();
    let state = match known.map(|known| known.status) {
        _ if key.blocked => "BLOCKED",
        Some(xks_api::message::KeyStatus::Enabled) => "ENABLED",
        Some(xks_api::message::KeyStatus::Disabled) => "DISABLED",
        None => "-",
    };
    let prefixes: Vec<_> = key.uri_path_prefixes.iter().map(|p| shown(p)).collect();
    [
        key.id.clone(),
        key.key_manager.clone(),
        state.to_owned(),
        known.map_or_else(|| "-".to_owned(), |known| known.current_version.to_string()),
        prefixes.join(" "),
    ]
}

fn shown(prefix: &str) -> String {
    match prefix {
        "" => "/".to_owned(),
        prefix => prefix.to_owned(),
    }
}

fn micros(micros: u64) -> String {
    Milliseconds::from(Duration::from_micros(micros)).to_string()
}

/// Denials that are printed.
const DENIALS: usize = 10;

const EXAMPLES: &str = "\
Examples:
  xks-proxy status --config FILE                        how everything does
  xks-proxy status --config FILE --prefix /tenant-a     one external key store
  xks-proxy status --config FILE --key payroll          keys with payroll in their id
  xks-proxy status --config FILE --json                 for a program
  xks-proxy status --server HOST:8444 --server-ca ca.pem --token-file alice.token";
