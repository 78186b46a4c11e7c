//! One KMS key: what is stored of it. Its KeyState is derived from this and its custom key store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use xks_api::ids::ExternalKeyId;

use crate::access::KeyPolicy;
use crate::api::KmsError;
use crate::custom_key_store::{ConnectionState, CustomKeyStore, CustomKeyStoreId, CustomKeyStores};
use crate::fixed_key::FixedKey;
use crate::imported::ImportedKey;
use crate::journal::Serial;
use crate::key_material::KeyMaterial;
use crate::key_spec::KeyKind;
use crate::key_state::KeyState;
use crate::last_usage::LastUsage;
use crate::multi_region::MultiRegion;
use crate::past::Past;
use crate::rotation::{RotatingMaterial, days};

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
    /// Who may do what with it.
    pub(crate) policy: KeyPolicy,
    /// Up to 50.
    pub(crate) tags: BTreeMap<String, String>,
    /// Its place in the set of a multi-Region key.
    pub(crate) multi_region: Option<MultiRegion>,
    /// What is being done to it by KMS.
    pub(crate) busy: Option<Busy>,
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
    /// Deleted that many days after its last replica.
    PendingReplicaDeletion(u16),
}

/// What KMS does to a key for a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Busy {
    Creating(SystemTime),
    Updating(SystemTime),
}

impl Busy {
    /// When it is done.
    pub(crate) const fn until(self) -> SystemTime {
        match self {
            Self::Creating(until) | Self::Updating(until) => until,
        }
    }
}

/// `Origin`, and the key material that comes with it.
pub(crate) enum Origin {
    /// `AWS_KMS`, of a symmetric encryption key.
    AwsKms(RotatingMaterial),
    /// `AWS_KMS`, of an HMAC key or a key pair.
    AwsKmsFixed(Arc<FixedKey>),
    /// `EXTERNAL`
    External(ImportedKey),
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
            Self::External(_) => "EXTERNAL",
            Self::ExternalKeyStore { .. } => "EXTERNAL_KEY_STORE",
            Self::AwsCloudHsm { .. } => "AWS_CLOUDHSM",
        }
    }

    /// The custom key store that the key belongs to.
    pub(crate) const fn store(&self) -> Option<&CustomKeyStoreId> {
        match self {
            Self::AwsKms(_) | Self::AwsKmsFixed(_) | Self::External(_) => None,
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
            policy: KeyPolicy::Default,
            tags: BTreeMap::new(),
            multi_region: None,
            busy: None,
            last_usage: LastUsage::default(),
            changed: Serial::default(),
        }
    }

    /// Its last change, and that of the material that it shares with other Regions.
    pub(crate) fn changed(&self) -> Serial {
        let shared = self.shared_material().map(RotatingMaterial::changed);
        shared.map_or(self.changed, |shared| shared.max(self.changed))
    }

    /// It changes now.
    pub(crate) fn changed_at(&mut self, serial: Serial) {
        self.changed = serial;
        if let Some(material) = self.shared_material() {
            material.changed_at(serial);
        }
    }

    fn shared_material(&self) -> Option<&RotatingMaterial> {
        let material = self.rotating_material();
        material.filter(|_| self.multi_region.is_some())
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
    pub(crate) const fn rotating_material(&self) -> Option<&RotatingMaterial> {
        match &self.origin {
            Origin::AwsKms(material) => Some(material),
            Origin::AwsKmsFixed(_)
            | Origin::External(_)
            | Origin::ExternalKeyStore { .. }
            | Origin::AwsCloudHsm { .. } => None,
        }
    }

    /// KeyState: pending deletion before all else, then what KMS does, then whether its material is there, then the owner's
    /// decision.
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
        self.state_by(|id| stores.find(id.as_str()).map(&connection))
    }

    /// As [`state`](Self::state), by what is said of the connection of its store.
    pub(crate) fn state_by(
        &self,
        connection: impl Fn(&CustomKeyStoreId) -> Option<ConnectionState>,
    ) -> KeyState {
        let connected = |id: &CustomKeyStoreId| connection(id) == Some(ConnectionState::Connected);
        match self.admin_state {
            AdminState::PendingDeletion(_) => KeyState::PendingDeletion,
            AdminState::PendingReplicaDeletion(_) => KeyState::PendingReplicaDeletion,
            _ if let Some(busy) = self.busy => match busy {
                Busy::Creating(_) => KeyState::Creating,
                Busy::Updating(_) => KeyState::Updating,
            },
            _ if self.imported().is_some_and(|key| !key.is_complete()) => KeyState::PendingImport,
            _ if !self.origin.store().is_none_or(connected) => KeyState::Unavailable,
            AdminState::Enabled => KeyState::Enabled,
            AdminState::Disabled => KeyState::Disabled,
        }
    }

    /// Its imported material, if it has that origin.
    pub(crate) const fn imported(&self) -> Option<&ImportedKey> {
        match &self.origin {
            Origin::External(key) => Some(key),
            Origin::AwsKms(_)
            | Origin::AwsKmsFixed(_)
            | Origin::ExternalKeyStore { .. }
            | Origin::AwsCloudHsm { .. } => None,
        }
    }

    /// Shares with another key of the same multi-Region key what such keys have in common.
    pub(crate) fn join(&mut self, other: &Self) {
        match (&mut self.origin, &other.origin) {
            (Origin::AwsKms(own), Origin::AwsKms(other)) => own.join(other),
            (Origin::External(own), Origin::External(other)) => own.join(other),
            // Each has the same.
            _ => {}
        }
        if let (Some(own), Some(other)) = (&mut self.multi_region, &other.multi_region) {
            own.join(other);
        }
    }

    /// When the key next changes by itself, if it does.
    pub(crate) fn next_event(&self) -> Option<SystemTime> {
        let deletion = match self.admin_state {
            AdminState::PendingDeletion(date) => Some(date),
            AdminState::Enabled | AdminState::Disabled | AdminState::PendingReplicaDeletion(_) => {
                None
            }
        };
        let rotation = self
            .rotating_material()
            .filter(|_| self.admin_state == AdminState::Enabled)
            .and_then(|material| material.automatic().map(|automatic| automatic.next));
        let expiry = self.imported().and_then(|key| key.next_expiry(false));
        let done = self.busy.map(Busy::until);
        [deletion, rotation, expiry, done]
            .into_iter()
            .flatten()
            .min()
    }

    /// What falls due by now, but its deletion; whether its material was rotated.
    ///
    /// # Errors
    /// KMSInternalException without random bytes for the next version of its material.
    pub(crate) fn run_due(&mut self, now: SystemTime) -> Result<bool, KmsError> {
        self.busy = self.busy.filter(|busy| now < busy.until());
        if let Some(key) = self.imported() {
            key.expire(now);
        }
        if self.admin_state == AdminState::Enabled
            && let Some(material) = self.rotating_material()
        {
            return material.rotate_due(now);
        }
        Ok(false)
    }

    /// A primary that waited for its replicas to be deleted waits for its own deletion once they are.
    pub(crate) fn settle(&mut self, now: SystemTime) {
        if let AdminState::PendingReplicaDeletion(window) = self.admin_state
            && let Some(since) = self.alone_since(now)
        {
            self.admin_state = AdminState::PendingDeletion(since + days(window));
        }
    }

    /// Since when no replica of a multi-Region key is there.
    pub(crate) fn alone_since(&self, now: SystemTime) -> Option<SystemTime> {
        let set = self.multi_region.as_ref();
        set.map_or(Some(now), |set| set.alone_since(now))
    }

    /// Whether it is a replica.
    pub(crate) fn is_replica(&self) -> bool {
        let set = self.multi_region.as_ref();
        set.is_some_and(|set| !set.is_primary())
    }
}
