//! How requests ended, by operation, and how long they and their stages took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xks_api::error::ErrorName;
use xks_api::route::OperationName;

use super::denials::{Denials, Denied};
use super::histogram::Histogram;
use super::hour::{Hour, Tally};

/// What is counted of one external key store.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    operations: [OperationMetrics; 4],
    denials: Denials,
}

#[derive(Debug, Default)]
pub(super) struct OperationMetrics {
    pub(super) endings: Endings,
    pub(super) duration: Histogram,
    /// Requests do not touch it.
    hour: Mutex<Hour>,
}

impl OperationMetrics {
    pub(super) fn tally(&self) -> Tally {
        Tally {
            endings: self.endings.counts(),
            durations: self.duration.counts(),
        }
    }

    fn look(&self, now: Duration) -> Observed {
        let all = self.tally();
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        hour.look(now, all.clone());
        let minutes = hour.minutes(now);
        Observed { all, minutes }
    }
}

/// What is known of one operation of a key store.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Since the process began.
    pub(crate) all: Tally,
    /// How many minutes ago, and what was then; of the last hour.
    pub(crate) minutes: Vec<(u64, Tally)>,
}

impl StoreMetrics {
    pub(super) const fn of(&self, operation: OperationName) -> &OperationMetrics {
        let [health, metadata, encrypt, decrypt] = &self.operations;
        match operation {
            OperationName::GetHealthStatus => health,
            OperationName::GetKeyMetadata => metadata,
            OperationName::Encrypt => encrypt,
            OperationName::Decrypt => decrypt,
        }
    }
}

impl StoreMetrics {
    /// Looks at the counts of each operation, so long after the process began.
    pub(crate) fn look(&self, now: Duration) -> [(OperationName, Observed); 4] {
        OperationName::ALL.map(|operation| (operation, self.of(operation).look(now)))
    }

    /// A policy denied a request.
    pub(crate) fn denied(&self, denied: Denied) {
        self.denials.add(denied);
    }

    /// The last denials, the newest first.
    pub(crate) fn denials(&self) -> Vec<Denied> {
        self.denials.newest_first()
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Ok,
    Error(ErrorName),
    /// 405, which has no error name.
    MethodNotAllowed,
    /// Its client went away before it was answered.
    Abandoned,
}

impl Ending {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let errors = ErrorName::ALL.into_iter().map(Self::Error);
        let others = [Self::Ok, Self::MethodNotAllowed, Self::Abandoned];
        others.into_iter().chain(errors)
    }

    fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::MethodNotAllowed => 1,
            Self::Abandoned => 2,
            Self::Error(name) => {
                let at = ErrorName::ALL.iter().position(|other| *other == name);
                3 + at.unwrap_or_default()
            }
        }
    }

    /// `outcome` and `error_name`, which is empty without one.
    pub(crate) const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("ok", ""),
            Self::MethodNotAllowed => ("method_not_allowed", ""),
            Self::Abandoned => ("abandoned", ""),
            Self::Error(name) if name.status() >= 500 => ("failed", name.as_str()),
            Self::Error(name) => ("refused", name.as_str()),
        }
    }
}

/// How often requests ended in each way.
#[derive(Debug, Default)]
pub(crate) struct Endings([AtomicU64; WAYS]);

/// How many ways to end there are.
pub(super) const WAYS: usize = 3 + ErrorName::ALL.len();

impl Endings {
    pub(super) fn count(&self, ending: Ending) {
        if let Some(count) = self.0.get(ending.index()) {
            super::add_one(count);
        }
    }

    /// In the order of [`Ending::all`].
    pub(super) fn counts(&self) -> [u64; WAYS] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn get(&self, ending: Ending) -> u64 {
        let count = self.0.get(ending.index());
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// How long the stages of requests took, of all key stores together.
#[derive(Debug, Default)]
pub(crate) struct Stages([[Histogram; 3]; 4]);

/// A part of a request's time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// SigV4.
    Authenticate,
    /// From the look-up of the key to its answer.
    KeyManager,
    /// What is left: reading the body, JSON, checks, the answer.
    Rest,
}

impl Stage {
    pub(super) const ALL: [Self; 3] = [Self::Authenticate, Self::KeyManager, Self::Rest];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::KeyManager => "key_manager",
            Self::Rest => "rest",
        }
    }
}

impl Stages {
    pub(super) const fn of(&self, operation: OperationName, stage: Stage) -> &Histogram {
        let Self([health, metadata, encrypt, decrypt]) = self;
        let [authenticate, key_manager, rest] = match operation {
            OperationName::GetHealthStatus => health,
            OperationName::GetKeyMetadata => metadata,
            OperationName::Encrypt => encrypt,
            OperationName::Decrypt => decrypt,
        };
        match stage {
            Stage::Authenticate => authenticate,
            Stage::KeyManager => key_manager,
            Stage::Rest => rest,
        }
    }
}

/// A moment in the life of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    BodyRead,
    Authenticated,
    KeyManagerAsked,
    KeyManagerAnswered,
}

/// The moments of one request, from its beginning.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    body_read: Option<Duration>,
    authenticated: Option<Duration>,
    asked: Option<Duration>,
    answered: Option<Duration>,
    of: Option<(Arc<StoreMetrics>, OperationName)>,
}

impl Marks {
    pub(crate) const fn set(&mut self, mark: Mark, after: Duration) {
        let place = match mark {
            Mark::BodyRead => &mut self.body_read,
            Mark::Authenticated => &mut self.authenticated,
            Mark::KeyManagerAsked => &mut self.asked,
            Mark::KeyManagerAnswered => &mut self.answered,
        };
        *place = Some(after);
    }

    pub(crate) fn belong(&mut self, store: &Arc<StoreMetrics>, operation: OperationName) {
        self.of = Some((Arc::clone(store), operation));
    }

    /// From when to when authenticating and the key manager took; a stage that the request ended in took until its end.
    pub(crate) fn stages(&self, took: Duration) -> [Option<(Duration, Duration)>; 2] {
        [
            (self.body_read, self.authenticated),
            (self.asked, self.answered),
        ]
        .map(|(from, to)| from.map(|from| (from, to.unwrap_or(took))))
    }

    /// Counts the request.
    pub(crate) fn count(&self, metrics: &super::Metrics, ending: Ending, took: Duration) {
        let Some((store, operation)) = &self.of else {
            metrics.unrouted.count(ending);
            return;
        };
        let of_store = store.of(*operation);
        of_store.endings.count(ending);
        of_store.duration.record(took);
        let mut rest = took;
        let stages = [Stage::Authenticate, Stage::KeyManager];
        for (stage, measured) in stages.into_iter().zip(self.stages(took)) {
            if let Some((from, to)) = measured {
                let time = to.saturating_sub(from);
                metrics.stages.of(*operation, stage).record(time);
                rest = rest.saturating_sub(time);
            }
        }
        metrics.stages.of(*operation, Stage::Rest).record(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn each_way_to_end_has_a_place_of_its_own() {
        let endings = Endings::default();
        for ending in Ending::all() {
            endings.count(ending);
        }
        assert!(Ending::all().all(|ending| endings.get(ending) == 1));
        assert_eq!(Ending::all().count(), endings.0.len());
    }

    #[test]
    fn stages_add_up_to_the_whole() {
        let metrics = Metrics::default();
        let store = Arc::default();
        let micros = Duration::from_micros;
        let mut marks = Marks::default();
        marks.belong(&store, OperationName::Encrypt);
        marks.set(Mark::BodyRead, micros(5));
        marks.set(Mark::Authenticated, micros(9));
        marks.set(Mark::KeyManagerAsked, micros(11));
        marks.set(Mark::KeyManagerAnswered, micros(18));
        marks.count(&metrics, Ending::Ok, micros(20));
        let sums = Stage::ALL.map(|stage| metrics.stages.of(OperationName::Encrypt, stage).sum());
        assert_eq!(sums, [micros(4), micros(7), micros(9)]);

        // What ends while the key manager is asked, ends there.
        let mut marks = Marks::default();
        marks.belong(&store, OperationName::Decrypt);
        marks.set(Mark::KeyManagerAsked, micros(10));
        let error = Ending::Error(ErrorName::DependencyTimeout);
        marks.count(&metrics, error, micros(200));
        let sums = Stage::ALL.map(|stage| metrics.stages.of(OperationName::Decrypt, stage).sum());
        assert_eq!(sums, [micros(0), micros(190), micros(10)]);
        assert_eq!(store.of(OperationName::Decrypt).endings.get(error), 1);
    }
}
