//! GetKeyLastUsage.

use std::sync::Arc;

use serde::Serialize;

use super::key::KeyIdInput;
use crate::api::{KmsError, Timestamp};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Output of GetKeyLastUsage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetKeyLastUsageOutput {
    key_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_last_usage: Option<KeyLastUsageData>,
    tracking_start_date: Timestamp,
    key_creation_date: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyLastUsageData {
    operation: String,
    timestamp: Timestamp,
    cloud_trail_event_id: String,
    kms_request_id: String,
}

/// GetKeyLastUsage: keys are tracked from their creation on.
pub(crate) async fn get(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<GetKeyLastUsageOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let key = state.key(Operation::GetKeyLastUsage, caller, &input.key_id)?;
    let usage = key.last_usage.get();
    Ok(GetKeyLastUsageOutput {
        key_id: Arc::clone(key.arn()),
        key_last_usage: usage.map(|usage| KeyLastUsageData {
            operation: usage.operation,
            timestamp: Timestamp(usage.at),
            cloud_trail_event_id: usage.cloud_trail_event_id,
            kms_request_id: usage.kms_request_id,
        }),
        tracking_start_date: Timestamp(key.created()),
        key_creation_date: Timestamp(key.created()),
    })
}
