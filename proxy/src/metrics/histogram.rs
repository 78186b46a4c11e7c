//! Durations in fixed buckets: what Prometheus calls a histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Of each of [`BOUNDS`], those above the bound before; the last ones are above all bounds.
    counts: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|bound| bound.saturating_mul(1_000) < nanoseconds);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How many are in each bucket.
    pub(super) fn counts(&self) -> [u64; BUCKETS] {
        self.counts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// How many took at most so long, for each bound; and how many there are.
    pub(super) fn cumulative(&self) -> (Vec<(Duration, u64)>, u64) {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        let bounds = BOUNDS
            .iter()
            .map(|bound| Some(Duration::from_micros(*bound)));
        for (count, bound) in self.counts.iter().zip(bounds.chain([None])) {
            total += count.load(Ordering::Relaxed);
            buckets.extend(bound.map(|bound| (bound, total)));
        }
        (buckets, total)
    }

    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// Microseconds. A request of the embedded key manager takes some tens; KMS waits for 250,000.
pub(super) const BOUNDS: [u64; 16] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 150_000, 200_000,
    250_000, 1_000_000,
];
/// One for each bound, and one for what is above all of them.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_for_its_bound_and_all_above() {
        let histogram = Histogram::default();
        for micros in [1, 25, 26, 250_000, 250_001, 5_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let (buckets, count) = histogram.cumulative();
        let at = |micros| {
            let bound = Duration::from_micros(micros);
            buckets.iter().find(|(b, _)| *b == bound).unwrap().1
        };
        assert_eq!((at(25), at(50), at(250_000), at(1_000_000)), (2, 3, 4, 5));
        assert_eq!(count, 6, "the last is above all");
        assert_eq!(histogram.sum(), Duration::from_micros(5_500_053));
    }
}
