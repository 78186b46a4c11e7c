//! Keys, a part of the list at a time: those that the proxy keeps itself, and those that a configuration names.

use std::collections::BTreeSet;
use std::time::SystemTime;

use time::OffsetDateTime;
use xks_api::ids::ExternalKeyId;

use super::{KeyStatus, Listed, PAGE, Wanted};
use crate::assemble::{KeyManagers, OpenOne};
use crate::key_manager::embedded::KeyInfo;
use crate::key_store::ExternalKeyStore;

/// Those that are wanted, by id and key manager.
pub(super) fn keys(
    key_managers: &KeyManagers,
    stores: &[&ExternalKeyStore],
    wanted: &Wanted,
    now: SystemTime,
) -> Listed<KeyStatus> {
    let mut total = 0;
    let mut rows = Vec::new();
    for open in key_managers.iter() {
        let of_it = |store: &&&ExternalKeyStore| store.key_manager.name() == open.name();
        let stores: Vec<_> = stores.iter().filter(of_it).copied().collect();
        let named: BTreeSet<_> = stores.iter().flat_map(|store| store.keys.named()).collect();
        let is_wanted = |id: &ExternalKeyId| wanted.has_key(id, &open, &stores);
        // One more than there is room for, so that it is known whether there are more.
        match open.embedded() {
            Some(embedded) => {
                let administration = embedded.administration();
                total += administration.key_count();
                let found = administration.keys_where(is_wanted, PAGE + 1);
                rows.extend(found.into_iter().map(|(id, info)| (id, Some(info), open)));
            }
            None => {
                total += named.len();
                let found = named.into_iter().filter(|id| is_wanted(id)).take(PAGE + 1);
                rows.extend(found.map(|id| (id.clone(), None, open)));
            }
        }
    }
    rows.sort_by(|(a, _, of_a), (b, _, of_b)| (a, of_a.name()).cmp(&(b, of_b.name())));
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(id, known, open)| key(&id, known, open.name(), stores, now.into()))
        .collect();
    let next = rows.last().filter(|_| more);
    Listed {
        total,
        next: next.map(|last| format!("{} {}", last.id, last.key_manager)),
        rows,
    }
}

impl Wanted {
    fn has_key(
        &self,
        id: &ExternalKeyId,
        open: &OpenOne<'_>,
        stores: &[&ExternalKeyStore],
    ) -> bool {
        let is_after = |after: &String| {
            let (last, key_manager) = after.split_once(' ').unwrap_or((after, ""));
            (id.as_str(), open.name()) > (last, key_manager)
        };
        let in_store = |prefix: &String| {
            let of_it = |store: &&&ExternalKeyStore| {
                let known = store.prefix.as_str();
                known == prefix || (known.is_empty() && prefix == "/")
            };
            let mut stores = stores.iter().filter(of_it);
            stores.any(|store| store.keys.contains(id))
        };
        self.key
            .as_ref()
            .is_none_or(|part| id.as_str().contains(&**part))
            && self.after_key.as_ref().is_none_or(is_after)
            && self.prefix.as_ref().is_none_or(in_store)
    }
}

fn key(
    id: &ExternalKeyId,
    known: Option<KeyInfo>,
    key_manager: &str,
    stores: &[&ExternalKeyStore],
    now: OffsetDateTime,
) -> KeyStatus {
    let has = |store: &&&ExternalKeyStore| {
        store.key_manager.name() == key_manager && store.keys.contains(id)
    };
    let stores: Vec<_> = stores.iter().filter(has).collect();
    let blocked_in = |store: &&&&ExternalKeyStore| {
        store.blocks.any() && store.blocks.find(&store.prefix, Some(id), now).is_some()
    };
    let of_itself = known.iter().flat_map(|known| &known.blocks);
    let of_itself = of_itself.filter(|block| !block.target.starts_with('/'));
    KeyStatus {
        id: id.to_string(),
        key_manager: key_manager.to_owned(),
        blocked: of_itself.count() > 0 || stores.iter().any(|store| blocked_in(&store)),
        uri_path_prefixes: stores
            .iter()
            .take(PREFIXES)
            .map(|store| store.prefix.as_str().to_owned())
            .collect(),
        known: known.map(|known| {
            let older = known.versions.len().saturating_sub(VERSIONS);
            KeyInfo {
                versions: known.versions.into_iter().skip(older).collect(),
                ..known
            }
        }),
    }
}

/// Of one key.
const PREFIXES: usize = 10;
const VERSIONS: usize = 20;
