//! Custom key stores: what is known of each, what must be unique, and the link to its proxy while it is CONNECTED.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ring::rand::{SecureRandom as _, SystemRandom};
use xks_api::ids::{AccessKeyId, SecretAccessKey};

use crate::api::KmsError;
use crate::connection::{Attempt, Change, Connect, Connection, ConnectionErrorCode, InvalidState};
use crate::proxy_failure::ProxyFailure;
use crate::xks_client::{Target, XksClient, XksLink};
use crate::xks_pool::Pool;

pub(crate) use crate::connection::ConnectionState;

/// `cks-` and 17 lowercase hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct CustomKeyStoreId(Box<str>);

impl CustomKeyStoreId {
    fn random() -> Result<Self, KmsError> {
        let mut bytes = [0; 9];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| KmsError::new("KMSInternalException", "No random bytes to be had."))?;
        let digits = bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        Ok(Self(format!("cks-{digits:.17}").into()))
    }

    /// An id that no store has.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self("cks-00000000000000000".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomKeyStoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `CustomKeyStoreType`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CustomKeyStoreType {
    AwsCloudHsm,
    ExternalKeyStore,
}

/// How the proxy of an external key store is reached: through a public endpoint, and how KMS authenticates there.
#[derive(Clone, Debug)]
pub(crate) struct XksProxy {
    /// `https://` and the host, as it was given.
    pub(crate) uri_endpoint: String,
    pub(crate) uri_path: String,
    pub(crate) access_key_id: AccessKeyId,
    pub(crate) secret: SecretAccessKey,
}

impl XksProxy {
    /// Where KMS in `region` sends its requests.
    pub(crate) fn target(&self, region: &str) -> Target {
        let host = self
            .uri_endpoint
            .strip_prefix("https://")
            .unwrap_or(&self.uri_endpoint);
        Target::new(
            host,
            &self.uri_path,
            region,
            self.access_key_id.clone(),
            &self.secret,
        )
    }

    /// Whether both are the same external key store: hosts have no case.
    fn same_uri(&self, other: &Self) -> bool {
        self.uri_endpoint.eq_ignore_ascii_case(&other.uri_endpoint)
            && self.uri_path == other.uri_path
    }
}

/// One custom key store.
pub(crate) struct CustomKeyStore {
    id: CustomKeyStoreId,
    name: String,
    created: SystemTime,
    proxy: XksProxy,
    /// Raised by every update.
    revision: u64,
    connection: Connection<XksClient>,
    /// The connections of the attempt that runs, which a disconnect closes.
    attempt: Option<Arc<Pool>>,
}

impl CustomKeyStore {
    pub(crate) const fn id(&self) -> &CustomKeyStoreId {
        &self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn created(&self) -> SystemTime {
        self.created
    }

    pub(crate) const fn kind(&self) -> CustomKeyStoreType {
        CustomKeyStoreType::ExternalKeyStore
    }

    pub(crate) const fn proxy(&self) -> &XksProxy {
        &self.proxy
    }

    /// Tells two states of the store's properties apart.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) const fn connection_state(&self) -> ConnectionState {
        self.connection.state()
    }

    /// `None` unless FAILED.
    pub(crate) const fn connection_error_code(&self) -> Option<ConnectionErrorCode> {
        self.connection.error_code()
    }

    /// A link for one operation; `None` unless the store is CONNECTED.
    pub(crate) fn link(&self) -> Option<XksLink> {
        self.connection.client().map(XksClient::link)
    }

    /// ConnectCustomKeyStore: `client` serves the attempt, if one starts; the caller runs it.
    pub(crate) fn connect(&mut self, client: &XksClient) -> Result<Connect, KmsError> {
        let connect = self
            .connection
            .connect()
            .map_err(|state| self.invalid("connected", state))?;
        if let Connect::Started(_) = connect {
            self.attempt = Some(Arc::clone(client.pool()));
        }
        Ok(connect)
    }

    /// The attempt has reached the proxy.
    ///
    /// # Errors
    /// Hands the client of a stale attempt back, to be closed.
    pub(crate) fn connected(
        &mut self,
        attempt: Attempt,
        client: XksClient,
    ) -> Result<(), XksClient> {
        self.connection.connected(attempt, client)?;
        self.attempt = None;
        Ok(())
    }

    /// The attempt has failed, and its connections are closed.
    pub(crate) fn failed(&mut self, attempt: Attempt, failure: &ProxyFailure) {
        self.connection
            .failed(attempt, failure.connection_error_code());
        if self.connection.state() == ConnectionState::Failed {
            self.attempt = None;
        }
    }

    /// DisconnectCustomKeyStore: from here no request starts. The caller drains what it gets, then calls
    /// [`CustomKeyStore::drained`].
    pub(crate) fn disconnect(&mut self) -> Result<Remains, KmsError> {
        let client = self
            .connection
            .disconnect()
            .map_err(|state| self.invalid("disconnected", state))?;
        let attempt = self.attempt.take();
        if let Some(client) = &client {
            client.pool().close();
        }
        if let Some(pool) = &attempt {
            // Nobody waits for the result of the attempt.
            pool.abort();
        }
        Ok(Remains { client, attempt })
    }

    /// Every connection is closed.
    pub(crate) fn drained(&mut self) {
        self.connection.drained();
    }

    /// Whether DeleteCustomKeyStore may go on, as far as the connection is concerned.
    pub(crate) fn permit_delete(&self) -> Result<(), KmsError> {
        self.connection
            .permit_delete()
            .map_err(|state| self.invalid("deleted", state))
    }

    /// Whether UpdateCustomKeyStore may change such properties now.
    pub(crate) fn permit_update(&self, change: Change) -> Result<(), KmsError> {
        self.connection
            .permit_update(change)
            .map_err(|state| self.invalid("updated so", state))
    }

    /// Changes the properties; a CONNECTED store's next call uses them, over new connections.
    pub(crate) fn update(&mut self, name: Option<String>, proxy: Option<XksProxy>, region: &str) {
        self.revision += 1;
        if let Some(name) = name {
            self.name = name;
        }
        if let Some(proxy) = proxy {
            if let Some(client) = self.connection.client_mut() {
                client.retarget(proxy.target(region));
            }
            self.proxy = proxy;
        }
    }

    fn invalid(&self, what: &str, InvalidState(state): InvalidState) -> KmsError {
        KmsError::new(
            "CustomKeyStoreInvalidStateException",
            format!(
                "Custom key store {} cannot be {what} while its ConnectionState is {state}.",
                self.id
            ),
        )
    }
}

/// What a disconnect leaves to be drained.
pub(crate) struct Remains {
    pub(crate) client: Option<XksClient>,
    pub(crate) attempt: Option<Arc<Pool>>,
}

/// The custom key stores of one account and Region.
#[derive(Default)]
pub(crate) struct CustomKeyStores(BTreeMap<String, CustomKeyStore>);

impl CustomKeyStores {
    pub(crate) fn find(&self, id: &str) -> Option<&CustomKeyStore> {
        self.0.get(id)
    }

    /// As [`CustomKeyStores::find`], to be changed.
    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut CustomKeyStore> {
        self.0.get_mut(id)
    }

    /// The store, or CustomKeyStoreNotFoundException.
    pub(crate) fn expect(&self, id: &str) -> Result<&CustomKeyStore, KmsError> {
        self.find(id).ok_or_else(|| not_found(id))
    }

    /// As [`CustomKeyStores::expect`], to be changed.
    pub(crate) fn expect_mut(&mut self, id: &str) -> Result<&mut CustomKeyStore, KmsError> {
        self.find_mut(id).ok_or_else(|| not_found(id))
    }

    /// Every store, in the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CustomKeyStore> {
        self.0.values()
    }

    /// Whether a new store of that name and proxy may be created.
    ///
    /// # Errors
    /// LimitExceededException, CustomKeyStoreNameInUseException, XksProxyUriInUseException, in this order.
    pub(crate) fn admit(&self, name: &str, proxy: &XksProxy) -> Result<(), KmsError> {
        if self.0.len() >= MAX_STORES {
            return Err(KmsError::new(
                "LimitExceededException",
                format!("An account has at most {MAX_STORES} custom key stores in a Region."),
            ));
        }
        self.unused_name(name, None)?;
        self.unused_uri(proxy, None)
    }

    /// Whether a store may take that name and proxy; what it has itself is not in its way.
    pub(crate) fn admit_update(
        &self,
        id: &str,
        name: Option<&str>,
        proxy: Option<&XksProxy>,
    ) -> Result<(), KmsError> {
        if let Some(name) = name {
            self.unused_name(name, Some(id))?;
        }
        proxy.map_or(Ok(()), |proxy| self.unused_uri(proxy, Some(id)))
    }

    /// Adds a store that [`CustomKeyStores::admit`] has let in; it is DISCONNECTED.
    pub(crate) fn insert(
        &mut self,
        name: String,
        proxy: XksProxy,
        now: SystemTime,
    ) -> Result<CustomKeyStoreId, KmsError> {
        let id = CustomKeyStoreId::random()?;
        let store = CustomKeyStore {
            id: id.clone(),
            name,
            created: now,
            proxy,
            revision: 0,
            connection: Connection::new(),
            attempt: None,
        };
        self.0.insert(id.as_str().to_owned(), store);
        Ok(id)
    }

    /// Forgets a store.
    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    fn others<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = &'s CustomKeyStore> {
        self.iter()
            .filter(move |store| Some(store.id.as_str()) != id)
    }

    fn unused_name(&self, name: &str, own: Option<&str>) -> Result<(), KmsError> {
        match self.others(own).find(|store| store.name == name) {
            None => Ok(()),
            Some(store) => Err(KmsError::new(
                "CustomKeyStoreNameInUseException",
                format!(
                    "The name '{name}' is that of custom key store {}.",
                    store.id
                ),
            )),
        }
    }

    fn unused_uri(&self, proxy: &XksProxy, own: Option<&str>) -> Result<(), KmsError> {
        match self.others(own).find(|store| store.proxy.same_uri(proxy)) {
            None => Ok(()),
            Some(store) => Err(KmsError::new(
                "XksProxyUriInUseException",
                format!(
                    "XksProxyUriEndpoint '{}' with XksProxyUriPath '{}' is the proxy of custom key store {}.",
                    proxy.uri_endpoint, proxy.uri_path, store.id
                ),
            )),
        }
    }
}

/// CustomKeyStoreNotFoundException for an id or a name.
pub(crate) fn not_found(id_or_name: &str) -> KmsError {
    KmsError::new(
        "CustomKeyStoreNotFoundException",
        format!("There is no custom key store '{id_or_name}' in this account and Region."),
    )
}

/// Of both types and in any state; AWS does not raise it.
const MAX_STORES: usize = 10;
