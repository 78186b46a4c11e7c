//! The state while nothing changes: one moment of all of it, to be saved.
//!
//! Every Region is locked first, then what the Regions have in common. Nobody else holds two Regions at a time.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use super::{AliasImage, GrantImage, KeyImage, Record, RecordName};
use crate::clock;
use crate::cloudhsm::{self, CloudHsmRecord};
use crate::custom_key_store::StoreImage;
use crate::simulator::{RegionState, Simulator};
use crate::visibility::Home;
use crate::vpc_endpoint_service;

/// The locked state.
pub(crate) struct Still<'s> {
    regions: BTreeMap<Home, MutexGuard<'s, RegionState>>,
    cloud_hsm: MutexGuard<'s, cloudhsm::State>,
    vpc_endpoint_services: MutexGuard<'s, vpc_endpoint_service::State>,
    clock: MutexGuard<'s, clock::State>,
}

impl Simulator {
    /// Looks at the state while nothing changes; `work` must be short.
    pub(crate) fn while_still<T>(&self, work: impl FnOnce(&mut Still<'_>) -> T) -> T {
        loop {
            let regions = self.regions();
            let mut still = Still {
                regions: regions
                    .iter()
                    .map(|(home, region)| (home.clone(), region.lock_as_it_is()))
                    .collect(),
                cloud_hsm: self.cloud_hsm().lock(),
                vpc_endpoint_services: self.vpc_endpoint_services().lock(),
                clock: self.clock().lock(),
            };
            // A Region that came in between may have changed what all have in common.
            if self.count_regions() == regions.len() {
                return work(&mut still);
            }
        }
    }
}

impl Still<'_> {
    /// The names of what has changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> Vec<RecordName> {
        let mut names = Vec::new();
        for (home, state) in &mut self.regions {
            let ids = state.stores.take_changed().into_iter();
            names.extend(ids.map(|id| RecordName::CustomKeyStore(home.clone(), id)));
            let keys = state.keys.take_changed().into_iter();
            names.extend(keys.map(|id| RecordName::Key(home.clone(), id)));
            let aliases = state.keys.aliases.take_changed().into_iter();
            names.extend(aliases.map(|name| RecordName::Alias(home.clone(), name)));
            let grants = state.keys.grants.take_changed().into_iter();
            names.extend(grants.map(|name| RecordName::Grant(home.clone(), name)));
        }
        let parts = self.cloud_hsm.take_changed().into_iter();
        names.extend(parts.map(RecordName::CloudHsm));
        let services = self.vpc_endpoint_services.take_changed().into_iter();
        names.extend(services.map(RecordName::VpcEndpointService));
        if self.clock.take_changed() {
            names.push(RecordName::Clock);
        }
        names
    }

    /// The names of everything.
    pub(crate) fn names(&self) -> impl Iterator<Item = RecordName> {
        let of_regions = self.regions.iter().flat_map(|(home, state)| {
            let stores = state.stores.iter();
            let stores =
                stores.map(|s| RecordName::CustomKeyStore(home.clone(), s.id().to_string()));
            let keys = state.keys.iter();
            let keys = keys.map(|key| RecordName::Key(home.clone(), key.id().clone()));
            let aliases = state.keys.aliases.iter();
            let aliases = aliases.map(|(name, _)| RecordName::Alias(home.clone(), name.into()));
            let grants = state.keys.grants.iter();
            let grants = grants.map(|(key, grant)| {
                RecordName::Grant(home.clone(), (key.clone(), grant.id.clone()))
            });
            stores.chain(keys).chain(aliases).chain(grants)
        });
        let services = self.vpc_endpoint_services.services().keys().cloned();
        std::iter::once(RecordName::Clock)
            .chain(self.cloud_hsm.records().map(RecordName::CloudHsm))
            .chain(services.map(RecordName::VpcEndpointService))
            .chain(of_regions)
    }

    /// What has that name; `None` if it is gone.
    pub(crate) fn record(&self, name: &RecordName) -> Option<Record> {
        let state = |home: &Home| self.regions.get(home);
        Some(match name {
            RecordName::Clock => Record::Clock(self.clock.hands()),
            RecordName::CloudHsm(CloudHsmRecord::Cluster(id)) => {
                Record::CloudHsmCluster(self.cloud_hsm.cluster_image(id)?)
            }
            RecordName::CloudHsm(CloudHsmRecord::Key(cluster, key)) => {
                Record::CloudHsmKey(self.cloud_hsm.key_image(cluster, key)?)
            }
            RecordName::CloudHsm(CloudHsmRecord::Backup(id)) => {
                Record::CloudHsmBackup(self.cloud_hsm.backup_image(id)?)
            }
            RecordName::VpcEndpointService(name) => {
                let service = self.vpc_endpoint_services.services().get(name)?;
                Record::VpcEndpointService(service.clone())
            }
            RecordName::CustomKeyStore(home, id) => {
                let store = state(home)?.stores.find(id)?;
                Record::CustomKeyStore(Box::new(StoreImage::of(home, store)))
            }
            RecordName::Key(home, id) => {
                let key = state(home)?.keys.get(id)?;
                Record::Key(Box::new(KeyImage::of(home, key)))
            }
            RecordName::Alias(home, name) => {
                let alias = state(home)?.keys.aliases.get(name)?;
                Record::Alias(AliasImage::of(home, name, alias))
            }
            RecordName::Grant(home, (key, id)) => {
                let grant = state(home)?.keys.grants.get(key, id)?;
                Record::Grant(Box::new(GrantImage::of(home, key, grant)))
            }
        })
    }
}
