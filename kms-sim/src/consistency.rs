//! How long reads may be stale: KMS is eventually consistent, the simulator only if it is told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::seeded_random::SeededRandom;

/// The settings; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consistency(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    lag: Duration,
    seed: u64,
    random: SeededRandom,
    /// Which settings these are.
    generation: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            lag: Duration::ZERO,
            seed: 0,
            random: SeededRandom::new(0),
            generation: 0,
        }
    }
}

impl Consistency {
    /// From now on a change is seen after up to `lag`; zero is at once, also for the changes of before.
    pub(crate) fn set(&self, lag: Duration, seed: u64) {
        let mut state = self.lock();
        *state = State {
            lag,
            seed,
            random: SeededRandom::new(seed),
            generation: state.generation + 1,
        };
    }

    /// Lag and seed.
    pub(crate) fn settings(&self) -> (Duration, u64) {
        let state = self.lock();
        (state.lag, state.seed)
    }

    /// After what time the next change is seen; `None` for at once.
    pub(crate) fn draw(&self) -> Option<Duration> {
        let mut state = self.lock();
        let lag = state.lag;
        (!lag.is_zero()).then(|| state.random.up_to(lag))
    }

    /// Another number for other settings, and their lag.
    pub(crate) fn generation(&self) -> (u64, Duration) {
        let state = self.lock();
        (state.generation, state.lag)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
