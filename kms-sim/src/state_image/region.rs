//! Keys, aliases and grants as they are saved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use xks_api::ids::ExternalKeyId;

use super::imported::ImportedImage;
use super::{Defect, FixedSecret, Material, instant};
use crate::access::KeyPolicy;
use crate::alias::Alias;
use crate::custom_key_store::CustomKeyStoreId;
use crate::grant::{Grant, GrantTerms};
use crate::key::{AdminState, Key, Origin};
use crate::key_spec::KeyKind;
use crate::last_usage::{LastUsage, Usage};
use crate::multi_region::MultiRegion;
use crate::rotation::{Automatic, RotatingMaterial, Rotation, RotationType};
use crate::visibility::Home;

/// A key with its material.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct KeyImage {
    pub(crate) home: Home,
    pub(crate) key_id: Arc<str>,
    arn: Arc<str>,
    #[serde(default = "symmetric", skip_serializing_if = "is_symmetric")]
    kind: KeyKind,
    #[serde(with = "instant")]
    created: SystemTime,
    state: StateImage,
    description: String,
    policy: String,
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_usage: Option<Usage>,
    /// The Region of the primary of a multi-Region key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    primary_region: Option<String>,
    origin: OriginImage,
}

/// What its owner decided.
#[derive(Deserialize, Serialize)]
enum StateImage {
    Enabled,
    Disabled,
    PendingDeletion(#[serde(with = "instant")] SystemTime),
    PendingReplicaDeletion(u16),
}

#[derive(Deserialize, Serialize)]
enum OriginImage {
    #[serde(rename = "AWS_KMS", rename_all = "PascalCase")]
    AwsKms {
        first: Material,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rotations: Vec<RotationImage>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        automatic: Option<Automatic>,
    },
    #[serde(rename = "AWS_KMS_FIXED", rename_all = "PascalCase")]
    AwsKmsFixed { secret: FixedSecret },
    #[serde(rename = "EXTERNAL")]
    External(ImportedImage),
    #[serde(rename = "EXTERNAL_KEY_STORE", rename_all = "PascalCase")]
    ExternalKeyStore {
        custom_key_store_id: CustomKeyStoreId,
        xks_key_id: String,
        material: Material,
    },
    #[serde(rename = "AWS_CLOUDHSM", rename_all = "PascalCase")]
    AwsCloudHsm {
        custom_key_store_id: CustomKeyStoreId,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RotationImage {
    material: Material,
    #[serde(with = "instant")]
    date: SystemTime,
    kind: RotationType,
}

impl KeyImage {
    /// The key as it is.
    pub(crate) fn of(home: &Home, key: &Key) -> Self {
        Self {
            home: home.clone(),
            key_id: Arc::clone(key.id()),
            arn: Arc::clone(key.arn()),
            kind: key.kind(),
            created: key.created(),
            state: match key.admin_state {
                AdminState::Enabled => StateImage::Enabled,
                AdminState::Disabled => StateImage::Disabled,
                AdminState::PendingDeletion(date) => StateImage::PendingDeletion(date),
                AdminState::PendingReplicaDeletion(window) => {
                    StateImage::PendingReplicaDeletion(window)
                }
            },
            description: key.description.clone(),
            policy: key.policy.text(key.arn()).into_owned(),
            tags: key.tags.clone(),
            last_usage: key.last_usage.get(),
            primary_region: key.multi_region.as_ref().map(MultiRegion::primary_region),
            origin: OriginImage::of(key.origin()),
        }
    }

    /// The key as it was.
    pub(crate) fn restore(self) -> Result<Key, Defect> {
        let region = &self.home.region;
        let origin = self.origin.restore(self.kind, &self.key_id, region)?;
        let mut key = Key::of_kind(self.kind, &self.key_id, &self.arn, self.created, origin);
        key.admin_state = match self.state {
            StateImage::Enabled => AdminState::Enabled,
            StateImage::Disabled => AdminState::Disabled,
            StateImage::PendingDeletion(date) => AdminState::PendingDeletion(date),
            StateImage::PendingReplicaDeletion(window) => {
                AdminState::PendingReplicaDeletion(window)
            }
        };
        key.description = self.description;
        key.policy = KeyPolicy::restore(self.policy, &self.arn);
        key.tags = self.tags;
        key.last_usage = LastUsage::restored(self.last_usage);
        if let Some(primary) = &self.primary_region {
            let set = MultiRegion::in_set_of(primary, region);
            if let AdminState::PendingDeletion(date) = key.admin_state {
                set.schedule_deletion(Some(date));
            }
            key.multi_region = Some(set);
        }
        Ok(key)
    }
}

impl OriginImage {
    fn of(origin: &Origin) -> Self {
        match origin {
            Origin::AwsKms(material) => Self::AwsKms {
                first: Material(material.first()),
                rotations: material
                    .rotations()
                    .into_iter()
                    .map(|rotation| RotationImage {
                        material: Material(rotation.material),
                        date: rotation.date,
                        kind: rotation.kind,
                    })
                    .collect(),
                automatic: material.automatic(),
            },
            Origin::AwsKmsFixed(key) => Self::AwsKmsFixed {
                secret: FixedSecret::of(key),
            },
            Origin::External(imported) => Self::External(ImportedImage::of(imported)),
            Origin::ExternalKeyStore {
                store,
                external_key,
                material,
            } => Self::ExternalKeyStore {
                custom_key_store_id: store.clone(),
                xks_key_id: external_key.as_str().to_owned(),
                material: Material(Arc::clone(material)),
            },
            Origin::AwsCloudHsm { store } => Self::AwsCloudHsm {
                custom_key_store_id: store.clone(),
            },
        }
    }

    fn restore(self, kind: KeyKind, key_id: &str, region: &str) -> Result<Origin, Defect> {
        Ok(match self {
            Self::AwsKms {
                first,
                rotations,
                automatic,
            } => {
                let rotations = rotations.into_iter();
                let rotations = rotations.map(|rotation| Rotation {
                    material: rotation.material.0,
                    date: rotation.date,
                    kind: rotation.kind,
                });
                let rotations = rotations.collect();
                Origin::AwsKms(RotatingMaterial::restored(first.0, rotations, automatic))
            }
            Self::AwsKmsFixed { secret } => Origin::AwsKmsFixed(secret.restore(kind)?),
            Self::External(image) => Origin::External(image.restore(kind, key_id, region)?),
            Self::ExternalKeyStore {
                custom_key_store_id,
                xks_key_id,
                material,
            } => Origin::ExternalKeyStore {
                store: custom_key_store_id,
                external_key: ExternalKeyId::try_from(&*xks_key_id)
                    .map_err(|_| Defect::Value("the id of an external key"))?,
                material: material.0,
            },
            Self::AwsCloudHsm {
                custom_key_store_id,
            } => Origin::AwsCloudHsm {
                store: custom_key_store_id,
            },
        })
    }
}

/// Images without a kind are of symmetric encryption keys.
const fn symmetric() -> KeyKind {
    KeyKind::SYMMETRIC
}

fn is_symmetric(kind: &KeyKind) -> bool {
    kind.is_symmetric()
}

/// An alias.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AliasImage {
    pub(crate) home: Home,
    pub(crate) alias_name: Arc<str>,
    target_key_id: Arc<str>,
    #[serde(with = "instant")]
    created: SystemTime,
    #[serde(with = "instant")]
    updated: SystemTime,
}

impl AliasImage {
    /// The alias as it is.
    pub(crate) fn of(home: &Home, name: &Arc<str>, alias: &Alias) -> Self {
        Self {
            home: home.clone(),
            alias_name: Arc::clone(name),
            target_key_id: Arc::clone(&alias.target),
            created: alias.created,
            updated: alias.updated,
        }
    }

    /// Its name, and the alias as it was.
    pub(crate) fn restore(self) -> (Arc<str>, Alias) {
        let alias = Alias {
            target: self.target_key_id,
            created: self.created,
            updated: self.updated,
        };
        (self.alias_name, alias)
    }
}

/// A grant.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GrantImage {
    pub(crate) home: Home,
    pub(crate) key_id: Arc<str>,
    pub(crate) grant_id: Arc<str>,
    grant_token: String,
    #[serde(with = "instant")]
    created: SystemTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuing_account: Option<String>,
    terms: GrantTerms,
}

impl GrantImage {
    /// The grant as it is.
    pub(crate) fn of(home: &Home, key_id: &Arc<str>, grant: &Grant) -> Self {
        Self {
            home: home.clone(),
            key_id: Arc::clone(key_id),
            grant_id: Arc::clone(&grant.id),
            grant_token: grant.token.clone(),
            created: grant.created,
            issuing_account: grant.issuing_account.clone(),
            terms: grant.terms.clone(),
        }
    }

    /// The id of its key, and the grant as it was.
    pub(crate) fn restore(self) -> (Arc<str>, Grant) {
        let grant = Grant {
            id: self.grant_id,
            token: self.grant_token,
            created: self.created,
            issuing_account: self.issuing_account,
            terms: self.terms,
        };
        (self.key_id, grant)
    }
}
