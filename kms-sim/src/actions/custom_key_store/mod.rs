//! The six operations on custom key stores: order of checks, the live test of a proxy, the moves of the connection.
//!
//! Nothing is locked while a proxy is asked; what was checked before is checked again after.

mod input;
mod output;

use self::input::{CreateInput, DescribeInput, IdInput, NewStore, Selection, UpdateInput};
use self::output::{CreateOutput, DescribeOutput};
use crate::api::KmsError;
use crate::connection::Connect;
use crate::custom_key_store::{CustomKeyStore, XksProxy, not_found};
use crate::dispatch::EmptyOutput;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// CreateCustomKeyStore
pub(crate) async fn create(
    simulator: &Simulator,
    caller: &Caller,
    input: CreateInput,
) -> Result<CreateOutput, KmsError> {
    let NewStore { name, proxy } = input.check()?;
    let region = simulator.region(caller);
    region.lock().stores.admit(&name, &proxy)?;
    probe(simulator, caller, &proxy, Operation::CreateCustomKeyStore).await?;
    let mut state = region.lock();
    // Another request may have taken name or URI while the proxy was asked.
    state.stores.admit(&name, &proxy)?;
    let id = state.stores.insert(name, proxy, region.now())?;
    caller.is_about(id.as_str());
    Ok(CreateOutput::new(&id))
}

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
    let stores = match selection {
        Selection::All => state.stores.iter().collect(),
        Selection::Id(id) => by(&id, |store| store.id().as_str())?,
        Selection::Name(name) => by(&name, CustomKeyStore::name)?,
    };
    let page = input
        .page
        .page(stores.into_iter(), |store| store.id().as_str())?;
    Ok(DescribeOutput::new(&page))
}

/// UpdateCustomKeyStore
pub(crate) async fn update(
    simulator: &Simulator,
    caller: &Caller,
    input: UpdateInput,
) -> Result<EmptyOutput, KmsError> {
    caller.is_about(&input.id);
    let update = input.check()?;
    let region = simulator.region(caller);
    loop {
        let (proxy, revision) = {
            let state = region.lock();
            let store = state.stores.expect(&update.id)?;
            store.permit_update(update.change)?;
            let proxy = update.changed_proxy(store.proxy());
            state
                .stores
                .admit_update(&update.id, update.name.as_deref(), proxy.as_ref())?;
            (proxy, store.revision())
        };
        if let Some(proxy) = &proxy {
            probe(simulator, caller, proxy, Operation::UpdateCustomKeyStore).await?;
        }
        let mut state = region.lock();
        if state.stores.expect(&update.id)?.revision() != revision {
            // Another update came first: what was tested is not what would be stored.
            continue;
        }
        state
            .stores
            .admit_update(&update.id, update.name.as_deref(), proxy.as_ref())?;
        let store = state.stores.expect_mut(&update.id)?;
        store.permit_update(update.change)?;
        store.update(update.name, proxy, &caller.region);
        return Ok(EmptyOutput {});
    }
}

/// ConnectCustomKeyStore
pub(crate) async fn connect(
    simulator: &Simulator,
    caller: &Caller,
    input: IdInput,
) -> Result<EmptyOutput, KmsError> {
    caller.is_about(&input.id);
    let region = simulator.region(caller);
    let transition = {
        let mut state = region.lock();
        let store = state.stores.expect_mut(&input.id)?;
        let connector = simulator.connector();
        let client = connector.client(store.proxy().target(&caller.region));
        match store.connect(&client)? {
            Connect::Unchanged => None,
            Connect::Started(attempt) => {
                let request_id = &caller.request_id;
                Some(connector.start_attempt(&region, store.id(), attempt, client, request_id))
            }
        }
    };
    if let Some(transition) = transition {
        transition.answer().await;
    }
    Ok(EmptyOutput {})
}

/// DisconnectCustomKeyStore
pub(crate) async fn disconnect(
    simulator: &Simulator,
    caller: &Caller,
    input: IdInput,
) -> Result<EmptyOutput, KmsError> {
    caller.is_about(&input.id);
    let region = simulator.region(caller);
    let transition = {
        let mut state = region.lock();
        let store = state.stores.expect_mut(&input.id)?;
        let remains = store.disconnect()?;
        simulator
            .connector()
            .start_drain(&region, store.id(), remains)
    };
    transition.answer().await;
    Ok(EmptyOutput {})
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

/// Asks the proxy how it is, as KMS does before it stores where it is.
async fn probe(
    simulator: &Simulator,
    caller: &Caller,
    proxy: &XksProxy,
    operation: Operation,
) -> Result<(), KmsError> {
    let target = proxy.target(&caller.region);
    let result = simulator
        .connector()
        .probe(target, operation, &caller.request_id)
        .await;
    result.map_err(|failure| failure.key_store_error())
}

#[cfg(test)]
mod tests;
