//! A future that is polled when it was woken, not whenever its task is.
//!
//! A connection's task is woken for every request; what it waits for beside them, such as the end of the server, comes once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(super) struct Rarely<F> {
    future: Pin<Box<F>>,
    alarm: Option<Arc<Alarm>>,
}

/// Stands between the future and the task that polls it.
struct Alarm {
    rung: AtomicBool,
    task: Waker,
}

impl<F: Future> Rarely<F> {
    pub(super) fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            alarm: None,
        }
    }

    /// The future, which is polled next time if it was changed.
    pub(super) fn change(&mut self) -> Pin<&mut F> {
        self.alarm = None;
        self.future.as_mut()
    }

    pub(super) fn get(&self) -> &F {
        &self.future
    }

    /// Not to be called again after it was ready.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<F::Output> {
        let known = self
            .alarm
            .take()
            .filter(|a| a.task.will_wake(context.waker()));
        let alarm = match known {
            Some(alarm) if !alarm.rung.load(Ordering::Relaxed) => {
                self.alarm = Some(alarm);
                return Poll::Pending;
            }
            Some(alarm) => {
                // Before the poll, so that what rings meanwhile is heard. Acquires what happened before it was rung.
                alarm.rung.swap(false, Ordering::Acquire);
                alarm
            }
            None => Arc::new(Alarm {
                rung: AtomicBool::new(false),
                task: context.waker().clone(),
            }),
        };
        self.alarm = Some(Arc::clone(&alarm));
        let waker = Waker::from(alarm);
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_no_more() {
        let polls = Cell::new(0);
        let (sender, mut receiver) = oneshot::channel();
        let mut rarely = Rarely::new(poll_fn(|context| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receiver).poll(context)
        }));
        for _ in 0..10 {
            let poll = poll_fn(|context| Poll::Ready(rarely.poll(context))).await;
            assert!(poll.is_pending());
        }
        assert_eq!(polls.get(), 1);
        let _changed = rarely.change();
        assert!(
            rarely
                .poll(&Context::from_waker(Waker::noop()))
                .is_pending()
        );
        // Another task: the first one would not hear of it.
        let sent = async {
            tokio::task::yield_now().await;
            sender.send(7).unwrap();
        };
        let (received, ()) = tokio::join!(poll_fn(|context| rarely.poll(context)), sent);
        assert_eq!(received, Ok(7));
        assert_eq!(polls.get(), 4, "first, changed, another task, woken");
    }
}
