//! `--slo`: what must hold of a report.

use std::str::FromStr;
use std::time::Duration;

use crate::arguments::duration;
use crate::report::Report;

/// One or more conditions, all of which must hold.
#[derive(Clone, Debug)]
pub(crate) struct Objective(Vec<Condition>);

#[derive(Clone, Debug)]
struct Condition {
    /// As it was given.
    text: String,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    /// A quantile of the latency is at most that.
    Latency(f64, Duration),
    Mean(Duration),
    Errors(u64),
    /// Of all requests, from 0 to 1.
    ErrorShare(f64),
    /// Answers per second are at least that.
    Rate(f64),
}

impl Objective {
    /// What does not hold: each condition with what was found instead.
    pub(crate) fn missed(&self, report: &Report) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|condition| condition.missed(report))
            .collect()
    }
}

impl Condition {
    fn missed(&self, report: &Report) -> Option<String> {
        let micros = |limit: Duration| limit.as_secs_f64() * 1e6;
        let (holds, found) = match self.bound {
            Bound::Latency(quantile, limit) => {
                let found = report.quantile(quantile);
                (found <= micros(limit), format!("{:.3} ms", found / 1e3))
            }
            Bound::Mean(limit) => (
                report.latency.mean <= micros(limit),
                format!("{:.3} ms", report.latency.mean / 1e3),
            ),
            Bound::Errors(limit) => (report.errors <= limit, report.errors.to_string()),
            Bound::ErrorShare(limit) => (
                report.error_share() <= limit,
                format!("{:.3} %", report.error_share() * 100.0),
            ),
            Bound::Rate(limit) => (report.rate >= limit, format!("{:.1}/s", report.rate)),
        };
        // Latencies of nothing are not good ones.
        let holds = holds && report.answered > 0;
        (!holds).then(|| format!("{} was missed: found {found}", self.text))
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let conditions: Result<Vec<_>, String> = text.split(',').map(condition).collect();
        Ok(Self(conditions?))
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    let number = |value: &str| {
        let number = value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| format!("{name}: {value:?} is no number"))
    };
    let bound = match name {
        "max" => Bound::Latency(1.0, duration(value)?),
        "mean" => Bound::Mean(duration(value)?),
        "errors" => match value.strip_suffix('%') {
            Some(percent) => Bound::ErrorShare(number(percent)? / 100.0),
            None => Bound::Errors(
                value
                    .parse()
                    .map_err(|_| format!("errors: {value:?} is no number"))?,
            ),
        },
        "rate" => Bound::Rate(number(value)?),
        _ => {
            let percent = name
                .strip_prefix('p')
                .and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            let percent = percent.ok_or_else(|| {
                format!("{name:?} is none of p50, p99, p99.9, max, mean, errors, rate")
            })?;
            Bound::Latency(percent / 100.0, duration(value)?)
        }
    };
    Ok(Condition {
        text: text.to_owned(),
        bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_or_refused() {
        assert_eq!(
            "p99.9=3ms,max=1s,mean=300us,errors=0,errors=0.1%,rate=1800"
                .parse::<Objective>()
                .unwrap()
                .0
                .len(),
            6
        );
        for wrong in [
            "",
            "p99",
            "p99=1",
            "p101=1ms",
            "errors=-1",
            "errors=x%",
            "rate=fast",
            "latency=1ms",
        ] {
            assert!(wrong.parse::<Objective>().is_err(), "{wrong}");
        }
    }
}
