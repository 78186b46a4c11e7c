//! `/control/v1/snapshot` and `/control/v1/restore`: the whole state, with its secrets.

use http::Method;

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use crate::simulator::Simulator;
use crate::state_image::{Restored, StateImage};

/// The longest image that is read: some hundred thousand keys.
pub(super) const LARGE_BODY: usize = 1024 * 1024 * 1024;

pub(super) fn snapshot(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => serde_json::to_value(simulator.image())
            .map_err(|_| ControlError::internal("The state cannot be written.")),
        ([], _) => Err(ControlError::method("GET")),
        _ => Err(super::unknown_path()),
    }
}

pub(super) async fn restore(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::POST) => {
            let image: StateImage = request.input()?;
            // All of it is read before anything of what there is goes.
            let restored = image.into_records().and_then(Restored::read);
            let restored = restored.map_err(|error| ControlError::invalid(error.to_string()))?;
            simulator.restore(restored).await;
            Ok(serde_json::json!({}))
        }
        ([], _) => Err(ControlError::method("POST")),
        _ => Err(super::unknown_path()),
    }
}
