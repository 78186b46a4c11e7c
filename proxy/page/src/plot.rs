//! Plots of a time that has just gone by: how slow, how many, how many of them failed.
//!
//! Drawn here as SVG, so that they are there without a script. The width follows the page, so texts are outside.

use std::time::Duration;

use crate::{Count, Html, Milliseconds, about, html};

/// One step of time, as it is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// How many requests there were.
    pub requests: u64,
    /// How many of these failed.
    pub errors: u64,
    /// What requests usually took and what the slow ones took, in milliseconds.
    pub latency: Option<(f64, f64)>,
}

/// Latency and requests side by side, with their scales.
#[derive(Clone, Copy, Debug)]
pub struct Plots<'p> {
    /// Every step, the earliest first.
    pub points: &'p [Point],
    /// How long a step lasts.
    pub step: Duration,
    /// How long KMS waits for an answer.
    pub patience: Duration,
    /// What the legend calls the first and the second latency of a point.
    pub latencies: [&'static str; 2],
    /// What the highest second latency is, in a sentence: "the slowest took".
    pub slowest: &'static str,
}

impl Plots<'_> {
    /// Draws both.
    pub fn draw(&self, page: &mut Html) {
        html!(page, "<div class=\"plots\">");
        self.latency(page);
        self.requests(page);
        html!(page, "</div>");
    }

    fn latency(&self, page: &mut Html) {
        let patience = Milliseconds::from(self.patience);
        let points = self.points;
        let worst = points.iter().filter_map(|point| point.latency);
        let most = scale(worst.map(|(_, slow)| slow), &MILLISECONDS);
        self.frame(page, "Latency", &Milliseconds(most).to_string(), |page| {
            open(page, "plot", points, &self.summary());
            let of =
                |pick: fn((f64, f64)) -> f64| move |point: &Point| point.latency.map_or(0.0, pick);
            bars(page, "max", points, most, of(|(_, slow)| slow));
            bars(page, "median", points, most, of(|(usual, _)| usual));
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
        let [usual, slow] = self.latencies;
        html!(
            page,
            "<p class=\"legend\"><span class=\"key median\">{}</span> <span class=\"key max\">{}</span> \
             <span class=\"key limit\">{}, as long as KMS waits</span></p></figure>",
            usual,
            slow,
            patience
        );
    }

    fn requests(&self, page: &mut Html) {
        let points = self.points;
        let most = scale(points.iter().map(|point| float(point.requests)), &COUNTS);
        let highest = Count(rounded(most)).to_string();
        self.frame(page, "Requests", &highest, |page| {
            open(page, "plot", points, &self.summary());
            bars(page, "ok", points, most, |point| float(point.requests));
            bars(page, "bad", points, most, |point| float(point.errors));
            html!(page, "</svg>");
        });
        html!(
            page,
            "<p class=\"legend\"><span class=\"key ok\">requests in {} s</span> <span class=\"key bad\">of these \
             failed</span></p></figure>",
            self.step.as_secs()
        );
    }

    /// Opens a figure, which the caller closes, and puts the drawing between its scales.
    fn frame(&self, page: &mut Html, title: &str, most: &str, draw: impl FnOnce(&mut Html)) {
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
            "<p class=\"x\" aria-hidden=\"true\"><span>{} ago</span><span>now</span></p></div>",
            window(self.points, self.step)
        );
    }

    fn summary(&self) -> String {
        summary(self.points, self.step, self.slowest)
    }
}

/// How many requests there were and how many failed, without scales.
pub fn sparkline(page: &mut Html, points: &[Point], step: Duration) {
    let most = scale(points.iter().map(|point| float(point.requests)), &COUNTS);
    open(page, "spark", points, &summary(points, step, SLOWEST));
    bars(page, "ok", points, most, |point| float(point.requests));
    bars(page, "bad", points, most, |point| float(point.errors));
    html!(page, "</svg>");
}

fn open(page: &mut Html, class: &str, points: &[Point], label: &str) {
    html!(
        page,
        "<svg class=\"{}\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        class,
        width(points),
        HEIGHT,
        label
    );
}

/// One path of all bars: a page has few elements, however much has happened.
fn bars(page: &mut Html, class: &str, points: &[Point], most: f64, value: impl Fn(&Point) -> f64) {
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
fn summary(points: &[Point], step: Duration, slowest: &str) -> String {
    let sum = |count: fn(&Point) -> u64| points.iter().map(count).sum::<u64>();
    let (requests, errors) = (sum(|point| point.requests), sum(|point| point.errors));
    let worst = points.iter().filter_map(|point| point.latency);
    let worst = worst.map(|(_, slow)| slow).fold(0.0, f64::max);
    let window = window(points, step);
    match requests {
        0 => format!("No request in the last {window}."),
        _ => format!(
            "The last {window}: {} requests, {} of them failed, {slowest} {}.",
            Count(requests),
            Count(errors),
            Milliseconds(worst)
        ),
    }
}

fn window(points: &[Point], step: Duration) -> String {
    about(step * u32::try_from(points.len()).unwrap_or_default())
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
    let steps = u32::try_from(points.len()).unwrap_or_default();
    steps.saturating_mul(STEP_WIDTH)
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
const SLOWEST: &str = "the slowest took";
const MILLISECONDS: [f64; 17] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 2_500.0,
    5_000.0, 10_000.0,
];
const COUNTS: [f64; 14] = [
    5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0,
    50_000.0, 100_000.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(2);

    #[test]
    fn a_plot_shows_what_was_seen_and_says_it() {
        let mut points = vec![Point::default(); 150];
        points[149] = Point {
            requests: 4,
            errors: 1,
            latency: Some((2.0, 251.0)),
        };
        let mut page = Html::default();
        let plots = Plots {
            points: &points,
            step: STEP,
            patience: Duration::from_millis(250),
            latencies: ["median", "slowest"],
            slowest: SLOWEST,
        };
        plots.draw(&mut page);
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
        sparkline(&mut page, &[Point::default(); 150], STEP);
        let page = page.into_string();
        assert!(page.contains("No request in the last 5 minutes."));
        assert!(page.contains("class=\"ok\" d=\"\""));
    }
}
