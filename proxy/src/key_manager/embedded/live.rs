//! What requests see of a store: keys, credentials, until when they may be used, and who else serves them.
//!
//! Whoever writes the store publishes here, and nobody else does: two writers would undo each other's changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::error::Unspecified;
use rustix::time::{ClockId, clock_gettime};

use super::credentials::{Credential, CredentialMap, Credentials};
use super::keyring::{Key, Keyring, Keys};
use super::store::{Change, Contents};
use crate::control::{Control, ControlRecords};
use crate::key_manager::InstanceHealth;

/// Keys and credentials in memory.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) control: Arc<Control>,
    pub(crate) freshness: Arc<Freshness>,
    /// The proxies of a shared store; none for a store of one's own.
    pub(crate) proxies: Arc<ArcSwap<Vec<Proxy>>>,
}

/// A proxy that serves a shared store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Proxy {
    pub(crate) id: String,
    pub(crate) version: String,
    /// Whether it said so lately: one that did not stays on the list for a while, as what it is.
    pub(crate) is_there: bool,
    pub(crate) health: InstanceHealth,
}

impl Live {
    /// # Errors
    /// No random bytes for the test key.
    pub(crate) fn new(contents: Contents, freshness: Freshness) -> Result<Self, Unspecified> {
        let keys = contents.keys.into_iter();
        let keys = keys.map(|(id, record)| (id, Arc::new(Key::new(&record))));
        let credentials = contents.credentials.into_iter();
        let credentials = credentials.map(|(id, record)| (id, Arc::new(Credential::from(record))));
        Ok(Self {
            keyring: Arc::new(Keyring::new(keys.collect())?),
            credentials: Arc::new(Credentials::new(credentials.collect())),
            control: Arc::new(Control::new(contents.control)),
            freshness: Arc::new(freshness),
            proxies: Arc::default(),
        })
    }

    /// Makes changes visible that the store has made.
    pub(crate) fn apply(&self, changes: &[Change<'_>]) {
        let mut keys: Option<Keys> = None;
        let mut credentials: Option<CredentialMap> = None;
        let mut control: Option<ControlRecords> = None;
        for change in changes {
            match change {
                Change::PutKey(id, record) => {
                    let keys = keys.get_or_insert_with(|| Keys::clone(&self.keyring.keys()));
                    keys.insert((*id).clone(), Arc::new(Key::new(record)));
                }
                Change::RemoveKey(id) => {
                    let keys = keys.get_or_insert_with(|| Keys::clone(&self.keyring.keys()));
                    keys.remove(*id);
                }
                Change::PutCredential(id, record) => {
                    let credential = Credential {
                        uri_path_prefix: record.uri_path_prefix.clone(),
                        secret: record.secret.clone(),
                        created: record.created,
                    };
                    credentials
                        .get_or_insert_with(|| CredentialMap::clone(&self.credentials.snapshot()))
                        .insert((*id).clone(), Arc::new(credential));
                }
                Change::RemoveCredential(id) => {
                    credentials
                        .get_or_insert_with(|| CredentialMap::clone(&self.credentials.snapshot()))
                        .remove(*id);
                }
                Change::PutControl(name, record) => {
                    control
                        .get_or_insert_with(|| ControlRecords::clone(&self.control.records()))
                        .insert((*name).to_owned(), record.to_vec());
                }
                Change::RemoveControl(name) => {
                    control
                        .get_or_insert_with(|| ControlRecords::clone(&self.control.records()))
                        .remove(*name);
                }
            }
        }
        if let Some(keys) = keys {
            self.keyring.replace(keys);
        }
        if let Some(credentials) = credentials {
            self.credentials.replace(credentials);
        }
        if let Some(control) = control {
            self.control.replace(control);
        }
    }
}

/// How long what is in memory may be used without word from the store that it came from.
///
/// Read for every request: one clock read and one atomic load.
pub(crate) struct Freshness {
    max_age: Option<Duration>,
    /// Milliseconds since the machine started.
    confirmed: AtomicU64,
}

impl Freshness {
    /// For a store that nobody else changes.
    pub(crate) fn without_limit() -> Self {
        Self {
            max_age: None,
            confirmed: AtomicU64::new(0),
        }
    }

    /// For a store that others change, confirmed at a moment.
    pub(crate) fn limited(max_age: Duration, at: Moment) -> Self {
        Self {
            max_age: Some(max_age),
            confirmed: AtomicU64::new(at.0),
        }
    }

    /// What is in memory was what the store holds, at this moment or later.
    pub(crate) fn confirm(&self, at: Moment) {
        self.confirmed.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Whether it may not be used any more.
    pub(crate) fn is_over(&self) -> bool {
        self.max_age.is_some_and(|max_age| self.age() > max_age)
    }

    /// Time since it was confirmed.
    pub(crate) fn age(&self) -> Duration {
        let confirmed = self.confirmed.load(Ordering::Relaxed);
        Duration::from_millis(Moment::now().0.saturating_sub(confirmed))
    }
}

/// A moment on a clock that goes on while the machine sleeps, so that a key which was disabled meanwhile is not used
/// when it wakes up.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let millis = now
            .tv_sec
            .saturating_mul(1_000)
            .saturating_add(now.tv_nsec / 1_000_000);
        Self(u64::try_from(millis).unwrap_or_default())
    }
}

/// The store has not been heard of for longer than `snapshot_max_age`.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database has not confirmed the keyring for {}s, longer than snapshot_max_age: keys may have been disabled \
     meanwhile, so none is used until it answers", .age.as_secs()
)]
pub(crate) struct SnapshotTooOld {
    pub(crate) age: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_of_the_clock_that_goes_on_while_the_machine_sleeps() {
        let millis = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
            std::time::Duration::from_secs_f64(seconds).as_millis()
        };
        // The file has hundredths of a second.
        let (before, now) = (millis(), u128::from(Moment::now().0));
        assert!((before..=millis() + 10).contains(&now), "{before} {now}");
    }

    #[test]
    fn the_age_of_a_snapshot_is_the_time_since_it_was_confirmed() {
        let confirmed = Moment(Moment::now().0.saturating_sub(5_000));
        let freshness = Freshness::limited(Duration::from_secs(60), confirmed);
        let age = freshness.age().as_secs();
        assert!((1..60).contains(&age), "{age}");
        assert!(!freshness.is_over());
    }

    #[test]
    fn a_snapshot_is_over_when_its_age_is_and_fresh_when_confirmed_again() {
        let now = Moment::now();
        let freshness = Freshness::limited(Duration::from_secs(60), now);
        assert!(!freshness.is_over());
        let old = Freshness::limited(Duration::from_secs(60), Moment(now.0 - 61_000));
        assert!(old.is_over());
        // Word that came late does not make it older.
        old.confirm(now);
        old.confirm(Moment(now.0 - 120_000));
        assert!(!old.is_over());
        assert!(!Freshness::without_limit().is_over());
    }
}
