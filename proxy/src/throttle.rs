//! Quotas of external key stores: requests per second, and requests at a time. There is none unless it is configured.
//!
//! The rate is held by the generic cell rate algorithm in one atomic number: the moment up to which requests have been
//! paid for. It is measured by the clock that every request has read already, so that a quota costs two atomic operations.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use crate::error::XksError;

/// What a key store may have of the proxy; at least one of both is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaConfig {
    /// How many requests come through in the long run.
    pub rate: Option<Rate>,
    /// How many are served at a time.
    pub concurrency: Option<NonZeroU32>,
}

/// Requests per second, and how many may come at once after a pause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// The quota of one key store, and what of it is used up.
#[derive(Debug)]
pub struct Quota {
    config: QuotaConfig,
    started: Instant,
    /// In nanoseconds after `started`.
    paid_until: AtomicU64,
    in_flight: AtomicU32,
}

impl Quota {
    /// A quota of which nothing is used.
    pub fn new(config: QuotaConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            started: Instant::now(),
            paid_until: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
        })
    }

    /// What it is.
    pub fn config(&self) -> QuotaConfig {
        self.config
    }

    /// Takes in a request that came at `now`; it is served as long as the permit lasts.
    ///
    /// # Errors
    /// ThrottlingException, with the quota that is used up as its cause; then nothing of it is used.
    //= xks §API operations R7
    pub(crate) fn admit(&self, now: Instant) -> Result<Permit<'_>, XksError> {
        // First, so that what is turned away for it is not paid for.
        let permit = self.enter()?;
        if let Some(rate) = &self.config.rate {
            self.pay(rate, now)?;
        }
        Ok(permit)
    }

    fn enter(&self) -> Result<Permit<'_>, XksError> {
        let Some(concurrency) = self.config.concurrency else {
            return Ok(Permit(None));
        };
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < concurrency.get() {
            return Ok(Permit(Some(self)));
        }
        drop(Permit(Some(self)));
        Err(XksError::QUOTA.because("quota.concurrency is in use"))
    }

    fn pay(&self, rate: &Rate, now: Instant) -> Result<(), XksError> {
        let now = now.saturating_duration_since(self.started).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let price = 1_000_000_000 / u64::from(rate.per_second.get());
        let ahead = price.saturating_mul(u64::from(rate.burst.get()));
        let paid = |until: u64| {
            let until = until.max(now).saturating_add(price);
            (until <= now.saturating_add(ahead)).then_some(until)
        };
        let (taken, read) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.paid_until.fetch_update(taken, read, paid) {
            Ok(_) => Ok(()),
            Err(_) => Err(XksError::QUOTA.because("quota.requests_per_second is used up")),
        }
    }
}

/// A request that is served, for the quota of those at a time.
pub(crate) struct Permit<'a>(Option<&'a Quota>);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(quota) = self.0 {
            quota.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn rate(per_second: u32, burst: u32) -> Arc<Quota> {
        Quota::new(QuotaConfig {
            rate: Some(Rate {
                per_second: number(per_second),
                burst: number(burst),
            }),
            concurrency: None,
        })
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_its_share() {
        let quota = rate(100, 10);
        let start = quota.started;
        let admitted = |from: u64, millis: u64| {
            let moments = (from..from + millis).map(|ms| start + Duration::from_millis(ms));
            // Ten times the quota.
            moments.filter(|now| quota.admit(*now).is_ok()).count()
        };
        assert_eq!((0..20).filter(|_| quota.admit(start).is_ok()).count(), 10);
        assert!(admitted(0, 1_000).abs_diff(100) <= 1);
        assert!(admitted(1_000, 10_000).abs_diff(1_000) <= 1);
        // What was refused was not paid for; a pause gives no more than the burst back.
        let later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| quota.admit(later).is_ok()).count(), 10);
        let refused = quota.admit(later).map(drop).unwrap_err();
        assert_eq!(refused.name.status(), 429);
    }

    #[test]
    fn threads_share_a_rate_and_get_no_more_than_it() {
        let quota = rate(1_000, 50);
        let now = quota.started;
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let quota = &quota;
                    scope.spawn(move || (0..1_000).filter(|_| quota.admit(now).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(admitted, 50);
    }

    #[test]
    fn requests_at_a_time_come_and_go() {
        let quota = Quota::new(QuotaConfig {
            rate: Some(Rate {
                per_second: number(1),
                burst: number(3),
            }),
            concurrency: Some(number(2)),
        });
        let now = quota.started;
        let first = quota.admit(now).unwrap();
        let second = quota.admit(now).unwrap();
        for _ in 0..10 {
            assert!(quota.admit(now).is_err());
        }
        drop(first);
        // What was turned away for its number has paid nothing.
        let third = quota.admit(now).unwrap();
        drop((second, third));
        // What cannot pay takes no place.
        for _ in 0..10 {
            assert!(quota.admit(now).is_err());
        }
        assert_eq!(quota.in_flight.load(Ordering::Relaxed), 0);
    }
}
