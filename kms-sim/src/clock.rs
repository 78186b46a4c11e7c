//! The simulator's time: the only place that reads the system's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The system's time and an offset by which it was advanced; clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_millis: Arc<AtomicU64>,
}

impl Clock {
    /// The simulator's time.
    pub fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.offset_millis.load(Ordering::Relaxed))
    }

    /// Moves the time forward: deletions and rotations that fall due happen at the next call.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let _ = self
            .offset_millis
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |offset| {
                Some(offset.saturating_add(millis).min(MAX_OFFSET_MILLIS))
            });
    }
}

/// A thousand years: every later date still fits the types of the system.
const MAX_OFFSET_MILLIS: u64 = 1_000 * 366 * 24 * 3_600 * 1_000;
