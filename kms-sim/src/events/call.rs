//! A call of the API as an event: who called what, of which keys and stores, and how it ended.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::header::{HeaderMap, USER_AGENT};
use serde_json::{Map, Value};
use xks_api::ids::ExternalKeyId;

use super::EventLog;
use super::event::{Record, resource};
use super::identity::user_identity;
use super::response::{read_only, response_elements};
use crate::api::KmsError;
use crate::arn::alias_arn;
use crate::custom_key_store::{CustomKeyStore, CustomKeyStoreId};
use crate::key::{Key, Origin as KeyOrigin};
use crate::operation::Operation;
use crate::simulator::Caller;
use crate::visibility::Home;

/// Where a call came from.
pub(crate) struct Origin {
    when: SystemTime,
    address: Option<SocketAddr>,
    user_agent: Option<Box<str>>,
    access_key_id: Option<Box<str>>,
}

impl Origin {
    /// Of a request that has just come, from that address.
    pub(crate) fn new(
        headers: &HeaderMap,
        address: Option<SocketAddr>,
        access_key_id: Option<&str>,
        when: SystemTime,
    ) -> Self {
        let user_agent = headers.get(USER_AGENT);
        Self {
            when,
            address,
            user_agent: user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into()),
            access_key_id: access_key_id.map(Into::into),
        }
    }
}

/// What a call turned out to be about; filled in where its keys and stores are found.
#[derive(Debug, Default)]
pub(crate) struct Subjects(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    parameters: Option<Map<String, Value>>,
    keys: Vec<Arc<str>>,
    /// Of the key, or the one that the call names.
    custom_key_store_id: Option<Box<str>>,
    xks_key_id: Option<ExternalKeyId>,
    store: Option<StoreFound>,
}

/// What is said of a store that the call names.
#[derive(Debug)]
struct StoreFound {
    name: Box<str>,
    cluster_id: Option<Box<str>>,
}

impl Subjects {
    /// The request says so.
    pub(crate) fn requested(&self, parameters: Option<Map<String, Value>>) {
        self.lock().parameters = parameters;
    }

    /// The call is about that key, of a custom key store perhaps.
    pub(crate) fn key(&self, key: &Key) {
        let mut found = self.lock();
        if !found.keys.contains(key.arn()) {
            found.keys.push(Arc::clone(key.arn()));
        }
        if let Some(store) = key.origin().store() {
            found.custom_key_store_id = Some(store.as_str().into());
        }
        if let KeyOrigin::ExternalKeyStore { external_key, .. } = key.origin() {
            found.xks_key_id = Some(external_key.clone());
        }
    }

    /// The call is about random bytes of that store.
    pub(crate) fn random_of(&self, store: &CustomKeyStoreId) {
        self.lock().custom_key_store_id = Some(store.as_str().into());
    }

    /// The call is about that store.
    pub(crate) fn store(&self, store: &CustomKeyStore) {
        let mut found = self.lock();
        found.custom_key_store_id = Some(store.id().as_str().into());
        found.store = Some(StoreFound {
            name: store.name().into(),
            cluster_id: store.cluster_id().map(|id| id.as_str().into()),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records a call that is over.
pub(crate) fn record_call(
    log: &EventLog,
    operation: Operation,
    caller: &Caller,
    origin: &Origin,
    outcome: Result<&[u8], &KmsError>,
) {
    let found = std::mem::take(&mut *caller.subjects().lock());
    let address = origin.address.map(|address| address.ip().to_string());
    let home = Home::of(caller);
    let mut record = Record::new(operation.name(), &home, origin.when);
    record.user_identity = user_identity(
        &caller.principal_arn,
        &caller.account,
        origin.access_key_id.as_deref(),
    );
    record.source_ip_address = address.as_deref().unwrap_or_default();
    record.user_agent = origin.user_agent.as_deref().unwrap_or_default();
    record.request_id = Some(&caller.request_id);
    caller.event_id().clone_into(&mut record.event_id);
    record.read_only = read_only(operation);
    record.additional_event_data = additional_data(operation, &found);
    record.resources = resources(operation, caller, &found);
    match outcome {
        Ok(body) => {
            let arn = found.keys.first().map(|arn| &**arn);
            record.response_elements = response_elements(operation, body, arn);
        }
        Err(error) => {
            record.error_code = Some(error_code(error));
            record.error_message = error.message();
        }
    }
    record.request_parameters = found.parameters;
    if let (Operation::Decrypt, Some(parameters), Some(arn)) = (
        operation,
        &mut record.request_parameters,
        found.keys.first(),
    ) {
        parameters.insert("keyId".to_owned(), (**arn).into());
    }
    log.record(record.into_event(found.keys, found.custom_key_store_id.as_deref()));
}

/// CloudTrail's name of an exception.
fn error_code(error: &KmsError) -> &str {
    match error.name() {
        "AccessDeniedException" => "AccessDenied",
        name => name,
    }
}

//= kms guide "Decrypt", "DisconnectCustomKeyStore" (CloudTrail)
fn additional_data(operation: Operation, found: &Found) -> Map<String, Value> {
    let mut data = Map::new();
    let mut set = |name: &str, value: &str| {
        data.insert(name.to_owned(), value.into());
    };
    match &found.store {
        Some(store) => {
            set("customKeyStoreName", &store.name);
            if let Some(id) = &store.cluster_id {
                set("clusterId", id);
            }
        }
        None if operation.is_cryptographic() => {
            if let Some(id) = &found.custom_key_store_id {
                set("customKeyStoreId", id);
            }
            if let Some(id) = &found.xks_key_id {
                set("xksKeyId", id.as_str());
            }
        }
        None => {}
    }
    data
}

//= kms guide "CreateAlias", "ReEncrypt" (CloudTrail)
fn resources(operation: Operation, caller: &Caller, found: &Found) -> Vec<Value> {
    let keys = found.keys.iter().map(|arn| resource(arn));
    let alias = match operation {
        Operation::CreateAlias | Operation::UpdateAlias | Operation::DeleteAlias => {
            let parameters = found.parameters.as_ref();
            parameters.and_then(|parameters| parameters.get("aliasName")?.as_str())
        }
        _ => None,
    };
    let alias = alias.map(|name| resource(&alias_arn(caller, name)));
    keys.chain(alias).collect()
}
