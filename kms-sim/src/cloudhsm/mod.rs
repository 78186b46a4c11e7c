//! Simulated AWS CloudHSM clusters: pure state, no IO. What KMS sees of them is here, what a person makes and breaks
//! is in `control.rs`.
//!
//! One lock holds them all. It is taken after that of a Region, if both are needed, and never held across an await.

mod certificate;
mod cluster;
mod configuration;
mod control;
mod error;
mod ids;
mod image;
mod kmsuser;
mod password;
mod session;
mod shapes;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::KmsError;
use crate::connection::ConnectionErrorCode;
use crate::journal::{Changed, Journal};
use crate::key_material::KeyMaterial;
use crate::visibility::Home;
use cluster::{Cluster, Contents};

pub(crate) use certificate::ClusterCertificate;
pub use configuration::{Configuration, Hsm, Subnet};
pub use error::{CloudHsmError, MAX_HSMS};
pub use ids::{BackupId, ClusterId, HsmId};
pub(crate) use image::{BackupImage, ClusterImage, ClusterKeyImage};
pub use password::{InvalidPassword, KeyStorePassword};
pub(crate) use session::{HsmFailure, HsmLink, Session};
pub use shapes::{
    BackupDescription, ClusterChange, ClusterDescription, CreatedCluster, KmsuserDescription,
    NewCluster, SubnetChange,
};
pub use words::{ClusterState, HsmState, KmsuserChange};

/// Every simulated cluster; clones share them.
#[derive(Clone, Default)]
pub struct CloudHsm(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    clusters: BTreeMap<ClusterId, Cluster>,
    backups: BTreeMap<BackupId, Backup>,
    sessions_begun: u64,
    changed: Changed<CloudHsmRecord>,
}

/// A part of the state that is saved by itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CloudHsmRecord {
    /// Without the material of its keys.
    Cluster(ClusterId),
    /// By the id of the KMS key.
    Key(ClusterId, Arc<str>),
    Backup(BackupId),
}

/// What was in a cluster at one time; outlives the cluster.
struct Backup {
    cluster: ClusterId,
    contents: Contents,
}

/// What KMS learns of a cluster without logging in.
pub(crate) struct ClusterView {
    pub(crate) configuration: Configuration,
    pub(crate) certificate: Arc<ClusterCertificate>,
}

impl CloudHsm {
    /// The cluster as it is now.
    ///
    /// # Errors
    /// CloudHsmClusterNotFoundException if there is none that `home` can see.
    pub(crate) fn view(&self, home: &Home, id: &ClusterId) -> Result<ClusterView, KmsError> {
        let state = self.lock();
        let cluster = state.visible(home, id).ok_or_else(|| {
            KmsError::new(
                "CloudHsmClusterNotFoundException",
                format!("There is no CloudHSM cluster {id} in this account and Region."),
            )
        })?;
        Ok(ClusterView {
            configuration: cluster.configuration.clone(),
            certificate: Arc::clone(&cluster.contents.certificate),
        })
    }

    /// What ConnectCustomKeyStore finds out before it answers; a cluster that is gone shows later.
    ///
    /// # Errors
    /// CloudHsmClusterNotActiveException, CloudHsmClusterInvalidConfigurationException.
    pub(crate) fn check_connect(&self, home: &Home, id: &ClusterId) -> Result<(), KmsError> {
        match self.lock().visible(home, id) {
            Some(cluster) => cluster.configuration.check_connect(id),
            None => Ok(()),
        }
    }

    /// Logs in as `kmsuser` and sets a new password, which is handed back for the next login.
    ///
    /// # Errors
    /// The code that the attempt to connect fails with.
    pub(crate) fn log_in(
        &self,
        home: &Home,
        id: &ClusterId,
        password: &KeyStorePassword,
    ) -> Result<(Session, KeyStorePassword), ConnectionErrorCode> {
        let next = KeyStorePassword::random().map_err(|_| ConnectionErrorCode::InternalError)?;
        let mut state = self.lock();
        let number = state.sessions_begun;
        let cluster = state
            .cluster_mut(id)
            .filter(|cluster| cluster.visibility.includes(home))
            .ok_or(ConnectionErrorCode::ClusterNotFound)?;
        cluster.log_in(number, password, next.clone())?;
        state.sessions_begun += 1;
        Ok((Session::new(self.clone(), id.clone(), number), next))
    }

    /// The session of a key store that was CONNECTED when the state was saved.
    pub(crate) fn resume(&self, id: &ClusterId) -> Session {
        let mut state = self.lock();
        let number = state.sessions_begun;
        state.sessions_begun += 1;
        // Without the cluster it finds what it would have found: that the cluster was deleted.
        if let Some(cluster) = state.clusters.get_mut(id) {
            cluster.resume(number);
        }
        Session::new(self.clone(), id.clone(), number)
    }

    /// Locks all of them, for the writer and for a restored state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn visible(&self, home: &Home, id: &ClusterId) -> Option<&Cluster> {
        self.clusters
            .get(id)
            .filter(|cluster| cluster.visibility.includes(home))
    }

    /// A cluster, to be changed in all but its keys.
    fn cluster_mut(&mut self, id: &ClusterId) -> Option<&mut Cluster> {
        let cluster = self.clusters.get_mut(id)?;
        self.changed.note(|| CloudHsmRecord::Cluster(id.clone()));
        Some(cluster)
    }

    /// Adds the material of a key to a cluster, or takes it away.
    fn set_key(&mut self, id: &ClusterId, key_id: &Arc<str>, material: Option<Arc<KeyMaterial>>) {
        let Some(cluster) = self.clusters.get_mut(id) else {
            return;
        };
        let name = || CloudHsmRecord::Key(id.clone(), Arc::clone(key_id));
        self.changed.note(name);
        match material {
            Some(material) => drop(cluster.contents.keys.insert(Arc::clone(key_id), material)),
            None => drop(cluster.contents.keys.remove(key_id)),
        }
    }

    /// Names a cluster and all of its keys as changed.
    fn note_all_of(&mut self, id: &ClusterId) {
        self.changed.note(|| CloudHsmRecord::Cluster(id.clone()));
        let cluster = self.clusters.get(id);
        for key in cluster
            .into_iter()
            .flat_map(|cluster| cluster.contents.keys.keys())
        {
            self.changed
                .note(|| CloudHsmRecord::Key(id.clone(), Arc::clone(key)));
        }
    }

    /// Names everything as changed.
    fn note_everything(&mut self) {
        let clusters: Vec<ClusterId> = self.clusters.keys().cloned().collect();
        clusters.iter().for_each(|id| self.note_all_of(id));
        for id in self.backups.keys() {
            self.changed.note(|| CloudHsmRecord::Backup(id.clone()));
        }
    }

    /// From now on changes are named, and everything there is counts as changed.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
        self.note_everything();
    }

    /// For the writer: the names of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<CloudHsmRecord> {
        self.changed.take()
    }
}

impl std::fmt::Debug for CloudHsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.lock().clusters.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
