//! `/control/v1/consistency`: how long reads may be stale.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use crate::consistency::Consistency;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Set {
    lag_ms: u32,
    #[serde(default)]
    seed: u64,
}

pub(super) fn answer(consistency: &Consistency, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => {}
        ([], &Method::PUT) => {
            let Set { lag_ms, seed } = request.input()?;
            consistency.set(Duration::from_millis(lag_ms.into()), seed);
        }
        ([], _) => return Err(ControlError::method("GET, PUT")),
        _ => return Err(super::unknown_path()),
    }
    let (lag, seed) = consistency.settings();
    let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
    Ok(json!({"LagMs": lag, "Seed": seed}))
}
