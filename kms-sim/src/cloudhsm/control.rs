//! What a person makes and breaks: clusters, HSMs, subnets, the `kmsuser`, key material, backups.
//!
//! Everything given back is owned. The password of the `kmsuser` is told once, by whatever sets it.

use std::sync::Arc;

use super::certificate::ClusterCertificate;
use super::cluster::{Cluster, Contents};
use super::configuration::{Configuration, Hsm, Subnet};
use super::error::{CloudHsmError, MAX_HSMS};
use super::ids::{BackupId, ClusterId, HsmId};
use super::kmsuser::Kmsuser;
use super::password::KeyStorePassword;
use super::shapes::{
    BackupDescription, ClusterChange, ClusterDescription, CreatedCluster, KmsuserDescription,
    NewCluster, SubnetChange,
};
use super::words::{ClusterState, HsmState, KmsuserChange};
use super::{Backup, CloudHsm, CloudHsmRecord, State};

impl CloudHsm {
    /// Creates a cluster.
    ///
    /// # Errors
    /// An unknown backup, no Availability Zone, more than [`MAX_HSMS`].
    pub fn create_cluster(&self, new: NewCluster) -> Result<CreatedCluster, CloudHsmError> {
        if new.availability_zones.is_empty() {
            return Err(CloudHsmError::NoAvailabilityZone);
        }
        if new.hsms > MAX_HSMS {
            return Err(CloudHsmError::TooManyHsms);
        }
        let id = ClusterId::random()?;
        let mut configuration = Configuration {
            state: ClusterState::Active,
            hsms: Vec::new(),
            subnets: Vec::new(),
            security_group_sound: true,
            reachable: true,
            sessions_left: true,
        };
        for availability_zone in &new.availability_zones {
            configuration.subnets.push(Subnet {
                availability_zone: availability_zone.clone(),
                deleted: false,
                free_addresses: ADDRESSES_OF_A_SUBNET,
            });
        }
        for zone in new.availability_zones.iter().cycle().take(new.hsms) {
            add_hsm(&mut configuration, Some(zone))?;
        }
        let (contents, password) = match &new.backup {
            None => {
                let password = new.password.map_or_else(KeyStorePassword::random, Ok)?;
                let contents = Contents {
                    certificate: Arc::new(ClusterCertificate::generate()?),
                    kmsuser: Some(Kmsuser::new(password.clone())),
                    keys: Default::default(),
                };
                (contents, Some(password))
            }
            Some(backup) => {
                let mut contents = self.backup(backup)?;
                if let Some(user) = &mut contents.kmsuser {
                    user.logged_in_elsewhere = false;
                }
                if let Some(password) = &new.password {
                    contents.kmsuser = Some(Kmsuser::new(password.clone()));
                }
                (contents, new.password)
            }
        };
        let trust_anchor_certificate = contents.certificate.pem().to_owned();
        let cluster = Cluster::new(new.visibility, configuration, contents);
        let mut state = self.lock();
        state.clusters.insert(id.clone(), cluster);
        state.note_all_of(&id);
        drop(state);
        Ok(CreatedCluster {
            id,
            trust_anchor_certificate,
            key_store_password: password,
        })
    }

    /// Every cluster, in the order of the ids.
    pub fn clusters(&self) -> Vec<ClusterDescription> {
        let state = self.lock();
        let clusters = state.clusters.iter();
        clusters
            .map(|(id, cluster)| describe(id, cluster))
            .collect()
    }

    /// One cluster.
    ///
    /// # Errors
    /// No such cluster.
    pub fn cluster(&self, id: &ClusterId) -> Result<ClusterDescription, CloudHsmError> {
        let state = self.lock();
        let cluster = state.clusters.get(id);
        let cluster = cluster.ok_or_else(|| CloudHsmError::NoCluster(id.clone()))?;
        Ok(describe(id, cluster))
    }

    /// Changes a cluster.
    ///
    /// # Errors
    /// No such cluster, or a change to a `kmsuser` that does not exist; then nothing changes.
    pub fn update_cluster(
        &self,
        id: &ClusterId,
        change: ClusterChange,
    ) -> Result<(), CloudHsmError> {
        self.change(id, |cluster| {
            if let Some(kmsuser) = change.kmsuser {
                change_kmsuser(cluster, kmsuser)
                    .ok_or_else(|| CloudHsmError::NoKmsuser(id.clone()))?;
            }
            let parts = &mut cluster.configuration;
            parts.state = change.state.unwrap_or(parts.state);
            parts.security_group_sound = change
                .security_group_sound
                .unwrap_or(parts.security_group_sound);
            parts.reachable = change.reachable.unwrap_or(parts.reachable);
            parts.sessions_left = change.sessions_left.unwrap_or(parts.sessions_left);
            Ok(())
        })
    }

    /// Adds an HSM, in the Availability Zone with the fewest if none is given.
    ///
    /// # Errors
    /// No such cluster or subnet, no free address in it, more than [`MAX_HSMS`].
    pub fn add_hsm(&self, id: &ClusterId, zone: Option<&str>) -> Result<HsmId, CloudHsmError> {
        self.change(id, |cluster| add_hsm(&mut cluster.configuration, zone))
    }

    /// Sets the state of an HSM.
    ///
    /// # Errors
    /// No such cluster or HSM.
    pub fn set_hsm_state(
        &self,
        id: &ClusterId,
        hsm: &HsmId,
        state: HsmState,
    ) -> Result<(), CloudHsmError> {
        self.change(id, |cluster| {
            let mut hsms = cluster.configuration.hsms.iter_mut();
            let found = hsms.find(|found| found.id == *hsm);
            found
                .ok_or_else(|| CloudHsmError::NoHsm(hsm.clone()))?
                .state = state;
            Ok(())
        })
    }

    /// Removes an HSM; its address is free again.
    ///
    /// # Errors
    /// No such cluster or HSM.
    pub fn delete_hsm(&self, id: &ClusterId, hsm: &HsmId) -> Result<(), CloudHsmError> {
        self.change(id, |cluster| {
            let parts = &mut cluster.configuration;
            let at = parts.hsms.iter().position(|found| found.id == *hsm);
            let deleted = parts
                .hsms
                .remove(at.ok_or_else(|| CloudHsmError::NoHsm(hsm.clone()))?);
            let mut subnets = parts.subnets.iter_mut();
            if let Some(subnet) = subnets.find(|s| s.availability_zone == deleted.availability_zone)
            {
                subnet.free_addresses += 1;
            }
            Ok(())
        })
    }

    /// Changes the subnet of an Availability Zone.
    ///
    /// # Errors
    /// No such cluster or subnet.
    pub fn update_subnet(
        &self,
        id: &ClusterId,
        zone: &str,
        change: SubnetChange,
    ) -> Result<(), CloudHsmError> {
        self.change(id, |cluster| {
            let subnet = subnet(&mut cluster.configuration, zone)?;
            subnet.deleted = change.deleted.unwrap_or(subnet.deleted);
            subnet.free_addresses = change.free_addresses.unwrap_or(subnet.free_addresses);
            Ok(())
        })
    }

    /// Sets the password of the `kmsuser`, whom it creates if there is none, and unlocks; a random one if none is
    /// given. KMS does not learn of it.
    ///
    /// # Errors
    /// No such cluster, or no random bytes.
    pub fn change_kmsuser_password(
        &self,
        id: &ClusterId,
        password: Option<KeyStorePassword>,
    ) -> Result<KeyStorePassword, CloudHsmError> {
        let password = password.map_or_else(KeyStorePassword::random, Ok)?;
        self.change(id, |cluster| {
            let kmsuser = &mut cluster.contents.kmsuser;
            match kmsuser {
                Some(user) => user.change_password(password.clone()),
                None => *kmsuser = Some(Kmsuser::new(password.clone())),
            }
            Ok(password)
        })
    }

    /// Deletes the material of a KMS key behind KMS's back.
    ///
    /// # Errors
    /// No such cluster or key.
    pub fn delete_key_material(&self, id: &ClusterId, key_id: &str) -> Result<(), CloudHsmError> {
        let mut state = self.lock();
        let keys = &state.cluster(id)?.contents.keys;
        let Some((key_id, _)) = keys.get_key_value(key_id) else {
            return Err(CloudHsmError::NoKey(key_id.to_owned()));
        };
        let key_id = Arc::clone(key_id);
        state.set_key(id, &key_id, None);
        Ok(())
    }

    /// Copies what is in a cluster; new clusters can be created from it.
    ///
    /// # Errors
    /// No such cluster.
    pub fn create_backup(&self, id: &ClusterId) -> Result<BackupId, CloudHsmError> {
        let mut state = self.lock();
        let contents = state.cluster(id)?.contents.clone();
        state.keep_backup(id, contents)
    }

    /// Every backup, in the order of the ids.
    pub fn backups(&self) -> Vec<BackupDescription> {
        let describe = |(id, backup): (&BackupId, &Backup)| BackupDescription {
            id: id.clone(),
            cluster: backup.cluster.clone(),
            key_ids: key_ids(&backup.contents),
        };
        self.lock().backups.iter().map(describe).collect()
    }

    /// Deletes a cluster with all that is in it; a backup stays.
    ///
    /// # Errors
    /// No such cluster.
    pub fn delete_cluster(&self, id: &ClusterId) -> Result<BackupId, CloudHsmError> {
        let mut state = self.lock();
        state.note_all_of(id);
        match state.clusters.remove(id) {
            Some(cluster) => state.keep_backup(id, cluster.contents),
            None => Err(CloudHsmError::NoCluster(id.clone())),
        }
    }

    /// Forgets every cluster and every backup.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.note_everything();
        state.clusters.clear();
        state.backups.clear();
    }

    fn backup(&self, id: &BackupId) -> Result<Contents, CloudHsmError> {
        let state = self.lock();
        let backup = state.backups.get(id);
        backup
            .map(|backup| backup.contents.clone())
            .ok_or_else(|| CloudHsmError::NoBackup(id.clone()))
    }

    fn change<T>(
        &self,
        id: &ClusterId,
        change: impl FnOnce(&mut Cluster) -> Result<T, CloudHsmError>,
    ) -> Result<T, CloudHsmError> {
        change(self.lock().cluster(id)?)
    }
}

impl State {
    fn cluster(&mut self, id: &ClusterId) -> Result<&mut Cluster, CloudHsmError> {
        self.cluster_mut(id)
            .ok_or_else(|| CloudHsmError::NoCluster(id.clone()))
    }

    fn keep_backup(
        &mut self,
        cluster: &ClusterId,
        contents: Contents,
    ) -> Result<BackupId, CloudHsmError> {
        let id = BackupId::random()?;
        let cluster = cluster.clone();
        self.changed.note(|| CloudHsmRecord::Backup(id.clone()));
        self.backups
            .insert(id.clone(), Backup { cluster, contents });
        Ok(id)
    }
}

fn describe(id: &ClusterId, cluster: &Cluster) -> ClusterDescription {
    ClusterDescription {
        id: id.clone(),
        visibility: cluster.visibility.clone(),
        configuration: cluster.configuration.clone(),
        trust_anchor_certificate: cluster.contents.certificate.pem().to_owned(),
        kmsuser: cluster
            .contents
            .kmsuser
            .as_ref()
            .map(|user| KmsuserDescription {
                failed_logins: user.failed_logins(),
                locked_out: user.is_locked_out(),
                kms_logged_in: cluster.serves_kms(),
                logged_in_elsewhere: user.logged_in_elsewhere,
            }),
        key_ids: key_ids(&cluster.contents),
    }
}

fn key_ids(contents: &Contents) -> Vec<String> {
    contents.keys.keys().map(|id| id.to_string()).collect()
}

/// `None` if there is no user to be changed.
fn change_kmsuser(cluster: &mut Cluster, change: KmsuserChange) -> Option<()> {
    let user = cluster.contents.kmsuser.as_mut();
    match change {
        KmsuserChange::Delete => cluster.contents.kmsuser = None,
        KmsuserChange::LockOut => user?.lock_out(),
        KmsuserChange::Unlock => user?.unlock(),
        KmsuserChange::LogIn => user?.logged_in_elsewhere = true,
        KmsuserChange::LogOut => user?.logged_in_elsewhere = false,
    }
    Some(())
}

fn add_hsm(parts: &mut Configuration, zone: Option<&str>) -> Result<HsmId, CloudHsmError> {
    if parts.hsms.len() >= MAX_HSMS {
        return Err(CloudHsmError::TooManyHsms);
    }
    let count = |subnet: &Subnet| {
        let there = |hsm: &&Hsm| hsm.availability_zone == subnet.availability_zone;
        parts.hsms.iter().filter(there).count()
    };
    let zone = match zone {
        Some(zone) => zone.to_owned(),
        None => {
            let subnets = parts.subnets.iter().filter(|subnet| !subnet.deleted);
            let fewest = subnets.min_by_key(|subnet| count(subnet));
            fewest
                .ok_or(CloudHsmError::NoAvailabilityZone)?
                .availability_zone
                .clone()
        }
    };
    let subnet = subnet(parts, &zone)?;
    if subnet.deleted {
        return Err(CloudHsmError::NoSubnet(zone));
    }
    let left = subnet.free_addresses.checked_sub(1);
    subnet.free_addresses = left.ok_or_else(|| CloudHsmError::NoFreeAddress(zone.clone()))?;
    let id = HsmId::random()?;
    parts.hsms.push(Hsm {
        id: id.clone(),
        availability_zone: zone,
        state: HsmState::Active,
    });
    Ok(id)
}

fn subnet<'c>(parts: &'c mut Configuration, zone: &str) -> Result<&'c mut Subnet, CloudHsmError> {
    let mut subnets = parts.subnets.iter_mut();
    subnets
        .find(|subnet| subnet.availability_zone == zone)
        .ok_or_else(|| CloudHsmError::NoSubnet(zone.to_owned()))
}

/// Of a /24 network, without the five that AWS keeps.
const ADDRESSES_OF_A_SUBNET: u32 = 251;
