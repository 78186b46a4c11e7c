//! The simulator's time: the only place that reads the system's clock.
//!
//! It governs what is KMS's own: deletion windows, rotation, dates, stale reads. Signatures to a proxy and time limits
//! keep the system's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The system's time, moved forward or standing still as people want it; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Mutex<Hands>>);

/// What differs from the system's clock.
#[derive(Clone, Copy, Debug)]
enum Hands {
    /// So much later than the system's time.
    Ahead(Duration),
    /// So much earlier, after the clock stood still.
    Behind(Duration),
    /// Standing still.
    Frozen(SystemTime),
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
        self.lock().now()
    }

    /// Moves the time forward: deletions and rotations that fall due happen at the next call.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.lock();
        let target = (hands.now() + by.min(LATEST)).min(SystemTime::UNIX_EPOCH + LATEST);
        *hands = match *hands {
            Hands::Frozen(at) => Hands::Frozen(target.max(at)),
            Hands::Ahead(_) | Hands::Behind(_) => Hands::showing(target),
        };
    }

    /// Stands still from now on.
    pub fn freeze(&self) {
        let mut hands = self.lock();
        *hands = Hands::Frozen(hands.now());
    }

    /// Goes on from where it stands.
    pub fn resume(&self) {
        let mut hands = self.lock();
        *hands = Hands::showing(hands.now());
    }

    /// Shows the system's time again.
    pub fn reset(&self) {
        *self.lock() = Hands::default();
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        matches!(*self.lock(), Hands::Frozen(_))
    }

    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
