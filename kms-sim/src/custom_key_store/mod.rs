//! One custom key store: what is known of it, and the link to its proxy or cluster while it is CONNECTED.

mod backing;
mod collection;
mod id;
mod image;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::AbortHandle;

use crate::api::KmsError;
use crate::cloudhsm::{CloudHsm, ClusterId, HsmLink, KeyStorePassword, Session};
use crate::connection::{
    Attempt, Change, Connect, Connection, ConnectionErrorCode, InvalidState, RestoredState,
};
use crate::observation::StoreObservation;
use crate::proxy_endpoints::EndpointClaim;
use crate::visibility::Home;
use crate::xks_client::{XksClient, XksLink};
use crate::xks_pool::Pool;
use crate::xks_target::Target;

use backing::Client;
pub(crate) use backing::{
    Backing, CloudHsmCluster, Connectivity, CustomKeyStoreType, VpcEndpointServiceName, XksProxy,
};
pub(crate) use collection::{CustomKeyStores, not_found};
pub(crate) use id::CustomKeyStoreId;
pub(crate) use image::{ConnectionImage, StoreImage};

pub(crate) use crate::connection::ConnectionState;

/// One custom key store.
pub(crate) struct CustomKeyStore {
    id: CustomKeyStoreId,
    name: String,
    created: SystemTime,
    /// When the credential for the proxy, or the password, was last set.
    credential_set: SystemTime,
    backing: Backing,
    /// What was seen of its proxy.
    observation: StoreObservation,
    /// Keeps the endpoint and the VPC endpoint service of an external key store for itself.
    endpoint: Option<EndpointClaim>,
    /// Raised by every update.
    revision: u64,
    connection: Connection<Client>,
    /// The connections of the attempt that runs, which a disconnect closes.
    attempt: Option<Arc<Pool>>,
    /// The task of the last attempt, which a disconnect ends.
    attempt_task: Option<AbortHandle>,
}

impl CustomKeyStore {
    fn new(
        id: CustomKeyStoreId,
        name: String,
        backing: Backing,
        endpoint: Option<EndpointClaim>,
        created: SystemTime,
    ) -> Self {
        Self {
            observation: StoreObservation::new(id.as_str()),
            id,
            name,
            created,
            credential_set: created,
            backing,
            endpoint,
            revision: 0,
            connection: Connection::new(),
            attempt: None,
            attempt_task: None,
        }
    }

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
        self.backing.kind()
    }

    /// What the store stands on.
    pub(crate) const fn backing(&self) -> &Backing {
        &self.backing
    }

    /// What was seen of its proxy.
    pub(crate) const fn observation(&self) -> &StoreObservation {
        &self.observation
    }

    /// When the credential for the proxy, or the password, was last set.
    pub(crate) const fn credential_set(&self) -> SystemTime {
        self.credential_set
    }

    /// `CloudHsmClusterId`, if the store has one.
    pub(crate) const fn cluster_id(&self) -> Option<&ClusterId> {
        match &self.backing {
            Backing::Xks(_) => None,
            Backing::CloudHsm(cluster) => Some(&cluster.id),
        }
    }

    /// The store's claim on its endpoint, which does not stand in its own way.
    pub(crate) const fn endpoint(&self) -> Option<&EndpointClaim> {
        self.endpoint.as_ref()
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

    /// A link to the proxy for one operation; `None` unless the store is external and CONNECTED.
    pub(crate) fn link(&self) -> Option<XksLink> {
        self.connection.client().and_then(Client::xks_link)
    }

    /// A link to the HSMs for one operation; `None` unless the store has a cluster and is CONNECTED.
    pub(crate) fn hsm_link(&self) -> Option<HsmLink> {
        self.connection.client().and_then(Client::hsm_link)
    }

    /// ConnectCustomKeyStore: the caller runs the attempt, if one starts.
    pub(crate) fn connect(&mut self) -> Result<Connect, KmsError> {
        self.connection
            .connect()
            .map_err(|state| self.invalid("connected", state))
    }

    /// The attempt that runs uses these connections.
    pub(crate) fn attempt_uses(&mut self, pool: &Arc<Pool>) {
        self.attempt = Some(Arc::clone(pool));
    }

    /// The attempt that runs is that task.
    pub(crate) fn attempt_is(&mut self, task: AbortHandle) {
        self.attempt_task = Some(task);
    }

    /// The store was CONNECTED when the state was saved, and is.
    pub(crate) fn resume_proxy(&mut self, client: XksClient) {
        self.connection = Connection::restored(RestoredState::Connected(Client::Xks(client)));
    }

    /// As [`resume_proxy`](Self::resume_proxy), for a store with a cluster.
    pub(crate) fn resume_session(&mut self, session: Session) {
        self.connection = Connection::restored(RestoredState::Connected(Client::CloudHsm(session)));
    }

    /// The store was FAILED when the state was saved, and is.
    pub(crate) fn resume_failed(&mut self, code: ConnectionErrorCode) {
        self.connection = Connection::restored(RestoredState::Failed(code));
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
        if !self.connection.runs(attempt) {
            return Err(client);
        }
        // It runs, so this hands nothing back.
        drop(self.connection.connected(attempt, Client::Xks(client)));
        self.attempt = None;
        Ok(())
    }

    /// The attempt logs in to the cluster, which sets a new password that KMS keeps; stale attempts do nothing.
    pub(crate) fn log_in(&mut self, attempt: Attempt, clusters: &CloudHsm, home: &Home) {
        let Backing::CloudHsm(cluster) = &mut self.backing else {
            return;
        };
        if !self.connection.runs(attempt) {
            return;
        }
        match clusters.log_in(home, &cluster.id, &cluster.password) {
            Ok((session, password)) => {
                cluster.password = password;
                // It runs, so this hands nothing back.
                drop(
                    self.connection
                        .connected(attempt, Client::CloudHsm(session)),
                );
            }
            Err(code) => self.connection.failed(attempt, code),
        }
    }

    /// The attempt has failed, and its connections are closed.
    pub(crate) fn failed(&mut self, attempt: Attempt, code: ConnectionErrorCode) {
        self.connection.failed(attempt, code);
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
        if let Some(Client::Xks(client)) = &client {
            client.pool().close();
        }
        if let Some(pool) = &attempt {
            // Nobody waits for the result of the attempt.
            pool.abort();
        }
        if let Some(task) = self.attempt_task.take() {
            // It would wait for a CONNECTING that is held.
            task.abort();
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

    /// Changes the name.
    pub(crate) fn rename(&mut self, name: String) {
        self.revision += 1;
        self.name = name;
    }

    /// Changes the proxy; a CONNECTED store's next call goes to `target`, over new connections.
    pub(crate) fn set_proxy(
        &mut self,
        proxy: XksProxy,
        target: Target,
        endpoint: EndpointClaim,
        now: SystemTime,
    ) {
        self.revision += 1;
        if let Backing::Xks(before) = &self.backing
            && !before.same_credential(&proxy)
        {
            self.credential_set = now;
        }
        if let Some(Client::Xks(client)) = self.connection.client_mut() {
            client.retarget(target);
        }
        self.backing = Backing::Xks(proxy);
        self.endpoint = Some(endpoint);
    }

    /// Changes the cluster, what KMS believes its password to be, or both.
    pub(crate) fn set_cluster(
        &mut self,
        id: Option<ClusterId>,
        password: Option<KeyStorePassword>,
    ) {
        self.revision += 1;
        if let Backing::CloudHsm(cluster) = &mut self.backing {
            if let Some(id) = id {
                cluster.id = id;
            }
            if let Some(password) = password {
                cluster.password = password;
            }
        }
    }

    fn invalid(&self, what: &str, state: InvalidState) -> KmsError {
        invalid_state(self.id.as_str(), what, state)
    }
}

/// CustomKeyStoreInvalidStateException: that cannot be done to the store in its state.
pub(crate) fn invalid_state(id: &str, what: &str, InvalidState(state): InvalidState) -> KmsError {
    KmsError::new(
        "CustomKeyStoreInvalidStateException",
        format!("Custom key store {id} cannot be {what} while its ConnectionState is {state}."),
    )
}

/// What a disconnect leaves to be drained.
pub(crate) struct Remains {
    client: Option<Client>,
    attempt: Option<Arc<Pool>>,
}

impl Remains {
    /// Connections to a proxy that must be closed.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let client = match &self.client {
            Some(Client::Xks(client)) => Some(client.pool()),
            Some(Client::CloudHsm(_)) | None => None,
        };
        client.into_iter().chain(&self.attempt)
    }
}
