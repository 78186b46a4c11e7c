//! The six operations on custom key stores: order of checks, the live test of a proxy, the moves of the connection.
//!
//! Nothing is locked while a proxy is asked; what was checked before is checked again after.

mod create;
mod input;
mod output;
pub(crate) mod patterns;
mod properties;
mod update;

use crate::api::KmsError;
use crate::connection::Connect;
use crate::custom_key_store::{ConnectionState, Connectivity, CustomKeyStore, XksProxy, not_found};
use crate::dispatch::EmptyOutput;
use crate::observation::StoreObservation;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::visibility::Home;

pub(crate) use create::create;
use input::{DescribeInput, IdInput, Selection};
use output::DescribeOutput;
pub(crate) use update::update;

/// DescribeCustomKeyStores
pub(crate) async fn describe(
    simulator: &Simulator,
    caller: &Caller,
    input: DescribeInput,
) -> Result<DescribeOutput, KmsError> {
    let selection = input.selection()?;
    let region = simulator.region(caller);
    let state = region.lock();
    let by = |wanted: &str, of: fn(&CustomKeyStore) -> &str| {
        caller.is_about(wanted);
        let found: Vec<_> = state
            .stores
            .iter()
            .filter(|store| of(store) == wanted)
            .collect();
        if found.is_empty() {
            Err(not_found(wanted))
        } else {
            Ok(found)
        }
    };
    fn id<'s>(store: &'s &CustomKeyStore) -> &'s str {
        store.id().as_str()
    }
    let page = match selection {
        Selection::All => input.page.page(|after| state.stores.after(after), id),
        Selection::Id(wanted) => {
            let found = by(&wanted, |store| store.id().as_str())?;
            input.page.page_of(found.into_iter(), id)
        }
        Selection::Name(wanted) => {
            let found = by(&wanted, CustomKeyStore::name)?;
            input.page.page_of(found.into_iter(), id)
        }
    }?;
    Ok(DescribeOutput::new(&page, &state.past))
}

/// ConnectCustomKeyStore
pub(crate) async fn connect(
    simulator: &Simulator,
    caller: &Caller,
    input: IdInput,
) -> Result<EmptyOutput, KmsError> {
    connect_store(simulator, caller, &input.id).await?;
    Ok(EmptyOutput {})
}

/// ConnectCustomKeyStore, of whoever asks for it.
pub(crate) async fn connect_store(
    simulator: &Simulator,
    caller: &Caller,
    id: &str,
) -> Result<(), KmsError> {
    caller.is_about(id);
    let region = simulator.region(caller);
    let transition = {
        let mut state = region.lock();
        let store = state.stores.expect_mut(id)?;
        caller.subjects().store(store);
        if let (ConnectionState::Disconnected, Some(cluster)) =
            (store.connection_state(), store.cluster_id())
        {
            let home = Home::of(caller);
            simulator.cloud_hsm().check_connect(&home, cluster)?;
        }
        match store.connect()? {
            Connect::Unchanged => None,
            Connect::Started(attempt) => {
                let connector = simulator.connector();
                Some(connector.start_attempt(&region, store, attempt, caller))
            }
        }
    };
    if let Some(transition) = transition {
        transition.answer().await;
    }
    Ok(())
}

/// DisconnectCustomKeyStore
pub(crate) async fn disconnect(
    simulator: &Simulator,
    caller: &Caller,
    input: IdInput,
) -> Result<EmptyOutput, KmsError> {
    disconnect_store(simulator, caller, &input.id).await?;
    Ok(EmptyOutput {})
}

/// DisconnectCustomKeyStore, of whoever asks for it.
pub(crate) async fn disconnect_store(
    simulator: &Simulator,
    caller: &Caller,
    id: &str,
) -> Result<(), KmsError> {
    caller.is_about(id);
    let region = simulator.region(caller);
    let transition = {
        let mut state = region.lock();
        let store = state.stores.expect_mut(id)?;
        caller.subjects().store(store);
        let before = (store.connection_state(), store.connection_error_code());
        let remains = store.disconnect()?;
        let id = store.id().clone();
        state.past.disconnected(id.as_str(), before);
        simulator.connector().start_drain(&region, &id, remains)
    };
    transition.answer().await;
    Ok(())
}

/// DeleteCustomKeyStore
pub(crate) async fn delete(
    simulator: &Simulator,
    caller: &Caller,
    input: IdInput,
) -> Result<EmptyOutput, KmsError> {
    caller.is_about(&input.id);
    let region = simulator.region(caller);
    let mut state = region.lock();
    let store = state.stores.expect(&input.id)?;
    caller.subjects().store(store);
    store.permit_delete()?;
    if state.has_keys_in(store.id()) {
        return Err(KmsError::new(
            "CustomKeyStoreHasCMKsException",
            format!(
                "Custom key store {} still has KMS keys. Schedule their deletion and wait until \
                 they are deleted.",
                store.id()
            ),
        ));
    }
    state.stores.remove(&input.id);
    Ok(EmptyOutput {})
}

/// Looks at the VPC endpoint service on the way to a proxy, if there is one.
fn check_service(simulator: &Simulator, caller: &Caller, proxy: &XksProxy) -> Result<(), KmsError> {
    let Connectivity::VpcEndpointService(service) = &proxy.connectivity else {
        return Ok(());
    };
    let services = simulator.vpc_endpoint_services();
    services
        .check(&Home::of(caller), service, proxy.host())
        .map_err(|unfit| unfit.key_store_error())
}

/// Asks the proxy how it is, as KMS does before it stores where it is.
async fn probe(
    simulator: &Simulator,
    caller: &Caller,
    proxy: &XksProxy,
    operation: Operation,
    store: Option<&StoreObservation>,
) -> Result<(), KmsError> {
    let connector = simulator.connector();
    let target = connector.target(proxy, &caller.region, store);
    let result = connector.probe(target, operation, &caller.request_id).await;
    result.map_err(|failure| failure.key_store_error())
}

#[cfg(test)]
mod tests;
