//! GetHealthStatus.

use xks_api::message::{EkmFleetDetail, GetHealthStatusRequest, GetHealthStatusResponse};

use super::{Context, Encoded};
use crate::error::XksError;
use crate::metrics::Mark;

//= xks §GetHealthStatus R24, R26: deep, and asks no one whether the caller may know.
pub(super) async fn run(body: &[u8], context: Context<'_>) -> Result<Encoded, XksError> {
    let request = GetHealthStatusRequest::parse(body)?;
    context
        .record
        .health_request_metadata(&request.request_metadata);
    let key_manager = &context.key_store.key_manager;
    context.record.mark(Mark::KeyManagerAsked);
    let status = key_manager.health(context.deadline).await;
    context.record.mark(Mark::KeyManagerAnswered);
    let description = key_manager.key_manager().description();
    let counted = key_manager.key_manager().fleet_size();
    let fleet_size = counted.unwrap_or(context.identity.fleet_size);
    //= xks §GetHealthStatus R27, R28
    let response = GetHealthStatusResponse {
        xks_proxy_fleet_size: fleet_size.get(),
        xks_proxy_vendor: context.identity.vendor.clone(),
        xks_proxy_model: context.identity.model.clone(),
        ekm_vendor: description.vendor,
        ekm_fleet_details: description
            .instances
            .into_iter()
            .take(MAX_INSTANCES)
            .map(|instance| EkmFleetDetail {
                id: instance.id,
                model: instance.model,
                health_status: instance.health.status(status),
            })
            .collect(),
    };
    Ok(Encoded::Open(response.encode()))
}

const MAX_INSTANCES: usize = 10;
