//! Aliases: names that stand for keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// The aliases of one account and Region.
#[derive(Default)]
pub(crate) struct Aliases(BTreeMap<String, Alias>);

/// What is known of an alias beside its name.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) target: Arc<str>,
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
}

impl Aliases {
    /// The id of the key that the name stands for.
    pub(crate) fn target(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|alias| &*alias.target)
    }

    /// Adds an alias; `None` if the name is taken.
    pub(crate) fn create(&mut self, name: &str, target: &Arc<str>, now: SystemTime) -> Option<()> {
        if self.0.contains_key(name) {
            return None;
        }
        let alias = Alias {
            target: Arc::clone(target),
            created: now,
            updated: now,
        };
        self.0.insert(name.to_owned(), alias);
        Some(())
    }

    /// Lets the name stand for another key; `None` if there is no such alias.
    pub(crate) fn update(&mut self, name: &str, target: &Arc<str>, now: SystemTime) -> Option<()> {
        let alias = self.0.get_mut(name)?;
        alias.target = Arc::clone(target);
        alias.updated = now;
        Some(())
    }

    /// Removes an alias; `None` if there is no such alias.
    pub(crate) fn delete(&mut self, name: &str) -> Option<()> {
        self.0.remove(name).map(drop)
    }

    /// Removes every alias of a key.
    pub(crate) fn remove_all_of(&mut self, key_id: &str) {
        self.0.retain(|_, alias| &*alias.target != key_id);
    }

    /// How many aliases a key has.
    pub(crate) fn count_of(&self, key_id: &str) -> usize {
        self.iter().filter(|(_, a)| &*a.target == key_id).count()
    }

    /// Every alias, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Alias)> {
        self.0.iter().map(|(name, alias)| (name.as_str(), alias))
    }
}
