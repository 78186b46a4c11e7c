//! The keys and aliases of one account and Region: finding them, and what happens to them by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use xks_api::ids::ExternalKeyId;

use crate::access::other_account;
use crate::alias::Aliases;
use crate::api::KmsError;
use crate::arn::{KeyReference, alias_arn, key_arn};
use crate::custom_key_store::CustomKeyStoreId;
use crate::grant::Grants;
use crate::journal::{Changed, Journal};
use crate::key::{AdminState, Key, Origin};
use crate::looked_at::counted;
use crate::operation::Operation;
use crate::past::Past;
use crate::simulator::Caller;
use crate::visibility::Home;

/// The keys, their aliases and grants, of one account and Region.
#[derive(Default)]
pub(crate) struct Keys {
    by_id: BTreeMap<Arc<str>, Key>,
    by_store: BTreeMap<CustomKeyStoreId, StoreKeys>,
    pub(crate) aliases: Aliases,
    pub(crate) grants: Grants,
    changed: Changed<Arc<str>>,
    /// Dates at which a key may change by itself; some may have become meaningless.
    agenda: BTreeSet<(SystemTime, Arc<str>)>,
    /// Primaries of multi-Region keys that wait for their replicas to be deleted.
    primaries_to_delete: BTreeSet<Arc<str>>,
}

/// What the keys of a custom key store have for themselves.
#[derive(Default)]
struct StoreKeys {
    ids: BTreeSet<Arc<str>>,
    external_keys: BTreeSet<ExternalKeyId>,
}

/// What has happened to keys by itself.
#[derive(Default)]
#[must_use]
pub(crate) struct Due {
    /// Keys that are no more; their material may be elsewhere.
    pub(crate) deleted: Vec<Key>,
    /// The ARNs of keys that have new material.
    pub(crate) rotated: Vec<Arc<str>>,
}

impl Keys {
    /// From now on changes are named.
    pub(crate) fn keep(&mut self, journal: &Journal) {
        self.aliases.keep(journal.clone());
        self.grants.keep(journal.clone());
        self.changed = Changed::new(journal.clone());
    }

    /// The key that a `KeyId` member names; an alias as it is seen.
    ///
    /// # Errors
    /// NotFoundException if there is none, or an alias where the operation takes none.
    pub(crate) fn resolve(
        &self,
        operation: Operation,
        caller: &Caller,
        home: &Home,
        text: &str,
        past: &Past,
    ) -> Result<&Key, KmsError> {
        let own = home.account == caller.account;
        let not_found = |message: String| match own {
            true => KmsError::not_found(message),
            // Of another account nothing is told.
            false => other_account(caller, operation.action()),
        };
        let id = match KeyReference::parse(text, caller, home, operation)? {
            KeyReference::Id(id) => id,
            KeyReference::Alias(name) if takes_alias(operation) => {
                past.alias_target(&self.aliases, name).ok_or_else(|| {
                    not_found(format!("Alias {} is not found.", alias_arn(caller, name)))
                })?
            }
            KeyReference::Alias(_) => {
                return Err(KmsError::not_found(format!("Invalid keyId '{text}'")));
            }
        };
        self.by_id
            .get(id)
            .ok_or_else(|| not_found(format!("Key '{}' does not exist", key_arn(caller, id))))
    }

    /// The key of that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Key> {
        self.by_id.get(id)
    }

    /// The key of that id, to change it; [`reschedule`](Self::reschedule) after its state changed.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Key> {
        let key = self.by_id.get_mut(id)?;
        let serial = self.changed.note(|| Arc::clone(key.id()));
        key.changed_at(serial);
        Some(key)
    }

    /// Every key, in the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.by_id.values()
    }

    /// The keys after an id, in the order of the ids.
    pub(crate) fn after(&self, after: Bound<&str>) -> impl Iterator<Item = &Key> + use<'_> {
        let keys = self.by_id.range::<str, _>((after, Bound::Unbounded));
        counted(keys.map(|(_, key)| key))
    }

    /// The keys of a custom key store after an id, in the order of the ids.
    pub(crate) fn of_store_after<'k>(
        &'k self,
        store: &CustomKeyStoreId,
        after: Bound<&str>,
    ) -> impl Iterator<Item = &'k Key> + use<'k> {
        let keys = self.by_store.get(store);
        let ids = keys.map(|keys| keys.ids.range::<str, _>((after, Bound::Unbounded)));
        let ids = counted(ids.into_iter().flatten());
        ids.filter_map(|id| self.get(id))
    }

    /// How many keys belong to a custom key store, those that are pending deletion among them.
    pub(crate) fn count_in_store(&self, store: &CustomKeyStoreId) -> usize {
        self.by_store.get(store).map_or(0, |keys| keys.ids.len())
    }

    /// Adds a new key.
    pub(crate) fn insert(&mut self, mut key: Key) {
        key.changed_at(self.changed.note(|| Arc::clone(key.id())));
        self.restore(key);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Every key, to join those of other Regions.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Key> {
        self.by_id.values_mut()
    }

    /// Adds a key that was saved.
    pub(crate) fn restore(&mut self, key: Key) {
        let id = Arc::clone(key.id());
        if let Some(store) = key.origin().store() {
            let keys = self.by_store.entry(store.clone()).or_default();
            keys.ids.insert(Arc::clone(key.id()));
            if let Origin::ExternalKeyStore { external_key, .. } = key.origin() {
                keys.external_keys.insert(external_key.clone());
            }
        }
        self.by_id.insert(Arc::clone(&id), key);
        self.reschedule(&id);
    }

    /// Whether a key belongs to a custom key store; one that is pending deletion still does.
    pub(crate) fn any_in_store(&self, store: &CustomKeyStoreId) -> bool {
        self.by_store.contains_key(store)
    }

    /// Whether a key of the store uses that external key.
    pub(crate) fn uses_external_key(&self, store: &CustomKeyStoreId, id: &ExternalKeyId) -> bool {
        let keys = self.by_store.get(store);
        keys.is_some_and(|keys| keys.external_keys.contains(id))
    }

    /// Removes a key and what hangs on it.
    fn remove(&mut self, id: &Arc<str>) -> Option<Key> {
        let key = self.by_id.remove(id)?;
        self.changed.note(|| Arc::clone(id));
        self.aliases.remove_all_of(id);
        self.grants.remove_all_of(id);
        if let Some(set) = &key.multi_region {
            set.leave();
        }
        if let Some(store) = key.origin().store()
            && let Some(keys) = self.by_store.get_mut(store)
        {
            keys.ids.remove(id);
            if let Origin::ExternalKeyStore { external_key, .. } = key.origin() {
                keys.external_keys.remove(external_key);
            }
            if keys.ids.is_empty() {
                self.by_store.remove(store);
            }
        }
        Some(key)
    }

    /// Takes note of when the key will change by itself.
    pub(crate) fn reschedule(&mut self, id: &str) {
        let Some(key) = self.by_id.get(id) else {
            return;
        };
        if let Some(date) = key.next_event() {
            self.agenda.insert((date, Arc::clone(key.id())));
        }
        if matches!(key.admin_state, AdminState::PendingReplicaDeletion(_)) {
            self.primaries_to_delete.insert(Arc::clone(key.id()));
        }
    }

    /// Deletes and rotates what fell due.
    pub(crate) fn run_due(&mut self, now: SystemTime) -> Due {
        let mut due = Due::default();
        self.settle_primaries(now);
        while self.agenda.first().is_some_and(|(date, _)| *date <= now)
            && let Some((_, id)) = self.agenda.pop_first()
        {
            let Some(key) = self.by_id.get(&id) else {
                continue;
            };
            if matches!(key.admin_state, AdminState::PendingDeletion(date) if date <= now) {
                due.deleted.extend(self.remove(&id));
                continue;
            }
            if key.next_event().is_some_and(|next| next <= now)
                && let Some(key) = self.get_mut(&id)
            {
                match key.run_due(now) {
                    Ok(true) => due.rotated.push(Arc::clone(key.arn())),
                    Ok(false) => {}
                    Err(error) => {
                        // Without random bytes nothing else works either; the next call tries again.
                        tracing::error!(key = %key.arn(), ?error, "automatic rotation failed");
                        self.agenda.insert((now, id));
                        break;
                    }
                }
            }
            self.reschedule(&id);
        }
        due
    }

    /// Primaries whose last replica is gone by now wait for their own deletion.
    fn settle_primaries(&mut self, now: SystemTime) {
        for id in std::mem::take(&mut self.primaries_to_delete) {
            let alone = self.by_id.get(&id).and_then(|key| key.alone_since(now));
            if alone.is_some()
                && let Some(key) = self.get_mut(&id)
            {
                key.settle(now);
            }
            self.reschedule(&id);
        }
    }

    /// For the writer: the ids of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<Arc<str>> {
        self.changed.take()
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
