//! Transit keys as external keys: what is known of them, for how long, and one of them with its version pinned.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use xks_api::fields::{CiphertextMetadata, Plaintext};
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};

use super::batch::{Line, Operation};
use super::blob::{self, KeyVersion};
use super::settings::{MappedKey, TransitKeyName};
use super::{AskError, Shared, api};
use crate::key_manager::{Answer, ExternalKey, KeyManagerError, NewMessage};

/// What is known of keys, each for a while.
#[derive(Default)]
pub(super) struct KeyCache(RwLock<HashMap<TransitKeyName, Cached>>);

/// What is known of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct KnownKey {
    /// The version that encrypts.
    pub(super) version: KeyVersion,
    /// OpenBao's way to disable a key.
    pub(super) soft_deleted: bool,
}

struct Cached {
    key: KnownKey,
    read_at: Instant,
    refreshing: AtomicBool,
}

/// What a look into the cache gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Good enough.
    Fresh(KnownKey),
    /// Good enough, and whoever gets this reads the key again.
    Aging(KnownKey),
    /// To be read first.
    Nothing,
}

impl KeyCache {
    /// Young up to half of `max_age`, aging up to `max_age`.
    pub(super) fn find(&self, name: &TransitKeyName, max_age: Duration, now: Instant) -> Found {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(cached) = keys.get(name) else {
            return Found::Nothing;
        };
        let age = now.saturating_duration_since(cached.read_at);
        if age >= max_age {
            Found::Nothing
        } else if age < max_age / 2 || cached.refreshing.swap(true, Ordering::Relaxed) {
            Found::Fresh(cached.key)
        } else {
            Found::Aging(cached.key)
        }
    }

    pub(super) fn knows(&self, name: &TransitKeyName) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.contains_key(name)
    }

    /// `read_at` is from before the reading: what was asked for then is what is known.
    pub(super) fn put(&self, name: &TransitKeyName, key: KnownKey, read_at: Instant) {
        let cached = Cached {
            key,
            read_at,
            refreshing: AtomicBool::new(false),
        };
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A reading that began earlier may end later.
        if keys.get(name).is_none_or(|old| old.read_at <= read_at) {
            keys.insert(name.clone(), cached);
        }
    }

    pub(super) fn forget(&self, name: &TransitKeyName) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(name);
    }
}

/// A Transit key with its version pinned.
pub(super) struct TransitKey {
    shared: Arc<Shared>,
    mapped: MappedKey,
    known: KnownKey,
}

impl TransitKey {
    pub(super) fn new(shared: Arc<Shared>, mapped: MappedKey, known: KnownKey) -> Self {
        Self {
            shared,
            mapped,
            known,
        }
    }

    async fn encrypt(
        &self,
        plaintext: &Plaintext,
        metadata: CiphertextMetadata,
        aad: &FramedAad,
    ) -> Result<Sealed, KeyManagerError> {
        // The version of the metadata, which is in the AAD: pinned before, and not "the latest" of now.
        let version = KeyVersion::of_metadata(&metadata).ok_or(KeyManagerError::InvalidState)?;
        let line = self.line(Operation::Encrypt);
        let body = api::encrypt_body(plaintext, aad.as_bytes(), version);
        let text = match self.shared.message(line, body).await {
            Ok(text) => text,
            Err(error) => return Err(self.judge(error).await),
        };
        let sealed = blob::parse(&text, version, plaintext.expose().len());
        sealed.ok_or_else(|| self.not_as_documented("encrypt"))
    }

    async fn decrypt(
        &self,
        sealed: &Sealed,
        aad: &FramedAad,
    ) -> Result<Plaintext, KeyManagerError> {
        let blob = blob::encode(sealed).ok_or(KeyManagerError::InvalidCiphertext)?;
        let line = self.line(Operation::Decrypt);
        let body = api::decrypt_body(&blob, aad.as_bytes());
        match self.shared.message(line, body).await {
            Ok(text) => api::decoded(&text).ok_or_else(|| self.not_as_documented("decrypt")),
            Err(error) => Err(self.judge(error).await),
        }
    }

    fn line(&self, operation: Operation) -> Line {
        let key = self.mapped.name.clone();
        Line { operation, key }
    }

    fn not_as_documented(&self, operation: &str) -> KeyManagerError {
        let path = self.shared.path(operation, &self.mapped.name);
        api::not_as_documented(&path).into()
    }

    /// A refusal shows that what is known of the key may be out of date; a permission denied may be a missing key,
    /// which the policy does not allow to make.
    async fn judge(&self, error: AskError) -> KeyManagerError {
        use super::failure::Refusal;
        let AskError::Refused(refusal) = error else {
            return error.into();
        };
        match refusal {
            Refusal::UnknownKey | Refusal::SoftDeleted | Refusal::StalePin => {
                self.shared.keys.forget(&self.mapped.name);
            }
            Refusal::PermissionDenied { .. } => {
                self.shared.keys.forget(&self.mapped.name);
                if let Err(KeyManagerError::UnknownKey) = self.shared.read(&self.mapped.name).await
                {
                    return KeyManagerError::UnknownKey;
                }
            }
            Refusal::RetiredVersion
            | Refusal::InvalidCiphertext
            | Refusal::RateLimited
            | Refusal::NotServing(_)
            | Refusal::Unexpected { .. } => {}
        }
        refusal.into()
    }
}

impl ExternalKey for TransitKey {
    fn usage(&self) -> &[KeyUsage] {
        self.mapped.usages.as_slice()
    }

    fn status(&self) -> KeyStatus {
        match self.known.soft_deleted {
            true => KeyStatus::Disabled,
            false => self.mapped.status,
        }
    }

    fn metadata(&self) -> Result<NewMessage, KeyManagerError> {
        Ok(self.known.version.metadata().into())
    }

    fn seal<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
    ) -> Answer<'a, Sealed> {
        Answer::Later(Box::pin(self.encrypt(plaintext, message.metadata, aad)))
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, aad: &'a FramedAad) -> Answer<'a, Plaintext> {
        Answer::Later(Box::pin(self.decrypt(sealed, aad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(version: u64) -> KnownKey {
        KnownKey {
            version: KeyVersion::new(version).unwrap(),
            soft_deleted: false,
        }
    }

    #[test]
    fn a_key_is_read_again_before_it_is_too_old_and_by_one_request_alone() {
        let cache = KeyCache::default();
        let name = TransitKeyName::try_from("k").unwrap();
        let max_age = Duration::from_secs(4);
        let start = Instant::now();
        let found = |age| cache.find(&name, max_age, start + Duration::from_millis(age));
        assert_eq!(found(0), Found::Nothing);
        cache.put(&name, known(1), start);
        assert_eq!(found(1_999), Found::Fresh(known(1)));
        assert_eq!(found(2_000), Found::Aging(known(1)));
        assert_eq!(found(2_001), Found::Fresh(known(1)), "the other one reads");
        assert_eq!(found(4_000), Found::Nothing);
        cache.put(&name, known(2), start + Duration::from_secs(2));
        cache.put(&name, known(1), start + Duration::from_secs(1));
        assert_eq!(found(4_500), Found::Aging(known(2)));
        cache.forget(&name);
        assert_eq!(found(2_500), Found::Nothing);
        cache.put(&name, known(3), start);
        assert_eq!(cache.find(&name, Duration::ZERO, start), Found::Nothing);
    }
}
