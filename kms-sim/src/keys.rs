//! The keys and aliases of one account and Region: finding them, and what happens to them by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::alias::Aliases;
use crate::api::KmsError;
use crate::arn::{KeyReference, alias_arn, key_arn};
use crate::custom_key_store::CustomKeyStoreId;
use crate::key::{AdminState, Key, Origin};
use crate::operation::Operation;
use crate::simulator::Caller;

/// The keys and aliases of one account and Region.
#[derive(Default)]
pub(crate) struct Keys {
    by_id: BTreeMap<Arc<str>, Key>,
    pub(crate) aliases: Aliases,
    /// Dates at which a key may change by itself; some may have become meaningless.
    agenda: BTreeSet<(SystemTime, Arc<str>)>,
}

impl Keys {
    /// The id of the key that a `KeyId` member names.
    ///
    /// # Errors
    /// NotFoundException if there is none, or an alias where the operation takes none.
    pub(crate) fn resolve(
        &self,
        operation: Operation,
        caller: &Caller,
        text: &str,
    ) -> Result<Arc<str>, KmsError> {
        let id = match KeyReference::parse(text, caller, operation)? {
            KeyReference::Id(id) => id,
            KeyReference::Alias(name) if takes_alias(operation) => {
                self.aliases.target(name).ok_or_else(|| {
                    KmsError::not_found(format!("Alias {} is not found.", alias_arn(caller, name)))
                })?
            }
            KeyReference::Alias(_) => {
                return Err(KmsError::not_found(format!("Invalid keyId '{text}'")));
            }
        };
        match self.by_id.get(id) {
            Some(key) => Ok(Arc::clone(key.id())),
            None => Err(KmsError::not_found(format!(
                "Key '{}' does not exist",
                key_arn(caller, id)
            ))),
        }
    }

    /// The key of that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Key> {
        self.by_id.get(id)
    }

    /// The key of that id, to change it; [`reschedule`](Self::reschedule) after its state changed.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Key> {
        self.by_id.get_mut(id)
    }

    /// Every key, in the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.by_id.values()
    }

    /// Adds a new key.
    ///
    /// # Errors
    /// LimitExceededException if there are as many as an account can have in a Region.
    pub(crate) fn insert(&mut self, key: Key) -> Result<(), KmsError> {
        if self.by_id.len() >= MAX_KEYS {
            return Err(KmsError::new(
                "LimitExceededException",
                format!("An account has at most {MAX_KEYS} KMS keys in a Region."),
            ));
        }
        self.by_id.insert(Arc::clone(key.id()), key);
        Ok(())
    }

    /// The keys that belong to a custom key store; one that is pending deletion still does.
    pub(crate) fn in_store(&self, store: &CustomKeyStoreId) -> impl Iterator<Item = &Key> {
        let store = store.clone();
        self.iter()
            .filter(move |key| key.origin().store() == Some(&store))
    }

    /// Whether a key of the store uses that external key.
    pub(crate) fn uses_external_key(&self, store: &CustomKeyStoreId, id: &str) -> bool {
        self.in_store(store).any(|key| {
            matches!(key.origin(), Origin::ExternalKeyStore { external_key, .. } if external_key.as_str() == id)
        })
    }

    /// Takes note of when the key will change by itself.
    pub(crate) fn reschedule(&mut self, id: &str) {
        if let Some(key) = self.by_id.get(id)
            && let Some(date) = key.next_event()
        {
            self.agenda.insert((date, Arc::clone(key.id())));
        }
    }

    /// Deletes and rotates what fell due; gives back the deleted keys, whose material may be elsewhere.
    #[must_use]
    pub(crate) fn run_due(&mut self, now: SystemTime) -> Vec<Key> {
        let mut deleted = Vec::new();
        while self.agenda.first().is_some_and(|(date, _)| *date <= now)
            && let Some((_, id)) = self.agenda.pop_first()
        {
            let Some(key) = self.by_id.get_mut(&id) else {
                continue;
            };
            match key.admin_state {
                AdminState::PendingDeletion(date) if date <= now => {
                    deleted.extend(self.by_id.remove(&id));
                    self.aliases.remove_all_of(&id);
                    continue;
                }
                AdminState::Enabled => {
                    if let Some(material) = key.rotating_material()
                        && let Err(error) = material.rotate_due(now)
                    {
                        // Without random bytes nothing else works either; the next call tries again.
                        tracing::error!(key = %key.arn(), ?error, "automatic rotation failed");
                        self.agenda.insert((now, id));
                        break;
                    }
                }
                AdminState::PendingDeletion(_) | AdminState::Disabled => {}
            }
            self.reschedule(&id);
        }
        deleted
    }
}

/// Whether the `KeyId` of an operation may be an alias.
const fn takes_alias(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DescribeKey
            | Operation::Encrypt
            | Operation::Decrypt
            | Operation::ReEncrypt
            | Operation::GenerateDataKey
            | Operation::GenerateDataKeyPair
            | Operation::GenerateDataKeyPairWithoutPlaintext
            | Operation::GenerateDataKeyWithoutPlaintext
            | Operation::GenerateMac
            | Operation::VerifyMac
            | Operation::GetPublicKey
            | Operation::Sign
            | Operation::Verify
            | Operation::DeriveSharedSecret
            | Operation::Encapsulate
            | Operation::Decapsulate
    )
}

/// AWS raises it on request.
const MAX_KEYS: usize = 100_000;
