//! Finds keys for a page of a list: of any account and Region, however many there are.
//!
//! A page looks at a bounded number of keys, under locks that are held for a bounded number each; it says where to go on.

use std::ops::Bound;

use super::figures::date_and_time;
use crate::arn::is_key_id;
use crate::custom_key_store::{CustomKeyStore, CustomKeyStoreId};
use crate::key::{AdminState, Busy, Key};
use crate::key_state::KeyState;
use crate::simulator::{RegionState, Simulator};
use crate::visibility::Home;

/// Which keys are wanted.
#[derive(Debug, Default)]
pub(super) struct Search<'q> {
    pub(super) home: Option<Home>,
    pub(super) store: Option<CustomKeyStoreId>,
    pub(super) state: Option<KeyState>,
    /// An id, an ARN of a key or an alias, the beginning of an alias, or a part of an id, an alias or a description.
    pub(super) text: Option<&'q str>,
    pub(super) after: Option<Cursor>,
}

/// Where a page ended: the last key, or the last alias, that it looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cursor {
    home: Home,
    last: String,
}

impl Cursor {
    /// `account/region/id`, and the id may have slashes if it is an alias.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let (account, region, last) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            home: Home { account, region },
            last,
        })
    }

    pub(super) fn text(&self) -> String {
        format!("{}/{}/{}", self.home.account, self.home.region, self.last)
    }
}

/// A page of keys.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: Vec<KeyRow>,
    /// Where to go on, if there may be more.
    pub(super) next: Option<Cursor>,
}

/// A key of a list.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) home: Home,
    pub(super) id: String,
    pub(super) state: KeyState,
    pub(super) why: String,
    /// The first of them.
    pub(super) alias: Option<String>,
    pub(super) more_aliases: usize,
    pub(super) description: String,
    pub(super) spec: &'static str,
    pub(super) origin: &'static str,
    pub(super) store: Option<(CustomKeyStoreId, String)>,
}

/// The keys that are wanted, a page of them.
pub(super) fn search(simulator: &Simulator, search: &Search<'_>) -> Found {
    let mut found = Found::default();
    let mut budget = LOOKED_AT;
    let narrowed;
    let search = match search.text.and_then(alias_of_arn) {
        None => search,
        Some((home, _)) if search.home.as_ref().is_some_and(|wanted| *wanted != home) => {
            return found;
        }
        Some((home, alias)) => {
            narrowed = Search {
                home: Some(home),
                store: search.store.clone(),
                text: Some(alias),
                after: search.after.clone(),
                ..*search
            };
            &narrowed
        }
    };
    let homes = simulator.regions().into_iter();
    let homes = homes.filter(|(home, _)| {
        let wanted = search.home.as_ref().is_none_or(|wanted| wanted == home);
        let later = search
            .after
            .as_ref()
            .is_none_or(|after| *home >= after.home);
        wanted && later
    });
    for (home, region) in homes {
        let cursor = search.after.as_ref().filter(|after| after.home == home);
        let mut last = cursor.map(|cursor| cursor.last.clone());
        loop {
            if found.rows.len() >= PAGE || budget == 0 {
                let last = last.unwrap_or_default();
                found.next = Some(Cursor { home, last });
                return found;
            }
            let state = region.lock();
            let chunk = Chunk {
                search,
                home: &home,
                state: &state,
            };
            let before = found.rows.len();
            let room = PAGE - before;
            let (looked_at, end) =
                chunk.read(last.as_deref(), room, budget.min(AT_ONCE), &mut found.rows);
            budget -= looked_at;
            match end {
                Some(end) => last = Some(end),
                None => break,
            }
        }
    }
    found
}

/// Where the alias of an ARN is, and its name: in another Region the same name is another alias.
fn alias_of_arn(text: &str) -> Option<(Home, &str)> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    match *parts {
        ["arn", _, "kms", region, account, alias] if alias.starts_with(ALIAS) => {
            let (account, region) = (account.to_owned(), region.to_owned());
            Some((Home { account, region }, alias))
        }
        _ => None,
    }
}

struct Chunk<'c> {
    search: &'c Search<'c>,
    home: &'c Home,
    state: &'c RegionState,
}

impl Chunk<'_> {
    /// Looks at some keys after one; how many, and which was the last if there may be more.
    fn read(
        &self,
        after: Option<&str>,
        room: usize,
        most: usize,
        rows: &mut Vec<KeyRow>,
    ) -> (usize, Option<String>) {
        // A page may have ended before an account's Region.
        let after = after.filter(|after| !after.is_empty());
        let bound = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = &self.state.keys;
        let text = self.search.text.unwrap_or_default();
        let named = text.rsplit('/').next().unwrap_or_default();
        if is_key_id(named) {
            let key = keys.get(named).filter(|_| after.is_none());
            let row = key
                .filter(|key| self.is_wanted(key))
                .map(|key| self.row(key));
            rows.extend(row);
            return (1, None);
        }
        if text.starts_with(ALIAS) {
            let bound = after.map_or(Bound::Included(text), Bound::Excluded);
            let aliases = keys.aliases.after(bound);
            let aliases = aliases.take_while(|(name, _)| name.starts_with(text));
            let keys = aliases.filter_map(|(name, alias)| Some((name, keys.get(&alias.target)?)));
            return self.take(keys, room, most, rows);
        }
        match &self.search.store {
            Some(store) => {
                let keys = keys.of_store_after(store, bound);
                self.take(keys.map(|key| (&**key.id(), key)), room, most, rows)
            }
            None => {
                let keys = keys.after(bound);
                self.take(keys.map(|key| (&**key.id(), key)), room, most, rows)
            }
        }
    }

    fn take<'k>(
        &self,
        keys: impl Iterator<Item = (&'k str, &'k Key)>,
        room: usize,
        most: usize,
        rows: &mut Vec<KeyRow>,
    ) -> (usize, Option<String>) {
        let (mut looked_at, mut taken) = (0, 0);
        let mut keys = keys.peekable();
        while let Some((name, key)) = keys.next() {
            looked_at += 1;
            if self.is_wanted(key) {
                rows.push(self.row(key));
                taken += 1;
            }
            if taken == room || looked_at == most {
                let more = keys.peek().is_some();
                return (looked_at, more.then(|| name.to_owned()));
            }
        }
        (looked_at, None)
    }

    fn is_wanted(&self, key: &Key) -> bool {
        let Search {
            store, state, text, ..
        } = self.search;
        store
            .as_ref()
            .is_none_or(|store| key.origin().store() == Some(store))
            && state.is_none_or(|state| key.state(&self.state.stores) == state)
            && text.is_none_or(|text| self.mentions(key, text))
    }

    fn mentions(&self, key: &Key, text: &str) -> bool {
        if text.starts_with(ALIAS) || is_key_id(text.rsplit('/').next().unwrap_or_default()) {
            // It was found by its name.
            return true;
        }
        let text = text.to_lowercase();
        let has = |other: &str| other.to_lowercase().contains(&text);
        let aliases = self
            .state
            .keys
            .aliases
            .of_key_after(key.id(), Bound::Unbounded);
        has(key.id()) || has(&key.description) || aliases.take(MENTIONED).any(|(name, _)| has(name))
    }

    fn row(&self, key: &Key) -> KeyRow {
        let aliases = &self.state.keys.aliases;
        let first = aliases.of_key_after(key.id(), Bound::Unbounded).next();
        let store = store_of(key, self.state);
        KeyRow {
            home: self.home.clone(),
            id: key.id().to_string(),
            state: key.state(&self.state.stores),
            why: why(key, self.state),
            alias: first.map(|(name, _)| name.to_owned()),
            more_aliases: aliases.count_of(key.id()).saturating_sub(1),
            description: key.description.clone(),
            spec: key.kind().spec.name(),
            origin: key.origin().name(),
            store: store.map(|store| (store.id().clone(), store.name().to_owned())),
        }
    }
}

/// The custom key store that a key belongs to.
pub(super) fn store_of<'s>(key: &Key, state: &'s RegionState) -> Option<&'s CustomKeyStore> {
    let id = key.origin().store()?;
    state.stores.find(id.as_str())
}

/// Why a key is in the state that it is in, and what changes that.
pub(super) fn why(key: &Key, state: &RegionState) -> String {
    let date = |key: &Key| match (key.admin_state, key.busy) {
        (AdminState::PendingDeletion(date), _) => date_and_time(date),
        (_, Some(Busy::Creating(until) | Busy::Updating(until))) => date_and_time(until),
        _ => "a date to come".to_owned(),
    };
    match key.state(&state.stores) {
        KeyState::Enabled => match store_of(key, state) {
            None => "Its owner has it enabled.".to_owned(),
            Some(store) => format!(
                "Its owner has it enabled, and its custom key store {} is CONNECTED.",
                store.name()
            ),
        },
        KeyState::Disabled => {
            "Its owner has disabled it. EnableKey lets it be used again.".to_owned()
        }
        KeyState::Unavailable => {
            let also = match key.admin_state {
                AdminState::Disabled => " Its owner has it disabled as well.",
                _ => "",
            };
            let store = store_of(key, state).map(|store| {
                let code = store.connection_error_code();
                let code = code.map_or_else(String::new, |code| format!(" ({})", code.as_str()));
                format!("{} is {}{code}", store.name(), store.connection_state())
            });
            format!(
                "Its custom key store {}. ConnectCustomKeyStore makes the key usable again.{also}",
                store.unwrap_or_else(|| "is not there".to_owned())
            )
        }
        KeyState::PendingDeletion => format!(
            "ScheduleKeyDeletion was called: it is deleted on {}. CancelKeyDeletion keeps it.",
            date(key)
        ),
        KeyState::PendingReplicaDeletion => {
            "It is a primary whose deletion was scheduled, and waits until its last replica is gone.".to_owned()
        }
        KeyState::PendingImport => {
            "Its key material is not there: not imported yet, deleted, or expired. ImportKeyMaterial brings it."
                .to_owned()
        }
        KeyState::Creating => format!("KMS creates this replica, until {}.", date(key)),
        KeyState::Updating => format!("KMS makes another key the primary, until {}.", date(key)),
    }
}

/// Begins the names of aliases.
const ALIAS: &str = "alias/";
/// Keys of a page.
pub(super) const PAGE: usize = 50;
/// Keys that one page looks at.
const LOOKED_AT: usize = 20_000;
/// Keys that are looked at under one lock.
const AT_ONCE: usize = 2_000;
/// Aliases of a key that are searched.
const MENTIONED: usize = 50;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::looked_at::while_counting;
    use crate::test_client::TestClient;

    fn ids(found: &Found) -> Vec<&str> {
        found.rows.iter().map(|row| &*row.id).collect()
    }

    #[test]
    fn pages_go_through_every_key_once() {
        let client = TestClient::new();
        let mut keys: Vec<_> = (0..PAGE * 2 + 3).map(|_| client.key()).collect();
        keys.sort();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let wanted = Search {
                after,
                ..Search::default()
            };
            let found = search(&client.simulator, &wanted);
            assert!(found.rows.len() <= PAGE);
            seen.extend(found.rows.into_iter().map(|row| row.id));
            let Some(next) = found.next else {
                break;
            };
            let text = next.text();
            assert_eq!(Cursor::parse(&text), Some(next));
            after = Cursor::parse(&text);
        }
        assert_eq!(seen, keys);
    }

    #[test]
    fn a_key_is_found_by_its_id_alias_description_and_state() {
        let client = TestClient::new();
        let keys: Vec<_> = (0..5).map(|_| client.key()).collect();
        let alias = |name: &str, key: &str| {
            client.ok(
                "CreateAlias",
                json!({"AliasName": name, "TargetKeyId": key}),
            );
        };
        alias("alias/app/one", &keys[1]);
        alias("alias/app/two", &keys[2]);
        alias("alias/other", &keys[3]);
        let description = json!({"KeyId": keys[4], "Description": "Payments of Europe"});
        client.ok("UpdateKeyDescription", description);
        client.ok("DisableKey", json!({"KeyId": keys[0]}));
        let find = |text: &str| {
            let wanted = Search {
                text: Some(text),
                ..Search::default()
            };
            search(&client.simulator, &wanted)
        };
        assert_eq!(ids(&find(&keys[0])), [&keys[0]]);
        let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{}", keys[3]);
        assert_eq!(ids(&find(&arn)), [&keys[3]]);
        assert_eq!(ids(&find("alias/app/")), [&keys[1], &keys[2]]);
        assert_eq!(ids(&find("alias/app/two")), [&keys[2]]);
        let aliases = client.ok("ListAliases", json!({"KeyId": keys[2]}));
        let arn = aliases["Aliases"][0]["AliasArn"].as_str().unwrap();
        assert_eq!(ids(&find(arn)), [&keys[2]]);
        let elsewhere = arn.replace("us-east-1", "eu-west-1");
        assert!(arn != elsewhere && find(&elsewhere).rows.is_empty());
        assert_eq!(ids(&find("OTHER")), [&keys[3]]);
        assert_eq!(ids(&find("payments")), [&keys[4]]);
        assert!(find("nothing of the kind").rows.is_empty());
        let disabled = Search {
            state: Some(KeyState::Disabled),
            ..Search::default()
        };
        let found = search(&client.simulator, &disabled);
        assert_eq!(ids(&found), [&keys[0]]);
        assert!(found.rows[0].why.contains("EnableKey"));
    }

    #[test]
    fn a_page_costs_the_same_wherever_it_is() {
        let client = TestClient::new();
        for _ in 0..PAGE * 3 {
            client.key();
        }
        let (first, found) = while_counting(|| search(&client.simulator, &Search::default()));
        let wanted = Search {
            after: found.next,
            ..Search::default()
        };
        let (second, _) = while_counting(|| search(&client.simulator, &wanted));
        assert_eq!(first, second);
    }
}
