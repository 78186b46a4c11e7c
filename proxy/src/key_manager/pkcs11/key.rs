//! External keys as the seam sees them: looked up in the token, kept for a moment, pinned to a version.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use xks_api::fields::{InitializationVector, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};

use super::framing::{MessageHeader, aws_sample_aads, device_aad};
use super::key_map::{Locator, MappedKey, Versions};
use super::messages::Count;
use super::tasks::{self, Find, Open, Seal};
use super::worker::Workers;
use crate::key_manager::embedded::Usages;
use crate::key_manager::{Answer, ExternalKey, KeyManagerError, Look, NewMessage, SealAndOpen};

/// The keys that were looked up lately.
pub(super) struct Directory {
    workers: Arc<Workers>,
    known: Mutex<HashMap<ExternalKeyId, Arc<Known>>>,
}

struct Known {
    key: Arc<PinnedKey>,
    found: Instant,
    being_refreshed: AtomicBool,
}

impl Directory {
    pub(super) fn new(workers: Arc<Workers>) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    /// A key of the configuration, as it was found not long ago, or as it is.
    pub(super) fn get<'a>(
        self: &Arc<Self>,
        id: &'a ExternalKeyId,
        mapped: MappedKey,
    ) -> Answer<'a, Arc<dyn ExternalKey>> {
        let known = self.known().get(id).cloned();
        if let Some(known) = known {
            let age = known.found.elapsed();
            let interval = self.workers.token().settings.lookup_interval;
            if age < interval {
                return Answer::ready(Ok(Arc::<PinnedKey>::clone(&known.key)));
            }
            if age < interval * STALE {
                self.refresh(id, mapped, &known);
                return Answer::ready(Ok(Arc::<PinnedKey>::clone(&known.key)));
            }
        }
        let this = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let key: Arc<dyn ExternalKey> = this.find(id, mapped).await?;
            Ok(key)
        }))
    }

    /// Keys in use never make a request wait for a look up.
    fn refresh(self: &Arc<Self>, id: &ExternalKeyId, mapped: MappedKey, known: &Arc<Known>) {
        if known.being_refreshed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (this, id, known) = (Arc::clone(self), id.clone(), Arc::clone(known));
        tokio::spawn(async move {
            // What fails here fails again, and is told, when the key is stale.
            let _ = this.find(&id, mapped).await;
            known.being_refreshed.store(false, Ordering::Relaxed);
        });
    }

    async fn find(
        &self,
        id: &ExternalKeyId,
        mapped: MappedKey,
    ) -> Result<Arc<PinnedKey>, KeyManagerError> {
        let found = pin(&self.workers, mapped).await;
        match found {
            Ok(key) => {
                let key = Arc::new(key);
                let known = Known {
                    key: Arc::clone(&key),
                    found: Instant::now(),
                    being_refreshed: AtomicBool::new(false),
                };
                self.known().insert(id.clone(), Arc::new(known));
                Ok(key)
            }
            Err(error) => {
                if matches!(error, KeyManagerError::UnknownKey) {
                    self.known().remove(id);
                }
                Err(error)
            }
        }
    }

    /// Whether a version that encrypts has encrypted as much as it should.
    pub(super) fn uses_one_up(&self) -> bool {
        let known = self.known();
        known.values().any(|known| known.key.messages.is_used_up())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<ExternalKeyId, Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks a key up, and pins the version that encrypts.
pub(super) async fn pin(
    workers: &Arc<Workers>,
    mapped: MappedKey,
) -> Result<PinnedKey, KeyManagerError> {
    let versions = mapped.versions.clone();
    let found: BTreeMap<u32, Usages> = workers.execute(Find { versions }).await?;
    let usable = |number: &u32| {
        let version = mapped.versions.version(*number);
        version.filter(|version| !version.retired)
    };
    let current = found
        .iter()
        .rev()
        .find_map(|(number, usages)| Some((*number, *usages, usable(number)?)));
    let Some((version, usages, mapped_version)) = current else {
        return Err(KeyManagerError::InvalidState);
    };
    Ok(PinnedKey {
        workers: Arc::clone(workers),
        usages: intersection(usages, mapped.usages),
        enabled: mapped.enabled,
        versions: mapped.versions,
        version,
        messages: workers.token().messages.of(&mapped_version.locator),
        locator: mapped_version.locator,
    })
}

fn intersection(a: Usages, b: Usages) -> Usages {
    let both = |usage| a.as_slice().contains(&usage) && b.as_slice().contains(&usage);
    match (both(KeyUsage::Encrypt), both(KeyUsage::Decrypt)) {
        (false, false) => Usages::None,
        (true, false) => Usages::Encrypt,
        (false, true) => Usages::Decrypt,
        (true, true) => Usages::EncryptDecrypt,
    }
}

/// A key with the version that encrypts.
pub(super) struct PinnedKey {
    workers: Arc<Workers>,
    usages: Usages,
    enabled: bool,
    versions: Versions,
    version: u32,
    locator: Locator,
    messages: Arc<Count>,
}

impl ExternalKey for PinnedKey {
    fn usage(&self) -> &[KeyUsage] {
        self.usages.as_slice()
    }

    fn status(&self) -> KeyStatus {
        match self.enabled {
            true => KeyStatus::Enabled,
            false => KeyStatus::Disabled,
        }
    }

    fn metadata(&self) -> Result<NewMessage, KeyManagerError> {
        let header = MessageHeader {
            aad: self.workers.token().settings.device.aad,
            version: self.version,
        };
        Ok(header.to_metadata().into())
    }

    fn seal<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
    ) -> Answer<'a, Sealed> {
        let task = self.sealing(plaintext, aad);
        Answer::Later(Box::pin(async move {
            let encrypted = self.workers.execute(task).await?;
            Ok(Sealed {
                ciphertext: encrypted.ciphertext,
                iv: InitializationVector::Bytes12(encrypted.iv),
                tag: encrypted.tag,
                metadata: message.metadata,
            })
        }))
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, aad: &'a FramedAad) -> Answer<'a, Plaintext> {
        let message = match self.message(sealed, aad) {
            Ok(message) => message,
            Err(error) => return Answer::ready(Err(error)),
        };
        Answer::Later(Box::pin(async move {
            let mut last = KeyManagerError::InvalidCiphertext;
            for aad in message.aads {
                let task = Open {
                    locator: message.locator.clone(),
                    iv: sealed.iv,
                    ciphertext_and_tag: [&sealed.ciphertext[..], &sealed.tag.0].concat(),
                    aad,
                };
                match self.workers.execute(task).await {
                    Err(error @ KeyManagerError::InvalidCiphertext) => last = error,
                    result => return result,
                }
            }
            Err(last)
        }))
    }

    fn at_once(&self) -> Option<&dyn SealAndOpen> {
        Some(self)
    }
}

impl SealAndOpen for PinnedKey {
    fn seal_and_open<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
        look: Look,
    ) -> Answer<'a, (Sealed, Plaintext)> {
        let task = tasks::SealAndOpen {
            seal: self.sealing(plaintext, aad),
            metadata: message.metadata,
            look,
        };
        Answer::Later(Box::pin(self.workers.execute(task)))
    }
}

/// What decrypts a message: one key, and what may have been authenticated.
struct Message {
    locator: Locator,
    aads: Vec<Vec<u8>>,
}

impl PinnedKey {
    fn sealing(&self, plaintext: &Plaintext, aad: &FramedAad) -> Seal {
        Seal {
            locator: self.locator.clone(),
            plaintext: plaintext.clone(),
            aad: device_aad(self.workers.token().settings.device.aad, aad),
            messages: Arc::clone(&self.messages),
        }
    }

    fn message(&self, sealed: &Sealed, aad: &FramedAad) -> Result<Message, KeyManagerError> {
        let settings = &self.workers.token().settings;
        let (number, aads) = if settings.aws_sample_metadata.contains(&sealed.metadata) {
            // The sample knows one key for each id, so that a key that has changed since has that one as its first.
            (self.versions.first(), aws_sample_aads(aad))
        } else {
            let Some(header) = MessageHeader::of(&sealed.metadata) else {
                return Err(KeyManagerError::InvalidCiphertext);
            };
            // Our messages have nothing else, and some devices take anything, even none.
            if !matches!(sealed.iv, InitializationVector::Bytes12(_)) {
                return Err(KeyManagerError::InvalidCiphertext);
            }
            (Some(header.version), vec![device_aad(header.aad, aad)])
        };
        let version = number.and_then(|number| self.versions.version(number));
        let version = version.ok_or(KeyManagerError::InvalidCiphertext)?;
        if version.retired {
            return Err(KeyManagerError::InvalidState);
        }
        Ok(Message {
            locator: version.locator,
            aads,
        })
    }
}

/// How many intervals long what was found still counts while it is looked up again.
const STALE: u32 = 3;
