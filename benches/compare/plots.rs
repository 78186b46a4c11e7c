//! Plots of what the results hold, one SVG file each, for the page beside them.

use std::path::Path;

use crate::plot::{Line, escaped, plot};
use crate::results::{Results, Row};

/// Draws what there are results for.
pub(crate) fn draw(results: &Path, plots: &Path) {
    let all = Results::read(results);
    std::fs::create_dir_all(plots).expect("a folder for plots");
    let mut drawn = 0;
    for Plot {
        file,
        title,
        measurement,
        unit,
        x,
        lines,
        identity,
    } in PLOTS
    {
        let Some(results) = all.iter().find(|one| one.measurement == *measurement) else {
            println!(
                "{file}: no results of {measurement} in {}",
                results.display()
            );
            continue;
        };
        let svg = picture(results, unit, *x, lines, *identity);
        let text = standalone(&svg, title, &caption(results));
        std::fs::write(plots.join(file), text).expect("a file for a plot");
        println!("{}", plots.join(file).display());
        drawn += 1;
    }
    println!("{drawn} plots");
}

/// What is drawn of a measurement.
struct Plot {
    file: &'static str,
    title: &'static str,
    measurement: &'static str,
    unit: &'static str,
    x: Scale,
    /// Figures of the results.
    lines: &'static [&'static str],
    /// Whether a line shows what is asked for, where figures and positions are of one kind.
    identity: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Scale {
    Linear,
    /// Each power of ten as wide as the others.
    Powers,
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "throughput-connections.svg",
        title: "Requests per second against busy connections",
        measurement: "connections",
        unit: "requests/s",
        x: Scale::Powers,
        lines: &["requests"],
        identity: false,
    },
    Plot {
        file: "cpu-connections.svg",
        title: "CPU per request against busy connections",
        measurement: "connections",
        unit: "µs",
        x: Scale::Powers,
        lines: &["CPU per request, handshakes included"],
        identity: false,
    },
    Plot {
        file: "latency-rate.svg",
        title: "Latency against rate, server on one core",
        measurement: "rates",
        unit: "ms",
        x: Scale::Linear,
        lines: &["p50", "p99", "p99.9"],
        identity: false,
    },
    Plot {
        file: "cost-keys.svg",
        title: "CPU per Encrypt against number of keys",
        measurement: "growth/keys",
        unit: "µs",
        x: Scale::Powers,
        lines: &["CPU per request"],
        identity: false,
    },
    Plot {
        file: "goodput-load.svg",
        title: "Goodput against offered load",
        measurement: "overload",
        unit: "answers/s within 250 ms",
        x: Scale::Linear,
        lines: &["goodput over HTTP/1.1", "goodput over HTTP/2"],
        identity: true,
    },
];

fn picture(
    results: &Results,
    unit: &str,
    scale: Scale,
    figures: &'static [&'static str],
    identity: bool,
) -> String {
    let placed = |figure: &str| -> Vec<(f64, f64)> {
        let rows = results.rows.iter().filter(|row| row.figure == figure);
        let mut points: Vec<_> = rows
            .filter_map(|row: &Row| Some((row.at?, row.median())))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let most = figures
        .iter()
        .flat_map(|figure| placed(figure))
        .map(|(at, _)| at)
        .fold(1.0, f64::max);
    let x = |at: f64| match scale {
        Scale::Linear => at,
        Scale::Powers => at.max(1.0).log10(),
    };
    let mut lines: Vec<Line<'_>> = figures
        .iter()
        .zip(CLASSES)
        .map(|(figure, class)| {
            let points = placed(figure).into_iter().map(|(at, y)| (x(at), y));
            (*figure, class, points.collect())
        })
        .collect();
    if identity {
        let highest = lines.iter().flat_map(|line| &line.2).map(|point| point.1);
        let highest = highest.fold(0.0, f64::max);
        lines.push(("asked for", "line4", vec![(0.0, 0.0), (highest, highest)]));
    }
    let ticks: Vec<(f64, String)> = match scale {
        Scale::Linear => (0..=6)
            .map(|step| {
                let at = most * f64::from(step) / 6.0;
                (at, format!("{at:.0}"))
            })
            .collect(),
        Scale::Powers => (0..)
            .map(|power| 10_f64.powi(power))
            .take_while(|at| *at <= most * 1.001)
            .map(|at| (at.log10(), format!("{at:.0}")))
            .collect(),
    };
    plot(unit, &lines, x(most).max(f64::MIN_POSITIVE), &ticks)
}

fn caption(results: &Results) -> String {
    let Results {
        commit,
        profile,
        machine,
        started,
        ..
    } = results;
    let date = started.split('T').next().unwrap_or_default();
    format!("{date}, commit {commit}, profile {profile}, {machine}")
}

/// A file of its own, with its looks, a title and where it comes from.
fn standalone(svg: &str, title: &str, caption: &str) -> String {
    let opened = svg.replacen("viewBox='0 0 720 240'", "viewBox='0 -34 720 300'", 1);
    let at = opened.find('>').map_or(0, |at| at + 1);
    let (head, rest) = opened.split_at(at);
    format!(
        "{head}<style>{STYLE}</style><rect class='back' x='0' y='-34' width='720' height='300' />\
         <text class='title' x='12' y='-12'>{}</text><text class='note' x='12' y='258'>{}</text>{rest}",
        escaped(title),
        escaped(caption),
    )
}

const CLASSES: [&str; 4] = ["line1", "line2", "line3", "line4"];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#667085}.title{font-size:15px;fill:#1c2330}.note{font-size:10px}\
.back{fill:#fff}.x{text-anchor:middle}.y{text-anchor:end}.grid{stroke:#d5dae3}polyline{fill:none;stroke-width:2}\
.line1{stroke:#1663c7}.line2{stroke:#c2410c}.line3{stroke:#6d28d9}.line4{stroke:#98a2b3;stroke-dasharray:5 4}\
text.line1{fill:#1663c7;stroke:none}text.line2{fill:#c2410c;stroke:none}text.line3{fill:#6d28d9;stroke:none}\
text.line4{fill:#667085;stroke:none}";
