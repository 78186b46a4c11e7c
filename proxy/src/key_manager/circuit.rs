//! What keeps one slow or broken key manager from slowing others down: a bulkhead and a circuit breaker for each.
//!
//! The bulkhead bounds how many calls run and how many wait. The breaker ([`Breaker`], pure: the time is an argument)
//! stops asking a key manager that mostly fails, and asks again with one call at a time:
//!
//! ```text
//!            enough results, half of them failures
//!   Closed ────────────────────────────────────────→ Open
//!     ↑                                              │ ↑
//!     │ enough probes in a row answered              │ │ a probe failed: twice the pause
//!     └──────────────────── HalfOpen ←───────────────┘ │
//!                              └───────────────────────┘
//! ```
//!
//! A result counts only in the phase in which its call was admitted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::KeyManagerError;

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

/// When the breaker opens, and how it closes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BreakerConfig {
    /// Older results do not count.
    pub window: Duration,
    /// It opens once half of this many results are failures, and of any greater number.
    pub min_results: usize,
    /// How long it stays open at first.
    pub pause: Duration,
    /// Failed probes double the pause, up to this.
    pub max_pause: Duration,
    /// Probes that must be answered in a row before it closes.
    pub probes: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_results: 10,
            pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(5),
            probes: 2,
        }
    }
}

/// Bulkhead and breaker of one key manager.
pub struct Circuit {
    name: Box<str>,
    running: Semaphore,
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

    /// Whether calls are admitted without being probes.
    pub fn is_closed(&self) -> bool {
        matches!(self.breaker().phase, Phase::Closed { .. })
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

/// How a call ended, as far as it tells how the key manager is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The key manager answered, be it with a refusal of this one request.
    Answered,
    /// It did not do its work.
    Failed(Failure),
}

/// What a key manager fails with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// No answer in time.
    TimedOut,
    /// Unreachable, or out of order.
    Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no answer in time",
            Self::Broken => "a failure",
        })
    }
}

/// The breaker is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the key manager failed too often (at last: {last}); it is tried again in {} ms", retry_in.as_millis())]
pub struct Refused {
    /// Why it opened, or stayed open.
    pub last: Failure,
    /// How long it stays open; zero while a probe is under way.
    pub retry_in: Duration,
}

impl From<Refused> for KeyManagerError {
    fn from(refused: Refused) -> Self {
        match refused.last {
            Failure::TimedOut => Self::TimedOut,
            Failure::Broken => Self::Unavailable(Box::new(refused)),
        }
    }
}

/// The state machine; its clock is its caller.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    phase: Phase,
    /// Raised with every change of phase.
    epoch: u64,
}

#[derive(Debug)]
enum Phase {
    Closed {
        /// The oldest first; `true` for a failure.
        results: VecDeque<(Instant, bool)>,
    },
    Open {
        until: Instant,
        pause: Duration,
        last: Failure,
    },
    HalfOpen {
        probing: bool,
        answered: u32,
        pause: Duration,
        last: Failure,
    },
}

/// A call that was admitted.
#[derive(Debug)]
pub struct Ticket {
    epoch: u64,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It opened, or a probe failed.
    Opened {
        /// For how long.
        pause: Duration,
        /// Why.
        last: Failure,
    },
    /// It closed.
    Closed,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            phase: closed(),
            epoch: 0,
        }
    }

    /// Whether a call would be admitted now.
    ///
    /// # Errors
    /// [`Refused`] while it is open, or half open with a probe under way.
    pub fn check(&self, now: Instant) -> Result<(), Refused> {
        match self.phase {
            Phase::Closed { .. } => Ok(()),
            Phase::Open { until, last, .. } => match until.checked_duration_since(now) {
                None | Some(Duration::ZERO) => Ok(()),
                Some(retry_in) => Err(Refused { last, retry_in }),
            },
            Phase::HalfOpen { probing, last, .. } => match probing {
                false => Ok(()),
                true => Err(Refused {
                    last,
                    retry_in: Duration::ZERO,
                }),
            },
        }
    }

    /// Admits a call; once the pause is over, as a probe.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Refused> {
        self.check(now)?;
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::HalfOpen { probing, .. } => *probing = true,
            Phase::Open { pause, last, .. } => {
                let (pause, last) = (*pause, *last);
                self.enter(Phase::HalfOpen {
                    probing: true,
                    answered: 0,
                    pause,
                    last,
                });
            }
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// Takes the result of a call.
    pub fn record(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) -> Option<Change> {
        if ticket.epoch != self.epoch {
            return None;
        }
        match (&mut self.phase, outcome) {
            (Phase::Closed { results }, _) => {
                let failed = matches!(outcome, Outcome::Failed(_));
                results.push_back((now, failed));
                let window = self.config.window;
                let old = |at: Instant| now.saturating_duration_since(at) > window;
                while results.len() > MAX_RESULTS || results.front().is_some_and(|(at, _)| old(*at))
                {
                    results.pop_front();
                }
                let failures = results.iter().filter(|(_, failed)| *failed).count();
                let Outcome::Failed(last) = outcome else {
                    return None;
                };
                if results.len() < self.config.min_results || failures * 2 < results.len() {
                    return None;
                }
                Some(self.open(self.config.pause, last, now))
            }
            (Phase::HalfOpen { pause, .. }, Outcome::Failed(last)) => {
                let pause = pause.saturating_mul(2).min(self.config.max_pause);
                Some(self.open(pause, last, now))
            }
            (
                Phase::HalfOpen {
                    probing, answered, ..
                },
                Outcome::Answered,
            ) => {
                *probing = false;
                *answered += 1;
                if *answered < self.config.probes {
                    return None;
                }
                self.enter(closed());
                Some(Change::Closed)
            }
            // No call is admitted in this phase.
            (Phase::Open { .. }, _) => None,
        }
    }

    /// Takes back a call whose result nobody will know; another one may be the probe.
    pub fn give_up(&mut self, ticket: Ticket) {
        if ticket.epoch == self.epoch
            && let Phase::HalfOpen { probing, .. } = &mut self.phase
        {
            *probing = false;
        }
    }

    fn open(&mut self, pause: Duration, last: Failure, now: Instant) -> Change {
        self.enter(Phase::Open {
            until: now + pause,
            pause,
            last,
        });
        Change::Opened { pause, last }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

const fn closed() -> Phase {
    Phase::Closed {
        results: VecDeque::new(),
    }
}

/// Results that are kept: the share of failures among these is what counts.
const MAX_RESULTS: usize = 64;

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
    use super::*;

    const TIMED_OUT: Outcome = Outcome::Failed(Failure::TimedOut);
    const BROKEN: Outcome = Outcome::Failed(Failure::Broken);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn config() -> BreakerConfig {
        BreakerConfig {
            window: ms(10_000),
            min_results: 4,
            pause: ms(100),
            max_pause: ms(350),
            probes: 2,
        }
    }

    struct Model {
        breaker: Breaker,
        now: Instant,
    }

    impl Model {
        fn new() -> Self {
            Self {
                breaker: Breaker::new(config()),
                now: Instant::now(),
            }
        }

        fn after(&mut self, wait: u64) -> &mut Self {
            self.now += ms(wait);
            self
        }

        fn call(&mut self, outcome: Outcome) -> Result<Option<Change>, Refused> {
            let ticket = self.breaker.admit(self.now)?;
            Ok(self.breaker.record(ticket, outcome, self.now))
        }

        fn opened() -> Self {
            let mut model = Self::new();
            for _ in 0..3 {
                assert_eq!(model.call(BROKEN), Ok(None));
            }
            let opened = Change::Opened {
                pause: ms(100),
                last: Failure::TimedOut,
            };
            assert_eq!(model.call(TIMED_OUT), Ok(Some(opened)));
            model
        }
    }

    #[test]
    fn it_opens_at_half_failures_and_not_before_there_are_enough_results() {
        let mut model = Model::new();
        for outcome in [Outcome::Answered, Outcome::Answered, BROKEN] {
            assert_eq!(model.call(outcome), Ok(None));
        }
        let opened = Some(Change::Opened {
            pause: ms(100),
            last: Failure::Broken,
        });
        assert_eq!(model.call(BROKEN), Ok(opened));

        let mut model = Model::new();
        for outcome in [Outcome::Answered; 4].into_iter().chain([BROKEN; 3]) {
            assert_eq!(model.call(outcome), Ok(None));
        }
        assert_eq!(model.call(BROKEN), Ok(opened));
    }

    #[test]
    fn results_outside_the_window_do_not_count() {
        let mut model = Model::new();
        for _ in 0..3 {
            assert_eq!(model.call(BROKEN), Ok(None));
        }
        assert_eq!(model.after(10_001).call(BROKEN), Ok(None));
    }

    #[test]
    fn open_it_refuses_with_what_it_opened_for_until_the_pause_is_over() {
        let mut model = Model::opened();
        let refused = Refused {
            last: Failure::TimedOut,
            retry_in: ms(60),
        };
        assert_eq!(model.after(40).call(Outcome::Answered), Err(refused));
        assert!(matches!(refused.into(), KeyManagerError::TimedOut));
        let broken = Refused {
            last: Failure::Broken,
            ..refused
        };
        assert!(matches!(broken.into(), KeyManagerError::Unavailable(_)));
        assert_eq!(model.after(60).call(Outcome::Answered), Ok(None));
    }

    #[test]
    fn half_open_it_admits_one_probe_at_a_time_and_closes_after_enough_of_them() {
        let mut model = Model::opened();
        model.after(100);
        let probe = model.breaker.admit(model.now).unwrap();
        let refused = model.call(Outcome::Answered).unwrap_err();
        assert_eq!(refused.retry_in, Duration::ZERO);
        assert_eq!(
            model.breaker.record(probe, Outcome::Answered, model.now),
            None
        );
        assert_eq!(model.call(Outcome::Answered), Ok(Some(Change::Closed)));
        // Nothing is left of the failures of before.
        for _ in 0..3 {
            assert_eq!(model.call(BROKEN), Ok(None));
        }
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_its_bound() {
        let mut model = Model::opened();
        for pause in [100, 200, 350, 350] {
            let early = model.after(pause - 1).call(Outcome::Answered);
            assert_eq!(early.unwrap_err().retry_in, ms(1), "{pause}");
            let Ok(Some(Change::Opened { pause: next, .. })) = model.after(1).call(BROKEN) else {
                panic!("a failed probe opens");
            };
            assert_eq!(next, (ms(pause) * 2).min(ms(350)));
        }
    }

    #[test]
    fn a_probe_that_is_given_up_makes_room_for_another() {
        let mut model = Model::opened();
        model.after(100);
        let probe = model.breaker.admit(model.now).unwrap();
        model.breaker.give_up(probe);
        assert_eq!(model.call(Outcome::Answered), Ok(None));
    }

    #[test]
    fn results_of_an_earlier_phase_do_not_count() {
        let mut model = Model::new();
        let late = [(); 2].map(|()| model.breaker.admit(model.now).unwrap());
        let mut late = late.into_iter();
        for _ in 0..4 {
            model.call(BROKEN).unwrap();
        }
        model.after(100);
        let probe = model.breaker.admit(model.now).unwrap();
        let old = late.next().unwrap();
        assert_eq!(model.breaker.record(old, BROKEN, model.now), None);
        let old = late.next().unwrap();
        model.breaker.give_up(old);
        assert!(model.breaker.check(model.now).is_err(), "still probing");
        assert_eq!(
            model.breaker.record(probe, Outcome::Answered, model.now),
            None
        );
        assert_eq!(model.call(Outcome::Answered), Ok(Some(Change::Closed)));
    }

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
