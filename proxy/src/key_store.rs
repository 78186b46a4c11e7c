//! External key stores: each URI path prefix with its credentials, its keys and its key manager.
//!
//! A store knows nothing of another one: a credential or key of one prefix is unknown under every other.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use xks_api::ids::{ExternalKeyId, UriPathPrefix};

use crate::authenticate::Credentials;
use crate::authorize::Policy;
use crate::control::Blocks;
use crate::error::XksError;
use crate::glob::Glob;
use crate::health::Monitored;
use crate::key_manager::KeyManager;
use crate::metrics::StoreMetrics;
use crate::throttle::Quota;

/// All external key stores of a proxy.
#[derive(Default)]
pub struct KeyStores(HashMap<UriPathPrefix, ExternalKeyStore>);

impl KeyStores {
    /// Collects stores; of two with one prefix, the later one counts.
    pub fn new(stores: impl IntoIterator<Item = ExternalKeyStore>) -> Self {
        Self(
            stores
                .into_iter()
                .map(|store| (store.prefix.clone(), store))
                .collect(),
        )
    }

    //= xks §API operations R7
    pub(crate) fn get(&self, prefix: &str) -> Result<&ExternalKeyStore, XksError> {
        self.0.get(prefix).ok_or(XksError::INVALID_URI_PATH)
    }

    /// Takes over, from the stores that these replace, when credentials were last used, and what of quotas is used up.
    pub(crate) fn take_over(&mut self, old: &Self) {
        for (prefix, store) in &mut self.0 {
            let Some(old) = old.0.get(prefix) else {
                continue;
            };
            store.credentials.take_over_last_uses(&old.credentials);
            if let (Some(quota), Some(old)) = (&mut store.quota, &old.quota)
                && quota.config() == old.config()
            {
                *quota = Arc::clone(old);
            }
        }
    }

    /// Counts on where the stores that these replace have come to.
    pub(crate) fn go_on_counting(&mut self, old: &Self) {
        for (prefix, store) in &mut self.0 {
            if let Some(old) = old.0.get(prefix) {
                store.measures = Arc::clone(&old.measures);
            }
        }
    }

    /// Every store, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &ExternalKeyStore> {
        self.0.values()
    }
}

/// What answers under one URI path prefix.
pub struct ExternalKeyStore {
    /// Its name.
    pub prefix: UriPathPrefix,
    /// Who holds its keys.
    pub key_manager: Arc<Monitored>,
    /// Which keys of the key manager it has.
    pub keys: KeySelection,
    /// Whose signatures it takes, and for which Regions.
    pub credentials: Credentials,
    /// What is counted of it.
    pub measures: Arc<StoreMetrics>,
    /// What is blocked of its key manager.
    pub blocks: Arc<Blocks>,
    /// Who may do what with its keys; `None`: whoever KMS's own policies allow.
    pub policy: Option<Arc<Policy>>,
    /// How many requests are served; as many as there are, if `None`.
    pub quota: Option<Arc<Quota>>,
}

impl ExternalKeyStore {
    /// # Errors
    /// KeyNotFoundException unless the key belongs to this store.
    pub(crate) fn require(&self, id: &ExternalKeyId) -> Result<(), XksError> {
        if self.keys.contains(id) {
            return Ok(());
        }
        Err(XksError::KEY_NOT_FOUND)
    }

    /// # Errors
    /// InvalidStateException where a block holds that concerns this store, or the key if it belongs to this store.
    #[cold]
    pub(crate) fn refuse_blocked(
        &self,
        key: Option<&ExternalKeyId>,
        now: SystemTime,
    ) -> Result<(), XksError> {
        let key = key.filter(|id| self.keys.contains(id));
        match self.blocks.find(&self.prefix, key, now.into()) {
            None => Ok(()),
            Some(block) => Err(XksError::BLOCKED.because(format!(
                "{} is blocked by {}: {}",
                block.target, block.by, block.reason
            ))),
        }
    }

    pub(crate) fn key_manager(&self) -> &dyn KeyManager {
        self.key_manager.key_manager()
    }
}

/// The keys of a key manager that a store has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeySelection {
    named: HashSet<ExternalKeyId>,
    patterns: Vec<Glob>,
}

impl KeySelection {
    /// Every key of the key manager.
    pub fn all() -> Self {
        Self {
            named: HashSet::new(),
            patterns: vec!["*".into()],
        }
    }

    /// Adds a key id, or a pattern in which `*` stands for any characters and `?` for one.
    ///
    /// # Errors
    /// [`InvalidKeyPattern`] for text that no key id can match.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidKeyPattern> {
        if let Ok(id) = ExternalKeyId::try_from(text) {
            self.named.insert(id);
            return Ok(());
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._*?".contains(&b);
        if !(1..=128).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidKeyPattern);
        }
        self.patterns.push(text.into());
        Ok(())
    }

    /// The keys that are named, not those that a pattern takes in.
    pub fn named(&self) -> impl Iterator<Item = &ExternalKeyId> {
        self.named.iter()
    }

    /// Every key id and pattern.
    pub(crate) fn globs(&self) -> impl Iterator<Item = Glob> {
        let named = self.named.iter().map(|id| id.as_str().into());
        named.chain(self.patterns.iter().cloned())
    }

    /// Whether the store has the key.
    pub fn contains(&self, id: &ExternalKeyId) -> bool {
        self.named.contains(id) || self.patterns.iter().any(|p| p.matches(id.as_str()))
    }
}

/// The text is neither a key id nor a pattern of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidKeyPattern;

impl fmt::Display for InvalidKeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a key id of 1 to 128 characters of A-Z a-z 0-9 - . _, or a pattern with * and ?",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(patterns: &[&str], id: &str) -> bool {
        let mut selection = KeySelection::default();
        for pattern in patterns {
            selection.add(pattern).unwrap();
        }
        selection.contains(&ExternalKeyId::try_from(id).unwrap())
    }

    #[test]
    fn a_selection_has_what_it_names_and_no_more() {
        for (patterns, id, expected) in [
            (&["a"][..], "a", true),
            (&["a"], "ab", false),
            (&[], "a", false),
            (&["x", "a"], "a", true),
            (&["*"], "anything", true),
            (&["tenant-a.*"], "tenant-a.1", true),
            (&["tenant-a.*"], "tenant-a.", true),
            (&["tenant-a.*"], "tenant-axx", false),
            (&["tenant-a.*"], "tenant-b.1", false),
            (&["a?c"], "abc", true),
            (&["a?c"], "ac", false),
            (&["*a*b*"], "xxaxxbxx", true),
            (&["*a*b"], "aab", true),
            (&["*a*b"], "aba", false),
            (&["*ab"], "aab", true),
            (&["a*a"], "a", false),
        ] {
            assert_eq!(selects(patterns, id), expected, "{patterns:?} {id}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_match_is_refused() {
        for bad in ["", "a/b", "a b", "[ab]", &"*".repeat(129)] {
            assert_eq!(
                KeySelection::default().add(bad),
                Err(InvalidKeyPattern),
                "{bad}"
            );
        }
    }
}
