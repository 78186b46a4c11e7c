//! What is counted while the load runs: latencies, errors, and how both went over time.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::workload::Operation;

/// What some of the workers counted, or all of them.
pub(crate) struct Tally {
    /// From when a request was due to the end of its answer; answers with status 200 and the right content alone.
    pub(crate) latency: BTreeMap<Operation, Histogram<u64>>,
    /// From the first packet to the end of the TLS handshake.
    pub(crate) connect: Histogram<u64>,
    /// How many requests ended otherwise, and how.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The second of the measured time that is being counted.
    current: (usize, Second),
}

/// One second of the measured time: what was due in it.
#[derive(Clone)]
pub(crate) struct Second {
    pub(crate) latency: Histogram<u64>,
    pub(crate) errors: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            latency: BTreeMap::new(),
            connect: histogram(3),
            errors: BTreeMap::new(),
            current: (0, Second::new()),
        }
    }

    fn add(&mut self, other: &Self) {
        for (operation, latency) in &other.latency {
            let sum = self
                .latency
                .entry(*operation)
                .or_insert_with(|| histogram(3));
            sum.add(latency)
                .expect("histograms with one kind of bounds");
        }
        self.connect
            .add(&other.connect)
            .expect("histograms with one kind of bounds");
        for (what, count) in &other.errors {
            *self.errors.entry(what.clone()).or_default() += count;
        }
    }
}

impl Second {
    fn new() -> Self {
        Self {
            latency: histogram(2),
            errors: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("histograms with one kind of bounds");
        self.errors += other.errors;
    }
}

/// Where workers count, and what is shown while the load runs.
pub(crate) struct Counts {
    /// Warm-up included.
    pub(crate) answered: AtomicU64,
    /// Warm-up included.
    pub(crate) errors: AtomicU64,
    /// How late the schedule itself was kept, in nanoseconds; the worst so far.
    pub(crate) worst_schedule: AtomicU64,
    /// Requests of the schedule that were never sent.
    pub(crate) unsent: AtomicU64,
    /// A histogram is large, and there may be thousands of workers: some share one.
    shares: Vec<Mutex<Tally>>,
    seconds: Mutex<Vec<Second>>,
}

impl Counts {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            answered: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            worst_schedule: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            shares: (0..workers.clamp(1, MAX_SHARES))
                .map(|_| Mutex::new(Tally::new()))
                .collect(),
            seconds: Mutex::new(Vec::new()),
        }
    }

    /// An answer to a request that was due that long after the start of the measured time.
    pub(crate) fn answered(
        &self,
        worker: usize,
        operation: Operation,
        due: Duration,
        latency: Duration,
    ) {
        let nanos = nanos(latency);
        let mut tally = self.share(worker);
        tally
            .latency
            .entry(operation)
            .or_insert_with(|| histogram(3))
            .saturating_record(nanos);
        self.second(&mut tally, due)
            .latency
            .saturating_record(nanos);
    }

    /// A request that was due then, and has no answer that is any good.
    pub(crate) fn failed(&self, worker: usize, due: Duration, what: &str) {
        let mut tally = self.share(worker);
        match tally.errors.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(tally.errors.insert(what.to_owned(), 1)),
        }
        self.second(&mut tally, due).errors += 1;
    }

    /// A connection was made within the measured time.
    pub(crate) fn connected(&self, worker: usize, took: Duration) {
        self.share(worker).connect.saturating_record(nanos(took));
    }

    /// Everything, when no worker counts any more.
    pub(crate) fn total(&self) -> (Tally, Vec<Second>) {
        let mut total = Tally::new();
        for share in 0..self.shares.len() {
            let mut tally = self.share(share);
            self.flush(&mut tally, 0);
            total.add(&tally);
        }
        (total, std::mem::take(&mut *lock(&self.seconds)))
    }

    fn share(&self, worker: usize) -> MutexGuard<'_, Tally> {
        lock(&self.shares[worker % self.shares.len()])
    }

    /// Where a share counts what was due then.
    fn second<'t>(&self, tally: &'t mut Tally, due: Duration) -> &'t mut Second {
        let index = usize::try_from(due.as_secs())
            .unwrap_or(usize::MAX)
            .min(MAX_SECONDS);
        if tally.current.0 != index {
            self.flush(tally, index);
        }
        &mut tally.current.1
    }

    fn flush(&self, tally: &mut Tally, next: usize) {
        let (index, second) = std::mem::replace(&mut tally.current, (next, Second::new()));
        let mut seconds = lock(&self.seconds);
        if seconds.len() <= index {
            seconds.resize(index + 1, Second::new());
        }
        seconds[index].add(&second);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of nanoseconds, from one to a minute.
pub(crate) fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NANOS, digits).expect("bounds in order, and few digits")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .clamp(1, MAX_NANOS)
}

/// Longer times are one minute: no request takes so long.
const MAX_NANOS: u64 = 60_000_000_000;
/// Enough that workers seldom wait for each other.
const MAX_SHARES: usize = 64;
/// What is due later than a day after the start is of the last second.
const MAX_SECONDS: usize = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let counts = Counts::new(2);
        counts.answered(
            0,
            Operation::Encrypt,
            Duration::from_millis(100),
            Duration::from_millis(1),
        );
        counts.answered(
            1,
            Operation::Encrypt,
            Duration::from_millis(1_100),
            Duration::from_millis(3),
        );
        counts.failed(0, Duration::from_millis(1_200), "timeout");
        let (total, seconds) = counts.total();
        let latency = &total.latency[&Operation::Encrypt];
        assert_eq!(latency.len(), 2);
        assert!(latency.max().abs_diff(3_000_000) < 3_000);
        assert_eq!(total.errors["timeout"], 1);
        let seconds: Vec<_> = seconds
            .iter()
            .map(|second| (second.latency.len(), second.errors))
            .collect();
        assert_eq!(seconds, [(1, 0), (1, 1)]);
    }
}
