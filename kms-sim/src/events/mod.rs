//! The event log: what was called and what happened by itself, as CloudTrail records it.
//!
//! The latest events are kept in memory, up to a number of bytes; a file gets all of them, if one is given, from a thread of its own
//! that nobody waits for.

mod call;
mod event;
mod file;
mod identity;
mod parameters;
mod response;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::rotation::RotationType;
use crate::visibility::Home;

pub(crate) use call::{Origin, Subjects, record_call};
pub(crate) use event::{ANY, Event};
pub(crate) use parameters::request_parameters;

use event::ServiceEvent;
use file::EventFile;

/// Takes events and shows the latest; clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct EventLog(Arc<Shared>);

struct Shared {
    ring: Mutex<Ring>,
    latest: watch::Sender<Latest>,
    file: OnceLock<EventFile>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            latest: watch::Sender::new(Latest::default()),
            file: OnceLock::new(),
        }
    }
}

/// What those wait for who follow.
#[derive(Clone, Copy, Debug, Default)]
struct Latest {
    /// Of the latest event.
    number: u64,
    /// The simulator ends.
    over: bool,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    latest: u64,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'f> {
    /// `eventName`
    pub(crate) operation: Option<&'f str>,
    /// `errorCode`; `any` for every event that has one.
    pub(crate) error: Option<&'f str>,
    /// The id or ARN of a key.
    pub(crate) key: Option<&'f str>,
    /// Of a custom key store.
    pub(crate) store: Option<&'f str>,
    /// `requestID`
    pub(crate) request_id: Option<&'f str>,
    /// Later than the event of that number.
    pub(crate) after: u64,
}

/// Some events, the earliest first.
pub(crate) struct Selection {
    pub(crate) events: Vec<Arc<Event>>,
    /// The number to continue after.
    pub(crate) next: u64,
    /// Whether there were more that are wanted.
    pub(crate) truncated: bool,
}

impl EventLog {
    /// From now on every event also goes to that file, after what is in it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write_to(&self, path: &Path) -> io::Result<()> {
        let file = EventFile::append(path)?;
        // It is set once, when the simulator starts.
        drop(self.0.file.set(file));
        Ok(())
    }

    /// Waits, not for long, until the file has what was recorded.
    pub(crate) fn flush(&self) {
        if let Some(file) = self.0.file.get() {
            file.flush();
        }
    }

    /// The key was deleted at the end of its waiting period.
    pub(crate) fn key_deleted(&self, arn: &str, when: SystemTime) {
        self.record(ServiceEvent::delete_key(arn, when));
    }

    /// The key has new material.
    pub(crate) fn key_rotated(&self, arn: &str, kind: RotationType, when: SystemTime) {
        self.record(ServiceEvent::rotate_key(arn, kind, when));
    }

    /// A custom key store has come into that state.
    pub(crate) fn connection_state(
        &self,
        home: &Home,
        store: &str,
        (state, code): (ConnectionState, Option<ConnectionErrorCode>),
        when: SystemTime,
    ) {
        self.record(ServiceEvent::connection_state(
            home, store, state, code, when,
        ));
    }

    /// The latest events that are wanted, at most `limit`; if the filter says after which, the earliest of them.
    pub(crate) fn select(&self, filter: &Filter<'_>, limit: usize) -> Selection {
        let ring = self.lock();
        let latest = ring.latest;
        let mut wanted: Vec<_> = match filter.after {
            0 => {
                let newest = ring.events.iter().rev();
                newest
                    .filter(|event| event.is(filter))
                    .take(limit + 1)
                    .cloned()
                    .collect()
            }
            after => {
                let first = ring.events.partition_point(|event| event.number() <= after);
                let later = ring.events.range(first..);
                later
                    .filter(|event| event.is(filter))
                    .take(limit + 1)
                    .cloned()
                    .collect()
            }
        };
        drop(ring);
        let truncated = wanted.len() > limit;
        wanted.truncate(limit);
        if filter.after == 0 {
            wanted.reverse();
        }
        let next = match wanted.last() {
            // What comes after it is still to be told.
            Some(last) if truncated && filter.after > 0 => last.number(),
            _ => latest,
        };
        Selection {
            events: wanted,
            next,
            truncated,
        }
    }

    /// Waits for an event with a higher number; false if there will be none.
    pub(crate) async fn later_than(&self, number: u64) -> bool {
        let mut latest = self.0.latest.subscribe();
        let later = latest.wait_for(|latest| latest.number > number || latest.over);
        // The sender lives as long as `self`, so this cannot fail.
        later.await.is_ok_and(|latest| !latest.over)
    }

    /// Nobody needs to wait for further events.
    pub(crate) fn end_waiting(&self) {
        self.0.latest.send_modify(|latest| latest.over = true);
    }

    /// Forgets what is kept; numbers go on, so that nobody who follows misses anything.
    pub(crate) fn clear(&self) {
        let mut ring = self.lock();
        ring.events.clear();
        ring.bytes = 0;
    }

    fn record(&self, event: Event) {
        let event = {
            let mut ring = self.lock();
            ring.latest += 1;
            let event = Arc::new(event.numbered(ring.latest));
            ring.bytes += event.line().len();
            ring.events.push_back(Arc::clone(&event));
            while ring.bytes > MAX_BYTES
                && let Some(oldest) = ring.events.pop_front()
            {
                ring.bytes -= oldest.line().len();
            }
            // In the order of the numbers, as the file has them.
            if let Some(file) = self.0.file.get() {
                file.take(&event);
            }
            event
        };
        self.0.latest.send_if_modified(|latest| {
            let later = event.number() > latest.number;
            latest.number = event.number().max(latest.number);
            later
        });
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the lines of the events that are kept: some ten thousand.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most events of one answer.
pub(crate) const MAX_SELECTION: usize = 20_000;

#[cfg(test)]
mod tests;
