//! Plots of the last minutes of a proxy: how slow, how many, how many of them failed.
//!
//! Drawn here as SVG, so that they are there without a script. The width follows the page, so texts are outside.

use std::time::Duration;

use super::figures::{Count, Milliseconds, about};
use super::html::{Html, html};
use crate::observation::{Point, STEP};

/// Both plots, with their scales; KMS waits as long as `patience` for an answer.
pub(super) fn plots(page: &mut Html, points: &[Point], patience: Duration) {
    html!(page, "<div class=\"plots\">");
    latency(page, points, patience);
    requests(page, points);
    html!(page, "</div>");
}

/// How many requests there were and how many failed, without scales.
pub(super) fn sparkline(page: &mut Html, points: &[Point]) {
    let most = scale(points.iter().map(|point| float(point.requests)), &COUNTS);
    open(page, "spark", &summary(points));
    bars(page, "ok", points, most, |point| float(point.requests));
    bars(page, "bad", points, most, |point| float(point.errors));
    html!(page, "</svg>");
}

fn latency(page: &mut Html, points: &[Point], patience: Duration) {
    let patience = Milliseconds::from(patience);
    let worst = points.iter().filter_map(|point| point.latency);
    let most = scale(worst.map(|(_, maximum)| maximum), &MILLISECONDS);
    frame(page, "Latency", &Milliseconds(most).to_string(), |page| {
        open(page, "plot", &summary(points));
        let of = |pick: fn((f64, f64)) -> f64| move |point: &Point| point.latency.map_or(0.0, pick);
        bars(page, "max", points, most, of(|(_, maximum)| maximum));
        bars(page, "median", points, most, of(|(median, _)| median));
        if most > patience.0 {
            let y = height(patience.0, most);
            html!(
                page,
                "<path class=\"limit\" d=\"M0 {}H{}\"/>",
                HEIGHT - y,
                width(points)
            );
        }
        html!(page, "</svg>");
    });
    html!(
        page,
        "<p class=\"legend\"><span class=\"key median\">median</span> <span class=\"key max\">slowest</span> \
         <span class=\"key limit\">{}, as long as KMS waits</span></p></figure>",
        patience
    );
}

fn requests(page: &mut Html, points: &[Point]) {
    let most = scale(points.iter().map(|point| float(point.requests)), &COUNTS);
    let step = STEP.as_secs();
    frame(
        page,
        "Requests",
        &Count(rounded(most)).to_string(),
        |page| {
            open(page, "plot", &summary(points));
            bars(page, "ok", points, most, |point| float(point.requests));
            bars(page, "bad", points, most, |point| float(point.errors));
            html!(page, "</svg>");
        },
    );
    html!(
        page,
        "<p class=\"legend\"><span class=\"key ok\">requests in {} s</span> <span class=\"key bad\">of these \
         failed</span></p></figure>",
        step
    );
}

/// Opens a figure, which the caller closes, and puts the drawing between its scales.
fn frame(page: &mut Html, title: &str, most: &str, draw: impl FnOnce(&mut Html)) {
    html!(
        page,
        "<figure><figcaption>{}</figcaption><div class=\"frame\"><p class=\"y\" aria-hidden=\"true\">\
         <span>{}</span><span>0</span></p>",
        title,
        most
    );
    draw(page);
    html!(
        page,
        "<p class=\"x\" aria-hidden=\"true\"><span>5 minutes ago</span><span>now</span></p></div>"
    );
}

fn open(page: &mut Html, class: &'static str, label: &str) {
    html!(
        page,
        "<svg class=\"{}\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        class,
        STEPS * STEP_WIDTH,
        HEIGHT,
        label
    );
}

/// One path of all bars: a page has few elements, however much has happened.
fn bars(
    page: &mut Html,
    class: &'static str,
    points: &[Point],
    most: f64,
    value: impl Fn(&Point) -> f64,
) {
    let mut path = String::new();
    for (at, point) in (0_u32..).zip(points) {
        let value = value(point);
        if value > 0.0 {
            // One that is there can be seen.
            let height = height(value, most).max(2);
            let (x, width) = (at * STEP_WIDTH, STEP_WIDTH - 1);
            path.push_str(&format!("M{x} {HEIGHT}v-{height}h{width}v{height}z"));
        }
    }
    html!(page, "<path class=\"{}\" d=\"{}\"/>", class, path);
}

/// For those who do not see the plot.
fn summary(points: &[Point]) -> String {
    let sum = |count: fn(&Point) -> u64| points.iter().map(count).sum::<u64>();
    let (requests, errors) = (sum(|point| point.requests), sum(|point| point.errors));
    let worst = points.iter().filter_map(|point| point.latency);
    let worst = worst.map(|(_, maximum)| maximum).fold(0.0, f64::max);
    let window = about(STEP * u32::try_from(points.len()).unwrap_or_default());
    match requests {
        0 => format!("No request in the last {window}."),
        _ => format!(
            "The last {window}: {} requests, {} of them failed, the slowest took {}.",
            Count(requests),
            Count(errors),
            Milliseconds(worst)
        ),
    }
}

/// The first of the round numbers that all values are below.
fn scale(values: impl Iterator<Item = f64>, rounds: &[f64]) -> f64 {
    let most = values.fold(0.0, f64::max);
    let found = rounds.iter().find(|round| most <= **round);
    found.copied().unwrap_or(most)
}

fn height(value: f64, most: f64) -> u32 {
    let share = (value / most).clamp(0.0, 1.0);
    u32::try_from(rounded(share * f64::from(HEIGHT))).unwrap_or(HEIGHT)
}

fn width(points: &[Point]) -> u32 {
    u32::try_from(points.len()).unwrap_or(STEPS) * STEP_WIDTH
}

/// Exact up to 2^32, beyond which nobody sees a difference.
fn float(count: u64) -> f64 {
    u32::try_from(count).map_or_else(|_| f64::from(u32::MAX), f64::from)
}

/// To the next whole number.
#[expect(
    clippy::as_conversions,
    reason = "there is no other conversion; it saturates, and what is not finite becomes 0 or the maximum"
)]
const fn rounded(value: f64) -> u64 {
    value.round() as u64
}

/// Units of the drawing.
const HEIGHT: u32 = 100;
const STEP_WIDTH: u32 = 6;
const STEPS: u32 = 150;
const MILLISECONDS: [f64; 12] = [
    5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];
const COUNTS: [f64; 14] = [
    5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0,
    50_000.0, 100_000.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_what_was_seen_and_says_it() {
        let mut points = vec![Point::default(); 150];
        points[149] = Point {
            requests: 4,
            errors: 1,
            latency: Some((2.0, 251.0)),
        };
        let mut page = Html::default();
        plots(&mut page, &points, Duration::from_millis(250));
        let page = page.into_string();
        assert!(page.contains(
            "The last 5 minutes: 4 requests, 1 of them failed, the slowest took 251 ms."
        ));
        // 251 of 300 ms, 2 of 300 ms, 4 of 5 requests, 1 of 5.
        for bar in [
            "class=\"max\" d=\"M894 100v-84h5v84z\"",
            "class=\"median\" d=\"M894 100v-2h5v2z\"",
            "class=\"ok\" d=\"M894 100v-80h5v80z\"",
            "class=\"bad\" d=\"M894 100v-20h5v20z\"",
            "class=\"limit\" d=\"M0 17H900\"",
        ] {
            assert!(page.contains(bar), "no {bar} in {page}");
        }
        assert!(page.contains("<span>300 ms</span>"));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let mut page = Html::default();
        sparkline(&mut page, &[Point::default(); 150]);
        let page = page.into_string();
        assert!(page.contains("No request in the last 5 minutes."));
        assert!(page.contains("class=\"ok\" d=\"\""));
    }
}
