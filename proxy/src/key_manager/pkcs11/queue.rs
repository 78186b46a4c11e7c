//! Work that waits for a session: bounded, each piece with its deadline, taken by whichever worker is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A queue of a fixed size that can be closed.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
    last_taken: Instant,
}

/// There is no room.
pub(super) struct Full {
    /// When a worker last took something, or could not because nothing waited.
    pub(super) last_taken: Instant,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::with_capacity(capacity),
                closed: false,
                last_taken: Instant::now(),
            }),
            changed: Condvar::new(),
            capacity,
        }
    }

    pub(super) fn push(&self, item: T) -> Result<(), Full> {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= self.capacity {
            return Err(Full {
                last_taken: state.last_taken,
            });
        }
        if state.waiting.is_empty() {
            state.last_taken = Instant::now();
        }
        state.waiting.push_back(item);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts something back that could not be worked on here: first in line, and whatever the capacity.
    pub(super) fn put_back(&self, item: T) {
        self.lock().waiting.push_front(item);
        self.changed.notify_one();
    }

    /// Waits for something to do; `None` when the queue is closed.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(item) = state.waiting.pop_front() {
                state.last_taken = Instant::now();
                return Some(item);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many pieces wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Ends all workers. What waits is dropped with the queue.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_bounded_ordered_and_ends() {
        let queue = Queue::new(2);
        assert!(queue.push(1).is_ok() && queue.push(2).is_ok());
        assert!(queue.push(3).is_err());
        assert_eq!(queue.pop(), Some(1));
        queue.put_back(0);
        assert_eq!((queue.pop(), queue.pop()), (Some(0), Some(2)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.pop());
            queue.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(queue.push(4).is_err());
    }
}
