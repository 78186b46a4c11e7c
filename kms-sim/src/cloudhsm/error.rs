//! Why a simulated cluster was not made or changed as a person wanted.

use super::ids::{BackupId, ClusterId, HsmId};
use super::password::InvalidPassword;
use crate::api::KmsError;

/// Why a cluster was not made or changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CloudHsmError {
    /// Never made, or deleted.
    #[error("there is no cluster {0}; list the clusters to see those that exist")]
    NoCluster(ClusterId),
    /// Never made, or deleted.
    #[error("the cluster has no HSM {0}; describe the cluster to see those that it has")]
    NoHsm(HsmId),
    /// None was made there, or it was deleted.
    #[error(
        "the cluster has no private subnet in Availability Zone '{0}'; describe the cluster to see those that it has"
    )]
    NoSubnet(String),
    /// An HSM needs an address.
    #[error(
        "the private subnet in Availability Zone '{0}' has no free address; set more of them first"
    )]
    NoFreeAddress(String),
    /// The user does not exist.
    #[error("cluster {0} has no kmsuser; set a password to create it")]
    NoKmsuser(ClusterId),
    /// KMS never made it there, or it was deleted.
    #[error(
        "the cluster has no key material of KMS key '{0}'; describe the cluster to see the keys that it has"
    )]
    NoKey(String),
    /// Never made.
    #[error("there is no backup {0}; list the backups to see those that exist")]
    NoBackup(BackupId),
    /// A cluster without a subnet.
    #[error("a cluster needs a private subnet in at least one Availability Zone")]
    NoAvailabilityZone,
    /// More than CloudHSM allows.
    #[error("a cluster has at most {MAX_HSMS} HSMs")]
    TooManyHsms,
    /// A `kmsuser` password that CloudHSM does not take.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// The system has no random bytes, or no certificate could be made.
    #[error("no random bytes to be had for a name, a key or a certificate")]
    Random,
}

impl From<KmsError> for CloudHsmError {
    fn from(_: KmsError) -> Self {
        Self::Random
    }
}

impl From<rcgen::Error> for CloudHsmError {
    fn from(error: rcgen::Error) -> Self {
        tracing::error!(%error, "cannot make a cluster certificate");
        Self::Random
    }
}

/// As AWS CloudHSM's quota of HSMs in a cluster.
pub const MAX_HSMS: usize = 28;
