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
mod kmsuser;
mod password;
mod session;
mod shapes;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::KmsError;
use crate::connection::ConnectionErrorCode;
use crate::visibility::Home;
use cluster::{Cluster, Contents};

pub(crate) use certificate::ClusterCertificate;
pub use configuration::{Configuration, Hsm, Subnet};
pub use error::{CloudHsmError, MAX_HSMS};
pub use ids::{BackupId, ClusterId, HsmId};
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
struct State {
    clusters: BTreeMap<ClusterId, Cluster>,
    backups: BTreeMap<BackupId, Backup>,
    sessions_begun: u64,
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
            .clusters
            .get_mut(id)
            .filter(|cluster| cluster.visibility.includes(home))
            .ok_or(ConnectionErrorCode::ClusterNotFound)?;
        cluster.log_in(number, password, next.clone())?;
        state.sessions_begun += 1;
        Ok((Session::new(self.clone(), id.clone(), number), next))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn visible(&self, home: &Home, id: &ClusterId) -> Option<&Cluster> {
        self.clusters
            .get(id)
            .filter(|cluster| cluster.visibility.includes(home))
    }
}

impl std::fmt::Debug for CloudHsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.lock().clusters.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
