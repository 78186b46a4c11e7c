//! `/control/v1/quota`: requests per second of stores and accounts, and how many keys an account has.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::stores::known;
use crate::quota::{Quotas, Rate};
use crate::simulator::Simulator;

/// `RequestsPerSecond` is there in any case; `null` is no limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Set {
    #[serde(default)]
    custom_key_store_id: Option<String>,
    #[serde(deserialize_with = "present")]
    requests_per_second: Rate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SetAccount {
    #[serde(deserialize_with = "present")]
    requests_per_second: Rate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SetKeys {
    max_keys: u32,
}

/// As the type itself, but a missing member is an error.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    Option::deserialize(deserializer)
}

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    let quotas = simulator.quotas();
    match (request.path, request.method) {
        ([], &Method::GET) => {}
        ([], &Method::PUT) => {
            let set: Set = request.input()?;
            let rate = set.requests_per_second;
            if let Some(id) = &set.custom_key_store_id {
                known(simulator, id)?;
            }
            quotas.set(|rates| match set.custom_key_store_id {
                Some(id) => drop(rates.stores.insert(id, rate)),
                None => rates.store = rate,
            });
        }
        ([], &Method::DELETE) => {
            request.no_input()?;
            quotas.reset();
        }
        (["account"], &Method::PUT) => {
            let set: SetAccount = request.input()?;
            quotas.set(|rates| rates.account = set.requests_per_second);
        }
        (["keys"], &Method::PUT) => {
            let set: SetKeys = request.input()?;
            quotas.set(|rates| rates.max_keys = set.max_keys);
        }
        ([], _) => return Err(ControlError::method("GET, PUT, DELETE")),
        (["account" | "keys"], _) => return Err(ControlError::method("PUT")),
        _ => return Err(super::unknown_path()),
    }
    Ok(rates(quotas))
}

fn rates(quotas: &Quotas) -> Value {
    let rates = quotas.rates();
    let stores: Vec<_> = rates
        .stores
        .iter()
        .map(|(id, rate)| json!({"CustomKeyStoreId": id, "RequestsPerSecond": rate}))
        .collect();
    json!({
        "RequestsPerSecond": rates.store,
        "Stores": stores,
        "AccountRequestsPerSecond": rates.account,
        "MaxKeys": rates.max_keys,
    })
}
