//! The report as one page: tables, and plots in SVG. It loads nothing from elsewhere.

use super::{Latency, Report};
use crate::plot::{Line, escaped, plot};

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    let mut add = |text: String| page.push_str(&text);
    add(format!(
        "<h1>Load on {}</h1>\n<p>{}</p>\n",
        escaped(&report.endpoint),
        escaped(&report.started)
    ));
    add(format!(
        "<dl class=figures><div><dt>answered</dt><dd>{}</dd></div><div><dt>per second</dt><dd>{:.0}</dd></div>\
         <div><dt>p50</dt><dd>{}</dd></div><div><dt>p99</dt><dd>{}</dd></div><div><dt>p99.9</dt><dd>{}</dd></div>\
         <div><dt>errors</dt><dd class={}>{}</dd></div></dl>\n",
        report.answered,
        report.rate,
        millis(report.latency.p50),
        millis(report.latency.p99),
        millis(report.latency.p99_9),
        if report.errors == 0 { "good" } else { "bad" },
        report.errors,
    ));
    add("<h2>Latency by percentile</h2>\n".into());
    add(percentiles(report));
    add("<h2>Answers per second</h2>\n".into());
    let second = |index: usize| index as f64;
    let rates = report
        .by_second
        .iter()
        .enumerate()
        .map(|(i, s)| (second(i), s.answered as f64))
        .collect();
    let errors = report
        .by_second
        .iter()
        .enumerate()
        .map(|(i, s)| (second(i), s.errors as f64))
        .collect();
    add(over_time(
        "per second",
        &[("answers", "line1", rates), ("errors", "line2", errors)],
    ));
    add("<h2>Latency over time</h2>\n".into());
    let p50 = report
        .by_second
        .iter()
        .enumerate()
        .map(|(i, s)| (second(i), s.p50 / 1e3))
        .collect();
    let p99 = report
        .by_second
        .iter()
        .enumerate()
        .map(|(i, s)| (second(i), s.p99 / 1e3))
        .collect();
    add(over_time(
        "ms",
        &[("p50", "line1", p50), ("p99", "line2", p99)],
    ));
    add("<h2>Figures</h2>\n<table><tr><th><th>count<th>mean<th>p50<th>p90<th>p99<th>p99.9<th>p99.99<th>max</tr>\n".into());
    add(row("all", &report.latency));
    for (name, latency) in &report.latency_by_operation {
        add(row(name, latency));
    }
    if let Some(connect) = &report.connect {
        add(row("TCP and TLS", connect));
    }
    add("</table>\n".into());
    if !report.errors_by_kind.is_empty() {
        add("<h2>Errors</h2>\n<table>".into());
        for (what, count) in &report.errors_by_kind {
            add(format!(
                "<tr><td>{count}<td class=text>{}</tr>",
                escaped(what)
            ));
        }
        add("</table>\n".into());
    }
    add("<h2>Load</h2>\n<table>".into());
    for (name, value) in &report.load {
        add(format!(
            "<tr><th>{}<td class=text>{}</tr>",
            escaped(name),
            escaped(value)
        ));
    }
    add(format!("</table>\n<p class=note>{NOTE}</p>\n</html>\n"));
    page
}

fn row(name: &str, latency: &Latency) -> String {
    let mut row = format!("<tr><th>{}<td>{}", escaped(name), latency.count);
    let Latency {
        mean,
        p50,
        p90,
        p99,
        p99_9,
        p99_99,
        max,
        ..
    } = latency;
    for micros in [mean, p50, p90, p99, p99_9, p99_99, max] {
        row.push_str(&format!("<td>{}", millis(*micros)));
    }
    row + "</tr>\n"
}

/// Latency against the percentile, the last ones spread out: each step to the right is a tenth of the requests.
fn percentiles(report: &Report) -> String {
    let steps = 240_u32;
    let top = (report.answered.max(10) as f64).log10().ceil();
    let points: Vec<(f64, f64)> = (0..=steps)
        .map(|step| {
            let nines = top * f64::from(step) / f64::from(steps);
            (nines, report.quantile(1.0 - 10_f64.powf(-nines)) / 1e3)
        })
        .collect();
    let mut ticks = Vec::new();
    for nines in 0..=(top as usize) {
        ticks.push((nines as f64, percentile_label(nines)));
    }
    plot("ms", &[("all", "line1", points)], top, &ticks)
}

fn percentile_label(nines: usize) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        _ => format!("99.{} %", "9".repeat(nines - 2)),
    }
}

fn over_time(unit: &str, lines: &[Line<'_>]) -> String {
    let last = lines
        .iter()
        .map(|(_, _, points)| points.len().saturating_sub(1))
        .max()
        .unwrap_or(0)
        .max(1);
    let step = last.div_ceil(8);
    let ticks: Vec<_> = (0..=last)
        .step_by(step)
        .map(|second| (second as f64, format!("{second} s")))
        .collect();
    plot(unit, lines, last as f64, &ticks)
}

fn millis(micros: f64) -> String {
    format!("{:.3} ms", micros / 1e3)
}

const NOTE: &str = "Latency counts from the moment a request was due to the end of its answer; requests with a wrong answer, \
or none, are errors and not in the latencies.";

const HEAD: &str = "<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>xks-load</title>
<style>
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --rule: #d5dae3; --one: #1663c7; --two: #c2410c; --back: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #97a1b3; --rule: #333b48; --one: #6aa9ff; --two: #ff9463; --back: #12161c } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem } .figures dt { color: var(--soft) } .figures dd { margin: 0; font-size: 1.5rem }
.bad { color: var(--two) }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--rule) } th:first-child, .text { text-align: left }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--soft) } .x { text-anchor: middle } .y { text-anchor: end }
.grid { stroke: var(--rule) } polyline { fill: none; stroke-width: 2 } .line1 { stroke: var(--one) } .line2 { stroke: var(--two) }
text.line1 { fill: var(--one); stroke: none } text.line2 { fill: var(--two); stroke: none }
.note { color: var(--soft) }
</style>
";

#[cfg(test)]
mod tests {
    use crate::plot::{escaped, nice};

    #[test]
    fn what_a_server_says_cannot_become_part_of_the_page() {
        assert_eq!(
            escaped("<a href='x'>&\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
        );
    }

    #[test]
    fn scales_end_in_round_numbers_above_the_highest_point() {
        for (value, top) in [
            (0.0, 1.0),
            (0.3, 0.5),
            (1.0, 1.0),
            (12.0, 20.0),
            (51_000.0, 100_000.0),
        ] {
            assert!((nice(value) - top).abs() < top * 1e-9, "{value}");
        }
    }
}
