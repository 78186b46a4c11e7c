//! Runs what a change of the connection owes: attempts to connect, drains, and the periodic health check.
//!
//! The only place that starts tasks for a store. Each ends by itself when the client's pool closes, and reports
//! to the store under the Region's lock, where a result that comes too late finds a later state.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::config::Config;
use crate::connection::Attempt;
use crate::custom_key_store::{CustomKeyStoreId, Remains};
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;
use crate::resolve::Resolver;
use crate::simulator::Region;
use crate::xks_client::{Target, XksClient};
use crate::xks_pool::Dialer;
use crate::xks_tls::client_config;

/// Dials proxies and moves stores between their states.
pub(crate) struct Connector {
    dialer: Arc<Dialer>,
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
            dialer: Arc::new(Dialer::new(resolver, tls)),
            transition: config.transition,
            health_interval: config.health_interval,
        })
    }

    /// A client without any connection.
    pub(crate) fn client(&self, target: Target) -> XksClient {
        XksClient::new(Arc::clone(&self.dialer), target)
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
        id: &CustomKeyStoreId,
        attempt: Attempt,
        client: XksClient,
        request_id: &str,
    ) -> Transition {
        let (region, id) = (Arc::downgrade(region), id.clone());
        let request_id = request_id.to_owned();
        let (transition, health_interval) = (self.transition, self.health_interval);
        self.transition(async move {
            let pool = Arc::clone(client.pool());
            let link = client.link();
            let operation = Operation::ConnectCustomKeyStore.name();
            let at_least =
                async { tokio::join!(link.health(operation, &request_id), sleep(transition)).0 };
            let result = tokio::select! {
                biased;
                // A disconnect has come first; its drain waits for the connections.
                () = pool.closing() => return,
                result = at_least => result,
            };
            let Err(failure) = result else {
                if report_connected(&region, &id, attempt, client).await {
                    tokio::spawn(check_health(region, id, health_interval));
                }
                return;
            };
            pool.close();
            pool.connections_closed().await;
            let Some(region) = region.upgrade() else {
                return;
            };
            if let Some(store) = region.lock().stores.find_mut(id.as_str()) {
                store.failed(attempt, &failure);
            }
            tracing::warn!(
                custom_key_store_id = id.as_str(),
                code = failure.connection_error_code().as_str(),
                reason = failure.message(),
                "cannot connect the custom key store"
            );
        })
    }

    /// Drains what a disconnect has left; DISCONNECTING lasts for the transition at least, and until every
    /// connection is closed.
    pub(crate) fn start_drain(
        &self,
        region: &Arc<Region>,
        id: &CustomKeyStoreId,
        remains: Remains,
    ) -> Transition {
        let (region, id) = (Arc::downgrade(region), id.clone());
        let start = Instant::now();
        let earliest = start + self.transition;
        self.transition(async move {
            let Remains { client, attempt } = remains;
            for pool in client.iter().map(XksClient::pool).chain(&attempt) {
                pool.requests_over(DRAIN_LIMIT.saturating_sub(start.elapsed()))
                    .await;
                pool.abort();
                pool.connections_closed().await;
            }
            sleep_until(earliest).await;
            let Some(region) = region.upgrade() else {
                return;
            };
            if let Some(store) = region.lock().stores.find_mut(id.as_str()) {
                store.drained();
            }
            tracing::info!(
                custom_key_store_id = id.as_str(),
                "the custom key store is DISCONNECTED"
            );
        })
    }

    fn transition(&self, work: impl Future<Output = ()> + Send + 'static) -> Transition {
        Transition {
            work: tokio::spawn(work),
            at_once: self.transition.is_zero(),
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

/// Whether the store is CONNECTED now; the client of a stale attempt is closed instead.
async fn report_connected(
    region: &Weak<Region>,
    id: &CustomKeyStoreId,
    attempt: Attempt,
    client: XksClient,
) -> bool {
    let stale = match region.upgrade() {
        None => client,
        Some(region) => match region.lock().stores.find_mut(id.as_str()) {
            None => client,
            Some(store) => match store.connected(attempt, client) {
                Err(client) => client,
                Ok(()) => {
                    tracing::info!(
                        custom_key_store_id = id.as_str(),
                        "the custom key store is CONNECTED"
                    );
                    return true;
                }
            },
        },
    };
    stale.pool().close();
    stale.pool().connections_closed().await;
    false
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

/// `kmsOperation` of the periodic check.
const HEALTH_CHECK: &str = "KmsHealthCheck";
