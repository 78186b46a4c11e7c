//! Counts and latencies of requests, from what is counted of external key stores.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xks_api::route::OperationName;

use crate::metrics::hour::{MINUTES, Tally};
use crate::metrics::{Ending, Observed};

/// Requests of the last hour, and of all time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Traffic {
    /// 59 minutes and the one that is not over yet.
    pub last_hour: Requests,
    /// Since the process began.
    pub since_start: Requests,
}

/// How many requests ended how, and how long they took.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Requests {
    /// All of them.
    pub total: u64,
    /// Served.
    pub ok: u64,
    /// 4xx.
    pub refused: u64,
    /// 5xx: KMS tells its callers of a failure.
    pub failed: u64,
    /// KMS went away before the answer.
    pub abandoned: u64,
    /// By `errorName`, the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// `None` without a request.
    pub latency: Option<Latency>,
}

/// How often requests ended with an error.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorCount {
    /// `errorName`
    pub error_name: String,
    /// How often.
    pub count: u64,
}

/// What so many of the requests took at most, in microseconds; as far as the buckets of the metrics tell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Latency {
    /// Half of them.
    pub p50_us: u64,
    /// Nine of ten.
    pub p90_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// 999 of 1,000.
    pub p999_us: u64,
}

/// A minute of the last hour.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Minute {
    /// How many requests there were.
    pub requests: u64,
    /// How many of them were not served.
    pub errors: u64,
    /// `None` without a request.
    pub latency: Option<Latency>,
}

/// Requests for one operation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OfOperation {
    /// Its name.
    pub operation: String,
    /// Its requests.
    pub traffic: Traffic,
}

/// Adds up what is known of operations.
#[derive(Debug, Default)]
pub(super) struct Sum {
    all: Tally,
    minutes: Vec<Tally>,
}

impl Sum {
    pub(super) fn add(&mut self, observed: &Observed) {
        self.all.add(&observed.all);
        for (ago, tally) in &observed.minutes {
            let ago = usize::try_from(*ago).unwrap_or(usize::MAX);
            if ago >= LENGTH {
                continue;
            }
            if self.minutes.len() <= ago {
                self.minutes.resize(ago + 1, Tally::default());
            }
            if let Some(minute) = self.minutes.get_mut(ago) {
                minute.add(tally);
            }
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        let mut hour = Tally::default();
        for minute in &self.minutes {
            hour.add(minute);
        }
        Traffic {
            last_hour: requests(&hour),
            since_start: requests(&self.all),
        }
    }

    /// The earliest first.
    pub(super) fn minutes(&self) -> Vec<Minute> {
        let minute = |ago: usize| self.minutes.get(ago).map(Minute::of).unwrap_or_default();
        (0..LENGTH).rev().map(minute).collect()
    }
}

impl OfOperation {
    /// `None` for one that nobody called.
    pub(super) fn of(operation: OperationName, observed: &Observed) -> Option<Self> {
        let mut sum = Sum::default();
        sum.add(observed);
        (observed.all.requests() > 0).then(|| Self {
            operation: operation.as_str().to_owned(),
            traffic: sum.traffic(),
        })
    }
}

impl Minute {
    fn of(tally: &Tally) -> Self {
        let ok = |(ending, count)| matches!(ending, Ending::Ok).then_some(count);
        let ok: u64 = tally.endings().filter_map(ok).sum();
        let requests = tally.requests();
        Self {
            requests,
            errors: requests.saturating_sub(ok),
            latency: latency(tally),
        }
    }
}

fn requests(tally: &Tally) -> Requests {
    let mut requests = Requests {
        total: tally.requests(),
        latency: latency(tally),
        errors: errors(tally.endings()),
        ..Requests::default()
    };
    for (ending, count) in tally.endings() {
        match ending {
            Ending::Ok => requests.ok += count,
            Ending::Abandoned => requests.abandoned += count,
            Ending::Error(name) if name.status() >= 500 => requests.failed += count,
            Ending::Error(_) | Ending::MethodNotAllowed => requests.refused += count,
        }
    }
    requests
}

/// Those that have a name, the most frequent first.
pub(super) fn errors(endings: impl Iterator<Item = (Ending, u64)>) -> Vec<ErrorCount> {
    let named = endings.filter_map(|(ending, count)| match ending {
        Ending::Error(name) if count > 0 => Some(ErrorCount {
            error_name: name.as_str().to_owned(),
            count,
        }),
        Ending::Error(_) | Ending::Ok | Ending::MethodNotAllowed | Ending::Abandoned => None,
    });
    let mut errors: Vec<_> = named.collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors
}

fn latency(tally: &Tally) -> Option<Latency> {
    let at = |per_mille| tally.percentile(per_mille).map(micros);
    Some(Latency {
        p50_us: at(500)?,
        p90_us: at(900)?,
        p99_us: at(990)?,
        p999_us: at(999)?,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Minutes of an hour.
const LENGTH: usize = 60;
const _: () = assert!(MINUTES == 60);
