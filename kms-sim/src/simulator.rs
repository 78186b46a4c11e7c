//! The whole state: one [`Region`] for each account and Region, each behind one lock.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;

use crate::access::{Access, Needs};
use crate::api::KmsError;
use crate::arn::account_of;
use crate::clock::Clock;
use crate::cloudhsm::{CloudHsm, ClusterId, HsmFailure};
use crate::config::Config;
use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::connector::Connector;
use crate::consistency::Consistency;
use crate::custom_key_store::{CustomKeyStore, CustomKeyStoreId, CustomKeyStores};
use crate::events::EventLog;
use crate::journal::Journal;
use crate::key::{AdminState, Key, Origin};
use crate::key_state::permit;
use crate::key_usage::check_usage;
use crate::keys::Keys;
use crate::operation::Operation;
use crate::past::Past;
use crate::proxy_endpoints::ProxyEndpoints;
use crate::quota::Quotas;
use crate::rotation::RotationType;
use crate::visibility::Home;
use crate::vpc_endpoint_service::VpcEndpointServices;

pub(crate) use crate::caller::Caller;

/// The simulator: every account and Region that was ever called.
pub(crate) struct Simulator {
    config: Arc<Config>,
    clock: Clock,
    connector: Connector,
    endpoints: ProxyEndpoints,
    quotas: Quotas,
    consistency: Consistency,
    journal: Journal,
    events: EventLog,
    regions: DashMap<Home, Arc<Region>>,
}

impl Simulator {
    /// A simulator without any state.
    ///
    /// # Errors
    /// A certificate authority or client certificate that cannot be used.
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, rustls::Error> {
        let journal = match &config.data_dir {
            Some(_) => Journal::kept(),
            None => Journal::default(),
        };
        config.clock.lock().keep(journal.clone());
        config.cloud_hsm.lock().keep(journal.clone());
        let services = &config.vpc_endpoint_services;
        services.lock().keep(journal.clone());
        Ok(Self {
            clock: config.clock.clone(),
            journal,
            connector: Connector::new(&config)?,
            quotas: Quotas::with_max_keys(config.max_keys),
            config,
            endpoints: ProxyEndpoints::default(),
            consistency: Consistency::default(),
            events: EventLog::default(),
            regions: DashMap::new(),
        })
    }

    /// The caller's account and Region, made at its first call.
    pub(crate) fn region(&self, caller: &Caller) -> Arc<Region> {
        let home = Home::of(caller);
        let entry = self.regions.entry(home.clone());
        let region = entry
            .or_insert_with(|| self.new_region(home, CustomKeyStores::default(), Keys::default()));
        Arc::clone(&region)
    }

    /// The account and Region of the key that a `KeyId` member names: the caller's, or, for an operation with keys that
    /// accounts can share, that of the ARN.
    pub(crate) fn region_of_key(
        &self,
        caller: &Caller,
        operation: Operation,
        key_id: &str,
    ) -> Arc<Region> {
        let other = account_of(key_id).filter(|account| *account != caller.account);
        let other = other.filter(|_| operation.needs() == Needs::Key);
        let home = other.map(|account| Home {
            account: account.to_owned(),
            region: caller.region.clone(),
        });
        let found = home.and_then(|home| self.regions.get(&home).map(|found| Arc::clone(&found)));
        found.unwrap_or_else(|| self.region(caller))
    }

    /// A Region takes the place of the one that is there.
    pub(crate) fn replace_region(
        &self,
        home: Home,
        stores: CustomKeyStores,
        keys: Keys,
    ) -> Arc<Region> {
        let region = self.new_region(home.clone(), stores, keys);
        self.regions.insert(home, Arc::clone(&region));
        region
    }

    /// Whose key has the grant of that token, the ARN of the key, and the id of the grant: of any account, in the caller's
    /// Region.
    pub(crate) fn grant_of_token(
        &self,
        caller: &Caller,
        token: &str,
    ) -> Option<(Arc<Region>, String, String)> {
        let own = [self.region(caller)];
        let others = self.regions().into_iter();
        let others = others.filter(|(home, _)| home.region == caller.region);
        let mut all = own.into_iter().chain(others.map(|(_, region)| region));
        all.find_map(|region| {
            let found = {
                let state = region.lock();
                let (key, grant) = state.keys.grants.find_token(token)?;
                (state.keys.get(key)?.arn().to_string(), grant.to_string())
            };
            Some((region, found.0, found.1))
        })
    }

    fn new_region(&self, home: Home, mut stores: CustomKeyStores, mut keys: Keys) -> Arc<Region> {
        stores.keep(self.journal.clone());
        keys.keep(&self.journal);
        Arc::new(Region {
            home: home.clone(),
            clock: self.clock.clone(),
            events: self.events.clone(),
            state: Mutex::new(RegionState {
                home,
                stores,
                keys,
                past: Past::new(self.consistency.clone()),
                quotas: self.quotas.clone(),
            }),
        })
    }

    /// Forgets everything: as if just started. Returns when no connection to a proxy is left.
    ///
    /// Requests that are under way end with the state that they began with, which nobody sees any more.
    pub(crate) async fn reset(&self) {
        let mut regions = Vec::new();
        self.regions.retain(|_, region| {
            regions.push(Arc::clone(region));
            false
        });
        self.clock.reset();
        self.quotas.reset();
        self.consistency.set(Duration::ZERO, 0);
        self.connector.transitions().reset();
        self.connector.faults().reset();
        for region in regions {
            let stores = std::mem::take(&mut region.lock().stores);
            for remains in stores.into_remains() {
                self.connector.end(remains).await;
            }
        }
        self.config.cloud_hsm.reset();
        self.config.vpc_endpoint_services.reset();
        self.events.clear();
        self.journal.everything_changed();
    }

    /// How many accounts and Regions were ever called.
    pub(crate) fn count_regions(&self) -> usize {
        self.regions.len()
    }

    /// What was called and what has happened.
    pub(crate) const fn events(&self) -> &EventLog {
        &self.events
    }

    /// Until when a key is being created or updated that this is done to now.
    pub(crate) fn busy_until(&self, now: SystemTime) -> Option<SystemTime> {
        let transition = self.config.transition;
        (!transition.is_zero()).then(|| now + transition)
    }

    /// The order of all changes.
    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Every account and Region that was ever called.
    pub(crate) fn regions(&self) -> Vec<(Home, Arc<Region>)> {
        let regions = self.regions.iter();
        let mut regions: Vec<_> = regions
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect();
        regions.sort_by(|(left, _), (right, _)| left.cmp(right));
        regions
    }

    /// Whether there is such a custom key store, of any account and Region.
    pub(crate) fn has_store(&self, id: &str) -> bool {
        let regions = self.regions();
        let mut states = regions.iter().map(|(_, region)| region.lock());
        states.any(|state| state.stores.find(id).is_some())
    }

    /// How long reads may be stale.
    pub(crate) const fn consistency(&self) -> &Consistency {
        &self.consistency
    }

    /// How many requests a second are allowed.
    pub(crate) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The simulator's time.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the simulator was started with.
    pub(crate) const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Dials proxies and moves stores between their states.
    pub(crate) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The clusters that CloudHSM key stores can have.
    pub(crate) fn cloud_hsm(&self) -> &CloudHsm {
        &self.config.cloud_hsm
    }

    /// The VPC endpoint services that external key stores can have.
    pub(crate) fn vpc_endpoint_services(&self) -> &VpcEndpointServices {
        &self.config.vpc_endpoint_services
    }

    /// Which endpoints the external key stores of all accounts have.
    pub(crate) const fn endpoints(&self) -> &ProxyEndpoints {
        &self.endpoints
    }
}

/// One account and Region.
pub(crate) struct Region {
    home: Home,
    clock: Clock,
    events: EventLog,
    state: Mutex<RegionState>,
}

impl Region {
    /// Locks the state, in which all has happened that falls due by now; never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, RegionState> {
        let mut state = self.lock_as_it_is();
        let now = self.clock.now();
        state.past.run(now);
        let due = state.keys.run_due(now);
        for key in &due.deleted {
            state.delete_material(key);
            let when = match key.admin_state {
                AdminState::PendingDeletion(date) => date,
                AdminState::Enabled
                | AdminState::Disabled
                | AdminState::PendingReplicaDeletion(_) => now,
            };
            self.events.key_deleted(key.arn(), when);
        }
        for arn in &due.rotated {
            self.events.key_rotated(arn, RotationType::Automatic, now);
        }
        state
    }

    /// Tells the event log that a store has come into another state.
    pub(crate) fn connection_state(
        &self,
        store: &str,
        state: ConnectionState,
        code: Option<ConnectionErrorCode>,
    ) {
        let state = (state, code);
        self.events
            .connection_state(&self.home, store, state, self.now());
    }

    /// Tells the event log that a key got new material because someone wanted it.
    pub(crate) fn rotated_on_demand(&self, key_arn: &str) {
        let kind = RotationType::OnDemand;
        self.events.key_rotated(key_arn, kind, self.now());
    }

    /// Locks the states of two Regions of an account, as [`lock`](Self::lock); one, if they are the same. Whoever locks
    /// more than one Region does so in the order of their names.
    pub(crate) fn lock_both<'r>(
        here: (&Caller, &'r Self),
        there: (&Caller, &'r Self),
    ) -> (
        MutexGuard<'r, RegionState>,
        Option<MutexGuard<'r, RegionState>>,
    ) {
        match here.0.region.cmp(&there.0.region) {
            Ordering::Less => {
                let state = here.1.lock();
                (state, Some(there.1.lock()))
            }
            Ordering::Equal => (here.1.lock(), None),
            Ordering::Greater => {
                let other = there.1.lock();
                (here.1.lock(), Some(other))
            }
        }
    }

    /// Locks the state, whatever falls due.
    pub(crate) fn lock_as_it_is(&self) -> MutexGuard<'_, RegionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The simulator's time.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

/// What an account has in a Region: every check and its change happen under one lock, so they cannot race.
pub(crate) struct RegionState {
    home: Home,
    /// Custom key stores.
    pub(crate) stores: CustomKeyStores,
    /// KMS keys and their aliases.
    pub(crate) keys: Keys,
    /// What reads still see though it has changed.
    pub(crate) past: Past,
    /// How many requests a second are allowed.
    quotas: Quotas,
}

impl RegionState {
    /// Which account and Region it is.
    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    /// The key that a `KeyId` member names, whatever the caller may do with it.
    ///
    /// # Errors
    /// As `Keys::resolve`.
    pub(crate) fn find(
        &self,
        operation: Operation,
        caller: &Caller,
        key_id: &str,
    ) -> Result<&Key, KmsError> {
        let keys = &self.keys;
        keys.resolve(operation, caller, &self.home, key_id, &self.past)
    }

    /// The key that a `KeyId` member names, if the caller may do that with it and its KeyState lets it happen.
    ///
    /// # Errors
    /// What finding it gives, AccessDeniedException, or what the key-state table says.
    pub(crate) fn key(
        &self,
        access: impl Into<Access>,
        caller: &Caller,
        key_id: &str,
    ) -> Result<&Key, KmsError> {
        let access = access.into();
        let operation = access.operation();
        let key = self.find(operation, caller, key_id)?;
        caller.is_about(key.arn());
        caller.subjects().key(key);
        caller.depends_on(key.changed());
        self.authorize(access, caller, key, key_id)?;
        let store = key
            .origin()
            .store()
            .and_then(|id| self.stores.find(id.as_str()));
        let account = (&*caller.account, &*caller.region);
        let subject = store.map(|store| (store.id().as_str(), store.kind()));
        let admitted = self.quotas.admit(operation, account, subject);
        if let (Err(_), Some(store)) = (&admitted, store) {
            store.observation().throttled(operation);
        }
        admitted?;
        check_usage(operation, key)?;
        permit(operation, key, key.state(&self.stores))?;
        Ok(key)
    }

    /// As [`key`](Self::key), to be changed.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub(crate) fn key_mut(
        &mut self,
        access: impl Into<Access>,
        caller: &Caller,
        key_id: &str,
    ) -> Result<&mut Key, KmsError> {
        let id = Arc::clone(self.key(access, caller, key_id)?.id());
        let key = self.keys.get_mut(&id);
        key.ok_or_else(|| KmsError::not_found(format!("Key '{key_id}' does not exist")))
    }

    /// Deletes what a deleted key has in a CloudHSM cluster, as far as that can be done.
    fn delete_material(&self, key: &Key) {
        let Origin::AwsCloudHsm { store } = key.origin() else {
            return;
        };
        let store = self.stores.find(store.as_str());
        let link = store.and_then(CustomKeyStore::hsm_link);
        let result = link.map_or(Err(HsmFailure::LoggedOut), |link| link.delete_key(key.id()));
        if let Err(reason) = result {
            tracing::warn!(
                key_id = &**key.id(),
                cluster_id = store.and_then(CustomKeyStore::cluster_id).map(ClusterId::as_str),
                %reason,
                "the material of a deleted KMS key stays in its CloudHSM cluster"
            );
        }
    }

    /// Whether a KMS key belongs to the store, also one that is pending deletion.
    pub(crate) fn has_keys_in(&self, store: &CustomKeyStoreId) -> bool {
        self.keys.any_in_store(store)
    }
}
