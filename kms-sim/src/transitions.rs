//! What people do to the moves of stores: hold CONNECTING and DISCONNECTING, and let an attempt to connect fail.
//!
//! Pure settings and waiting for them; the moves themselves are `connector.rs`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::connection::ConnectionErrorCode;

/// The settings; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Transitions(Arc<watch::Sender<Settings>>);

/// A state that a store passes through.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    Connecting,
    Disconnecting,
}

/// What is held, and which attempts fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `None` stands for every store.
    pub(crate) held: BTreeSet<(Option<String>, Phase)>,
    /// One attempt each.
    pub(crate) failures: BTreeMap<Option<String>, ConnectionErrorCode>,
}

impl Settings {
    fn holds(&self, store: &str, phase: Phase) -> bool {
        let held = |(who, what): &(Option<String>, Phase)| {
            *what == phase && who.as_deref().is_none_or(|who| who == store)
        };
        self.held.iter().any(held)
    }

    /// The failure that is meant for the store, its own before the one for any; it is used up.
    fn take_failure(&mut self, store: &str) -> Option<ConnectionErrorCode> {
        self.failures
            .remove(&Some(store.to_owned()))
            .or_else(|| self.failures.remove(&None))
    }
}

impl Default for Transitions {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Settings::default())))
    }
}

impl Transitions {
    /// From now on the store, or every store, stays in these phases when it comes there.
    pub(crate) fn hold(&self, store: Option<&str>, phases: &[Phase]) {
        let held = phases
            .iter()
            .map(|phase| (store.map(str::to_owned), *phase));
        self.0.send_modify(|settings| settings.held.extend(held));
    }

    /// Ends what [`hold`](Self::hold) was told for that store; without a store, everything that is held.
    pub(crate) fn release(&self, store: Option<&str>, phases: &[Phase]) {
        self.0.send_modify(|settings| {
            settings.held.retain(|(who, phase)| {
                let named = store.is_none_or(|store| who.as_deref() == Some(store));
                !(named && phases.contains(phase))
            });
        });
    }

    /// The attempt of the store that runs, or else its next one, fails; without a store, that of whichever comes first.
    pub(crate) fn fail(&self, store: Option<&str>, code: ConnectionErrorCode) {
        self.0.send_modify(|settings| {
            settings.failures.insert(store.map(str::to_owned), code);
        });
    }

    /// Holds nothing and fails nothing.
    pub(crate) fn reset(&self) {
        self.0.send_replace(Settings::default());
    }

    /// What was set.
    pub(crate) fn settings(&self) -> Settings {
        self.0.borrow().clone()
    }

    /// Whether the store stays in that phase.
    pub(crate) fn holds(&self, store: &str, phase: Phase) -> bool {
        self.0.borrow().holds(store, phase)
    }

    /// Waits until the store may leave the phase.
    pub(crate) async fn released(&self, store: &str, phase: Phase) {
        let mut settings = self.0.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        drop(
            settings
                .wait_for(|settings| !settings.holds(store, phase))
                .await,
        );
    }

    /// Waits for a failure that is meant for the store, and uses it up.
    pub(crate) async fn failure(&self, store: &str) -> ConnectionErrorCode {
        let mut settings = self.0.subscribe();
        loop {
            let mut taken = None;
            self.0.send_if_modified(|settings| {
                taken = settings.take_failure(store);
                taken.is_some()
            });
            if let Some(code) = taken {
                return code;
            }
            drop(settings.changed().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Phase; 2] = [Phase::Connecting, Phase::Disconnecting];

    #[tokio::test]
    async fn a_store_waits_for_its_own_hold_and_for_that_of_all() {
        let transitions = Transitions::default();
        transitions.hold(Some("cks-1"), &[Phase::Connecting]);
        assert!(transitions.holds("cks-1", Phase::Connecting));
        assert!(!transitions.holds("cks-1", Phase::Disconnecting));
        assert!(!transitions.holds("cks-2", Phase::Connecting));
        transitions.released("cks-2", Phase::Connecting).await;
        transitions.hold(None, &BOTH);
        assert!(transitions.holds("cks-2", Phase::Disconnecting));
        transitions.release(Some("cks-1"), &BOTH);
        assert!(
            transitions.holds("cks-1", Phase::Connecting),
            "all are held"
        );
        let (waits, released) = (transitions.clone(), transitions.clone());
        let waiting = tokio::spawn(async move { waits.released("cks-1", Phase::Connecting).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        released.release(None, &BOTH);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_is_used_once_by_whom_it_is_meant_for() {
        let transitions = Transitions::default();
        transitions.fail(None, ConnectionErrorCode::InternalError);
        transitions.fail(Some("cks-1"), ConnectionErrorCode::NetworkErrors);
        assert_eq!(
            transitions.failure("cks-1").await,
            ConnectionErrorCode::NetworkErrors
        );
        assert_eq!(
            transitions.failure("cks-1").await,
            ConnectionErrorCode::InternalError
        );
        assert!(transitions.settings().failures.is_empty());
    }
}
