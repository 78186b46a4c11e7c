//! How far long work has come: a bar with an estimate on a terminal, a line now and then elsewhere.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::output::note;

/// Of work that says how much of it is done; gone from the terminal when it is dropped.
pub(super) struct Progress {
    what: &'static str,
    unit: Unit,
    bar: Option<ProgressBar>,
    start: Instant,
    told: Cell<Instant>,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Bytes,
    Pieces,
}

impl Progress {
    /// `what` is done, in one word or two: "verifying".
    pub(super) fn of(what: &'static str, unit: Unit) -> Self {
        let counts = match unit {
            Unit::Bytes => "{bytes}/{total_bytes}",
            Unit::Pieces => "{pos}/{len}",
        };
        let template = format!("{what} {{wide_bar}} {counts}, {{eta}} left");
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(&template);
            ProgressBar::new(0).with_style(style.expect("a template of known fields"))
        });
        let start = Instant::now();
        Self {
            what,
            unit,
            bar,
            start,
            told: Cell::new(start),
        }
    }

    /// So much is done of so much.
    pub(super) fn show(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.told.get().elapsed() >= TELL {
            self.told.set(Instant::now());
            note(&self.line(done, total, self.start.elapsed()));
        }
    }

    fn line(&self, done: u64, total: u64, elapsed: Duration) -> String {
        let counted = |n| match self.unit {
            Unit::Bytes => HumanBytes(n).to_string(),
            Unit::Pieces => n.to_string(),
        };
        let (what, counts) = (self.what, [done, total].map(counted).join(" of "));
        match seconds_left(done, total, elapsed) {
            Some(left) => format!("{what}: {counts}, about {left} s left"),
            None => format!("{what}: {counts}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Does work that cannot say how much of it is done; `what` it is, in a few words: "writing the store".
pub(super) fn waiting<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let bar = ProgressBar::new_spinner().with_style(style.expect("a template of known fields"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let result = work();
        bar.finish_and_clear();
        return result;
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let (_done, is_done) = channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(TELL) == Err(RecvTimeoutError::Timeout) {
                note(&format!("{what}: {} s so far", start.elapsed().as_secs()));
            }
        });
        work()
    })
}

/// At the speed so far; nothing before there is a speed.
fn seconds_left(done: u64, total: u64, elapsed: Duration) -> Option<u128> {
    let left = u128::from(total.saturating_sub(done));
    let nanos = elapsed.as_nanos().saturating_mul(left);
    let each = nanos.checked_div(u128::from(done))?;
    Some(each.div_ceil(1_000_000_000))
}

/// How often a line is written where there is no terminal.
const TELL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let elapsed = Duration::from_secs(30);
        let pieces = Progress::of("trying the copies", Unit::Pieces);
        assert_eq!(
            pieces.line(300, 1_000, elapsed),
            "trying the copies: 300 of 1000, about 70 s left"
        );
        assert_eq!(
            pieces.line(0, 1_000, elapsed),
            "trying the copies: 0 of 1000"
        );
        let bytes = Progress::of("verifying", Unit::Bytes);
        assert_eq!(
            bytes.line(3 << 20, 4 << 20, elapsed),
            "verifying: 3.00 MiB of 4.00 MiB, about 10 s left"
        );
        // A file that grew while it was read.
        assert_eq!(seconds_left(5, 4, elapsed), Some(0));
    }

    #[test]
    fn waiting_gives_what_the_work_gives() {
        assert_eq!(waiting("adding", || 1 + 1), 2);
    }
}
