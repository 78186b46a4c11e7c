//! Runs what a change of the connection owes: attempts to connect, drains, and the periodic health check.
//!
//! The only place that starts tasks for a store. Each ends by itself when the client's pool closes, and reports
//! to the store under the Region's lock, where a result that comes too late finds a later state.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::cloudhsm::CloudHsm;
use crate::config::Config;
use crate::connection::{Attempt, Connect, ConnectionErrorCode, ConnectionState};
use crate::custom_key_store::{
    Backing, ConnectionImage, Connectivity, CustomKeyStore, CustomKeyStoreId, Remains, XksProxy,
};
use crate::fault::Faults;
use crate::observation::{HEALTH_CHECK, StoreObservation};
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;
use crate::resolve::Resolver;
use crate::simulator::{Caller, Region};
use crate::transitions::{Phase, Transitions};
use crate::visibility::Home;
use crate::vpc_endpoint_service::VpcEndpointServices;
use crate::xks_client::{XksClient, XksLink};
use crate::xks_pool::Dialer;
use crate::xks_target::Target;
use crate::xks_tls::client_config;

/// Dials proxies and moves stores between their states.
pub(crate) struct Connector {
    dialer: Arc<Dialer>,
    cloud_hsm: CloudHsm,
    vpc_endpoint_services: VpcEndpointServices,
    transitions: Transitions,
    transition: Duration,
    health_interval: Duration,
}

impl Connector {
    /// # Errors
    /// A certificate authority or a client certificate that cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, rustls::Error> {
        let tls = client_config(&config.trust_ca, config.client_certificate.as_ref())?;
        let resolver: Resolver = config.resolve.iter().collect();
        Ok(Self {
            dialer: Arc::new(Dialer::new(resolver, tls, config.proxy_timeout)),
            cloud_hsm: config.cloud_hsm.clone(),
            vpc_endpoint_services: config.vpc_endpoint_services.clone(),
            transitions: Transitions::default(),
            transition: config.transition,
            health_interval: config.health_interval,
        })
    }

    /// Where KMS in `region` sends its requests to a proxy, of a store unless it is being created.
    pub(crate) fn target(
        &self,
        proxy: &XksProxy,
        region: &str,
        store: Option<&StoreObservation>,
    ) -> Target {
        let target = proxy.target(region).of_store(store);
        match &proxy.connectivity {
            Connectivity::PublicEndpoint => target,
            Connectivity::VpcEndpointService(service) => {
                target.through(&self.vpc_endpoint_services, &service.name)
            }
        }
    }

    /// Asks a proxy that no store uses yet how it is, for CreateCustomKeyStore and UpdateCustomKeyStore.
    pub(crate) async fn probe(
        &self,
        target: Target,
        operation: Operation,
        request_id: &str,
    ) -> Result<(), ProxyFailure> {
        let client = self.client(target);
        let result = client.link().health(operation.name(), request_id).await;
        client.pool().close();
        client.pool().connections_closed().await;
        result
    }

    /// Runs an attempt to connect; CONNECTING lasts for the transition at least.
    pub(crate) fn start_attempt(
        &self,
        region: &Arc<Region>,
        store: &mut CustomKeyStore,
        attempt: Attempt,
        caller: &Caller,
    ) -> Transition {
        let attempting = Attempting {
            region: Arc::downgrade(region),
            id: store.id().clone(),
            attempt,
            home: Home::of(caller),
            transitions: self.transitions.clone(),
            transition: self.transition,
        };
        let transition = match store.backing() {
            Backing::Xks(proxy) => {
                let observation = Some(store.observation());
                let client = self.client(self.target(proxy, &caller.region, observation));
                let way = Way {
                    services: self.vpc_endpoint_services.clone(),
                    connectivity: proxy.connectivity.clone(),
                    host: proxy.host().to_owned(),
                };
                store.attempt_uses(client.pool());
                let request_id = caller.request_id.clone();
                let health_interval = self.health_interval;
                let work = attempting.reach_proxy(client, way, request_id, health_interval);
                self.transition(store.id(), Phase::Connecting, work)
            }
            Backing::CloudHsm(_) => {
                let work = attempting.log_in_to_cluster(self.cloud_hsm.clone());
                self.transition(store.id(), Phase::Connecting, work)
            }
        };
        store.attempt_is(transition.work.abort_handle());
        region.connection_state(store.id().as_str(), ConnectionState::Connecting, None);
        transition
    }

    /// Brings a store, which is DISCONNECTED, back into the state that it was saved in, or on the way on from there.
    pub(crate) fn resume(
        &self,
        region: &Arc<Region>,
        store: &mut CustomKeyStore,
        connection: ConnectionImage,
        caller: &Caller,
    ) {
        match connection {
            ConnectionImage::Disconnected | ConnectionImage::Disconnecting => {}
            ConnectionImage::Failed(code) => store.resume_failed(code),
            ConnectionImage::Connecting => {
                if let Ok(Connect::Started(attempt)) = store.connect() {
                    // It goes on by itself.
                    drop(self.start_attempt(region, store, attempt, caller));
                }
            }
            ConnectionImage::Connected => match store.backing() {
                Backing::Xks(proxy) => {
                    let observation = Some(store.observation());
                    let client = self.client(self.target(proxy, &caller.region, observation));
                    store.resume_proxy(client);
                    let (region, id) = (Arc::downgrade(region), store.id().clone());
                    tokio::spawn(check_health(region, id, self.health_interval));
                }
                Backing::CloudHsm(cluster) => {
                    let session = self.cloud_hsm.resume(&cluster.id);
                    store.resume_session(session);
                }
            },
        }
    }

    /// Drains what a disconnect has left; DISCONNECTING lasts for the transition at least, and until every
    /// connection is closed.
    pub(crate) fn start_drain(
        &self,
        region: &Arc<Region>,
        id: &CustomKeyStoreId,
        remains: Remains,
    ) -> Transition {
        region.connection_state(id.as_str(), ConnectionState::Disconnecting, None);
        let (region, store) = (Arc::downgrade(region), id.clone());
        let transitions = self.transitions.clone();
        let start = Instant::now();
        let earliest = start + self.transition;
        self.transition(id, Phase::Disconnecting, async move {
            for pool in remains.pools() {
                pool.requests_over(DRAIN_LIMIT.saturating_sub(start.elapsed()))
                    .await;
                pool.abort();
                pool.connections_closed().await;
            }
            sleep_until(earliest).await;
            let id = store.as_str();
            transitions.released(id, Phase::Disconnecting).await;
            // KMS logs out of a cluster.
            drop(remains);
            let Some(region) = region.upgrade() else {
                return;
            };
            if let Some(store) = region.lock().stores.find_mut(id) {
                store.drained();
                region.connection_state(id, ConnectionState::Disconnected, None);
            }
            tracing::info!(
                custom_key_store_id = id,
                "the custom key store is DISCONNECTED"
            );
        })
    }

    /// Ends at once what a store that is forgotten has left; returns when every connection is closed.
    pub(crate) async fn end(&self, remains: Remains) {
        for pool in remains.pools() {
            pool.abort();
            pool.connections_closed().await;
        }
    }

    /// A client without any connection.
    fn client(&self, target: Target) -> XksClient {
        XksClient::new(Arc::clone(&self.dialer), target)
    }

    /// The faults of the links to proxies.
    pub(crate) fn faults(&self) -> &Faults {
        self.dialer.faults()
    }

    /// What people do to the moves of stores.
    pub(crate) const fn transitions(&self) -> &Transitions {
        &self.transitions
    }

    fn transition(
        &self,
        id: &CustomKeyStoreId,
        phase: Phase,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Transition {
        Transition {
            at_once: self.transition.is_zero() && !self.transitions.holds(id.as_str(), phase),
            work: tokio::spawn(work),
        }
    }
}

/// A change of state that goes on after the answer.
#[must_use]
pub(crate) struct Transition {
    work: JoinHandle<()>,
    at_once: bool,
}

impl Transition {
    /// With a transition of no length the answer comes after the change, so that the next request sees its end.
    pub(crate) async fn answer(self) {
        if self.at_once {
            // It cannot be cancelled, and its panic is not this request's.
            let _ = self.work.await;
        }
    }
}

/// An attempt that runs.
struct Attempting {
    region: Weak<Region>,
    id: CustomKeyStoreId,
    attempt: Attempt,
    home: Home,
    transitions: Transitions,
    transition: Duration,
}

impl Attempting {
    /// Of an external key store: what is on the way, then GetHealthStatus.
    async fn reach_proxy(
        self,
        client: XksClient,
        way: Way,
        request_id: String,
        health_interval: Duration,
    ) {
        let pool = Arc::clone(client.pool());
        let link = client.link();
        let attempt = async {
            let reach = way.reach(&link, &self.home, &request_id);
            let (reached, ()) = tokio::join!(reach, sleep(self.transition));
            self.leave().await.and(reached)
        };
        let result = tokio::select! {
            biased;
            // A disconnect has come first; its drain waits for the connections.
            () = pool.closing() => return,
            result = attempt => result,
        };
        match result {
            Ok(()) => {
                if self.report_connected(client).await {
                    tokio::spawn(check_health(self.region, self.id, health_interval));
                }
            }
            Err(code) => {
                pool.close();
                pool.connections_closed().await;
                self.with_store(|store| store.failed(self.attempt, code));
            }
        }
    }

    /// Of a CloudHSM key store: nothing happens until the end, so that a disconnect has nothing to undo.
    async fn log_in_to_cluster(self, clusters: CloudHsm) {
        sleep(self.transition).await;
        match self.leave().await {
            Ok(()) => self.with_store(|store| store.log_in(self.attempt, &clusters, &self.home)),
            Err(code) => self.with_store(|store| store.failed(self.attempt, code)),
        }
    }

    /// Waits until the store may leave CONNECTING.
    ///
    /// # Errors
    /// The attempt is to fail with that code.
    async fn leave(&self) -> Result<(), ConnectionErrorCode> {
        let id = self.id.as_str();
        tokio::select! {
            biased;
            code = self.transitions.failure(id) => Err(code),
            () = self.transitions.released(id, Phase::Connecting) => Ok(()),
        }
    }

    /// Whether the store is CONNECTED now; the client of a stale attempt is closed instead.
    async fn report_connected(&self, client: XksClient) -> bool {
        let mut client = Some(client);
        self.with_store(|store| {
            if let Some(given) = client.take() {
                client = store.connected(self.attempt, given).err();
            }
        });
        let Some(stale) = client else {
            return true;
        };
        stale.pool().close();
        stale.pool().connections_closed().await;
        false
    }

    /// Reports a result to the store, if it is still there, and logs what became of it.
    fn with_store(&self, report: impl FnOnce(&mut CustomKeyStore)) {
        let Some(region) = self.region.upgrade() else {
            return;
        };
        let mut state = region.lock();
        let Some(store) = state.stores.find_mut(self.id.as_str()) else {
            return;
        };
        report(store);
        let custom_key_store_id = self.id.as_str();
        match (store.connection_state(), store.connection_error_code()) {
            (ConnectionState::Connected, _) => {
                region.connection_state(custom_key_store_id, ConnectionState::Connected, None);
                tracing::info!(custom_key_store_id, "the custom key store is CONNECTED");
            }
            (ConnectionState::Failed, Some(code)) => {
                let state = ConnectionState::Failed;
                region.connection_state(custom_key_store_id, state, Some(code));
                tracing::warn!(
                    custom_key_store_id,
                    code = code.as_str(),
                    "cannot connect the custom key store"
                );
            }
            _ => {}
        }
    }
}

/// What lies between KMS and a proxy.
struct Way {
    services: VpcEndpointServices,
    connectivity: Connectivity,
    host: String,
}

impl Way {
    async fn reach(
        &self,
        link: &XksLink,
        home: &Home,
        request_id: &str,
    ) -> Result<(), ConnectionErrorCode> {
        if let Connectivity::VpcEndpointService(service) = &self.connectivity {
            self.services
                .check(home, service, &self.host)
                .map_err(|unfit| {
                    let reason = unfit.key_store_error();
                    tracing::warn!(reason = reason.message(), "no way to the proxy");
                    unfit.connection_error_code()
                })?;
        }
        let operation = Operation::ConnectCustomKeyStore.name();
        link.health(operation, request_id).await.map_err(|failure| {
            tracing::warn!(reason = failure.message(), "the proxy does not serve");
            failure.connection_error_code()
        })
    }
}

/// KmsHealthCheck every `interval`, for as long as the store stays CONNECTED. Its result changes no state.
async fn check_health(region: Weak<Region>, id: CustomKeyStoreId, interval: Duration) {
    let link = || {
        let region = region.upgrade()?;
        let state = region.lock();
        state.stores.find(id.as_str())?.link()
    };
    while let Some(current) = link() {
        tokio::select! {
            biased;
            () = current.closing() => return,
            () = sleep(interval) => {}
        }
        // An update may have brought another credential; a reconnect, a check of its own.
        let Some(link) = link().filter(|link| link.is_as_old_as(&current)) else {
            return;
        };
        if let Err(failure) = link.health(HEALTH_CHECK, &Uuid::new_v4().to_string()).await {
            tracing::warn!(
                custom_key_store_id = id.as_str(),
                reason = failure.message(),
                "the external key store proxy is not healthy; the store stays CONNECTED"
            );
        }
    }
}

/// How long requests that run at a disconnect may go on: they are over within 500 ms.
const DRAIN_LIMIT: Duration = Duration::from_millis(450);
