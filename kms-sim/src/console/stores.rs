//! Custom key stores as the console shows them: gathered under their Region's lock, shown without it.

use std::ops::Bound;
use std::time::SystemTime;

use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::control::fault_in_words;
use crate::custom_key_store::{
    Backing, Connectivity, CustomKeyStore, CustomKeyStoreId, CustomKeyStoreType,
};
use crate::fault::{LinkFault, Scope};
use crate::key::AdminState;
use crate::observation::{Overview, ProxyRequest, RECENT};
use crate::simulator::{RegionState, Simulator};
use crate::transitions::Phase;
use crate::visibility::Home;

/// One custom key store.
pub(super) struct StoreView {
    pub(super) home: Home,
    pub(super) id: CustomKeyStoreId,
    pub(super) name: String,
    pub(super) kind: CustomKeyStoreType,
    pub(super) state: ConnectionState,
    pub(super) code: Option<ConnectionErrorCode>,
    pub(super) created: SystemTime,
    pub(super) credential_set: SystemTime,
    pub(super) place: PlaceView,
    /// Those that are pending deletion among them.
    pub(super) keys: usize,
    pub(super) observed: Overview,
    /// The latest first.
    pub(super) recent: Vec<ProxyRequest>,
    /// The fault of its link, if it has one.
    pub(super) fault: Option<FaultView>,
    /// States that it is held in, if it comes there.
    pub(super) held: Vec<Phase>,
    /// What its next attempt to connect ends with.
    pub(super) failure: Option<ConnectionErrorCode>,
}

/// What the store stands on.
pub(super) enum PlaceView {
    Proxy {
        endpoint: String,
        path: String,
        access_key_id: String,
        vpc_endpoint_service: Option<String>,
    },
    Cluster(String),
}

/// A fault of a link.
#[derive(Clone, Debug)]
pub(super) struct FaultView {
    pub(super) scope: Scope,
    pub(super) fault: LinkFault,
    pub(super) words: Vec<String>,
    /// How many attempts will still meet it.
    pub(super) left: Option<u32>,
}

/// Every store, by account and Region.
pub(super) fn all(simulator: &Simulator) -> Vec<StoreView> {
    let faults = faults(simulator);
    let mut stores = Vec::new();
    for (home, region) in simulator.regions() {
        let state = region.lock();
        let views = state.stores.iter();
        stores.extend(views.map(|store| view(simulator, &home, &state, store, &faults)));
    }
    stores
}

/// The store of that id.
pub(super) fn find(simulator: &Simulator, id: &str) -> Option<StoreView> {
    let faults = faults(simulator);
    simulator.regions().into_iter().find_map(|(home, region)| {
        let state = region.lock();
        let store = state.stores.find(id)?;
        Some(view(simulator, &home, &state, store, &faults))
    })
}

/// Every link that has a fault.
pub(super) fn faults(simulator: &Simulator) -> Vec<FaultView> {
    let faults = simulator.connector().faults().list().into_iter();
    let views = faults.map(|(scope, fault, left)| FaultView {
        words: fault_in_words(&fault),
        scope,
        fault,
        left,
    });
    views.collect()
}

fn view(
    simulator: &Simulator,
    home: &Home,
    state: &RegionState,
    store: &CustomKeyStore,
    faults: &[FaultView],
) -> StoreView {
    let id = store.id();
    let (place, host) = match store.backing() {
        Backing::Xks(proxy) => {
            let service = match &proxy.connectivity {
                Connectivity::PublicEndpoint => None,
                Connectivity::VpcEndpointService(service) => Some(service.name.clone()),
            };
            let place = PlaceView::Proxy {
                endpoint: proxy.uri_endpoint.clone(),
                path: proxy.uri_path.clone(),
                access_key_id: proxy.access_key_id.as_str().to_owned(),
                vpc_endpoint_service: service,
            };
            (place, Some(proxy.host().to_ascii_lowercase()))
        }
        Backing::CloudHsm(cluster) => (PlaceView::Cluster(cluster.id.as_str().to_owned()), None),
    };
    // The narrowest counts.
    let scopes = [
        Some(Scope::Store(id.as_str().to_owned())),
        host.clone().map(Scope::Endpoint),
        host.map(|_| Scope::All),
    ];
    let fault = scopes
        .iter()
        .flatten()
        .find_map(|scope| faults.iter().find(|fault| fault.scope == *scope));
    let transitions = simulator.connector().transitions();
    let phases = [Phase::Connecting, Phase::Disconnecting].into_iter();
    let held = phases.filter(|phase| transitions.holds(id.as_str(), *phase));
    let failures = transitions.settings().failures;
    let failure = failures
        .get(&Some(id.as_str().to_owned()))
        .or_else(|| failures.get(&None));
    StoreView {
        home: home.clone(),
        id: id.clone(),
        name: store.name().to_owned(),
        kind: store.kind(),
        state: store.connection_state(),
        code: store.connection_error_code(),
        created: store.created(),
        credential_set: store.credential_set(),
        place,
        keys: state.keys.count_in_store(id),
        observed: store.observation().overview(),
        recent: store.observation().recent(RECENT),
        fault: fault.cloned(),
        held: held.collect(),
        failure: failure.copied(),
    }
}

/// The keys of a store, by what their owners decided.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct KeyCounts {
    pub(super) enabled: usize,
    pub(super) disabled: usize,
    pub(super) pending_deletion: usize,
}

impl KeyCounts {
    /// Those that are Unavailable while the store is not CONNECTED.
    pub(super) const fn unavailable(self) -> usize {
        self.enabled + self.disabled
    }
}

/// Counts the keys of a store, however many, without keeping others from the Region for long.
pub(super) fn count_keys(simulator: &Simulator, store: &StoreView) -> KeyCounts {
    let mut counts = KeyCounts::default();
    let regions = simulator.regions();
    let Some((_, region)) = regions.iter().find(|(home, _)| *home == store.home) else {
        return counts;
    };
    let mut last = None;
    loop {
        let state = region.lock();
        let after = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = state.keys.of_store_after(&store.id, after);
        let before = last.clone();
        for key in keys.take(AT_ONCE) {
            match key.admin_state {
                AdminState::Enabled => counts.enabled += 1,
                AdminState::Disabled => counts.disabled += 1,
                AdminState::PendingDeletion(_) | AdminState::PendingReplicaDeletion(_) => {
                    counts.pending_deletion += 1;
                }
            }
            last = Some(key.id().to_string());
        }
        if last == before {
            return counts;
        }
    }
}

/// Keys that are looked at under one lock.
const AT_ONCE: usize = 5_000;
