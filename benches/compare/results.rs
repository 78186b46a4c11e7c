//! What was measured: printed as it comes, and kept as JSON with the machine, the commit and the build that it is of.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Run;

/// One measurement.
#[derive(Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) measurement: String,
    pub(crate) started: String,
    pub(crate) commit: String,
    /// Of the servers: `dist`, `release`, …
    pub(crate) profile: String,
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) rows: Vec<Row>,
    pub(crate) targets: Vec<Target>,
    /// Nothing is worth comparing with a target.
    #[serde(skip)]
    smoke: bool,
}

/// One figure of one server, in every round.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Row {
    /// What is compared, such as a server.
    pub(crate) series: String,
    /// What the figure is of, such as `CPU per request`.
    pub(crate) figure: String,
    pub(crate) unit: String,
    /// Where in a plot: keys, connections, a rate.
    pub(crate) at: Option<f64>,
    pub(crate) values: Vec<f64>,
}

/// What a figure should be.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Target {
    pub(crate) figure: String,
    pub(crate) found: f64,
    /// `≤ 1.1 ×`
    pub(crate) wanted: String,
    pub(crate) met: bool,
}

impl Results {
    pub(crate) fn new(measurement: &str, run: &Run) -> Self {
        println!("\n{measurement}");
        let started = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339);
        Self {
            measurement: measurement.to_owned(),
            started: started.expect("a time"),
            commit: output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
            profile: profile(),
            machine: machine(),
            rounds: run.rounds,
            seconds: run.time.as_secs_f64(),
            rows: Vec::new(),
            targets: Vec::new(),
            smoke: run.smoke,
        }
    }

    /// Keeps a figure and prints it; gives its median.
    pub(crate) fn row(
        &mut self,
        series: &str,
        figure: &str,
        unit: &str,
        at: Option<f64>,
        values: Vec<f64>,
    ) -> f64 {
        let row = Row {
            series: series.to_owned(),
            figure: figure.to_owned(),
            unit: unit.to_owned(),
            at,
            values,
        };
        let [least, median, most] = row.spread();
        let spread = match row.values.len() {
            1 => String::new(),
            _ => format!(" ({}–{})", short(least), short(most)),
        };
        println!("  {series:32} {figure}: {} {unit}{spread}", short(median));
        self.rows.push(row);
        median
    }

    pub(crate) fn at_most(&mut self, figure: &str, found: f64, limit: f64, unit: &str) {
        self.target(
            figure,
            found,
            format!("≤ {} {unit}", short(limit)),
            found <= limit,
        );
    }

    pub(crate) fn at_least(&mut self, figure: &str, found: f64, limit: f64, unit: &str) {
        self.target(
            figure,
            found,
            format!("≥ {} {unit}", short(limit)),
            found >= limit,
        );
    }

    fn target(&mut self, figure: &str, found: f64, wanted: String, met: bool) {
        if self.smoke {
            return;
        }
        let word = if met { "met" } else { "MISSED" };
        println!("  {word:6} {figure}: {}, wanted {wanted}", short(found));
        self.targets.push(Target {
            figure: figure.to_owned(),
            found,
            wanted,
            met,
        });
    }

    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for results");
        let file = folder.join(self.measurement.replace('/', "-") + ".json");
        let json = serde_json::to_string_pretty(self).expect("JSON") + "\n";
        std::fs::write(&file, json).expect("a file for results");
    }

    /// All that a folder has.
    pub(crate) fn read(folder: &Path) -> Vec<Self> {
        let Ok(files) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut all: Vec<Self> = files
            .filter_map(Result::ok)
            .filter(|file| file.path().extension().is_some_and(|end| end == "json"))
            .map(|file| {
                let text = std::fs::read(file.path()).expect("a file of results");
                serde_json::from_slice(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", file.path().display()))
            })
            .collect();
        all.sort_by(|a, b| a.measurement.cmp(&b.measurement));
        all
    }
}

impl Row {
    /// Least, median, most.
    pub(crate) fn spread(&self) -> [f64; 3] {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        [0, values.len() / 2, values.len() - 1].map(|at| values[at])
    }

    pub(crate) fn median(&self) -> f64 {
        self.spread()[1]
    }
}

/// Three digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Of the programs that are measured, by the folder that they lie in.
fn profile() -> String {
    let program = harness::binaries::xks_proxy();
    let folder = program.parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let system = output("uname", &["-sr"]);
    format!("{cores} cores of {model}, {system}")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(harness::workspace())
        .output();
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => String::new(),
    }
}
