//! What the control of simulated clusters takes and tells.

use super::configuration::Configuration;
use super::ids::{BackupId, ClusterId};
use super::password::KeyStorePassword;
use super::words::{ClusterState, KmsuserChange};
use crate::visibility::Visibility;

/// A cluster to be created: ACTIVE, with a `kmsuser`.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Each gets a private subnet, and in turn an HSM.
    pub availability_zones: Vec<String>,
    /// How many HSMs it starts with.
    pub hsms: usize,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whose certificate, `kmsuser` and key material it has.
    pub backup: Option<BackupId>,
    /// Of the `kmsuser`; a random one if absent, or that of the backup.
    pub password: Option<KeyStorePassword>,
}

impl NewCluster {
    /// Two HSMs in two of the three Availability Zones of a Region.
    pub fn in_region(region: &str) -> Self {
        Self {
            availability_zones: ["a", "b", "c"].map(|zone| format!("{region}{zone}")).into(),
            hsms: 2,
            visibility: Visibility::default(),
            backup: None,
            password: None,
        }
    }
}

/// What CreateCustomKeyStore wants to know of a new cluster.
#[derive(Clone, Debug)]
pub struct CreatedCluster {
    /// `CloudHsmClusterId`
    pub id: ClusterId,
    /// `TrustAnchorCertificate`
    pub trust_anchor_certificate: String,
    /// `KeyStorePassword`; absent if it is that of the backup.
    pub key_store_password: Option<KeyStorePassword>,
}

/// What is to change in a cluster; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterChange {
    /// Its state.
    pub state: Option<ClusterState>,
    /// Whether the security group lets TCP ports 2223-2225 through.
    pub security_group_sound: Option<bool>,
    /// Whether KMS's packets reach the HSMs.
    pub reachable: Option<bool>,
    /// Whether an HSM has PKCS#11 sessions left.
    pub sessions_left: Option<bool>,
    /// What happens to the `kmsuser`.
    pub kmsuser: Option<KmsuserChange>,
}

/// What is to change in a subnet; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubnetChange {
    /// Whether it was deleted.
    pub deleted: Option<bool>,
    /// Addresses that nobody has taken.
    pub free_addresses: Option<u32>,
}

/// A cluster as it is, without secrets.
#[derive(Clone, Debug)]
pub struct ClusterDescription {
    /// Its name.
    pub id: ClusterId,
    /// Who sees it.
    pub visibility: Visibility,
    /// Its parts.
    pub configuration: Configuration,
    /// The cluster certificate, which related clusters share.
    pub trust_anchor_certificate: String,
    /// Absent if there is no such user.
    pub kmsuser: Option<KmsuserDescription>,
    /// The ids of the KMS keys whose material it holds.
    pub key_ids: Vec<String>,
}

/// The `kmsuser` of a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KmsuserDescription {
    /// Wrong passwords in a row.
    pub failed_logins: u8,
    /// Whether they were too many.
    pub locked_out: bool,
    /// Whether KMS is logged in.
    pub kms_logged_in: bool,
    /// Whether a person is.
    pub logged_in_elsewhere: bool,
}

/// A backup that clusters can be created from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackupDescription {
    /// Its name.
    pub id: BackupId,
    /// What it is a backup of.
    pub cluster: ClusterId,
    /// The ids of the KMS keys whose material it holds.
    pub key_ids: Vec<String>,
}
