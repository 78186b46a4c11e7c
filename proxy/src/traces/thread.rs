//! The thread that makes spans and sends them, a batch at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::collector::Collector;
use super::{Counts, Settings, span};
use crate::line_thread::{LineBuffer, reuse};

pub(super) struct Sender {
    collector: Collector,
    settings: Settings,
    counts: Arc<Counts>,
    instance: String,
    failing: bool,
}

impl Sender {
    pub(super) fn new(settings: Settings, counts: Arc<Counts>) -> Result<Self, rustls::Error> {
        Ok(Self {
            collector: Collector::new(&settings)?,
            settings,
            counts,
            instance: span::random::<16>().unwrap_or_default(),
            failing: false,
        })
    }

    /// Until the buffer is closed.
    pub(super) fn work(mut self, requests: &LineBuffer) {
        let mut lines = Vec::new();
        loop {
            let taken = requests.take(&mut lines, None);
            let text = String::from_utf8_lossy(&lines);
            let recorded: Vec<&str> = text.lines().collect();
            for batch in recorded.chunks(MAX_BATCH) {
                self.send(batch);
            }
            reuse(&mut lines);
            if taken.closed {
                return;
            }
            requests.gather(BATCH_TIME);
        }
    }

    fn send(&mut self, recorded: &[&str]) {
        let spans: Vec<_> = recorded
            .iter()
            .filter_map(|one| span::of_request(one))
            .flatten()
            .collect();
        let export = span::export(&self.settings.service_name, &self.instance, spans);
        let number = u64::try_from(recorded.len()).unwrap_or(u64::MAX);
        let end = Instant::now() + POST_TIME;
        match self.collector.post(export.to_string().as_bytes(), end) {
            Ok(()) => {
                self.counts.sent.fetch_add(number, Ordering::Relaxed);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(collector = %self.settings.endpoint, "traces arrive again");
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(number, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        collector = %self.settings.endpoint,
                        %error,
                        "traces do not arrive; they are lost until they do"
                    );
                }
            }
        }
    }
}

/// Requests in a post: some hundred kilobytes.
const MAX_BATCH: usize = 512;
const POST_TIME: Duration = Duration::from_secs(2);
/// What comes within this time is sent together.
const BATCH_TIME: Duration = Duration::from_secs(1);
