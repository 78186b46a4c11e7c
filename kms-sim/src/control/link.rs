//! `/control/v1/link`: faults of the links to proxies.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use xks_api::route::OperationName;

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::stores::known;
use crate::fault::{ConnectFault, Faults, LinkFault, Reply, Scope, TcpFault, TlsFault, word};
use crate::simulator::Simulator;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
struct Set {
    custom_key_store_id: Option<String>,
    xks_proxy_uri_endpoint: Option<String>,
    operations: Vec<String>,
    times: Option<u32>,
    latency_ms: u32,
    jitter_ms: u32,
    loss: f64,
    seed: u64,
    tcp: Option<TcpFault>,
    tls: Option<TlsFault>,
    reset_after_bytes: Option<u64>,
    bytes_per_second: Option<NonZeroU32>,
    reply: Option<Reply>,
}

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    let faults = simulator.connector().faults();
    let names = ["CustomKeyStoreId", "XksProxyUriEndpoint"];
    match (request.path, request.method) {
        ([], &Method::GET) => drop(request.query(&[])?),
        ([], &Method::PUT) => {
            request.query(&[])?;
            let set: Set = request.input()?;
            let store = set.custom_key_store_id.as_deref();
            let scope = scope(simulator, store, set.xks_proxy_uri_endpoint.as_deref())?;
            faults.set(scope, set.fault()?);
        }
        ([], &Method::DELETE) => {
            request.no_input()?;
            match *request.query(&names)? {
                [None, None] => faults.reset(),
                // A store that was deleted may still have a fault.
                [Some(id), None] if faults.clear(&Scope::Store(id.to_owned())) => {}
                [store, endpoint] => {
                    let scope = scope(simulator, store, endpoint)?;
                    if !faults.clear(&scope) {
                        return Err(ControlError::not_found("That link has no fault."));
                    }
                }
                _ => return Err(super::unknown_path()),
            }
        }
        ([], _) => return Err(ControlError::method("GET, PUT, DELETE")),
        _ => return Err(super::unknown_path()),
    }
    Ok(links(faults))
}

fn scope(
    simulator: &Simulator,
    store: Option<&str>,
    endpoint: Option<&str>,
) -> Result<Scope, ControlError> {
    match (store, endpoint) {
        (None, None) => Ok(Scope::All),
        (Some(id), None) => Ok(Scope::Store(known(simulator, id)?.to_owned())),
        (None, Some(endpoint)) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            let host = endpoint.strip_prefix("https://");
            let host = host.filter(|host| !host.is_empty() && host.bytes().all(allowed));
            host.map(|host| Scope::Endpoint(host.to_ascii_lowercase()))
                .ok_or_else(|| {
                    ControlError::invalid(
                        "XksProxyUriEndpoint must be https:// and a host, such as https://xks.test, as the store has it.",
                    )
                })
        }
        (Some(_), Some(_)) => Err(ControlError::invalid(
            "Say CustomKeyStoreId or XksProxyUriEndpoint, not both; neither for every link.",
        )),
    }
}

impl Set {
    fn fault(self) -> Result<LinkFault, ControlError> {
        let operation = |name: String| {
            let found = OperationName::ALL
                .into_iter()
                .find(|known| known.as_str() == name);
            found.ok_or_else(|| {
                ControlError::invalid(format!(
                    "'{}' is no operation of a proxy; expected {}.",
                    name.escape_default(),
                    OperationName::ALL.map(OperationName::as_str).join(", ")
                ))
            })
        };
        let operations: Result<Vec<_>, _> = self.operations.into_iter().map(operation).collect();
        if self.latency_ms > LONGEST_MS || self.jitter_ms > LONGEST_MS {
            return Err(ControlError::invalid(format!(
                "LatencyMs and JitterMs are {LONGEST_MS} at most; KMS waits 250 ms."
            )));
        }
        let connect = match (self.tcp, self.tls) {
            (Some(_), Some(_)) => {
                return Err(ControlError::invalid(
                    "Tcp and Tls exclude each other: without TCP there is no TLS that could fail.",
                ));
            }
            (Some(fault), None) => Some(ConnectFault::Tcp(fault)),
            (None, Some(fault)) => Some(ConnectFault::Tls(fault)),
            (None, None) => None,
        };
        if self.times == Some(0) {
            return Err(ControlError::invalid(
                "Times must be 1 at least; leave it out for every attempt.",
            ));
        }
        if let Some(problem) = self.reply.as_ref().and_then(Reply::problem) {
            return Err(ControlError::invalid(problem));
        }
        let fault = LinkFault {
            operations: operations?,
            times: self.times,
            latency: Duration::from_millis(self.latency_ms.into()),
            jitter: Duration::from_millis(self.jitter_ms.into()),
            loss_millionths: millionths(self.loss)?,
            seed: self.seed,
            connect,
            reset_after: self.reset_after_bytes,
            bytes_per_second: self.bytes_per_second,
            reply: self.reply,
        };
        if fault.is_harmless() {
            return Err(ControlError::invalid(
                "That is no fault; say what the link does, or DELETE a fault that it has.",
            ));
        }
        Ok(fault)
    }
}

/// Of a probability from 0 to 1.
fn millionths(loss: f64) -> Result<u32, ControlError> {
    // Written out, a float of that range with six decimals is the number of millionths.
    let digits = format!("{loss:.6}").replacen('.', "", 1);
    let millionths = digits
        .parse()
        .ok()
        .filter(|millionths| *millionths <= 1_000_000);
    millionths.ok_or_else(|| {
        ControlError::invalid("Loss is a probability: a number from 0 to 1, such as 0.25.")
    })
}

/// A float as JSON has it, which has no NaN and nothing infinite.
///
/// # Errors
/// 400
pub(crate) fn loss(number: f64) -> Result<Value, ControlError> {
    millionths(number).map(|_| number.into())
}

fn links(faults: &Faults) -> Value {
    let links = faults.list().into_iter();
    let links = links.map(|(scope, fault, left)| {
        let (store, endpoint) = match scope {
            Scope::Store(id) => (Some(id), None),
            Scope::Endpoint(host) => (None, Some(format!("https://{host}"))),
            Scope::All => (None, None),
        };
        let operations = match &*fault.operations {
            [] => &OperationName::ALL[..],
            some => some,
        };
        let operations = operations.iter().map(|operation| operation.as_str());
        json!({
            "CustomKeyStoreId": store,
            "XksProxyUriEndpoint": endpoint,
            "Operations": operations.collect::<Vec<_>>(),
            "TimesLeft": left,
            "Faults": describe(&fault),
        })
    });
    json!({"Links": links.collect::<Vec<_>>()})
}

/// The fault that the members of a request ask for.
///
/// # Errors
/// 400
pub(crate) fn fault(members: Value) -> Result<LinkFault, ControlError> {
    let set: Result<Set, _> = serde_json::from_value(members);
    let set = set.map_err(|error| ControlError::invalid(format!("{error}.")))?;
    set.fault()
}

/// In words, since some have many parts.
pub(crate) fn describe(fault: &LinkFault) -> Vec<String> {
    let mut words = Vec::new();
    match (fault.latency.as_millis(), fault.jitter.as_millis()) {
        (0, 0) => {}
        (latency, 0) => words.push(format!("{latency} ms later")),
        (0, jitter) => words.push(format!("up to {jitter} ms later")),
        (latency, jitter) => words.push(format!("{latency} ms later and up to {jitter} ms more")),
    }
    if fault.loss_millionths > 0 {
        let (millionths, seed) = (fault.loss_millionths, fault.seed);
        words.push(format!(
            "{millionths} of a million requests lost, by seed {seed}"
        ));
    }
    match fault.connect {
        Some(ConnectFault::Tcp(fault)) => words.push(format!("no TCP: {}", word(fault))),
        Some(ConnectFault::Tls(fault)) => words.push(format!("no TLS: {}", word(fault))),
        None => {}
    }
    if let Some(bytes) = fault.reset_after {
        words.push(format!("reset after {bytes} bytes of the answer"));
    }
    if let Some(rate) = fault.bytes_per_second {
        words.push(format!("{rate} bytes a second"));
    }
    if let Some(reply) = &fault.reply {
        words.push(format!("another answer: {reply}"));
    }
    words
}

/// Longer than any patience.
const LONGEST_MS: u32 = 600_000;
