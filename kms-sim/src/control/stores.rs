//! `/control/v1/stores`: the custom key stores of every account and Region, as they are, without any lag.

use http::Method;
use serde_json::{Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use crate::connection::ConnectionErrorCode;
use crate::custom_key_store::{Backing, CustomKeyStore};
use crate::simulator::Simulator;

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => {
            let mut stores = Vec::new();
            for (home, region) in simulator.regions() {
                let state = region.lock();
                let described = |store| describe(&home.account, &home.region, store);
                stores.extend(state.stores.iter().map(described));
            }
            Ok(json!({"Stores": stores}))
        }
        ([], _) => Err(ControlError::method("GET")),
        _ => Err(super::unknown_path()),
    }
}

fn describe(account: &str, region: &str, store: &CustomKeyStore) -> Value {
    let (endpoint, cluster) = match store.backing() {
        Backing::Xks(proxy) => (Some(&*proxy.uri_endpoint), None),
        Backing::CloudHsm(cluster) => (None, Some(cluster.id.as_str())),
    };
    json!({
        "Account": account,
        "Region": region,
        "CustomKeyStoreId": store.id().as_str(),
        "CustomKeyStoreName": store.name(),
        "ConnectionState": store.connection_state().as_str(),
        "ConnectionErrorCode": store.connection_error_code().map(ConnectionErrorCode::as_str),
        "XksProxyUriEndpoint": endpoint,
        "CloudHsmClusterId": cluster,
    })
}

/// The id, if there is such a store.
///
/// # Errors
/// 404
pub(super) fn known<'i>(simulator: &Simulator, id: &'i str) -> Result<&'i str, ControlError> {
    match simulator.has_store(id) {
        true => Ok(id),
        false => Err(ControlError::not_found(format!(
            "There is no custom key store '{}'; GET /control/v1/stores lists those that there are.",
            id.escape_default()
        ))),
    }
}
