//! An HMAC key or a key pair that its state allowed to be used, for one operation, without any lock.

use std::sync::Arc;
use std::time::SystemTime;

use crate::api::KmsError;
use crate::fixed_key::FixedKey;
use crate::imported::ImportedSecret;
use crate::key::{Key, Origin};
use crate::key_material::internal;
use crate::key_spec::KeyKind;
use crate::last_usage::LastUsage;
use crate::operation::Operation;
use crate::simulator::{Caller, RegionState};

/// A key and the right to use it in one operation of one caller.
pub(crate) struct UsableFixedKey {
    operation: Operation,
    arn: Arc<str>,
    kind: KeyKind,
    origin: &'static str,
    material: Arc<FixedKey>,
    last_usage: LastUsage,
}

impl RegionState {
    /// The key that a `KeyId` member names, for an operation that only keys of such material have.
    ///
    /// # Errors
    /// What finding it, its kind and its state give.
    pub(crate) fn fixed_key(
        &self,
        operation: Operation,
        caller: &Caller,
        key_id: &str,
    ) -> Result<UsableFixedKey, KmsError> {
        let key = self.key(operation, caller, key_id)?;
        Ok(UsableFixedKey {
            operation,
            arn: Arc::clone(key.arn()),
            kind: key.kind(),
            origin: key.origin().name(),
            material: material(key).ok_or_else(internal)?,
            last_usage: key.last_usage.clone(),
        })
    }
}

impl UsableFixedKey {
    /// KeySpec and KeyUsage.
    pub(crate) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// `KeyOrigin`
    pub(crate) const fn origin(&self) -> &'static str {
        self.origin
    }

    /// The secret.
    pub(crate) fn material(&self) -> Arc<FixedKey> {
        Arc::clone(&self.material)
    }

    /// Takes note of that the operation succeeded.
    pub(crate) fn used(&self, caller: &Caller, now: SystemTime) {
        self.last_usage.note(self.operation, caller, now);
    }

    /// The key ARN.
    pub(crate) fn into_arn(self) -> Arc<str> {
        self.arn
    }
}

fn material(key: &Key) -> Option<Arc<FixedKey>> {
    match key.origin() {
        Origin::AwsKmsFixed(material) => Some(Arc::clone(material)),
        Origin::External(key) => match key.current()? {
            ImportedSecret::Fixed(material) => Some(material),
            ImportedSecret::Symmetric(_) => None,
        },
        Origin::AwsKms(_) | Origin::ExternalKeyStore { .. } | Origin::AwsCloudHsm { .. } => None,
    }
}
