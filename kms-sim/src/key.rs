//! One KMS key: what is stored of it. Its KeyState is derived from this and its custom key store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use xks_api::ids::ExternalKeyId;

use crate::custom_key_store::{ConnectionState, CustomKeyStore, CustomKeyStoreId, CustomKeyStores};
use crate::fixed_key::FixedKey;
use crate::journal::Serial;
use crate::key_material::KeyMaterial;
use crate::key_spec::KeyKind;
use crate::key_state::KeyState;
use crate::last_usage::LastUsage;
use crate::past::Past;
use crate::rotation::RotatingMaterial;

/// One KMS key.
pub(crate) struct Key {
    id: Arc<str>,
    arn: Arc<str>,
    created: SystemTime,
    kind: KeyKind,
    origin: Origin,
    /// What its owner decided; KeyState is that and more.
    pub(crate) admin_state: AdminState,
    /// Up to 8,192 characters.
    pub(crate) description: String,
    /// The key policy, as it was given.
    pub(crate) policy: String,
    /// Up to 50.
    pub(crate) tags: BTreeMap<String, String>,
    /// Its last use, which is no change of it.
    pub(crate) last_usage: LastUsage,
    changed: Serial,
}

/// What a key's owner decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AdminState {
    Enabled,
    Disabled,
    /// Deleted when the simulator's clock reaches the date.
    PendingDeletion(SystemTime),
}

/// `Origin`, and the key material that comes with it.
pub(crate) enum Origin {
    /// `AWS_KMS`, of a symmetric encryption key.
    AwsKms(RotatingMaterial),
    /// `AWS_KMS`, of an HMAC key or a key pair.
    AwsKmsFixed(Arc<FixedKey>),
    /// `EXTERNAL_KEY_STORE`
    ExternalKeyStore {
        store: CustomKeyStoreId,
        external_key: ExternalKeyId,
        /// Of the inner layer, never that of the external key.
        material: Arc<KeyMaterial>,
    },
    /// `AWS_CLOUDHSM`; the material is in the store's cluster, under the key's id.
    AwsCloudHsm { store: CustomKeyStoreId },
}

impl Origin {
    /// The name on the wire.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::AwsKms(_) | Self::AwsKmsFixed(_) => "AWS_KMS",
            Self::ExternalKeyStore { .. } => "EXTERNAL_KEY_STORE",
            Self::AwsCloudHsm { .. } => "AWS_CLOUDHSM",
        }
    }

    /// The custom key store that the key belongs to.
    pub(crate) const fn store(&self) -> Option<&CustomKeyStoreId> {
        match self {
            Self::AwsKms(_) | Self::AwsKmsFixed(_) => None,
            Self::ExternalKeyStore { store, .. } | Self::AwsCloudHsm { store } => Some(store),
        }
    }
}

impl Key {
    /// A new, enabled symmetric encryption key.
    pub(crate) fn new(id: &str, arn: &str, created: SystemTime, origin: Origin) -> Self {
        Self::of_kind(KeyKind::SYMMETRIC, id, arn, created, origin)
    }

    /// A new, enabled key.
    pub(crate) fn of_kind(
        kind: KeyKind,
        id: &str,
        arn: &str,
        created: SystemTime,
        origin: Origin,
    ) -> Self {
        Self {
            id: id.into(),
            arn: arn.into(),
            created,
            kind,
            origin,
            admin_state: AdminState::Enabled,
            description: String::new(),
            policy: String::new(),
            tags: BTreeMap::new(),
            last_usage: LastUsage::default(),
            changed: Serial::default(),
        }
    }

    /// Its last change.
    pub(crate) const fn changed(&self) -> Serial {
        self.changed
    }

    /// It changes now.
    pub(crate) const fn changed_at(&mut self, serial: Serial) {
        self.changed = serial;
    }

    /// The key id.
    pub(crate) const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The key ARN.
    pub(crate) const fn arn(&self) -> &Arc<str> {
        &self.arn
    }

    /// `CreationDate`
    pub(crate) const fn created(&self) -> SystemTime {
        self.created
    }

    /// KeySpec and KeyUsage.
    pub(crate) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Where the key material comes from.
    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The versions of its material, if KMS made them and can rotate them.
    pub(crate) const fn rotating_material(&mut self) -> Option<&mut RotatingMaterial> {
        match &mut self.origin {
            Origin::AwsKms(material) => Some(material),
            Origin::AwsKmsFixed(_)
            | Origin::ExternalKeyStore { .. }
            | Origin::AwsCloudHsm { .. } => None,
        }
    }

    /// KeyState: pending deletion before all else, then the store's connection, then the owner's decision.
    pub(crate) fn state(&self, stores: &CustomKeyStores) -> KeyState {
        self.state_with(stores, CustomKeyStore::connection_state)
    }

    /// As [`state`](Self::state), as it is seen.
    pub(crate) fn seen_state(&self, stores: &CustomKeyStores, past: &Past) -> KeyState {
        self.state_with(stores, |store| past.connection(store).0)
    }

    fn state_with(
        &self,
        stores: &CustomKeyStores,
        connection: impl Fn(&CustomKeyStore) -> ConnectionState,
    ) -> KeyState {
        let connected = |id: &CustomKeyStoreId| {
            let store = stores.find(id.as_str());
            store.is_some_and(|store| connection(store) == ConnectionState::Connected)
        };
        match self.admin_state {
            AdminState::PendingDeletion(_) => KeyState::PendingDeletion,
            _ if !self.origin.store().is_none_or(connected) => KeyState::Unavailable,
            AdminState::Enabled => KeyState::Enabled,
            AdminState::Disabled => KeyState::Disabled,
        }
    }

    /// When the key next changes by itself, if it does.
    pub(crate) fn next_event(&self) -> Option<SystemTime> {
        match (self.admin_state, &self.origin) {
            (AdminState::PendingDeletion(date), _) => Some(date),
            (AdminState::Enabled, Origin::AwsKms(material)) => {
                material.automatic().map(|automatic| automatic.next)
            }
            (AdminState::Enabled | AdminState::Disabled, _) => None,
        }
    }
}
