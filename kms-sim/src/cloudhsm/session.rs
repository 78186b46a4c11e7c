//! KMS's login to a cluster, and what it can ask of the HSMs while it lasts.

use std::fmt;
use std::sync::Arc;

use super::cluster::Cluster;
use super::{CloudHsm, ClusterId, State};
use crate::api::KmsError;
use crate::key_material::{KeyMaterial, fill_random};

/// KMS is logged in as `kmsuser`, until this is dropped. A key store owns one while it is CONNECTED.
pub(crate) struct Session(HsmLink);

impl Session {
    pub(super) const fn new(hsm: CloudHsm, cluster: ClusterId, number: u64) -> Self {
        Self(HsmLink {
            hsm,
            cluster,
            number,
        })
    }

    /// A link for one operation.
    pub(crate) fn link(&self) -> HsmLink {
        self.0.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let HsmLink {
            hsm,
            cluster,
            number,
        } = &self.0;
        if let Some(cluster) = hsm.lock().clusters.get_mut(cluster) {
            cluster.log_out(*number);
        }
    }
}

/// The right to use the HSMs through a session that was open when it was taken.
#[derive(Clone)]
pub(crate) struct HsmLink {
    hsm: CloudHsm,
    cluster: ClusterId,
    number: u64,
}

impl HsmLink {
    /// Makes the material of a new KMS key, on every HSM.
    ///
    /// # Errors
    /// CloudHsmClusterInvalidConfigurationException without active HSMs in two Availability Zones, else
    /// CustomKeyStoreInvalidStateException.
    pub(crate) fn generate_key(&self, key_id: &str) -> Result<(), KmsError> {
        let material = Arc::new(KeyMaterial::generate()?);
        let failed = |failure: HsmFailure| failure.key_store_error(&self.cluster);
        let mut state = self.hsm.lock();
        let cluster = state
            .clusters
            .get(&self.cluster)
            .ok_or_else(|| failed(HsmFailure::ClusterDeleted))?;
        cluster.configuration.check_two_zones(&self.cluster)?;
        cluster.check_session(self.number).map_err(failed)?;
        state.set_key(&self.cluster, &key_id.into(), Some(material));
        Ok(())
    }

    /// The material of a KMS key, to be used at once.
    pub(crate) fn key(&self, key_id: &str) -> Result<Arc<KeyMaterial>, HsmFailure> {
        let state = self.hsm.lock();
        let key = self.cluster(&state)?.contents.keys.get(key_id);
        key.map(Arc::clone).ok_or(HsmFailure::NoSuchKey)
    }

    /// Deletes the material of a KMS key, as far as that can be done.
    pub(crate) fn delete_key(&self, key_id: &str) -> Result<(), HsmFailure> {
        let mut state = self.hsm.lock();
        let keys = &self.cluster(&state)?.contents.keys;
        let (key_id, _) = keys.get_key_value(key_id).ok_or(HsmFailure::NoSuchKey)?;
        let key_id = Arc::clone(key_id);
        state.set_key(&self.cluster, &key_id, None);
        Ok(())
    }

    /// Random bytes of an HSM.
    ///
    /// # Errors
    /// CustomKeyStoreInvalidStateException if no HSM can be reached.
    pub(crate) fn fill_random(&self, out: &mut [u8]) -> Result<(), KmsError> {
        self.cluster(&self.hsm.lock())
            .map_err(|failure| failure.key_store_error(&self.cluster))?;
        fill_random(out)
    }

    /// The cluster, if it serves.
    fn cluster<'s>(&self, state: &'s State) -> Result<&'s Cluster, HsmFailure> {
        let cluster = state.clusters.get(&self.cluster);
        let cluster = cluster.ok_or(HsmFailure::ClusterDeleted)?;
        cluster.check_session(self.number)?;
        Ok(cluster)
    }
}

/// Why the HSMs did not do what KMS asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HsmFailure {
    /// A disconnect has come first.
    LoggedOut,
    ClusterDeleted,
    NoActiveHsm,
    /// The network or the security group is in the way.
    Unreachable,
    /// Every PKCS#11 session is in use.
    NoSessionsLeft,
    /// The material was deleted from the cluster, or was never there.
    NoSuchKey,
}

impl HsmFailure {
    /// What a cryptographic operation on a key answers: KMSInvalidStateException, which a retry does not help, or
    /// KMSInternalException, which it may.
    pub(crate) fn crypto_error(self, key_arn: &str) -> KmsError {
        let message = match self {
            Self::LoggedOut => format!("{key_arn} is unavailable."),
            Self::ClusterDeleted | Self::NoActiveHsm | Self::Unreachable => {
                format!("{CANNOT_COMMUNICATE}: {self}.")
            }
            Self::NoSuchKey => format!("{self}: {key_arn}."),
            Self::NoSessionsLeft => return busy(),
        };
        KmsError::new("KMSInvalidStateException", message)
    }

    /// What CreateKey and GenerateRandom answer, which know no KMSInvalidStateException.
    fn key_store_error(self, cluster: &ClusterId) -> KmsError {
        let message = match self {
            Self::LoggedOut => "The custom key store is not CONNECTED.".to_owned(),
            Self::ClusterDeleted | Self::NoActiveHsm | Self::Unreachable | Self::NoSuchKey => {
                format!("{CANNOT_COMMUNICATE} {cluster}: {self}.")
            }
            Self::NoSessionsLeft => return busy(),
        };
        KmsError::new("CustomKeyStoreInvalidStateException", message)
    }
}

impl fmt::Display for HsmFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoggedOut => "KMS is not logged in",
            Self::ClusterDeleted => "the cluster was deleted",
            Self::NoActiveHsm => "it has no active HSM",
            Self::Unreachable => "its HSMs cannot be reached over the network",
            Self::NoSessionsLeft => "every PKCS#11 session is in use",
            Self::NoSuchKey => {
                "The CloudHSM cluster does not have the key material of this KMS key"
            }
        })
    }
}

fn busy() -> KmsError {
    KmsError::new(
        "KMSInternalException",
        "Every PKCS#11 session of the CloudHSM cluster is in use. The request can be retried.",
    )
}

/// AWS KMS Developer Guide, "How to fix a failing KMS key".
const CANNOT_COMMUNICATE: &str = "KMS cannot communicate with your CloudHSM cluster";
