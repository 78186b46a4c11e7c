//! How late this process is, and which requests it turns away for that.
//!
//! KMS waits 250 ms for an answer. Where requests wait longer than that for a processor, all of them would be served and
//! none in time. So a share of them is refused as soon as the wait grows long: a refusal costs less than an answer, and
//! those that are served are served in time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task;
use tokio::time::{Instant, sleep_until};

/// How long tasks waited for a processor when it was last looked at.
#[derive(Default)]
pub struct Overload {
    /// In microseconds.
    wait: AtomicU32,
    turn: AtomicU32,
}

impl Overload {
    /// Whether the next request is one to turn away. Without a wait, all that it costs is to read a number.
    pub(crate) fn sheds(&self) -> bool {
        let beyond = self.wait.load(Ordering::Relaxed).saturating_sub(LONG_WAIT);
        if beyond == 0 {
            return false;
        }
        let share = u64::from(beyond) * (1 << 32) / u64::from(TOO_LONG_WAIT - LONG_WAIT);
        // Steps of the golden ratio: of any few requests in a row, the share is turned away.
        let turn = self.turn.fetch_add(GOLDEN_RATIO, Ordering::Relaxed);
        u64::from(turn) < share
    }

    /// How long tasks waited when it was last looked at.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_micros(self.wait.load(Ordering::Relaxed).into())
    }

    /// Looks again and again. Ends when it is dropped.
    pub(super) async fn watch(&self) {
        let mut shedding = false;
        let mut last = [Duration::ZERO; PROBES_IN_A_ROW];
        loop {
            let [newest, ..] = last;
            let late = shedding || newest.as_micros() > u128::from(LONG_WAIT);
            let due = Instant::now() + if late { PROBE_WHEN_LATE } else { PROBE };
            sleep_until(due).await;
            last.rotate_right(1);
            let [newest, ..] = &mut last;
            *newest = in_line(due).await;
            // A stall makes one probe late; where requests stand in line, all of them are.
            let wait = last.into_iter().min().unwrap_or_default();
            let sheds = self.note(wait);
            if sheds && !shedding {
                tracing::warn!(
                    wait_ms = wait.as_millis(),
                    "overloaded: requests wait long for a processor, so some are answered with ThrottlingException; \
                     more processors or proxies are needed if this goes on"
                );
            }
            shedding = sheds;
        }
    }

    /// Takes up a wait, and forgets longer ones step by step. Tells whether requests are turned away now.
    pub fn note(&self, wait: Duration) -> bool {
        let wait = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
        let before = self.wait.load(Ordering::Relaxed);
        let now = wait.min(TOO_LONG_WAIT).max(before / 2);
        self.wait.store(now, Ordering::Relaxed);
        now > LONG_WAIT
    }
}

/// How long after a moment the runtime gets to a task that stands in line like all others.
async fn in_line(since: Instant) -> Duration {
    // The runtime lets the task that was woken last go first, as it would this one. Another one after it sends it to the
    // end of the line.
    let (probe, last) = (
        task::spawn(async move { since.elapsed() }),
        task::spawn(async {}),
    );
    drop(last.await);
    probe.await.unwrap_or_default()
}

/// In microseconds: from here on requests are turned away,
const LONG_WAIT: u32 = 75_000;
/// and all of them from here on; with the time of an answer itself, KMS would not see it any more.
const TOO_LONG_WAIT: u32 = 175_000;
const GOLDEN_RATIO: u32 = 0x9e37_79b9;
const PROBES_IN_A_ROW: usize = 3;
const PROBE: Duration = Duration::from_millis(50);
const PROBE_WHEN_LATE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_turned_away_grows_with_the_wait() {
        let overload = Overload::default();
        for (wait, expected) in [
            (0, 0),
            (75_000, 0),
            (76_000, 10),
            (100_000, 250),
            (125_000, 500),
            (174_000, 990),
            (175_000, 1_000),
            (10_000_000, 1_000),
        ] {
            overload.wait.store(0, Ordering::Relaxed);
            assert_eq!(
                overload.note(Duration::from_micros(wait.into())),
                wait > LONG_WAIT
            );
            let shed: u32 = (0..1_000).map(|_| u32::from(overload.sheds())).sum();
            assert!(shed.abs_diff(expected) <= 2, "{shed} of 1,000 at {wait} µs");
        }
    }

    #[test]
    fn a_stall_is_over_soon_after_it_ended() {
        let overload = Overload::default();
        assert!(overload.note(Duration::MAX));
        assert!(
            overload.note(Duration::ZERO),
            "one good moment is no recovery"
        );
        assert!(!overload.note(Duration::ZERO));
        assert!(!overload.sheds());
    }

    #[tokio::test]
    async fn a_stall_is_no_overload_and_a_processor_that_is_always_taken_is() {
        let overload = Overload::default();
        let keeps_it = async {
            for stall in 1..=PROBES_IN_A_ROW {
                std::thread::sleep(PROBE + 2 * Duration::from_micros(TOO_LONG_WAIT.into()));
                // What is due is served before this goes on.
                sleep_until(Instant::now()).await;
                assert_eq!(overload.sheds(), stall == PROBES_IN_A_ROW, "{stall}");
            }
        };
        tokio::select! {
            biased;
            () = overload.watch() => unreachable!("it never ends"),
            () = keeps_it => {}
        }
    }
}
