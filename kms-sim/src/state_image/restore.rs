//! Records back into a state: first everything is read and checked, then it takes the place of what there was.
//!
//! A store that was CONNECTED is CONNECTED again: ConnectionState is KMS's own, and no connection to a proxy or loss of one
//! changes it; the next call dials anew. One that was CONNECTING tries again; one that was DISCONNECTING is DISCONNECTED,
//! since its connections are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Defect, Record, RecordName, StateError, StateImage};
use crate::clock::Hands;
use crate::cloudhsm::{self, CloudHsmRecord};
use crate::custom_key_store::{
    Backing, ConnectionImage, CustomKeyStore, CustomKeyStores, StoreImage,
};
use crate::key::Key;
use crate::keys::Keys;
use crate::proxy_endpoints::ProxyEndpoints;
use crate::simulator::{Caller, Region, Simulator};
use crate::visibility::Home;
use crate::vpc_endpoint_service::VpcEndpointService;

/// A state that was read and found consistent.
pub(crate) struct Restored {
    clock: Hands,
    cloud_hsm: cloudhsm::State,
    vpc_endpoint_services: BTreeMap<String, VpcEndpointService>,
    regions: BTreeMap<Home, RestoredRegion>,
}

#[derive(Default)]
struct RestoredRegion {
    stores: Vec<(CustomKeyStore, ConnectionImage)>,
    keys: Keys,
}

impl Restored {
    /// Reads records, in any order.
    ///
    /// # Errors
    /// The first record that cannot be used.
    pub(crate) fn read(records: impl IntoIterator<Item = Record>) -> Result<Self, StateError> {
        let mut restored = Self {
            clock: Hands::default(),
            cloud_hsm: cloudhsm::State::default(),
            vpc_endpoint_services: BTreeMap::new(),
            regions: BTreeMap::new(),
        };
        // These name others, which must be there first.
        let (mut cluster_keys, mut aliases, mut grants) = (Vec::new(), Vec::new(), Vec::new());
        let endpoints = ProxyEndpoints::default();
        let mut claims = Vec::new();
        for record in records {
            match record {
                Record::Clock(hands) => restored.clock = hands,
                Record::CloudHsmCluster(image) => {
                    let name = CloudHsmRecord::Cluster(image.cluster_id.clone());
                    let result = restored.cloud_hsm.restore_cluster(image);
                    result.map_err(|d| StateError::record(&RecordName::CloudHsm(name), d))?;
                }
                Record::CloudHsmKey(image) => cluster_keys.push(image),
                Record::CloudHsmBackup(image) => {
                    let name = CloudHsmRecord::Backup(image.backup_id.clone());
                    let result = restored.cloud_hsm.restore_backup(image);
                    result.map_err(|d| StateError::record(&RecordName::CloudHsm(name), d))?;
                }
                Record::VpcEndpointService(service) => {
                    let services = &mut restored.vpc_endpoint_services;
                    services.insert(service.name.clone(), service);
                }
                Record::CustomKeyStore(image) => {
                    let (home, connection) = (image.home.clone(), image.connection);
                    let id = image.custom_key_store_id.to_string();
                    let store = restore_store(&endpoints, *image).map(|(store, claim)| {
                        claims.extend(claim);
                        store
                    });
                    let store = store.map_err(|defect| {
                        StateError::record(&RecordName::CustomKeyStore(home.clone(), id), defect)
                    })?;
                    let region = restored.regions.entry(home).or_default();
                    region.stores.push((store, connection));
                }
                Record::Key(image) => {
                    let (home, id) = (image.home.clone(), Arc::clone(&image.key_id));
                    let keys = &mut restored.regions.entry(home.clone()).or_default().keys;
                    let result = image.restore().map(|key| keys.restore(key));
                    result.map_err(|d| StateError::record(&RecordName::Key(home, id), d))?;
                }
                Record::Alias(image) => aliases.push(image),
                Record::Grant(image) => grants.push(image),
            }
        }
        for image in cluster_keys {
            let name = CloudHsmRecord::Key(image.cluster_id.clone(), Arc::clone(&image.key_id));
            let result = restored.cloud_hsm.restore_key(image);
            result.map_err(|defect| StateError::record(&RecordName::CloudHsm(name), defect))?;
        }
        for image in aliases {
            let home = image.home.clone();
            let (name, alias) = image.restore();
            let keys = &mut restored.regions.entry(home.clone()).or_default().keys;
            let result = match keys.get(&alias.target) {
                None => Err(Defect::Reference("a key")),
                Some(_) => keys
                    .aliases
                    .insert(&name, alias)
                    .ok_or(Defect::Taken("its name")),
            };
            result.map_err(|defect| StateError::record(&RecordName::Alias(home, name), defect))?;
        }
        for image in grants {
            let home = image.home.clone();
            let (key, grant) = image.restore();
            let keys = &mut restored.regions.entry(home.clone()).or_default().keys;
            if keys.get(&key).is_none() {
                let name = RecordName::Grant(home, (key, grant.id));
                return Err(StateError::record(&name, Defect::Reference("a key")));
            }
            keys.grants.insert(&key, grant);
        }
        restored.check_keys()?;
        restored.join_multi_region_keys();
        Ok(restored)
    }

    /// The keys of a multi-Region key share their material and their set again; that of the primary is the one to join.
    fn join_multi_region_keys(&mut self) {
        let mut sets: BTreeMap<(String, Arc<str>), Vec<&mut Key>> = BTreeMap::new();
        for (home, region) in &mut self.regions {
            for key in region.keys.iter_mut() {
                if key.multi_region.is_some() {
                    let name = (home.account.clone(), Arc::clone(key.id()));
                    sets.entry(name).or_default().push(key);
                }
            }
        }
        for mut keys in sets.into_values() {
            keys.sort_by_key(|key| key.is_replica());
            if let Some((primary, replicas)) = keys.split_first_mut() {
                for replica in replicas {
                    replica.join(primary);
                }
            }
        }
    }

    /// Whether every key has its store.
    fn check_keys(&self) -> Result<(), StateError> {
        for (home, region) in &self.regions {
            for key in region.keys.iter() {
                let store = key.origin().store();
                let has = |id| region.stores.iter().any(|(store, _)| store.id() == id);
                if !store.is_none_or(has) {
                    let name = RecordName::Key(home.clone(), Arc::clone(key.id()));
                    let defect = Defect::Reference("a custom key store");
                    return Err(StateError::record(&name, defect));
                }
            }
        }
        Ok(())
    }
}

/// The store, and a claim that shows that no other store of the state is in its way.
fn restore_store(
    endpoints: &ProxyEndpoints,
    image: StoreImage,
) -> Result<
    (
        CustomKeyStore,
        Option<crate::proxy_endpoints::EndpointClaim>,
    ),
    Defect,
> {
    let region = image.home.region.clone();
    let store = image.restore()?;
    let claim = match store.backing() {
        Backing::CloudHsm(_) => None,
        Backing::Xks(proxy) => {
            let claim = endpoints.claim(&region, proxy, None);
            Some(claim.map_err(|_| Defect::Taken("its endpoint"))?)
        }
    };
    Ok((store, claim))
}

impl Simulator {
    /// All of the state, with its secrets.
    pub(crate) fn image(&self) -> StateImage {
        self.while_still(|still| {
            let records = still.names().filter_map(|name| still.record(&name));
            StateImage::new(records.collect())
        })
    }

    /// Another state takes the place of the present one, as a reset and a restart would do it.
    pub(crate) async fn restore(&self, restored: Restored) {
        self.reset().await;
        self.clock().lock().set(|_| restored.clock);
        self.cloud_hsm().lock().replace(restored.cloud_hsm);
        let services = self.vpc_endpoint_services();
        services.lock().replace(restored.vpc_endpoint_services);
        for (home, restored) in restored.regions {
            self.restore_region(home, restored);
        }
        self.journal().everything_changed();
    }

    fn restore_region(&self, home: Home, restored: RestoredRegion) {
        let mut stores = CustomKeyStores::default();
        let mut connections = Vec::new();
        for (mut store, connection) in restored.stores {
            if let Backing::Xks(proxy) = store.backing() {
                let claim = self.endpoints().keep(&home.region, proxy);
                store.restore_endpoint(claim);
            }
            connections.push((store.id().clone(), connection));
            stores.restore(store);
        }
        let caller = Caller::new(
            home.account.clone(),
            home.region.clone(),
            format!("arn:aws:iam::{}:root", home.account),
            Uuid::new_v4().to_string(),
        );
        let region: Arc<Region> = self.replace_region(home, stores, restored.keys);
        let mut state = region.lock();
        for (id, connection) in connections {
            if let Some(store) = state.stores.find_mut(id.as_str()) {
                self.connector().resume(&region, store, connection, &caller);
            }
        }
    }
}
