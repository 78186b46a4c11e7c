//! The report as one page: tables, and plots in SVG. It loads nothing from elsewhere.

use super::{Latency, Report};

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

/// Name, class, points.
type Line<'a> = (&'a str, &'a str, Vec<(f64, f64)>);

fn plot(unit: &str, lines: &[Line<'_>], width: f64, ticks: &[(f64, String)]) -> String {
    let highest = lines
        .iter()
        .flat_map(|(_, _, points)| points)
        .map(|(_, y)| *y)
        .fold(0.0, f64::max);
    let top = nice(highest);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * value / width;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;
    let names: Vec<_> = lines.iter().map(|(name, _, _)| *name).collect();
    let mut svg = format!(
        "<svg viewBox='0 0 720 240' role=img aria-label='{} in {}, at most {}'>",
        escaped(&names.join(" and ")),
        escaped(unit),
        short(highest)
    );
    for line in 0..=4 {
        let value = top * f64::from(line) / 4.0;
        svg.push_str(&format!("<line class=grid x1={LEFT} x2={RIGHT} y1={0:.1} y2={0:.1} /><text x={1} y={2:.1} class=y>{3}</text>",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            short(value)
        ));
    }
    svg.push_str(&format!("<text x={LEFT} y=14>{}</text>", escaped(unit)));
    for (value, label) in ticks {
        svg.push_str(&format!(
            "<text x={:.1} y={} class=x>{}</text>",
            x(*value),
            BOTTOM + 18.0,
            escaped(label)
        ));
    }
    for (index, (name, class, points)) in lines.iter().enumerate() {
        let path: Vec<_> = points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
            .collect();
        svg.push_str(&format!(
            "<polyline class={class} points='{}' />",
            path.join(" ")
        ));
        if lines.len() > 1 {
            let right = RIGHT - 80.0 * index as f64;
            svg.push_str(&format!(
                "<text x={right:.1} y=14 class='y {class}'>{}</text>",
                escaped(name)
            ));
        }
    }
    svg + "</svg>\n"
}

/// The next of 1, 2, 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.0}k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{:.1}", value).trim_end_matches(".0").to_owned(),
        _ if value == 0.0 => "0".into(),
        _ => format!("{value:.2}"),
    }
}

fn millis(micros: f64) -> String {
    format!("{:.3} ms", micros / 1e3)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const LEFT: f64 = 56.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 210.0;

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
    use super::*;

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
