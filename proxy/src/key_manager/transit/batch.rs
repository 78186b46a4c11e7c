//! Messages that travel together: a request costs the proxy and the server far more than a message in it does.
//!
//! While [`CALLS`] requests of a key are under way, the next messages wait for one of them to end, and then go in one
//! request (`batch_input`). None waits longer than [`PATIENCE`] for that. Whatever has no good result in a batch is
//! asked for again by itself, so that refusals, tokens and other servers are the business of single requests alone.
//!
//! This file owns who waits for what; `shared` speaks with the server.

mod shared;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Shared;
use super::settings::TransitKeyName;

/// What a batch is of: a server takes one operation with one key in a request.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Line {
    pub(super) operation: Operation,
    pub(super) key: TransitKeyName,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Operation {
    Encrypt,
    Decrypt,
}

/// What a good answer holds: a ciphertext, or a plaintext in base64.
pub(super) type Text = Zeroizing<String>;

/// All lines.
pub(super) struct Batches {
    lines: Mutex<Lines>,
    /// Messages in a request; 1: never more than one.
    max: usize,
    /// Whether the servers keep batches as single requests are kept; until that is found out there are none.
    sound: OnceLock<bool>,
}

#[derive(Default)]
struct Lines {
    busy: HashMap<Line, Busy>,
    /// Of the last message that had to wait.
    number: u64,
}

/// A line with requests under way.
#[derive(Default)]
struct Busy {
    calls: usize,
    waiting: VecDeque<Message>,
}

struct Message {
    number: u64,
    body: Bytes,
    to: oneshot::Sender<Given>,
}

/// What a message that waited is given.
enum Given {
    /// Its result.
    Done(Text),
    /// Its turn, for a request of its own.
    Turn(Turn),
    /// No good result.
    Nothing,
}

/// How a message goes.
enum Place {
    /// In a request of its own; nobody waits for it to end.
    Alone,
    /// In a request of its own.
    Turn(Turn),
    /// Later, with others.
    Waiting(u64, oneshot::Receiver<Given>),
}

impl Batches {
    pub(super) fn new(max: usize) -> Self {
        Self {
            lines: Mutex::default(),
            max,
            sound: OnceLock::new(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message's place in its line.
    fn enter(&self, shared: &Arc<Shared>, line: &Line, body: &Bytes) -> Place {
        if self.sound.get() != Some(&true) {
            return Place::Alone;
        }
        let mut lines = self.lines();
        let lines = &mut *lines;
        match lines.busy.entry(line.clone()) {
            Entry::Occupied(mut busy) if busy.get().calls >= CALLS => {
                lines.number += 1;
                let number = lines.number;
                let (to, given) = oneshot::channel();
                let body = body.clone();
                busy.get_mut()
                    .waiting
                    .push_back(Message { number, body, to });
                Place::Waiting(number, given)
            }
            busy => {
                busy.or_default().calls += 1;
                Place::Turn(Turn {
                    shared: Arc::clone(shared),
                    line: line.clone(),
                })
            }
        }
    }

    /// The message waited long enough: it goes, with those behind it. Its turn, if there are none.
    fn hurry(&self, shared: &Arc<Shared>, line: &Line, number: u64) -> Option<Turn> {
        let mut lines = self.lines();
        let busy = lines.busy.get_mut(line)?;
        if !busy.waiting.iter().any(|message| message.number == number) {
            // Under way.
            return None;
        }
        let next = busy.take(self.max);
        busy.calls += 1;
        drop(lines);
        let turn = Turn {
            shared: Arc::clone(shared),
            line: line.clone(),
        };
        match &*next {
            [message] if message.number == number => Some(turn),
            _ => {
                turn.pass_on(next);
                None
            }
        }
    }

    /// At the end of a request: the next messages, or one place more in the line.
    fn next(&self, line: &Line) -> Vec<Message> {
        let mut lines = self.lines();
        let Some(busy) = lines.busy.get_mut(line) else {
            return Vec::new();
        };
        let next = busy.take(self.max);
        if next.is_empty() {
            busy.calls = busy.calls.saturating_sub(1);
            if busy.calls == 0 {
                lines.busy.remove(line);
            }
        }
        next
    }
}

impl Busy {
    /// What one request may hold of what waits, the oldest first.
    fn take(&mut self, max: usize) -> Vec<Message> {
        let mut taken = Vec::new();
        let mut len = 0;
        while taken.len() < max
            && let Some(message) = self.waiting.front()
            && (taken.is_empty() || len + message.body.len() <= MAX_LEN)
        {
            let len_of_this = message.body.len();
            let message = self.waiting.pop_front();
            // Of others, the request was given up meanwhile.
            if let Some(message) = message.filter(|message| !message.to.is_closed()) {
                len += len_of_this;
                taken.push(message);
            }
        }
        taken
    }
}

/// The right to one of the requests of a line; passed on at its end.
struct Turn {
    shared: Arc<Shared>,
    line: Line,
}

impl Turn {
    fn pass_on(self, mut next: Vec<Message>) {
        if next.len() > 1 {
            // No runtime at the end of the process alone, where nobody waits any more.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(shared::go(self, next));
            }
        } else if let Some(message) = next.pop() {
            // If nobody waits for it any more, the turn comes back, and is passed on.
            drop(message.to.send(Given::Turn(self)));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.shared.batches.next(&self.line);
        if !next.is_empty() {
            let (shared, line) = (Arc::clone(&self.shared), self.line.clone());
            Self { shared, line }.pass_on(next);
        }
    }
}

/// Requests of a line that may be under way before messages wait for each other. Two, so that a server that is far away
/// is never without work from here.
const CALLS: usize = 2;
/// A slow request holds up those of others no longer than this.
const PATIENCE: Duration = Duration::from_millis(5);
/// Bytes of a request, far below what servers take, so that its answer is below what this proxy takes.
const MAX_LEN: usize = 128 * 1024;
/// Messages in a request.
pub(super) const MAX_BATCH: usize = 32;
