//! What reads still see of an account's Region though it has changed: aliases, tags, grants, connections of stores.
//!
//! Each change of a thing is seen a while later, later changes never before earlier ones. Only reads are stale; no
//! decision about a change, and no use of a key but through an alias, ever is. Without lag nothing is in here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use crate::alias::{Alias, Aliases};
use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::consistency::Consistency;
use crate::custom_key_store::CustomKeyStore;
use crate::grant::{Grant, GrantPrincipal};
use crate::key::Key;
use crate::keys::Keys;

/// Older views that reads still get.
pub(crate) struct Past {
    consistency: Consistency,
    /// The settings of all that is in here.
    generation: u64,
    now: SystemTime,
    /// When the next of all these is no longer seen, or earlier.
    next: Option<SystemTime>,
    aliases: Views<Arc<str>, Alias>,
    /// By key id.
    tags: Views<Arc<str>, BTreeMap<String, String>>,
    /// By grant id; of the key of that id.
    grants: Views<Arc<str>, (Arc<str>, Grant)>,
    connections: Views<String, (ConnectionState, Option<ConnectionErrorCode>)>,
}

impl Past {
    /// A past that lasts as the settings say.
    pub(crate) fn new(consistency: Consistency) -> Self {
        Self {
            generation: consistency.generation().0,
            consistency,
            now: SystemTime::UNIX_EPOCH,
            next: None,
            aliases: Views::default(),
            tags: Views::default(),
            grants: Views::default(),
            connections: Views::default(),
        }
    }

    /// It is so late now: what was changed long enough ago is seen from here on.
    pub(crate) fn run(&mut self, now: SystemTime) {
        let set_back = now < self.now;
        self.now = now;
        if let Some(next) = self.next
            && (next <= now || set_back || self.consistency.generation().0 != self.generation)
        {
            self.forget();
        }
    }

    /// Forgets what is no longer seen: everything, if it was changed under other settings.
    fn forget(&mut self) {
        let (generation, lag) = self.consistency.generation();
        let kept = (generation == self.generation).then(|| (self.now, self.now + lag));
        self.generation = generation;
        let next = [
            self.aliases.forget(kept),
            self.tags.forget(kept),
            self.grants.forget(kept),
            self.connections.forget(kept),
        ];
        self.next = next.into_iter().flatten().min();
    }

    /// An alias has changed; `None` if there was none.
    pub(crate) fn alias_changed(&mut self, name: &str, before: Option<Alias>) {
        if let Some(until) = self.until() {
            self.aliases.add(name.into(), before, until);
        }
    }

    /// The tags of a key have changed.
    pub(crate) fn tags_changed(&mut self, key_id: &Arc<str>, before: BTreeMap<String, String>) {
        if let Some(until) = self.until() {
            self.tags.add(Arc::clone(key_id), Some(before), until);
        }
    }

    /// A grant of a key has come, or is gone.
    pub(crate) fn grant_changed(
        &mut self,
        key_id: &str,
        grant_id: &Arc<str>,
        before: Option<Grant>,
    ) {
        if let Some(until) = self.until() {
            let before = before.map(|grant| (key_id.into(), grant));
            self.grants.add(Arc::clone(grant_id), before, until);
        }
    }

    /// A store is being disconnected.
    pub(crate) fn disconnected(
        &mut self,
        id: &str,
        before: (ConnectionState, Option<ConnectionErrorCode>),
    ) {
        if let Some(until) = self.until() {
            self.connections.add(id.to_owned(), Some(before), until);
        }
    }

    /// The id of the key that an alias stands for, as it is seen.
    pub(crate) fn alias_target<'a>(&'a self, aliases: &'a Aliases, name: &str) -> Option<&'a str> {
        match self.aliases.get(name) {
            None => aliases.target(name),
            Some(before) => before.map(|alias| &*alias.target),
        }
    }

    /// The aliases after a name, of one key or of all, as they are seen, in the order of the names.
    pub(crate) fn aliases_after<'a>(
        &'a self,
        aliases: &'a Aliases,
        key_id: Option<&'a str>,
        after: Bound<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Alias)> + use<'a> {
        let (all, of_key) = match key_id {
            None => (Some(aliases.after(after)), None),
            Some(key_id) => (None, Some(aliases.of_key_after(key_id, after))),
        };
        let current = all
            .into_iter()
            .flatten()
            .chain(of_key.into_iter().flatten());
        let current = current.filter(|(name, _)| self.aliases.get(*name).is_none());
        let before = self.aliases.after(after);
        let before = before
            .filter(move |(_, alias)| key_id.is_none_or(|key_id| *alias.target == *key_id))
            .map(|(name, alias)| (&**name, alias));
        merged(current, before, |(name, _)| name)
    }

    /// The tags of a key, as they are seen.
    pub(crate) fn tags<'a>(&'a self, key: &'a Key) -> &'a BTreeMap<String, String> {
        self.tags.get(&**key.id()).flatten().unwrap_or(&key.tags)
    }

    /// The grants of a key after a grant id, for a grantee or all, as they are seen, in the order of the ids.
    pub(crate) fn grants_of_key_after<'a>(
        &'a self,
        keys: &'a Keys,
        key: &'a Key,
        grantee: Option<&'a GrantPrincipal>,
        after: Bound<&str>,
    ) -> impl Iterator<Item = &'a Grant> + use<'a> {
        let (all, of_grantee) = match grantee {
            None => (Some(keys.grants.of_key_after(key.id(), after)), None),
            Some(grantee) => {
                let grants = keys.grants.of_grantee_after(key.id(), grantee, after);
                (None, Some(grants))
            }
        };
        let current = all.into_iter().flatten();
        let current = current.chain(of_grantee.into_iter().flatten());
        let current = current.filter(|grant| self.grants.get(&*grant.id).is_none());
        let before = self.grants.after(after).filter(move |(_, (of, grant))| {
            of == key.id() && grantee.is_none_or(|grantee| *grantee == grant.terms.grantee)
        });
        merged(current, before.map(|(_, (_, grant))| grant), |grant| {
            &grant.id
        })
    }

    /// Key ids and grants that a principal can retire, as they are seen, in the order of the grant ids.
    pub(crate) fn retirable_grants_after<'a>(
        &'a self,
        keys: &'a Keys,
        principal: &'a GrantPrincipal,
        after: Bound<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Grant)> + use<'a> {
        let current = keys.grants.retirable_after(principal, after);
        let current = current.filter(|(_, grant)| self.grants.get(&*grant.id).is_none());
        let before = self
            .grants
            .after(after)
            .map(|(_, (key, grant))| (key, grant));
        let before =
            before.filter(move |(_, grant)| grant.terms.retiring.as_ref() == Some(principal));
        merged(current, before, |(_, grant)| &grant.id)
    }

    /// The connection of a store, as it is seen.
    pub(crate) fn connection(
        &self,
        store: &CustomKeyStore,
    ) -> (ConnectionState, Option<ConnectionErrorCode>) {
        let before = self.connections.get(store.id().as_str()).flatten();
        before
            .copied()
            .unwrap_or_else(|| (store.connection_state(), store.connection_error_code()))
    }

    /// Until when the change that happens now is not seen; `None` without lag.
    fn until(&mut self) -> Option<SystemTime> {
        let until = self.now + self.consistency.draw()?;
        if self.consistency.generation().0 != self.generation {
            self.forget();
        }
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
        Some(until)
    }
}

/// Earlier values of things of one kind, each with the time until which it is seen; the first is seen now.
struct Views<K, V>(BTreeMap<K, VecDeque<(SystemTime, Option<V>)>>);

impl<K, V> Default for Views<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V> Views<K, V> {
    fn add(&mut self, key: K, before: Option<V>, until: SystemTime) {
        let views = self.0.entry(key).or_default();
        let until = views.back().map_or(until, |(last, _)| until.max(*last));
        views.push_back((until, before));
    }

    /// What is seen in place of the present; `None` for the present, `Some(None)` for nothing.
    fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Option<&V>>
    where
        K: std::borrow::Borrow<Q>,
    {
        let (_, before) = self.0.get(key)?.front()?;
        Some(before.as_ref())
    }

    /// Forgets what is no longer seen; everything, without times. Gives when the next is no longer seen.
    ///
    /// The times are now, and the latest that a change which happens now could have: what is even later is of before
    /// the clock was set back.
    fn forget(&mut self, kept: Option<(SystemTime, SystemTime)>) -> Option<SystemTime> {
        let Some((now, latest)) = kept else {
            self.0.clear();
            return None;
        };
        let mut next = None;
        self.0.retain(|_, views| {
            views.retain(|(until, _)| now < *until && *until <= latest);
            let first = views.front().map(|(until, _)| *until);
            next = [next, first].into_iter().flatten().min();
            first.is_some()
        });
        next
    }
}

impl<V> Views<Arc<str>, V> {
    /// What is seen in place of the present, after a key.
    fn after(&self, after: Bound<&str>) -> impl Iterator<Item = (&Arc<str>, &V)> + use<'_, V> {
        let views = self.0.range::<str, _>((after, Bound::Unbounded));
        views.filter_map(|(key, views)| Some((key, views.front()?.1.as_ref()?)))
    }
}

/// Two sequences in the order of a key, as one.
fn merged<'a, T: 'a>(
    left: impl Iterator<Item = T> + 'a,
    right: impl Iterator<Item = T> + 'a,
    key: for<'t> fn(&'t T) -> &'t str,
) -> impl Iterator<Item = T> + 'a {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(l), Some(r)) if key(r) < key(l) => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(millis: u64) -> SystemTime {
        START + Duration::from_millis(millis)
    }

    fn kept(millis: u64) -> Option<(SystemTime, SystemTime)> {
        Some((at(millis), at(millis + 100)))
    }

    #[test]
    fn changes_are_seen_in_their_order() {
        let mut views = Views::default();
        views.add("x", None, at(30));
        // Seen no earlier than the one before.
        views.add("x", Some(1), at(10));
        views.add("x", Some(2), at(50));
        assert_eq!(views.get("x"), Some(None));
        views.forget(kept(29));
        assert_eq!(views.get("x"), Some(None));
        views.forget(kept(30));
        assert_eq!(views.get("x"), Some(Some(&2)));
        views.forget(kept(50));
        assert_eq!(views.get("x"), None);
    }

    #[test]
    fn lists_are_of_what_is_seen_in_the_order_of_the_names() {
        let consistency = Consistency::default();
        let mut past = Past::new(consistency.clone());
        let mut aliases = Aliases::default();
        let key: Arc<str> = "k".into();
        for name in ["alias/b", "alias/d"] {
            aliases.create(name, &key, START).unwrap();
        }
        consistency.set(Duration::from_hours(1), 1);
        past.run(START);
        // Seen after an hour at most: b is gone, c is new, d is another key's.
        let deleted = aliases.delete("alias/b");
        past.alias_changed("alias/b", deleted);
        aliases.create("alias/c", &key, START).unwrap();
        past.alias_changed("alias/c", None);
        let other: Arc<str> = "other".into();
        let updated = aliases.update("alias/d", &other, START);
        past.alias_changed("alias/d", updated);
        let names = |past: &Past, key: Option<&str>| {
            let seen = past.aliases_after(&aliases, key, Bound::Unbounded);
            seen.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&past, None), ["alias/b", "alias/d"]);
        assert_eq!(names(&past, Some("k")), ["alias/b", "alias/d"]);
        assert!(names(&past, Some("other")).is_empty());
        assert_eq!(past.alias_target(&aliases, "alias/b"), Some("k"));
        assert_eq!(past.alias_target(&aliases, "alias/c"), None);
        let after_b = past.aliases_after(&aliases, None, Bound::Excluded("alias/b"));
        assert_eq!(after_b.count(), 1);
        past.run(START + Duration::from_hours(1));
        assert_eq!(names(&past, None), ["alias/c", "alias/d"]);
        assert_eq!(names(&past, Some("other")), ["alias/d"]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_stale_for_longer_than_the_lag() {
        let consistency = Consistency::default();
        consistency.set(Duration::from_secs(1), 1);
        let mut past = Past::new(consistency);
        past.run(START + Duration::from_hours(1));
        past.alias_changed("alias/a", None);
        past.run(START);
        assert!(past.aliases.get("alias/a").is_none());
    }

    #[test]
    fn other_settings_let_everything_be_seen_at_once() {
        let consistency = Consistency::default();
        consistency.set(Duration::from_hours(1), 1);
        let mut past = Past::new(consistency.clone());
        past.run(START);
        past.alias_changed("alias/a", None);
        assert!(past.aliases.get("alias/a").is_some());
        consistency.set(Duration::ZERO, 0);
        past.run(START);
        assert!(past.aliases.get("alias/a").is_none());
        past.alias_changed("alias/a", None);
        assert!(past.aliases.get("alias/a").is_none());
    }
}
