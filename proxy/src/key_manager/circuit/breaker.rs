//! The circuit breaker of a key manager: a state machine without a clock of its own, whose time is an argument.
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
use std::time::Duration;

use tokio::time::Instant;

use crate::key_manager::KeyManagerError;

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

    /// Whether calls are admitted without being probes.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
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

#[cfg(test)]
pub(super) mod tests;
