//! Reads the facts of one moment from a running proxy. Waits for a reload that is under way, and for no key manager.

use std::time::SystemTime;

use time::OffsetDateTime;
use tokio::time::Instant;
use xks_api::message::HealthStatus;

use super::certificates::certificates;
use super::credentials::Kept;
use super::denials::denials;
use super::keys::keys;
use super::problems::problems;
use super::traffic::{OfOperation, Sum, errors};
use super::{
    AuditStatus, CircuitStatus, InstanceStatus, KeyManagerStatus, KeyStoreStatus, Listed, PAGE,
    Status, Wanted,
};
use crate::admin::Server as _;
use crate::assemble::{KeyManagers, OpenOne};
use crate::control::{self, BlockInfo, BlockTarget};
use crate::key_manager::embedded::timestamp;
use crate::key_store::ExternalKeyStore;
use crate::metrics::Ending;
use crate::reload::Reloader;
use crate::throttle::QuotaConfig;

/// How the proxy does.
pub(crate) fn gather(reloader: &Reloader, wanted: &Wanted) -> Status {
    let runtime = reloader.runtime();
    let snapshot = runtime.snapshot();
    let metrics = runtime.metrics();
    let now = runtime.now();
    let key_managers = reloader.key_managers().borrow().clone();
    let mut all: Vec<_> = snapshot.key_stores.iter().collect();
    all.sort_by_key(|store| store.prefix.as_str());
    let stores: Vec<_> = all
        .iter()
        .copied()
        .filter(|store| wanted.has(store))
        .collect();
    let (rows, next) = part(&stores, wanted.after_store.as_deref());
    let credentials = Kept::read(reloader, &key_managers);
    let mut sum = Sum::default();
    let mut key_stores = Listed {
        total: all.len(),
        rows: Vec::new(),
        next,
    };
    for store in &stores {
        let observed = metrics.map(|metrics| store.measures.look(metrics.age()));
        let operations = observed.iter().flatten();
        operations.clone().for_each(|(_, of)| sum.add(of));
        if rows.iter().any(|row| row.prefix == store.prefix) {
            let mut of_store = Sum::default();
            operations.clone().for_each(|(_, of)| of_store.add(of));
            key_stores.rows.push(KeyStoreStatus {
                traffic: metrics.map(|_| of_store.traffic()),
                operations: operations
                    .filter_map(|(operation, of)| OfOperation::of(*operation, of))
                    .collect(),
                ..key_store(store, &credentials, now)
            });
        }
    }
    let blocks = control::list_blocks(&reloader.scopes());
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: text(now),
        started: metrics.map(|metrics| text(metrics.started())),
        uptime_seconds: metrics.map(|metrics| metrics.age().as_secs()),
        draining: runtime.draining(),
        problems: Vec::new(),
        traffic: metrics.map(|_| sum.traffic()),
        minutes: metrics.map(|_| sum.minutes()).unwrap_or_default(),
        unrouted: metrics
            .map(|metrics| {
                errors(Ending::all().map(|ending| (ending, metrics.unrouted.get(ending))))
            })
            .unwrap_or_default(),
        key_managers: key_manager_states(&key_managers),
        certificates: reloader.with_config(|config| certificates(config, now)),
        key_stores,
        keys: keys(&key_managers, &all, wanted, now),
        blocks: blocks_of(blocks, wanted.prefix.as_ref().map(|_| &*stores), now),
        denials: denials(&stores),
        audit: runtime.audit().map(|audit| {
            let progress = audit.progress();
            AuditStatus {
                sequence: progress.sequence,
                failing: progress.failing,
                dropped: progress.dropped,
                refused: progress.refused,
            }
        }),
    };
    status.problems = problems(&status, &credentials.ages(now));
    status
}

impl Wanted {
    fn has(&self, store: &ExternalKeyStore) -> bool {
        let prefix = store.prefix.as_str();
        let is = |wanted: &String| wanted == prefix || (wanted == "/" && prefix.is_empty());
        self.prefix.as_ref().is_none_or(is)
            && self
                .store
                .as_ref()
                .is_none_or(|part| prefix.contains(&**part))
    }
}

/// Those after this prefix, of which there is room for some; and after which one it goes on.
fn part<'s>(
    stores: &[&'s ExternalKeyStore],
    after: Option<&str>,
) -> (Vec<&'s ExternalKeyStore>, Option<String>) {
    let is_after =
        |store: &&&ExternalKeyStore| after.is_none_or(|after| store.prefix.as_str() > after);
    let mut rest = stores.iter().filter(is_after).copied();
    let rows: Vec<_> = rest.by_ref().take(PAGE).collect();
    let next = rest.next().and_then(|_| rows.last());
    let next = next.map(|last| last.prefix.as_str().to_owned());
    (rows, next)
}

/// Everything but what is counted.
fn key_store(store: &ExternalKeyStore, credentials: &Kept, now: SystemTime) -> KeyStoreStatus {
    let mut keys: Vec<_> = store
        .keys
        .globs()
        .map(|glob| glob.as_str().to_owned())
        .collect();
    keys.sort();
    let key_patterns = keys.len();
    keys.truncate(SHOWN);
    let blocked =
        store.blocks.any() && store.blocks.find(&store.prefix, None, now.into()).is_some();
    KeyStoreStatus {
        uri_path_prefix: store.prefix.as_str().to_owned(),
        key_manager: store.key_manager.name().to_owned(),
        keys,
        key_patterns,
        policy: store.policy.as_ref().map(ToString::to_string),
        quota: store.quota.as_ref().map(|quota| in_short(&quota.config())),
        blocked,
        credentials: credentials.of(store, now),
        traffic: None,
        operations: Vec::new(),
        denials: store.measures.denials().len(),
    }
}

fn in_short(quota: &QuotaConfig) -> String {
    let rate = quota.rate.map(|rate| {
        format!(
            "{} requests a second, {} at once",
            rate.per_second, rate.burst
        )
    });
    let concurrency = quota
        .concurrency
        .map(|most| format!("{most} requests at a time"));
    let parts: Vec<_> = rate.into_iter().chain(concurrency).collect();
    parts.join("; ")
}

fn key_manager_states(key_managers: &KeyManagers) -> Vec<KeyManagerStatus> {
    let now = Instant::now();
    let status = |open: OpenOne<'_>| {
        let monitored = open.monitored();
        let state = monitored.known(now);
        let description = monitored.key_manager().description();
        let instances = description.instances.into_iter().take(SHOWN);
        KeyManagerStatus {
            name: open.name().to_owned(),
            kind: open.kind().to_owned(),
            state: word(state).to_owned(),
            vendor: description.vendor,
            instances: instances
                .map(|instance| InstanceStatus {
                    state: word(state.map(|state| instance.health.status(state))).to_owned(),
                    id: instance.id,
                    model: instance.model,
                })
                .collect(),
            circuit: monitored.key_manager().load().map(|load| CircuitStatus {
                open: load.circuit_open,
                running: load.running,
                waiting: load.waiting,
            }),
            keys: open
                .embedded()
                .map(|embedded| embedded.administration().key_count()),
        }
    };
    key_managers.iter().map(status).collect()
}

const fn word(state: Option<HealthStatus>) -> &'static str {
    match state {
        Some(HealthStatus::Active) => "ACTIVE",
        Some(HealthStatus::Degraded) => "DEGRADED",
        Some(HealthStatus::Unavailable) => "UNAVAILABLE",
        None => "UNKNOWN",
    }
}

/// All of them, or those that concern the external key stores that are wanted.
fn blocks_of(
    all: Vec<BlockInfo>,
    stores: Option<&[&ExternalKeyStore]>,
    now: SystemTime,
) -> Listed<BlockInfo> {
    let concerns = |store: &&ExternalKeyStore, target: &BlockTarget| match target {
        BlockTarget::All => true,
        BlockTarget::Prefix(prefix) => *prefix == store.prefix,
        BlockTarget::Key(id) => {
            store.keys.contains(id)
                && store
                    .blocks
                    .find(&store.prefix, Some(id), now.into())
                    .is_some()
        }
    };
    let total = all.len();
    let is_wanted = |block: &BlockInfo| match (stores, BlockTarget::try_from(&*block.target)) {
        (None, _) | (_, Err(_)) => true,
        (Some(stores), Ok(target)) => stores.iter().any(|store| concerns(store, &target)),
    };
    let mut wanted = all.into_iter().filter(is_wanted);
    let rows: Vec<_> = wanted.by_ref().take(PAGE).collect();
    let next = wanted.next().and_then(|_| rows.last());
    Listed {
        total,
        next: next.map(|last| last.target.clone()),
        rows,
    }
}

/// RFC 3339, to the second.
pub(super) fn text(time: SystemTime) -> String {
    let seconds = OffsetDateTime::from(time).unix_timestamp();
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| String::new(), timestamp)
}

/// Of a short list of parts.
const SHOWN: usize = 10;
