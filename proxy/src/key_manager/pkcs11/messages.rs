//! How many messages each key of a token has encrypted, as far as this process did it: AES-GCM with random 96-bit
//! initialization vectors is good for 2³² of them (NIST SP 800-38D, 8.3).
//!
//! A token counts nothing, and neither does a proxy before it was started; other proxies count for themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::key_map::Locator;

/// The counts of a token's keys.
pub(super) struct Messages {
    limit: u64,
    counts: Mutex<HashMap<Locator, Arc<Count>>>,
}

/// The messages of one key.
#[derive(Debug)]
pub(super) struct Count {
    locator: Locator,
    limit: u64,
    so_far: AtomicU64,
}

impl Messages {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            counts: Mutex::default(),
        }
    }

    /// The count of a key, which goes on with it.
    pub(super) fn of(&self, locator: &Locator) -> Arc<Count> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get(locator) {
            return Arc::clone(count);
        }
        let count = Arc::new(Count {
            locator: locator.clone(),
            limit: self.limit,
            so_far: AtomicU64::new(0),
        });
        counts.insert(locator.clone(), Arc::clone(&count));
        count
    }
}

impl Count {
    /// Counts one more message, and tells the log when the half and when all of them are used up.
    pub(super) fn one_more(&self) {
        let so_far = self.so_far.fetch_add(1, Ordering::Relaxed) + 1;
        if so_far == self.limit {
            tracing::error!(
                key = %self.locator,
                messages = so_far,
                "this proxy has encrypted as many messages with the key of the token as random initialization vectors \
                 are good for: rotate it now (make the next version in the token; what is encrypted stays readable)"
            );
        } else if so_far == self.limit.div_ceil(2) {
            tracing::warn!(
                key = %self.locator,
                messages = so_far,
                limit = self.limit,
                "this proxy has encrypted half as many messages with the key of the token as it should: plan its \
                 rotation (make the next version in the token; what is encrypted stays readable)"
            );
        }
    }

    /// Whether it should encrypt no more.
    pub(super) fn is_used_up(&self) -> bool {
        self.so_far.load(Ordering::Relaxed) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_counted_wherever_it_is_found_and_apart_from_others() {
        let messages = Messages::new(3);
        let [a, b] = ["a", "b"].map(|label| Locator::Label(label.to_owned()));
        for _ in 0..3 {
            assert!(!messages.of(&a).is_used_up());
            messages.of(&a).one_more();
        }
        assert!(messages.of(&a).is_used_up());
        assert!(!messages.of(&b).is_used_up());
    }
}
