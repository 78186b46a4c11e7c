//! What came of the rotations, for people and for machines.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Options;
use super::window::Window;

#[derive(Default)]
pub(super) struct Table {
    rows: Vec<(&'static str, Option<Window>)>,
    /// The longest that a connection waited in each of some restarts.
    pub(super) waits: Vec<Duration>,
}

impl Table {
    pub(super) fn add(&mut self, name: &'static str, window: Window) {
        self.rows.push((name, Some(window)));
    }

    pub(super) fn not_run(&mut self, name: &'static str) {
        self.rows.push((name, None));
    }

    pub(super) fn nothing_failed(&self) -> bool {
        let windows = self.rows.iter().filter_map(|(_, window)| window.as_ref());
        windows.map(Window::failed).sum::<u64>() == 0
    }

    /// Prints the table, and writes it where it was asked for.
    pub(super) fn print(&self, options: &Options) {
        let text = self.text(options);
        println!("\n{text}");
        let write = |file: &Path, text: &str| {
            std::fs::write(file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        };
        if let Some(file) = &options.table {
            write(file, &text);
        }
        if let Some(file) = &options.json {
            write(file, &format!("{:#}\n", self.json(options)));
        }
        if let Some(file) = &options.page {
            let page = std::fs::read_to_string(file).expect("the page");
            let (before, rest) = page.split_once(BEGIN).expect("the beginning of the table");
            let (_, after) = rest.split_once(END).expect("the end of the table");
            write(file, &[before, BEGIN, &text, END, after].concat());
        }
    }

    fn text(&self, options: &Options) -> String {
        let mut text = format!(
            "| at {} requests/s | took | sent | answered | failed | attempts that failed | median | 99 % | longest |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            options.rate
        );
        let mut line = |line: String| {
            text += &line;
            text.push('\n');
        };
        for (name, window) in &self.rows {
            let Some(window) = window else {
                line(format!("| {name} | NOT RUN | | | | | | | |"));
                continue;
            };
            let numbers = window.numbers();
            let millis = |name: &str| format!("{:.1} ms", numbers[name].as_f64().expect("a time"));
            line(format!(
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
                millis("took_ms"),
                numbers["sent"],
                numbers["answered"],
                numbers["failed"],
                numbers["failed_attempts"],
                millis("p50_ms"),
                millis("p99_ms"),
                millis("longest_ms"),
            ));
        }
        for (name, window) in &self.rows {
            if let Some(window) = window.as_ref().filter(|window| window.failed() > 0) {
                line(format!("\n{name}: {}", window.numbers()["failed_by_kind"]));
            }
        }
        if let Some((median, max)) = self.median_and_longest_wait() {
            let (median, max) = (median.as_secs_f64() * 1e3, max.as_secs_f64() * 1e3);
            line(format!(
                "\nRestarts without load, {} of them, with a new connection every 5 ms: the one that waited longest for its \
                 first answer, TLS and all, waited for {median:.0} ms (median of the restarts) or {max:.0} ms (the worst).",
                self.waits.len(),
            ));
        }
        line(format!(
            "\nMeasured on {} processors with programs of the profile `{}`; kms-sim gave the proxy {} ms.",
            std::thread::available_parallelism().map_or(0, usize::from),
            options.profile,
            options.proxy_timeout.as_millis(),
        ));
        text
    }

    fn median_and_longest_wait(&self) -> Option<(Duration, Duration)> {
        let mut waits = self.waits.clone();
        waits.sort();
        Some((*waits.get(waits.len() / 2)?, *waits.last()?))
    }

    fn json(&self, options: &Options) -> Value {
        let row = |(name, window): &(&str, Option<Window>)| match window {
            None => json!({"rotation": name, "run": false}),
            Some(window) => {
                let mut numbers = window.numbers();
                numbers["rotation"] = json!(name);
                numbers["run"] = json!(true);
                numbers
            }
        };
        let waits = self.waits.iter().map(|wait| wait.as_secs_f64() * 1e3);
        json!({
            "rate": options.rate,
            "profile": options.profile,
            "proxy_timeout_ms": options.proxy_timeout.as_millis(),
            "rotations": self.rows.iter().map(row).collect::<Vec<_>>(),
            "restarts_longest_wait_ms": waits.collect::<Vec<_>>(),
        })
    }
}

const BEGIN: &str = "<!-- rotations: begin -->\n";
const END: &str = "<!-- rotations: end -->";
