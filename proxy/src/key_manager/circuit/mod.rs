//! What keeps one slow or broken key manager from slowing others down: a bulkhead and a circuit breaker for each.
//!
//! The bulkhead bounds how many calls run and how many wait. The [`breaker`](Breaker) stops asking a key manager that
//! mostly fails, and asks again with one call at a time.

mod breaker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

pub use self::breaker::{Breaker, BreakerConfig, Change, Failure, Outcome, Refused, Ticket};
use super::{KeyManagerError, Load};

/// How many calls run and wait, and when the breaker opens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CircuitConfig {
    /// Calls at a time.
    pub max_concurrent: usize,
    /// Calls that wait for one of those to end.
    pub max_waiting: usize,
    /// The breaker.
    pub breaker: BreakerConfig,
}

impl Default for CircuitConfig {
    fn default() -> Self {
        Self {
            max_concurrent: 64,
            max_waiting: 256,
            breaker: BreakerConfig::default(),
        }
    }
}

/// Bulkhead and breaker of one key manager.
pub struct Circuit {
    name: Box<str>,
    running: Semaphore,
    max_concurrent: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
    breaker: Mutex<Breaker>,
}

impl Circuit {
    /// A closed one. `name` is for the log.
    pub fn new(name: &str, config: &CircuitConfig) -> Self {
        Self {
            name: name.into(),
            running: Semaphore::new(config.max_concurrent.min(Semaphore::MAX_PERMITS)),
            max_concurrent: config.max_concurrent.min(Semaphore::MAX_PERMITS),
            waiting: AtomicUsize::new(0),
            max_waiting: config.max_waiting,
            breaker: Mutex::new(Breaker::new(config.breaker.clone())),
        }
    }

    /// Asks to make one call; waits for room until the deadline.
    ///
    /// # Errors
    /// [`KeyManagerError::Overloaded`] with too many waiting; [`KeyManagerError::TimedOut`] without room in time. While
    /// the breaker is open, what it opened for: [`KeyManagerError::TimedOut`] or [`KeyManagerError::Unavailable`].
    pub async fn enter(&self, deadline: Instant) -> Result<Pass<'_>, KeyManagerError> {
        // Nobody queues up for a call that would be refused.
        self.breaker().check(Instant::now())?;
        let permit = match self.running.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.wait(deadline).await?,
        };
        let now = Instant::now();
        let ticket = self.breaker().admit(now)?;
        Ok(Pass {
            circuit: self,
            ticket: Some(ticket),
            began: now,
            _permit: permit,
        })
    }

    async fn wait(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, KeyManagerError> {
        let _place = Place::take(&self.waiting, self.max_waiting)?;
        match timeout_at(deadline, self.running.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(KeyManagerError::Overloaded), // never closed
            Err(_) => Err(KeyManagerError::TimedOut),
        }
    }

    /// How much there is to do.
    pub fn load(&self) -> Load {
        let free = self.running.available_permits();
        Load {
            waiting: self.waiting.load(Ordering::Relaxed),
            running: self.max_concurrent.saturating_sub(free),
            circuit_open: !self.is_closed(),
        }
    }

    /// Whether calls are admitted without being probes.
    pub fn is_closed(&self) -> bool {
        self.breaker().is_closed()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, ticket: Ticket, outcome: Outcome) {
        let change = self.breaker().record(ticket, outcome, Instant::now());
        match change {
            None => {}
            Some(Change::Opened { pause, last }) => tracing::warn!(
                key_manager = &*self.name,
                ?pause,
                %last,
                "the key manager fails; it is left alone for a while"
            ),
            Some(Change::Closed) => {
                tracing::info!(key_manager = &*self.name, "the key manager answers again");
            }
        }
    }
}

/// The right to make one call. Dropped without [`end`](Self::end), the call was given up: that counts as timed out if
/// it had lasted for [`GIVEN_UP_LATE`], and else not at all.
pub struct Pass<'c> {
    circuit: &'c Circuit,
    ticket: Option<Ticket>,
    began: Instant,
    _permit: SemaphorePermit<'c>,
}

impl Pass<'_> {
    /// Tells how the call ended.
    pub fn end(mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.record(ticket, outcome);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        if self.began.elapsed() >= GIVEN_UP_LATE {
            self.circuit
                .record(ticket, Outcome::Failed(Failure::TimedOut));
        } else {
            self.circuit.breaker().give_up(ticket);
        }
    }
}

/// A caller that goes away earlier says nothing about the key manager.
pub const GIVEN_UP_LATE: Duration = Duration::from_millis(100);

/// A place among those who wait.
struct Place<'c>(&'c AtomicUsize);

impl<'c> Place<'c> {
    fn take(waiting: &'c AtomicUsize, max: usize) -> Result<Self, KeyManagerError> {
        let one_more = |n: usize| (n < max).then_some(n + 1);
        match waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Self(waiting)),
            Err(_) => Err(KeyManagerError::Overloaded),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::breaker::tests::{config, ms};
    use super::*;

    #[tokio::test]
    async fn the_bulkhead_bounds_who_runs_and_who_waits() {
        let config = CircuitConfig {
            max_concurrent: 1,
            max_waiting: 1,
            breaker: config(),
        };
        let circuit = Circuit::new("x", &config);
        let deadline = Instant::now() + ms(50);
        let running = circuit.enter(deadline).await.ok().unwrap();
        let (waits, third) = tokio::join!(circuit.enter(deadline), async {
            tokio::task::yield_now().await;
            circuit.enter(deadline).await
        });
        assert!(matches!(third, Err(KeyManagerError::Overloaded)));
        assert!(matches!(waits, Err(KeyManagerError::TimedOut)));
        assert!(Instant::now() >= deadline);

        let deadline = Instant::now() + ms(50);
        let (next, ()) = tokio::join!(circuit.enter(deadline), async {
            tokio::task::yield_now().await;
            running.end(Outcome::Answered);
        });
        assert!(next.is_ok());
    }

    #[tokio::test]
    async fn calls_given_up_late_count_as_timed_out() {
        let config = CircuitConfig {
            breaker: config(),
            ..CircuitConfig::default()
        };
        let circuit = Circuit::new("x", &config);
        let pass = || async { circuit.enter(Instant::now()).await.ok().unwrap() };
        for _ in 0..8 {
            drop(pass().await);
        }
        assert!(circuit.is_closed());
        let passes = [pass().await, pass().await, pass().await, pass().await];
        tokio::time::sleep(GIVEN_UP_LATE).await;
        drop(passes);
        assert!(!circuit.is_closed());
        let refused = circuit.enter(Instant::now()).await;
        assert!(matches!(refused, Err(KeyManagerError::TimedOut)));
    }
}
