//! What came of the load, in numbers; how it is shown is in `report/`.

mod html;
mod text;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::tally::{Second, Tally, histogram};

pub(crate) use html::page;
pub(crate) use text::Text;

/// Times are in microseconds.
#[derive(Serialize)]
pub(crate) struct Report {
    /// When the measured time began, RFC 3339.
    pub(crate) started: String,
    pub(crate) endpoint: String,
    /// The load, as it was asked for.
    pub(crate) load: Vec<(&'static str, String)>,
    /// Seconds that were measured.
    pub(crate) seconds: f64,
    /// Requests per second that were due; none in a closed loop.
    pub(crate) offered_rate: Option<u32>,
    /// Right answers per second.
    pub(crate) rate: f64,
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    pub(crate) errors_by_kind: Vec<(String, u64)>,
    pub(crate) latency: Latency,
    pub(crate) latency_by_operation: Vec<(&'static str, Latency)>,
    /// TCP and TLS of the connections that were made within the measured time.
    pub(crate) connect: Option<Latency>,
    /// How late this tool itself was with a request, at most. Beyond a few milliseconds it lacked processor time, and the
    /// latencies are partly its own.
    pub(crate) worst_schedule_micros: Option<f64>,
    pub(crate) by_second: Vec<BySecond>,
    #[serde(skip)]
    all: Histogram<u64>,
}

/// Of one kind of request, in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
}

/// What was due in one second.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BySecond {
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What the report takes from the run, beside the counts.
pub(crate) struct Run {
    pub(crate) started: String,
    pub(crate) endpoint: String,
    pub(crate) load: Vec<(&'static str, String)>,
    pub(crate) duration: Duration,
    pub(crate) offered_rate: Option<u32>,
    pub(crate) unsent: u64,
    pub(crate) worst_schedule: Duration,
}

impl Report {
    pub(crate) fn new(run: Run, tally: &Tally, seconds: &[Second]) -> Self {
        let mut all = histogram(3);
        for latency in tally.latency.values() {
            all.add(latency)
                .expect("histograms with one kind of bounds");
        }
        let mut errors_by_kind: Vec<_> = tally
            .errors
            .iter()
            .map(|(what, count)| (what.clone(), *count))
            .collect();
        if run.unsent > 0 {
            errors_by_kind.push((
                "never sent: no connection was free in time".into(),
                run.unsent,
            ));
        }
        errors_by_kind.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let by_operation = tally
            .latency
            .iter()
            .map(|(operation, latency)| (operation.name(), Latency::of(latency)));
        // A second that the run ends in is no whole one.
        let whole = usize::try_from(run.duration.as_secs()).unwrap_or(usize::MAX);
        Self {
            seconds: run.duration.as_secs_f64(),
            offered_rate: run.offered_rate,
            rate: ratio(all.len(), run.duration.as_secs_f64()),
            answered: all.len(),
            errors: errors_by_kind.iter().map(|(_, count)| count).sum(),
            errors_by_kind,
            latency: Latency::of(&all),
            latency_by_operation: by_operation.collect(),
            connect: (!tally.connect.is_empty()).then(|| Latency::of(&tally.connect)),
            worst_schedule_micros: run
                .offered_rate
                .map(|_| run.worst_schedule.as_secs_f64() * 1e6),
            by_second: seconds
                .iter()
                .take(whole.max(1))
                .map(BySecond::of)
                .collect(),
            started: run.started,
            endpoint: run.endpoint,
            load: run.load,
            all,
        }
    }

    /// A quantile from 0 to 1 of all latencies, in microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        micros(self.all.value_at_quantile(quantile))
    }

    /// Of all requests, from 0 to 1.
    pub(crate) fn error_share(&self) -> f64 {
        ratio(self.errors, float(self.errors + self.answered))
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: micros(histogram.max()),
        }
    }
}

impl BySecond {
    fn of(second: &Second) -> Self {
        Self {
            answered: second.latency.len(),
            errors: second.errors,
            p50: micros(second.latency.value_at_quantile(0.5)),
            p99: micros(second.latency.value_at_quantile(0.99)),
        }
    }
}

fn micros(nanos: u64) -> f64 {
    float(nanos) / 1e3
}

fn ratio(count: u64, of: f64) -> f64 {
    if of > 0.0 { float(count) / of } else { 0.0 }
}

/// Counts and nanoseconds are far below 2⁵³.
fn float(number: u64) -> f64 {
    number as f64
}
