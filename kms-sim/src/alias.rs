//! Aliases: names that stand for keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use crate::journal::{Changed, Journal};
use crate::looked_at::counted;

/// The aliases of one account and Region.
#[derive(Default)]
pub(crate) struct Aliases {
    by_name: BTreeMap<Arc<str>, Alias>,
    /// The names of the aliases of each key that has any.
    by_target: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    changed: Changed<Arc<str>>,
}

/// What is known of an alias beside its name.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) target: Arc<str>,
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
}

impl Aliases {
    /// From now on changes are named.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
    }

    /// The alias of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Alias> {
        self.by_name.get(name)
    }

    /// The id of the key that the name stands for.
    pub(crate) fn target(&self, name: &str) -> Option<&str> {
        self.get(name).map(|alias| &*alias.target)
    }

    /// Adds an alias; `None` if the name is taken.
    pub(crate) fn create(&mut self, name: &str, target: &Arc<str>, now: SystemTime) -> Option<()> {
        let alias = Alias {
            target: Arc::clone(target),
            created: now,
            updated: now,
        };
        self.insert(name, alias)
    }

    /// Adds an alias as it was; `None` if the name is taken.
    pub(crate) fn insert(&mut self, name: &str, alias: Alias) -> Option<()> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let name: Arc<str> = name.into();
        self.changed.note(|| Arc::clone(&name));
        let of_target = self.by_target.entry(Arc::clone(&alias.target)).or_default();
        of_target.insert(Arc::clone(&name));
        self.by_name.insert(name, alias);
        Some(())
    }

    /// Lets the name stand for another key, and gives what it was; `None` if there is no such alias.
    pub(crate) fn update(
        &mut self,
        name: &str,
        target: &Arc<str>,
        now: SystemTime,
    ) -> Option<Alias> {
        let before = self.remove(name)?;
        let alias = Alias {
            target: Arc::clone(target),
            created: before.created,
            updated: now,
        };
        self.insert(name, alias)?;
        Some(before)
    }

    /// Removes an alias; `None` if there is no such alias.
    pub(crate) fn delete(&mut self, name: &str) -> Option<Alias> {
        self.remove(name)
    }

    fn remove(&mut self, name: &str) -> Option<Alias> {
        let (name, alias) = self.by_name.remove_entry(name)?;
        if let Some(names) = self.by_target.get_mut(&alias.target) {
            names.remove(&name);
            if names.is_empty() {
                self.by_target.remove(&alias.target);
            }
        }
        self.changed.note(|| name);
        Some(alias)
    }

    /// Removes every alias of a key.
    pub(crate) fn remove_all_of(&mut self, key_id: &str) {
        for name in self.by_target.remove(key_id).into_iter().flatten() {
            self.by_name.remove(&name);
            self.changed.note(|| name);
        }
    }

    /// How many aliases a key has.
    pub(crate) fn count_of(&self, key_id: &str) -> usize {
        self.by_target.get(key_id).map_or(0, BTreeSet::len)
    }

    /// The aliases after a name, in the order of the names.
    pub(crate) fn after<'a>(
        &'a self,
        after: Bound<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Alias)> + use<'a> {
        let aliases = self.by_name.range::<str, _>((after, Bound::Unbounded));
        counted(aliases.map(|(name, alias)| (&**name, alias)))
    }

    /// The aliases of a key after a name, in the order of the names.
    pub(crate) fn of_key_after<'a>(
        &'a self,
        key_id: &str,
        after: Bound<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Alias)> + use<'a> {
        let names = self.by_target.get(key_id);
        let names = names.map(|names| names.range::<str, _>((after, Bound::Unbounded)));
        let names = counted(names.into_iter().flatten());
        names.filter_map(|name| Some((&**name, self.by_name.get(name)?)))
    }

    /// Every alias, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Alias)> {
        self.after(Bound::Unbounded)
    }

    /// For the writer: the names of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<Arc<str>> {
        self.changed.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_found_by_its_name_and_by_its_key() {
        let mut aliases = Aliases::default();
        let (one, two): (Arc<str>, Arc<str>) = ("1".into(), "2".into());
        let now = SystemTime::UNIX_EPOCH;
        for name in ["alias/c", "alias/a", "alias/b"] {
            aliases.create(name, &one, now).unwrap();
        }
        assert_eq!(aliases.create("alias/a", &two, now), None);
        aliases.update("alias/b", &two, now).unwrap();
        let of = |aliases: &Aliases, key: &str, after: Bound<&str>| {
            let found = aliases.of_key_after(key, after);
            found.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(&aliases, "1", Bound::Unbounded), ["alias/a", "alias/c"]);
        assert_eq!(of(&aliases, "1", Bound::Excluded("alias/a")), ["alias/c"]);
        assert_eq!(of(&aliases, "2", Bound::Unbounded), ["alias/b"]);
        assert_eq!((aliases.count_of("1"), aliases.count_of("3")), (2, 0));
        aliases.remove_all_of("1");
        let left: Vec<_> = aliases.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["alias/b"]);
        aliases.delete("alias/b").unwrap();
        assert!(aliases.delete("alias/b").is_none());
        assert_eq!(aliases.count_of("2"), 0);
    }
}
