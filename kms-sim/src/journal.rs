//! Numbers the changes of the state, and lets an answer wait until what it tells is durable.
//!
//! Whoever changes a record names it in a [`Changed`]; the one writer of `persistence.rs` takes the names, saves the
//! records and says up to which number everything is saved. Without persistence nothing is named and nobody waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// The order of all changes; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Journal(Option<Arc<Shared>>);

struct Shared {
    /// The number of the last change.
    changes: AtomicU64,
    /// Tells the writer that there is something to save.
    wake: watch::Sender<()>,
    saved: watch::Sender<Saved>,
    /// Single changes do not tell what has happened.
    everything: AtomicBool,
}

/// The number of a change; that of a record which never changed is before all others.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Serial(u64);

impl Serial {
    /// Nothing has changed.
    pub(crate) const BEFORE_ALL: Self = Self(0);
}

/// How far the writer has come.
#[derive(Clone, Copy, Debug)]
enum Saved {
    UpTo(Serial),
    /// It cannot go on.
    Failed,
}

/// What was changed could not be saved, and neither will be what comes later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotSaved;

impl Journal {
    /// A journal with a writer.
    pub(crate) fn kept() -> Self {
        Self(Some(Arc::new(Shared {
            changes: AtomicU64::new(0),
            wake: watch::Sender::new(()),
            saved: watch::Sender::new(Saved::UpTo(Serial(0))),
            everything: AtomicBool::new(false),
        })))
    }

    /// Counts a change, made under the lock of what it changes.
    pub(crate) fn count(&self) -> Serial {
        let Some(shared) = &self.0 else {
            return Serial::default();
        };
        let serial = Serial(shared.changes.fetch_add(1, Ordering::AcqRel) + 1);
        shared.wake.send_replace(());
        serial
    }

    /// All of the state is another: it is saved anew.
    pub(crate) fn everything_changed(&self) {
        if let Some(shared) = &self.0 {
            shared.everything.store(true, Ordering::Release);
            self.count();
        }
    }

    /// For the writer: all of the state is as it was saved.
    pub(crate) fn nothing_changed(&self) {
        self.take_everything();
    }

    /// For the writer: whether all of the state is to be saved anew.
    pub(crate) fn take_everything(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.everything.swap(false, Ordering::AcqRel))
    }

    /// The last change.
    pub(crate) fn latest(&self) -> Serial {
        let shared = self.0.as_ref();
        Serial(shared.map_or(0, |shared| shared.changes.load(Ordering::Acquire)))
    }

    /// Waits until all changes up to that one are durable.
    pub(crate) async fn durable(&self, serial: Serial) -> Result<(), NotSaved> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        let far_enough = |saved: &Saved| match saved {
            Saved::UpTo(saved) => *saved >= serial,
            Saved::Failed => true,
        };
        let mut saved = shared.saved.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        match saved.wait_for(far_enough).await.map(|saved| *saved) {
            Ok(Saved::UpTo(_)) => Ok(()),
            Ok(Saved::Failed) | Err(_) => Err(NotSaved),
        }
    }

    /// For the writer: resolves when something was changed since the last time.
    pub(crate) fn changes(&self) -> Option<watch::Receiver<()>> {
        self.0.as_ref().map(|shared| shared.wake.subscribe())
    }

    /// For the writer: everything up to that change is durable.
    pub(crate) fn saved(&self, serial: Serial) {
        self.report(Saved::UpTo(serial));
    }

    /// For the writer: it cannot go on.
    pub(crate) fn failed(&self) {
        self.report(Saved::Failed);
    }

    fn report(&self, saved: Saved) {
        if let Some(shared) = &self.0 {
            shared.saved.send_replace(saved);
        }
    }
}

/// The names of the records of one kind that were changed and not saved since.
pub(crate) struct Changed<N> {
    journal: Journal,
    names: BTreeSet<N>,
}

impl<N> Default for Changed<N> {
    fn default() -> Self {
        Self {
            journal: Journal::default(),
            names: BTreeSet::new(),
        }
    }
}

impl<N: Ord> Changed<N> {
    /// Nothing has changed yet.
    pub(crate) const fn new(journal: Journal) -> Self {
        Self {
            journal,
            names: BTreeSet::new(),
        }
    }

    /// A record was made, changed or removed, or is about to be, under the same lock.
    pub(crate) fn note(&mut self, name: impl FnOnce() -> N) -> Serial {
        if self.journal.0.is_none() {
            return Serial::default();
        }
        self.names.insert(name());
        self.journal.count()
    }

    /// For the writer: what is to be saved now.
    pub(crate) fn take(&mut self) -> BTreeSet<N> {
        std::mem::take(&mut self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_waited_for_until_the_writer_has_come_so_far() {
        let journal = Journal::kept();
        let mut changed = Changed::new(journal.clone());
        let first = changed.note(|| "a");
        let second = changed.note(|| "b");
        assert!(first < second && journal.latest() == second);
        assert_eq!(changed.take().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        journal.saved(first);
        journal.durable(first).await.unwrap();
        let waiting = journal.clone();
        let waiting = tokio::spawn(async move { waiting.durable(second).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        journal.saved(second);
        waiting.await.unwrap().unwrap();
        let third = changed.note(|| "a");
        journal.failed();
        journal.durable(third).await.unwrap_err();
    }

    #[tokio::test]
    async fn without_a_writer_nothing_is_remembered_and_nobody_waits() {
        let journal = Journal::default();
        let mut changed = Changed::new(journal.clone());
        let serial = changed.note(|| "a");
        assert!(changed.take().is_empty());
        journal.durable(serial).await.unwrap();
        journal.durable(journal.latest()).await.unwrap();
    }
}
