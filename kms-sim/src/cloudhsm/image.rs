//! Clusters and backups as they are saved, with the secrets that are in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::ClusterCertificate;
use super::cluster::{Cluster, Contents};
use super::configuration::Configuration;
use super::ids::{BackupId, ClusterId};
use super::kmsuser::Kmsuser;
use super::{Backup, CloudHsmRecord, State};
use crate::key_material::KeyMaterial;
use crate::state_image::{Defect, Material, Password};
use crate::visibility::Visibility;

/// A cluster without the material of its keys. Sessions are not saved: those of key stores are resumed.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ClusterImage {
    pub(crate) cluster_id: ClusterId,
    visibility: Visibility,
    configuration: Configuration,
    cluster_certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kmsuser: Option<KmsuserImage>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KmsuserImage {
    password: Password,
    failed_logins: u8,
    logged_in_elsewhere: bool,
}

/// The material of a KMS key in a cluster.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ClusterKeyImage {
    pub(crate) cluster_id: ClusterId,
    pub(crate) key_id: Arc<str>,
    material: Material,
}

/// A backup with all that is in it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct BackupImage {
    pub(crate) backup_id: BackupId,
    cluster_id: ClusterId,
    cluster_certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kmsuser: Option<KmsuserImage>,
    keys: BTreeMap<Arc<str>, Material>,
}

impl ClusterImage {
    /// The same under another id.
    pub(crate) fn with_id(self, cluster_id: ClusterId) -> Self {
        Self { cluster_id, ..self }
    }

    /// The same with another cluster certificate.
    pub(crate) fn with_certificate(self, certificate: &ClusterCertificate) -> Self {
        Self {
            cluster_certificate: certificate.pem().to_owned(),
            ..self
        }
    }
}

impl ClusterKeyImage {
    /// The material of a key.
    pub(crate) const fn new(
        cluster_id: ClusterId,
        key_id: Arc<str>,
        material: Arc<KeyMaterial>,
    ) -> Self {
        Self {
            cluster_id,
            key_id,
            material: Material(material),
        }
    }
}

impl State {
    /// A cluster as it is; `None` if there is none.
    pub(crate) fn cluster_image(&self, id: &ClusterId) -> Option<ClusterImage> {
        let cluster = self.clusters.get(id)?;
        Some(ClusterImage {
            cluster_id: id.clone(),
            visibility: cluster.visibility.clone(),
            configuration: cluster.configuration.clone(),
            cluster_certificate: cluster.contents.certificate.pem().to_owned(),
            kmsuser: cluster.contents.kmsuser.as_ref().map(KmsuserImage::of),
        })
    }

    /// The material of a key as it is; `None` if there is none.
    pub(crate) fn key_image(&self, id: &ClusterId, key_id: &Arc<str>) -> Option<ClusterKeyImage> {
        let material = self.clusters.get(id)?.contents.keys.get(key_id)?;
        Some(ClusterKeyImage {
            cluster_id: id.clone(),
            key_id: Arc::clone(key_id),
            material: Material(Arc::clone(material)),
        })
    }

    /// A backup as it is; `None` if there is none.
    pub(crate) fn backup_image(&self, id: &BackupId) -> Option<BackupImage> {
        let Backup { cluster, contents } = self.backups.get(id)?;
        let keys = contents.keys.iter();
        Some(BackupImage {
            backup_id: id.clone(),
            cluster_id: cluster.clone(),
            cluster_certificate: contents.certificate.pem().to_owned(),
            kmsuser: contents.kmsuser.as_ref().map(KmsuserImage::of),
            keys: keys
                .map(|(id, material)| (Arc::clone(id), Material(Arc::clone(material))))
                .collect(),
        })
    }

    /// The names of everything there is.
    pub(crate) fn records(&self) -> impl Iterator<Item = CloudHsmRecord> {
        let clusters = self.clusters.iter().flat_map(|(id, cluster)| {
            let keys = cluster.contents.keys.keys();
            let keys = keys.map(|key| CloudHsmRecord::Key(id.clone(), Arc::clone(key)));
            std::iter::once(CloudHsmRecord::Cluster(id.clone())).chain(keys)
        });
        let backups = self.backups.keys().cloned().map(CloudHsmRecord::Backup);
        clusters.chain(backups)
    }

    /// Adds a cluster that was saved.
    pub(crate) fn restore_cluster(&mut self, image: ClusterImage) -> Result<(), Defect> {
        let contents = contents(&image.cluster_certificate, image.kmsuser, BTreeMap::new())?;
        let cluster = Cluster::new(image.visibility, image.configuration, contents);
        self.clusters.insert(image.cluster_id, cluster);
        Ok(())
    }

    /// Adds the material of a key to a cluster that was restored before.
    pub(crate) fn restore_key(&mut self, image: ClusterKeyImage) -> Result<(), Defect> {
        let cluster = self.clusters.get_mut(&image.cluster_id);
        let cluster = cluster.ok_or(Defect::Reference("a cluster"))?;
        cluster.contents.keys.insert(image.key_id, image.material.0);
        Ok(())
    }

    /// Adds a backup that was saved.
    pub(crate) fn restore_backup(&mut self, image: BackupImage) -> Result<(), Defect> {
        let keys = image.keys.into_iter();
        let keys = keys.map(|(id, material)| (id, material.0)).collect();
        let backup = Backup {
            cluster: image.cluster_id,
            contents: contents(&image.cluster_certificate, image.kmsuser, keys)?,
        };
        self.backups.insert(image.backup_id, backup);
        Ok(())
    }

    /// What was restored takes the place of what there is; sessions of before find their cluster deleted.
    pub(crate) fn replace(&mut self, restored: Self) {
        self.note_everything();
        self.clusters = restored.clusters;
        self.backups = restored.backups;
        self.note_everything();
    }
}

impl KmsuserImage {
    fn of(user: &Kmsuser) -> Self {
        Self {
            password: Password(user.password().clone()),
            failed_logins: user.failed_logins(),
            logged_in_elsewhere: user.logged_in_elsewhere,
        }
    }
}

fn contents(
    certificate: &str,
    kmsuser: Option<KmsuserImage>,
    keys: BTreeMap<Arc<str>, Arc<KeyMaterial>>,
) -> Result<Contents, Defect> {
    let certificate = ClusterCertificate::from_pem(certificate);
    Ok(Contents {
        certificate: Arc::new(certificate.ok_or(Defect::Value("a cluster certificate"))?),
        kmsuser: kmsuser.map(|user| {
            let KmsuserImage {
                password: Password(password),
                failed_logins,
                logged_in_elsewhere,
            } = user;
            Kmsuser::restored(password, failed_logins, logged_in_elsewhere)
        }),
        keys,
    })
}
