//! Latencies in constant memory: a histogram with fixed bounds, and percentiles as Prometheus estimates them.

use std::time::Duration;

/// How long requests took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    /// Of each of [`BOUNDS`], those above the bound before; the last ones are above all bounds.
    counts: [u64; BOUNDS.len() + 1],
    count: u64,
    sum: Duration,
    minimum: Option<Duration>,
    maximum: Duration,
}

impl Latency {
    /// Counts one more.
    pub(crate) fn record(&mut self, latency: Duration) {
        let milliseconds = milliseconds(latency);
        let at = BOUNDS.partition_point(|bound| *bound < milliseconds);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(latency);
        self.minimum = Some(self.minimum.map_or(latency, |least| least.min(latency)));
        self.maximum = self.maximum.max(latency);
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The sum, in milliseconds.
    pub(crate) fn sum(&self) -> f64 {
        milliseconds(self.sum)
    }

    /// The mean, in milliseconds.
    pub(crate) fn average(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => self.sum() / float(count),
        }
    }

    /// The shortest, in milliseconds.
    pub(crate) fn minimum(&self) -> f64 {
        milliseconds(self.minimum.unwrap_or_default())
    }

    /// The longest, in milliseconds.
    pub(crate) fn maximum(&self) -> f64 {
        milliseconds(self.maximum)
    }

    /// How many took at most so many milliseconds, for each bound.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        BOUNDS.into_iter().zip(self.counts).map(move |(bound, n)| {
            total += n;
            (bound, total)
        })
    }

    /// The latency in milliseconds that `share` of the requests did not exceed: linear between two bounds, and never
    /// outside of what was measured.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let rank = share * float(self.count);
        let (mut below, mut low) = (0, 0.0);
        for (bound, total) in self.cumulative() {
            if total > below && float(total) >= rank {
                let part = (rank - float(below)) / float(total - below);
                let estimate = part.mul_add(bound - low, low);
                return estimate.clamp(self.minimum(), self.maximum());
            }
            (below, low) = (total, bound);
        }
        self.maximum()
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Exact up to 2^53.
#[expect(
    clippy::as_conversions,
    reason = "there is no other conversion, and counts stay far below 2^53"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Milliseconds; 250 is KMS's own limit.
const BOUNDS: [f64; 22] = [
    0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 250.0,
    300.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        let all = milliseconds.into_iter().map(Duration::from_millis);
        all.for_each(|each| latency.record(each));
        latency
    }

    #[test]
    fn a_latency_counts_for_its_bound_and_all_above() {
        let latency = of([1, 2, 250, 251, 60_000]);
        let at = |wanted: f64| latency.cumulative().find(|(bound, _)| *bound == wanted);
        assert_eq!(at(1.0), Some((1.0, 1)));
        assert_eq!(at(2.0), Some((2.0, 2)));
        assert_eq!(at(250.0), Some((250.0, 3)));
        assert_eq!(at(300.0), Some((300.0, 4)));
        assert_eq!(at(10_000.0), Some((10_000.0, 4)), "the last is above all");
        assert_eq!(latency.count(), 5);
        assert_eq!((latency.minimum(), latency.maximum()), (1.0, 60_000.0));
        assert_eq!(latency.sum(), 60_504.0);
    }

    #[test]
    fn percentiles_lie_within_the_bounds_of_where_they_must_be() {
        let latency = of(1..=1_000);
        for (share, low, high) in [
            (0.5, 300.0, 500.0),
            (0.9, 500.0, 1_000.0),
            (0.05, 25.0, 50.0),
        ] {
            let estimate = latency.percentile(share);
            assert!((low..=high).contains(&estimate), "{share}: {estimate}");
        }
        let alike = of([40; 10]);
        assert_eq!(
            (alike.percentile(0.5), alike.percentile(0.99)),
            (40.0, 40.0)
        );
        assert_eq!(Latency::default().percentile(0.5), 0.0);
    }
}
