//! `block` and `unblock`: written where each concerned key manager's records are, then waited for until every proxy that
//! lives has taken it up.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use xks_api::ids::ExternalKeyId;

use super::block::{Block, BlockInfo, BlockTarget};
use super::error::ControlError;
use super::scopes::{Scope, Scopes};
use super::store::{ControlChange, ControlStore, FleetMember};
use crate::key_manager::embedded::{AdminError, timestamp};
use crate::key_manager::{KeyManager, KeyManagerError};

/// A block that is asked for.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// What to block.
    pub target: BlockTarget,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub by: String,
    /// When it ends by itself.
    pub until: Option<OffsetDateTime>,
}

/// What came of it, for each part of the proxy that it concerns.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct BlockOutcome {
    /// The key managers for which it is done: durable, and in effect in this proxy.
    pub done: Vec<String>,
    /// The key managers for which it is not, and why.
    pub failed: Vec<(String, String)>,
    /// Other proxies that have confirmed.
    pub confirmed: Vec<String>,
    /// Other proxies that have not.
    pub unconfirmed: Vec<Unconfirmed>,
}

/// A proxy of the fleet that has not said that it has taken up a change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Unconfirmed {
    /// Names it.
    pub proxy: String,
    /// Whether its heartbeat lives.
    pub alive: bool,
    /// Its last heartbeat, in RFC 3339.
    pub last_seen: String,
    /// Until when it may go on as before, at the latest, in RFC 3339.
    pub may_serve_until: String,
}

/// Asks whether a key manager has a key.
pub(super) type HasKey<'a> =
    dyn Fn(&dyn KeyManager, &ExternalKeyId) -> Result<(), KeyManagerError> + 'a;

/// Blocks, and waits for the fleet for at most `patience`.
///
/// # Errors
/// [`ControlError`] for what cannot be meant. A store that refuses is told of in the outcome.
pub fn block(
    scopes: &Scopes,
    new: NewBlock,
    patience: Duration,
    has_key: &HasKey<'_>,
) -> Result<BlockOutcome, ControlError> {
    let now = OffsetDateTime::now_utc();
    if new.until.is_some_and(|until| until <= now) {
        return Err(ControlError::Over);
    }
    let concerned = concerned(scopes, &new.target, has_key)?;
    let block = Block {
        target: new.target,
        reason: new.reason,
        by: new.by,
        since: now,
        until: new.until,
    };
    Ok(carry_out(&concerned, patience, |records| {
        let mut changes = vec![ControlChange::Put(
            block.target.record_name(),
            block.record(),
        )];
        // What has ended by itself goes with the next change.
        changes.extend(records.iter().filter_map(|(name, record)| {
            let over = Block::of_record(name, record).is_some_and(|block| !block.holds(now));
            (over && *name != block.target.record_name())
                .then(|| ControlChange::Remove(name.clone()))
        }));
        Ok(changes)
    }))
}

/// Lifts a block wherever it is, and waits for the fleet for at most `patience`.
///
/// # Errors
/// [`ControlError::NotBlocked`].
pub fn unblock(
    scopes: &Scopes,
    target: &BlockTarget,
    patience: Duration,
) -> Result<BlockOutcome, ControlError> {
    let name = target.record_name();
    let has = |scope: &&Scope| {
        let store = scope.store.as_ref();
        store.is_some_and(|store| store.control().records().contains_key(&name))
    };
    let concerned: Vec<_> = scopes.scopes.iter().filter(has).collect();
    if concerned.is_empty() {
        return Err(ControlError::NotBlocked(target.clone()));
    }
    Ok(carry_out(&concerned, patience, |_| {
        Ok(vec![ControlChange::Remove(name.clone())])
    }))
}

/// The blocks in effect, each once.
pub fn blocks(scopes: &Scopes) -> Vec<BlockInfo> {
    let now = OffsetDateTime::now_utc();
    let stores = scopes.scopes.iter().filter_map(|s| s.store.as_ref());
    let mut infos: Vec<_> = stores
        .flat_map(|store| store.control().blocks().holding(now))
        .map(|block| block.info())
        .collect();
    infos.sort_by(|a, b| (&a.target, &a.since).cmp(&(&b.target, &b.since)));
    infos.dedup();
    infos
}

fn concerned<'s>(
    scopes: &'s Scopes,
    target: &BlockTarget,
    has_key: &HasKey<'_>,
) -> Result<Vec<&'s Scope>, ControlError> {
    match target {
        BlockTarget::All => Ok(scopes.scopes.iter().collect()),
        BlockTarget::Prefix(prefix) => {
            let Some(prefixes) = &scopes.prefixes else {
                return Ok(scopes.scopes.iter().collect());
            };
            let name = prefixes.get(prefix).ok_or_else(|| {
                let known: Vec<_> = prefixes
                    .keys()
                    .map(|p| BlockTarget::Prefix(p.clone()).to_string())
                    .collect();
                ControlError::NoSuchPrefix(prefix.clone(), known.join(", "))
            })?;
            let of_it = |scope: &&Scope| scope.key_managers.contains(name);
            Ok(scopes.scopes.iter().filter(of_it).collect())
        }
        // One that does not answer may have it.
        BlockTarget::Key(id) => {
            let lacks = |key_manager: &Arc<dyn KeyManager>| {
                matches!(
                    has_key(&**key_manager, id),
                    Err(KeyManagerError::UnknownKey)
                )
            };
            let may_have = |scope: &&Scope| scope.open.is_empty() || !scope.open.iter().all(lacks);
            let concerned: Vec<_> = scopes.scopes.iter().filter(may_have).collect();
            match concerned.is_empty() {
                true => Err(ControlError::NoSuchKey(id.clone())),
                false => Ok(concerned),
            }
        }
    }
}

fn carry_out(
    concerned: &[&Scope],
    patience: Duration,
    mut decide: impl FnMut(&super::ControlRecords) -> Result<Vec<ControlChange>, AdminError>,
) -> BlockOutcome {
    let mut outcome = BlockOutcome::default();
    let mut written = Vec::new();
    for scope in concerned {
        let result = match &scope.store {
            None => Err(ControlError::NoStateDir.into()),
            Some(store) => store
                .change(&mut decide)
                .map(|generation| (store, generation)),
        };
        match result {
            Ok(done) => {
                outcome.done.push(scope.name());
                written.push(done);
            }
            Err(error) => outcome.failed.push((scope.name(), error.to_string())),
        }
    }
    // Written everywhere before anything is waited for.
    let deadline = Instant::now() + patience;
    for (store, generation) in written {
        wait_for_fleet(&**store, generation, deadline, &mut outcome);
    }
    outcome
}

/// Waits until every proxy with a live heartbeat has taken up a commit.
fn wait_for_fleet(
    store: &dyn ControlStore,
    generation: u64,
    deadline: Instant,
    outcome: &mut BlockOutcome,
) {
    let mut committed = None;
    loop {
        let members = match store.fleet() {
            Ok(members) => members,
            Err(error) => {
                let text = format!("it is not known which proxies have taken it up: {error}");
                return outcome.failed.push((String::from("the fleet"), text));
            }
        };
        // The first look is after the commit.
        let Some(now) = members.first().map(|member| member.now) else {
            return;
        };
        let committed = *committed.get_or_insert(now);
        let waits = |member: &&FleetMember| member.generation < generation;
        let alive = members.iter().filter(|member| member.is_there);
        if alive.clone().any(|member| waits(&member)) && Instant::now() < deadline {
            sleep(LOOK_AGAIN);
            continue;
        }
        let confirmed = alive.filter(|member| !waits(member));
        outcome.confirmed.extend(confirmed.map(|m| m.id.clone()));
        for member in members.iter().filter(waits) {
            let until = may_serve_until(member, committed);
            if until > member.now {
                outcome.unconfirmed.push(Unconfirmed {
                    proxy: member.id.clone(),
                    alive: member.is_there,
                    last_seen: timestamp(member.last_seen),
                    may_serve_until: timestamp(until),
                });
            }
        }
        return;
    }
}

/// A proxy that lacks a commit had word of the database before it, at the latest; one whose heartbeats ended, before it
/// was missed.
fn may_serve_until(member: &FleetMember, committed: OffsetDateTime) -> OffsetDateTime {
    let last_word = match member.is_there {
        true => committed,
        false => committed.min(member.last_seen + member.gone_after),
    };
    let until = last_word + member.max_age;
    // To the next full second, since that is how it is told.
    (until + Duration::from_millis(999))
        .replace_nanosecond(0)
        .expect("0 is a nanosecond of every second")
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_may_serve_until_its_snapshot_is_too_old() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let member = |is_there, last_seen| FleetMember {
            id: "a".into(),
            generation: 1,
            is_there,
            last_seen: at(last_seen),
            now: at(1_010),
            gone_after: Duration::from_secs(30),
            max_age: Duration::from_secs(900),
        };
        // Alive, but without the commit of second 1,000.
        assert_eq!(may_serve_until(&member(true, 999), at(1_000)), at(1_900));
        // Silent since long before it.
        assert_eq!(may_serve_until(&member(false, 100), at(1_000)), at(1_030));
        // Silent since shortly before it.
        assert_eq!(may_serve_until(&member(false, 990), at(1_000)), at(1_900));
    }
}
