//! The keys in memory: what requests read, without a lock; replaced, never changed in place.
//!
//! How keys come to be and where they are kept is `administration`'s and `store`'s.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ring::error::Unspecified;
use time::OffsetDateTime;
use xks_api::fields::Plaintext;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};

use super::cipher::{MessageHeader, VersionCipher, VersionNumber, random_material};
use super::info::{KeyInfo, VersionInfo, timestamp};
use super::record::{KeyRecord, Usages, VersionRecord, VersionState};
use crate::key_manager::{Answer, ExternalKey, KeyManagerError, NewMessage};

/// Every key by its id, and the test key, which has none.
pub(crate) struct Keyring {
    keys: ArcSwap<Keys>,
    test_key: Arc<Key>,
}

/// Every key by its id.
pub(crate) type Keys = HashMap<ExternalKeyId, Arc<Key>>;

impl Keyring {
    /// # Errors
    /// No random bytes for the test key, which is another one in every process.
    pub(crate) fn new(keys: Keys) -> Result<Self, Unspecified> {
        let test_key = KeyRecord::new(
            Usages::EncryptDecrypt,
            random_material()?,
            OffsetDateTime::UNIX_EPOCH,
        );
        Ok(Self {
            keys: ArcSwap::from_pointee(keys),
            test_key: Arc::new(Key::new(&test_key)),
        })
    }

    pub(crate) fn key(&self, id: &ExternalKeyId) -> Option<Arc<Key>> {
        self.keys.load().get(id).map(Arc::clone)
    }

    pub(crate) fn test_key(&self) -> Arc<Key> {
        Arc::clone(&self.test_key)
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Replaces all keys at once; requests that have resolved a key keep what they have.
    pub(crate) fn replace(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
    }
}

/// One key as requests see it.
pub(crate) struct Key {
    usages: Usages,
    status: KeyStatus,
    created: OffsetDateTime,
    /// Versions 1, 2, … before the current one.
    earlier: Vec<EarlierVersion>,
    current: VersionCipher,
    current_number: VersionNumber,
    current_created: OffsetDateTime,
}

/// A version that no longer encrypts; without a cipher when it is retired.
struct EarlierVersion {
    cipher: Option<VersionCipher>,
    created: OffsetDateTime,
}

impl Key {
    pub(crate) fn new(record: &KeyRecord) -> Self {
        let earlier = |version: &VersionRecord| EarlierVersion {
            cipher: match version.state {
                VersionState::Usable => Some(VersionCipher::new(&version.material)),
                VersionState::Retired => None,
            },
            created: version.created,
        };
        Self {
            usages: record.usages,
            status: record.status,
            created: record.created,
            earlier: record.earlier.iter().map(earlier).collect(),
            current: VersionCipher::new(&record.current.material),
            current_number: record.current_number(),
            current_created: record.current.created,
        }
    }

    /// What administrators see of the key.
    pub(crate) fn info(&self, id: &ExternalKeyId) -> KeyInfo {
        let info = |number: usize, state, created| VersionInfo {
            version: VersionNumber::of_index(number).map_or(0, VersionNumber::get),
            state,
            created: timestamp(created),
        };
        let earlier = self.earlier.iter().enumerate().map(|(index, version)| {
            let state = match version.cipher {
                Some(_) => VersionState::Usable,
                None => VersionState::Retired,
            };
            info(index, state, version.created)
        });
        let current = info(
            self.earlier.len(),
            VersionState::Usable,
            self.current_created,
        );
        KeyInfo {
            id: id.to_string(),
            usage: self.usages.as_slice().to_vec(),
            status: self.status,
            created: timestamp(self.created),
            current_version: self.current_number.get(),
            versions: earlier.chain([current]).collect(),
            blocks: Vec::new(),
        }
    }

    fn seal_current(
        &self,
        plaintext: &Plaintext,
        message: &NewMessage,
        aad: &FramedAad,
    ) -> Result<Sealed, KeyManagerError> {
        let (header, iv) = MessageHeader::parse(&message.metadata)
            .filter(|header| header.version == self.current_number)
            .zip(message.iv)
            .ok_or_else(|| KeyManagerError::Unavailable(Box::new(ForeignMessage)))?;
        self.current
            .seal(plaintext, &header, aad, iv)
            .map_err(|e| KeyManagerError::Unavailable(Box::new(e)))
    }

    fn open_any(&self, sealed: &Sealed, aad: &FramedAad) -> Result<Plaintext, KeyManagerError> {
        let header =
            MessageHeader::parse(&sealed.metadata).ok_or(KeyManagerError::InvalidCiphertext)?;
        self.version(header.version)?
            .open(sealed, &header, aad)
            .map_err(|Unspecified| KeyManagerError::InvalidCiphertext)
    }

    fn version(&self, number: VersionNumber) -> Result<&VersionCipher, KeyManagerError> {
        if number == self.current_number {
            return Ok(&self.current);
        }
        let earlier = self
            .earlier
            .get(number.index())
            .ok_or(KeyManagerError::InvalidCiphertext)?;
        earlier.cipher.as_ref().ok_or(KeyManagerError::InvalidState)
    }
}

impl ExternalKey for Key {
    fn usage(&self) -> &[KeyUsage] {
        self.usages.as_slice()
    }

    fn status(&self) -> KeyStatus {
        self.status
    }

    fn metadata(&self) -> Result<NewMessage, KeyManagerError> {
        MessageHeader::random(self.current_number)
            .map(|(header, iv)| NewMessage {
                metadata: header.encode(),
                iv: Some(iv),
            })
            .map_err(|e| KeyManagerError::Unavailable(Box::new(e)))
    }

    fn seal<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
    ) -> Answer<'a, Sealed> {
        Answer::ready(self.seal_current(plaintext, &message, aad))
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, aad: &'a FramedAad) -> Answer<'a, Plaintext> {
        Answer::ready(self.open_any(sealed, aad))
    }
}

/// The caller passed a message that this key did not make.
#[derive(Debug, thiserror::Error)]
#[error("the new message is not of the key's current version")]
struct ForeignMessage;
