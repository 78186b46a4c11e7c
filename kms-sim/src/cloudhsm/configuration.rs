//! What a cluster consists of, and what KMS demands of it for each operation.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::{ClusterId, HsmId};
use super::words::{ClusterState, HsmState};
use crate::api::KmsError;
use crate::connection::ConnectionErrorCode;

/// The parts of a cluster.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Configuration {
    /// KMS uses a cluster that is ACTIVE.
    pub state: ClusterState,
    /// In the order in which they were added.
    pub hsms: Vec<Hsm>,
    /// One private subnet for each Availability Zone.
    pub subnets: Vec<Subnet>,
    /// Whether the security group lets TCP ports 2223-2225 through, in and out.
    pub security_group_sound: bool,
    /// Whether KMS's packets reach the HSMs.
    pub reachable: bool,
    /// Whether an HSM has PKCS#11 sessions left.
    pub sessions_left: bool,
}

/// One hardware security module.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Hsm {
    /// Its name.
    pub id: HsmId,
    /// The Availability Zone of its subnet.
    pub availability_zone: String,
    /// One that is ACTIVE works.
    pub state: HsmState,
}

/// The cluster's private subnet in an Availability Zone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Subnet {
    /// The Availability Zone.
    pub availability_zone: String,
    /// Whether it was deleted after the cluster was made.
    pub deleted: bool,
    /// Addresses that nobody has taken.
    pub free_addresses: u32,
}

impl Configuration {
    /// CloudHsmClusterNotActiveException unless the cluster is ACTIVE.
    pub(crate) fn check_active(&self, id: &ClusterId) -> Result<(), KmsError> {
        if self.state == ClusterState::Active {
            return Ok(());
        }
        Err(KmsError::new(
            "CloudHsmClusterNotActiveException",
            format!(
                "CloudHSM cluster {id} is {}; it must be ACTIVE. Initialize and activate it, then try again.",
                self.state.as_str()
            ),
        ))
    }

    /// CloudHsmClusterInvalidConfigurationException unless the cluster fits a key store and its new keys: subnets
    /// and active HSMs in two Availability Zones, and an open security group.
    pub(crate) fn check_two_zones(&self, id: &ClusterId) -> Result<(), KmsError> {
        let subnets = self.subnets.iter().filter(|subnet| !subnet.deleted).count();
        if subnets < 2 {
            return Err(invalid(
                id,
                &format!("has private subnets in {subnets} Availability Zones; 2 are needed"),
            ));
        }
        self.check_security_group(id)?;
        let zones: BTreeSet<_> = self
            .active_hsms()
            .map(|hsm| &hsm.availability_zone)
            .collect();
        if zones.len() < 2 {
            let zones = zones.len();
            return Err(invalid(
                id,
                &format!(
                    "has active HSMs in {zones} Availability Zones; 2 are needed. Add an HSM in another one"
                ),
            ));
        }
        Ok(())
    }

    /// What ConnectCustomKeyStore finds out before it answers: CloudHsmClusterNotActiveException,
    /// CloudHsmClusterInvalidConfigurationException for the security group or HSMs of which none is active. A cluster
    /// without any HSM shows later, as INSUFFICIENT_CLOUDHSM_HSMS.
    pub(crate) fn check_connect(&self, id: &ClusterId) -> Result<(), KmsError> {
        self.check_active(id)?;
        self.check_security_group(id)?;
        if !self.hsms.is_empty() && !self.has_active_hsm() {
            return Err(invalid(id, "has no active HSM; 1 is needed"));
        }
        Ok(())
    }

    /// What an attempt to connect meets on its way to the login.
    pub(super) fn check_way(&self) -> Result<(), ConnectionErrorCode> {
        if !self.has_active_hsm() {
            return Err(ConnectionErrorCode::InsufficientCloudHsmHsms);
        }
        if self.subnets.iter().any(|subnet| subnet.deleted) {
            return Err(ConnectionErrorCode::SubnetNotFound);
        }
        if self.subnets.iter().any(|subnet| subnet.free_addresses == 0) {
            return Err(ConnectionErrorCode::InsufficientFreeAddressesInSubnet);
        }
        if !self.reachable {
            return Err(ConnectionErrorCode::NetworkErrors);
        }
        if !self.sessions_left {
            return Err(ConnectionErrorCode::InternalError);
        }
        Ok(())
    }

    /// Whether one HSM at least works.
    pub(super) fn has_active_hsm(&self) -> bool {
        self.active_hsms().next().is_some()
    }

    fn active_hsms(&self) -> impl Iterator<Item = &Hsm> {
        self.hsms.iter().filter(|hsm| hsm.state == HsmState::Active)
    }

    fn check_security_group(&self, id: &ClusterId) -> Result<(), KmsError> {
        if self.security_group_sound {
            return Ok(());
        }
        Err(invalid(
            id,
            "has a security group that does not allow TCP traffic on ports 2223-2225 in both directions; restore its \
             default rules",
        ))
    }
}

fn invalid(id: &ClusterId, what: &str) -> KmsError {
    KmsError::new(
        "CloudHsmClusterInvalidConfigurationException",
        format!("CloudHSM cluster {id} {what}."),
    )
}
