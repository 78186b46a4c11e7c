//! The custom key stores of one account and Region, and what must be unique among them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::SystemTime;

use super::{Backing, CloudHsmCluster, CustomKeyStore, CustomKeyStoreId, Remains, XksProxy};
use crate::api::KmsError;
use crate::cloudhsm::{ClusterCertificate, ClusterId};
use crate::connection::ConnectionState;
use crate::journal::{Changed, Journal};
use crate::proxy_endpoints::EndpointClaim;

/// The custom key stores of one account and Region.
#[derive(Default)]
pub(crate) struct CustomKeyStores {
    by_id: BTreeMap<String, CustomKeyStore>,
    changed: Changed<String>,
}

impl CustomKeyStores {
    pub(crate) fn find(&self, id: &str) -> Option<&CustomKeyStore> {
        self.by_id.get(id)
    }

    /// As [`CustomKeyStores::find`], to be changed.
    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut CustomKeyStore> {
        let store = self.by_id.get_mut(id)?;
        self.changed.note(|| id.to_owned());
        Some(store)
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
        self.by_id.values()
    }

    /// The stores after an id, in the order of the ids.
    pub(crate) fn after(
        &self,
        after: Bound<&str>,
    ) -> impl Iterator<Item = &CustomKeyStore> + use<'_> {
        let stores = self.by_id.range::<str, _>((after, Bound::Unbounded));
        stores.map(|(_, store)| store)
    }

    /// Whether there may be a new store of that name.
    ///
    /// # Errors
    /// LimitExceededException, CustomKeyStoreNameInUseException, in this order.
    pub(crate) fn admit(&self, name: &str) -> Result<(), KmsError> {
        if self.by_id.len() >= MAX_STORES {
            return Err(KmsError::new(
                "LimitExceededException",
                format!("An account has at most {MAX_STORES} custom key stores in a Region."),
            ));
        }
        self.unused_name(name, None)
    }

    /// Whether no store but `own` has the name.
    ///
    /// # Errors
    /// CustomKeyStoreNameInUseException
    pub(crate) fn unused_name(&self, name: &str, own: Option<&str>) -> Result<(), KmsError> {
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

    /// Whether no store but `own` has the proxy's endpoint and path.
    ///
    /// # Errors
    /// XksProxyUriInUseException
    pub(crate) fn unused_uri(&self, proxy: &XksProxy, own: Option<&str>) -> Result<(), KmsError> {
        let same = |store: &&CustomKeyStore| match &store.backing {
            Backing::Xks(other) => other.same_uri(proxy),
            Backing::CloudHsm(_) => false,
        };
        match self.others(own).find(same) {
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

    /// Whether no store has the cluster, or one that shares its backup history.
    ///
    /// # Errors
    /// CloudHsmClusterInUseException
    pub(crate) fn unused_cluster(
        &self,
        id: &ClusterId,
        certificate: &ClusterCertificate,
    ) -> Result<(), KmsError> {
        let how = self.iter().find_map(|store| match &store.backing {
            Backing::CloudHsm(other) if other.id == *id => {
                Some(format!("is that of custom key store {}", store.id))
            }
            Backing::CloudHsm(other) if *other.certificate == *certificate => Some(format!(
                "shares a backup history with {}, the cluster of custom key store {}",
                other.id, store.id
            )),
            Backing::CloudHsm(_) | Backing::Xks(_) => None,
        });
        match how {
            None => Ok(()),
            Some(how) => Err(KmsError::new(
                "CloudHsmClusterInUseException",
                format!(
                    "CloudHSM cluster {id} {how}. Each needs a cluster with a cluster certificate of its own."
                ),
            )),
        }
    }

    /// The store that an earlier request with the same values has created, if it is DISCONNECTED.
    pub(crate) fn same_cloudhsm_store(
        &self,
        name: &str,
        cluster: &ClusterId,
        trust_anchor_certificate: &str,
        password: &crate::cloudhsm::KeyStorePassword,
    ) -> Option<&CustomKeyStoreId> {
        let same = |other: &CloudHsmCluster| {
            other.id == *cluster
                && other.certificate.is(trust_anchor_certificate)
                && other.password == *password
        };
        self.iter()
            .find(|store| {
                store.name == name
                    && matches!(&store.backing, Backing::CloudHsm(other) if same(other))
                    && store.connection_state() == ConnectionState::Disconnected
            })
            .map(CustomKeyStore::id)
    }

    /// Adds a store that was admitted; it is DISCONNECTED. `endpoint` is the claim of an external key store.
    pub(crate) fn insert(
        &mut self,
        name: String,
        backing: Backing,
        endpoint: Option<EndpointClaim>,
        now: SystemTime,
    ) -> Result<CustomKeyStoreId, KmsError> {
        let id = CustomKeyStoreId::random()?;
        let store = CustomKeyStore::new(id.clone(), name, backing, endpoint, now);
        self.add(store);
        Ok(id)
    }

    /// Adds a store that was saved.
    pub(crate) fn restore(&mut self, store: CustomKeyStore) {
        self.by_id.insert(store.id().as_str().to_owned(), store);
    }

    /// From now on changes are named.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
    }

    fn add(&mut self, store: CustomKeyStore) {
        let id = store.id().as_str().to_owned();
        self.changed.note(|| id.clone());
        self.by_id.insert(id, store);
    }

    /// Forgets every store; what each leaves is to be ended.
    pub(crate) fn into_remains(self) -> impl Iterator<Item = Remains> {
        self.by_id
            .into_values()
            .filter_map(|mut store| store.disconnect().ok())
    }

    /// Forgets a store.
    pub(crate) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
        self.changed.note(|| id.to_owned());
    }

    /// For the writer: the ids of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<String> {
        self.changed.take()
    }

    fn others<'s>(&'s self, own: Option<&'s str>) -> impl Iterator<Item = &'s CustomKeyStore> {
        self.iter()
            .filter(move |store| Some(store.id.as_str()) != own)
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
