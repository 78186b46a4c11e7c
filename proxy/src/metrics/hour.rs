//! The last hour of what is counted anyway, in minutes.
//!
//! Requests have nothing to do with it: the counts of one moment are compared with those of the moment before, once a
//! minute and whenever somebody asks. A key store that is busy with two operations has some 30 KB of it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::sleep;

use super::histogram::{BOUNDS, BUCKETS};
use super::requests::{Ending, WAYS};
use crate::runtime::Runtime;

/// How many requests ended how, and how long they took: of a minute, or of all time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(super) endings: [u64; WAYS],
    pub(super) durations: [u64; BUCKETS],
}

impl Tally {
    fn since(&self, earlier: &Self) -> Self {
        let mut more = self.clone();
        for (now, then) in more.endings.iter_mut().zip(&earlier.endings) {
            *now = now.saturating_sub(*then);
        }
        for (now, then) in more.durations.iter_mut().zip(&earlier.durations) {
            *now = now.saturating_sub(*then);
        }
        more
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.endings.iter_mut().zip(&other.endings) {
            *sum += more;
        }
        for (sum, more) in self.durations.iter_mut().zip(&other.durations) {
            *sum += more;
        }
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.endings.iter().sum()
    }

    /// How many ended in each way that occurred.
    pub(crate) fn endings(&self) -> impl Iterator<Item = (Ending, u64)> {
        let counts = self.endings.iter().copied();
        Ending::all().zip(counts).filter(|(_, count)| *count > 0)
    }

    /// What of 1,000 requests so many took at most, as far as buckets tell: evenly spread within each. What is above all
    /// bounds takes as long as the highest one.
    pub(crate) fn percentile(&self, per_mille: u64) -> Option<Duration> {
        let total: u64 = self.durations.iter().sum();
        let rank = total.checked_mul(per_mille)?.div_ceil(1_000).max(1);
        let (mut below, mut lower) = (0, 0);
        for (count, bound) in self.durations.iter().zip(BOUNDS) {
            let upper = bound * 1_000;
            if *count > 0 && below + count >= rank {
                let part = (upper - lower).saturating_mul(rank - below) / count;
                return Some(Duration::from_nanos(lower + part));
            }
            below += count;
            lower = upper;
        }
        (total > 0).then(|| Duration::from_nanos(lower))
    }
}

/// The minutes of the last hour in which there was something.
#[derive(Debug, Default)]
pub(super) struct Hour {
    /// When the counts were looked at, and what they were.
    looked: Option<(Duration, Tally)>,
    minutes: VecDeque<(u64, Tally)>,
}

impl Hour {
    /// Takes note of the counts of a moment, so long after the process began.
    pub(super) fn look(&mut self, now: Duration, counts: Tally) {
        let (since, more) = match &self.looked {
            None => (now, counts.clone()),
            Some((since, before)) => (*since, counts.since(before)),
        };
        // Looked at once a minute: what came since belongs to the minute that began then.
        let minute = minute(since);
        if more.requests() > 0 {
            match self.minutes.back_mut() {
                Some((last, tally)) if *last == minute => tally.add(&more),
                _ => self.minutes.push_back((minute, more)),
            }
        }
        self.looked = Some((now, counts));
        let first = (self::minute(now) + 1).saturating_sub(MINUTES);
        while self.minutes.front().is_some_and(|(n, _)| *n < first) {
            self.minutes.pop_front();
        }
    }

    /// How many minutes ago, and what was then.
    pub(super) fn minutes(&self, now: Duration) -> Vec<(u64, Tally)> {
        let now = minute(now);
        let ago = |(number, tally): &(u64, Tally)| (now.saturating_sub(*number), tally.clone());
        self.minutes.iter().map(ago).collect()
    }
}

/// Looks at all counts once a minute. Ends when it is dropped.
pub(crate) async fn keep(runtime: &Runtime) {
    loop {
        let Some(metrics) = runtime.metrics() else {
            return;
        };
        let now = metrics.age();
        for store in runtime.snapshot().key_stores.iter() {
            store.measures.look(now);
        }
        let next = MINUTE * u32::try_from(minute(now) + 1).unwrap_or(u32::MAX);
        sleep(next.saturating_sub(metrics.age())).await;
    }
}

fn minute(time: Duration) -> u64 {
    time.as_secs() / MINUTE.as_secs()
}

const MINUTE: Duration = Duration::from_secs(60);
/// Those of an hour; the last one is not over yet.
pub(crate) const MINUTES: u64 = 60;

#[cfg(test)]
mod tests {
    use xks_api::error::ErrorName;

    use super::*;
    use crate::metrics::requests::OperationMetrics;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_counted_belongs_to_the_minute_that_it_came_in() {
        let metrics = OperationMetrics::default();
        let mut hour = Hour::default();
        let mut at = |now, more: u64| {
            for _ in 0..more {
                metrics.endings.count(Ending::Ok);
                metrics.duration.record(Duration::from_micros(60));
            }
            hour.look(seconds(now), metrics.tally());
            let minutes = hour.minutes(seconds(now)).into_iter();
            minutes
                .map(|(ago, t)| (ago, t.requests()))
                .collect::<Vec<_>>()
        };
        assert_eq!(at(0, 0), []);
        assert_eq!(at(20, 2), [(0, 2)]);
        // A moment late.
        assert_eq!(at(61, 3), [(1, 5)]);
        assert_eq!(at(90, 1), [(1, 5), (0, 1)]);
        assert_eq!(at(120, 0), [(2, 5), (1, 1)]);
        assert_eq!(at(3_600, 7), [(59, 1), (58, 7)], "59 minutes and this one");
        assert_eq!(at(3_661, 0), [(59, 7)]);
        assert_eq!(at(7_200, 0), []);
    }

    #[test]
    fn percentiles_are_within_the_bucket_that_has_them() {
        let metrics = OperationMetrics::default();
        assert_eq!(metrics.tally().percentile(500), None);
        // 100 of 50 to 100 µs, 10 of 2.5 to 5 ms, one above all bounds.
        for (micros, times) in [(70, 100), (3_000, 10), (2_000_000, 1)] {
            for _ in 0..times {
                metrics.duration.record(Duration::from_micros(micros));
            }
        }
        let tally = metrics.tally();
        let at = |per_mille| tally.percentile(per_mille).unwrap();
        assert_eq!(
            at(500),
            Duration::from_micros(78),
            "56 of 100 from 50 to 100"
        );
        assert_eq!(at(990), Duration::from_micros(5_000));
        assert_eq!(at(1_000), seconds(1));
        assert!(at(900) <= Duration::from_micros(100) && at(950) > Duration::from_micros(2_500));
    }

    #[test]
    fn endings_keep_their_names() {
        let metrics = OperationMetrics::default();
        let denied = Ending::Error(ErrorName::AccessDenied);
        metrics.endings.count(denied);
        metrics.endings.count(Ending::Ok);
        let endings: Vec<_> = metrics.tally().endings().collect();
        assert_eq!(endings, [(Ending::Ok, 1), (denied, 1)]);
    }
}
