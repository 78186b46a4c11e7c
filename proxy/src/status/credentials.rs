//! Credentials: where each is kept, how old it is, and when it was last used. No secret of theirs is looked at.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use xks_api::ids::AccessKeyId;

use super::gather::text;
use super::{CredentialStatus, Listed};
use crate::assemble::KeyManagers;
use crate::key_manager::embedded::timestamp;
use crate::key_store::ExternalKeyStore;
use crate::reload::Reloader;

/// Every credential, and where it is kept.
pub(super) struct Kept(HashMap<String, Vec<Credential>>);

struct Credential {
    id: AccessKeyId,
    kept_by: Option<String>,
    created: Option<SystemTime>,
}

impl Kept {
    pub(super) fn read(reloader: &Reloader, key_managers: &KeyManagers) -> Self {
        let mut all: HashMap<String, Vec<Credential>> = HashMap::new();
        let mut add = |prefix: &str, credential| {
            let of_prefix = all.entry(prefix.to_owned()).or_default();
            of_prefix.push(credential);
        };
        reloader.with_config(|config| {
            for store in &config.key_stores {
                for (id, _) in &store.credentials {
                    let credential = Credential {
                        id: id.clone(),
                        kept_by: None,
                        created: None,
                    };
                    add(store.prefix.as_str(), credential);
                }
            }
        });
        for open in key_managers.iter() {
            let Some(embedded) = open.embedded() else {
                continue;
            };
            for (id, credential) in &*embedded.credentials().snapshot() {
                let kept = Credential {
                    id: id.clone(),
                    kept_by: Some(open.name().to_owned()),
                    created: Some(credential.created.into()),
                };
                add(credential.uri_path_prefix.as_str(), kept);
            }
        }
        // Those that are to be rotated first; those of unknown age last.
        for of_prefix in all.values_mut() {
            of_prefix.sort_by(|a, b| {
                let key = |c: &Credential| (c.created.is_none(), c.created);
                key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
            });
        }
        Self(all)
    }

    pub(super) fn of(&self, store: &ExternalKeyStore, now: SystemTime) -> Listed<CredentialStatus> {
        let all = self.0.get(store.prefix.as_str());
        let all = all.map(Vec::as_slice).unwrap_or_default();
        let uses: HashMap<_, _> = store.credentials.last_uses().into_iter().collect();
        let status = |credential: &Credential| CredentialStatus {
            access_key_id: credential.id.to_string(),
            kept_by: credential.kept_by.clone(),
            created: credential.created.map(text),
            age_seconds: credential.created.map(|made| age(made, now).as_secs()),
            last_used: uses
                .get(&credential.id)
                .and_then(|time| *time)
                .map(timestamp),
        };
        let rows = all.iter().take(SHOWN).map(status);
        Listed::beginning(all.len(), rows, |last| last.access_key_id.clone())
    }

    /// How old each one is, where that is known.
    pub(super) fn ages(&self, now: SystemTime) -> Vec<Duration> {
        let created = self.0.values().flatten().filter_map(|c| c.created);
        created.map(|created| age(created, now)).collect()
    }
}

fn age(created: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(created).unwrap_or_default()
}

/// Of one external key store.
const SHOWN: usize = 20;
