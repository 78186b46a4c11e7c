//! `/control/v1/requests`: the last requests to the proxies of external key stores, the latest first.

use http::Method;
use serde_json::{Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::stores::known;
use crate::observation::{ProxyRequest, RECENT, exception_name};
use crate::rfc3339;
use crate::simulator::Simulator;

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => list(simulator, request),
        ([], _) => Err(ControlError::method("GET")),
        _ => Err(super::unknown_path()),
    }
}

fn list(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    let query = request.query(&["CustomKeyStoreId", "Limit"])?;
    let [wanted, limit] = *query else {
        return Err(ControlError::internal("The query cannot be read."));
    };
    let wanted = wanted.map(|id| known(simulator, id)).transpose()?;
    let limit = request.limit(limit, RECENT)?;
    let mut requests = Vec::new();
    for (_, region) in simulator.regions() {
        let state = region.lock();
        let stores = state.stores.iter().filter(|store| {
            let id = store.id().as_str();
            wanted.is_none_or(|wanted| wanted == id)
        });
        for store in stores {
            let recent = store.observation().recent(limit);
            let id = store.id().as_str();
            requests.extend(recent.into_iter().map(|request| (id.to_owned(), request)));
        }
    }
    requests.sort_by_key(|(_, request)| std::cmp::Reverse(request.time));
    requests.truncate(limit);
    let described = requests.iter().map(|(id, request)| describe(id, request));
    Ok(json!({"Requests": described.collect::<Vec<_>>()}))
}

fn describe(store: &str, request: &ProxyRequest) -> Value {
    let failure = request.outcome.as_ref().err();
    json!({
        "Time": rfc3339::milliseconds(request.time),
        "CustomKeyStoreId": store,
        "KmsOperation": request.kms_operation,
        "XksOperation": request.xks_operation,
        "LatencyMs": request.latency.as_secs_f64() * 1_000.0,
        "Outcome": if failure.is_none() { "ok" } else { "error" },
        "ExceptionName": failure.and_then(exception_name),
        "Message": failure.map(|failure| failure.message()),
        "KmsRequestId": request.kms_request_id,
    })
}
