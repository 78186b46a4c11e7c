//! What is shown while the load runs: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::drive::{Load, Shape};

/// Shown from its start until it is finished.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(load: Arc<Load>, shape: Shape) -> Self {
        let total = shape.warm_up + shape.duration;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {msg}")
                .expect("a template that indicatif knows");
            ProgressBar::new(u64::try_from(total.as_millis()).unwrap_or(u64::MAX)).with_style(style)
        });
        let every = if bar.is_some() {
            Duration::from_millis(250)
        } else {
            Duration::from_secs(5)
        };
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let start = Instant::now();
            let (mut before, mut at) = (0, start);
            let mut ticks = tokio::time::interval(every);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let answered = load.counts.answered.load(Ordering::Relaxed);
                let errors = load.counts.errors.load(Ordering::Relaxed);
                let rate = (answered - before) as f64 / at.elapsed().as_secs_f64();
                (before, at) = (answered, Instant::now());
                let phase = if start.elapsed() < shape.warm_up {
                    "warming up, "
                } else {
                    ""
                };
                let left = total.saturating_sub(start.elapsed()).as_secs();
                let line = format!("{phase}{rate:.0}/s, {errors} errors, {left} s left");
                match &shown {
                    Some(bar) => {
                        bar.set_position(
                            u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
                        );
                        bar.set_message(line);
                    }
                    None => eprintln!("xks-load: {line}"),
                }
            }
        });
        Self { bar, task }
    }

    pub(crate) fn finish(self) {
        self.task.abort();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
