//! The report for a terminal.

use std::fmt;

use super::{Latency, Report};

/// Shows a report.
pub(crate) struct Text<'a>(pub(crate) &'a Report);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let load: Vec<_> = report
            .load
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        writeln!(f, "{}: {}", report.endpoint, load.join(", "))?;
        writeln!(
            f,
            "{} answered in {:.1} s: {:.0}/s{}",
            report.answered,
            report.seconds,
            report.rate,
            report
                .offered_rate
                .map_or_else(String::new, |rate| format!(" of {rate}/s that were due")),
        )?;
        writeln!(
            f,
            "\n{:18}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "milliseconds", "mean", "p50", "p90", "p99", "p99.9", "max"
        )?;
        line(f, "all", &report.latency)?;
        if report.latency_by_operation.len() > 1 {
            for (name, latency) in &report.latency_by_operation {
                line(f, name, latency)?;
            }
        }
        if let Some(connect) = &report.connect {
            line(f, "TCP and TLS", connect)?;
        }
        writeln!(f, "\n{} errors", report.errors)?;
        for (what, count) in &report.errors_by_kind {
            writeln!(f, "{count:>10}  {what}")?;
        }
        if let Some(late) = report
            .worst_schedule_micros
            .filter(|late| *late > WORTH_SAYING)
        {
            writeln!(
                f,
                "\nThis tool itself was up to {:.1} ms late with a request: it lacked processor time, and the longest \
                 latencies are partly its own.",
                late / 1e3
            )?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, latency: &Latency) -> fmt::Result {
    write!(f, "{name:18}")?;
    for micros in [
        latency.mean,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.max,
    ] {
        write!(f, "{:>10.3}", micros / 1e3)?;
    }
    writeln!(f)
}

/// Microseconds.
const WORTH_SAYING: f64 = 2_000.0;
