//! The simulator's time: the only place that reads the system's clock.
//!
//! It governs what is KMS's own: deletion windows, rotation, dates, stale reads. Signatures to a proxy and time limits
//! keep the system's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::journal::{Changed, Journal};
use crate::state_image::instant;

/// The system's time, moved forward or standing still as people want it; clones are the same clock.
#[derive(Clone, Default)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    hands: Hands,
    changed: Changed<()>,
}

/// What differs from the system's clock.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Hands {
    /// So much later than the system's time.
    Ahead(Duration),
    /// So much earlier, after the clock stood still.
    Behind(Duration),
    /// Standing still.
    Frozen(#[serde(with = "instant")] SystemTime),
}

impl Default for Hands {
    fn default() -> Self {
        Self::Ahead(Duration::ZERO)
    }
}

impl Hands {
    fn now(self) -> SystemTime {
        match self {
            Self::Ahead(by) => SystemTime::now() + by,
            Self::Behind(by) => SystemTime::now() - by,
            Self::Frozen(at) => at,
        }
    }

    /// A clock that runs and shows `time` now.
    fn showing(time: SystemTime) -> Self {
        let real = SystemTime::now();
        match time.duration_since(real) {
            Ok(by) => Self::Ahead(by),
            Err(earlier) => Self::Behind(earlier.duration()),
        }
    }
}

impl Clock {
    /// The simulator's time.
    pub fn now(&self) -> SystemTime {
        self.lock().hands.now()
    }

    /// Moves the time forward: deletions and rotations that fall due happen at the next call.
    pub fn advance(&self, by: Duration) {
        self.lock().set(|hands| {
            let target = (hands.now() + by.min(LATEST)).min(SystemTime::UNIX_EPOCH + LATEST);
            match hands {
                Hands::Frozen(at) => Hands::Frozen(target.max(at)),
                Hands::Ahead(_) | Hands::Behind(_) => Hands::showing(target),
            }
        });
    }

    /// Stands still from now on.
    pub fn freeze(&self) {
        self.lock().set(|hands| Hands::Frozen(hands.now()));
    }

    /// Goes on from where it stands.
    pub fn resume(&self) {
        self.lock().set(|hands| Hands::showing(hands.now()));
    }

    /// Shows the system's time again.
    pub fn reset(&self) {
        self.lock().set(|_| Hands::default());
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        matches!(self.lock().hands, Hands::Frozen(_))
    }

    /// Locks it, for the writer and for a restored state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// From now on changes are counted, and its present state counts as one.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
        self.changed.note(|| ());
    }

    /// What differs from the system's clock.
    pub(crate) const fn hands(&self) -> Hands {
        self.hands
    }

    /// Changes what differs from the system's clock.
    pub(crate) fn set(&mut self, change: impl FnOnce(Hands) -> Hands) {
        self.hands = change(self.hands);
        self.changed.note(|| ());
    }

    /// For the writer: whether it is to be saved now.
    pub(crate) fn take_changed(&mut self) -> bool {
        !self.changed.take().is_empty()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clock").field(&self.lock().hands).finish()
    }
}

/// The year 3000, after the epoch: every later date still fits the types of the system and of the API.
pub(crate) const LATEST: Duration = Duration::from_secs(32_503_680_000);

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_hours(7 * 24);

    fn apart(later: SystemTime, earlier: SystemTime) -> Duration {
        later.duration_since(earlier).unwrap()
    }

    #[test]
    fn a_frozen_clock_moves_only_when_it_is_advanced() {
        let clock = Clock::default();
        clock.freeze();
        let start = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.now(), start);
        clock.advance(WEEK);
        assert_eq!(apart(clock.now(), start), WEEK);
        clock.resume();
        assert!(!clock.is_frozen());
        let resumed = clock.now();
        assert!(apart(resumed, start) >= WEEK);
        std::thread::sleep(Duration::from_millis(5));
        assert!(apart(clock.now(), resumed) >= Duration::from_millis(5));
    }

    #[test]
    fn a_clock_that_stood_still_goes_on_from_there_and_a_reset_catches_up() {
        let clock = Clock::default();
        clock.freeze();
        let stood = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        clock.resume();
        assert!(SystemTime::now() > clock.now(), "it is behind");
        assert!(clock.now() >= stood);
        clock.reset();
        let real = SystemTime::now();
        assert!(apart(clock.now(), real) < Duration::from_secs(60));
    }

    #[test]
    fn time_ends_in_the_year_3000() {
        let clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        let end = SystemTime::UNIX_EPOCH + LATEST;
        assert!(apart(clock.now(), end - Duration::from_secs(1)) < Duration::from_secs(60));
    }
}
