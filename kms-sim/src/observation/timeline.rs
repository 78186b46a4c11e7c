//! The last minutes of a proxy in steps of time, for plots: how many requests, how many errors, how slow.
//!
//! In constant memory: only steps that had requests are kept, and none that is older than the window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use xks_page::Point;

use super::latency::Latency;

/// The last [`STEPS`] steps of time.
#[derive(Debug)]
pub(super) struct Timeline {
    start: Instant,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    number: u64,
    requests: u64,
    errors: u64,
    latency: Latency,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            steps: VecDeque::new(),
        }
    }
}

impl Timeline {
    /// A request has ended now; without a latency if nobody was there to answer.
    pub(super) fn record(&mut self, now: Instant, latency: Option<Duration>, is_error: bool) {
        let number = self.number(now);
        if self.steps.back().is_none_or(|last| last.number < number) {
            self.steps.push_back(Step {
                number,
                requests: 0,
                errors: 0,
                latency: Latency::default(),
            });
        }
        while let Some(first) = self.steps.front()
            && first.number + STEPS <= number
        {
            self.steps.pop_front();
        }
        // Requests of several threads may come a moment late: they count for the last step.
        let Some(step) = self.steps.back_mut() else {
            return;
        };
        step.requests += 1;
        step.errors += u64::from(is_error);
        if let Some(latency) = latency {
            step.latency.record(latency);
        }
    }

    /// Every step of the window, the earliest first; the last one is not over yet.
    pub(super) fn points(&self, now: Instant) -> Vec<Point> {
        let last = self.number(now);
        let first = (last + 1).saturating_sub(STEPS);
        // Before the beginning there was nothing.
        let missing = STEPS - (last + 1 - first);
        let mut points: Vec<_> = (0..missing).map(|_| Point::default()).collect();
        let mut steps = self.steps.iter().peekable();
        for number in first..=last {
            while steps.next_if(|step| step.number < number).is_some() {}
            let step = steps.next_if(|step| step.number == number);
            points.push(step.map_or_else(Point::default, Step::point));
        }
        points
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / STEP.as_secs()
    }
}

impl Step {
    fn point(&self) -> Point {
        let latency = &self.latency;
        Point {
            requests: self.requests,
            errors: self.errors,
            latency: (latency.count() > 0).then(|| (latency.percentile(0.5), latency.maximum())),
        }
    }
}

/// How long a step lasts.
pub(crate) const STEP: Duration = Duration::from_secs(2);
/// Five minutes.
const STEPS: u64 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Option<Duration> {
        Some(Duration::from_millis(n))
    }

    #[test]
    fn requests_move_from_the_right_to_the_left_and_out() {
        let mut timeline = Timeline::default();
        let at = |seconds| timeline.start + Duration::from_secs(seconds);
        let (early, later) = (at(1), at(20));
        let (full, gone) = (at(299), at(301));
        timeline.record(early, ms(40), false);
        timeline.record(early, None, true);
        timeline.record(later, ms(250), true);
        let points = timeline.points(later);
        assert_eq!(points.len(), 150);
        let last = points[149];
        assert_eq!((last.requests, last.errors), (1, 1));
        assert_eq!(last.latency, Some((250.0, 250.0)));
        let first = points[139];
        assert_eq!((first.requests, first.errors), (2, 1));
        assert_eq!(first.latency, Some((40.0, 40.0)));
        let others: u64 = points.iter().map(|point| point.requests).sum();
        assert_eq!(others, 3, "the other steps are empty");
        assert_eq!(timeline.points(full)[0].requests, 2);
        assert_eq!(timeline.points(gone)[0].requests, 0);
    }

    #[test]
    fn it_keeps_no_more_steps_than_are_drawn() {
        let mut timeline = Timeline::default();
        let start = timeline.start;
        for second in 0..2_000 {
            timeline.record(start + Duration::from_secs(second), ms(1), false);
        }
        assert_eq!(timeline.steps.len(), 150);
        let points = timeline.points(start + Duration::from_secs(1_999));
        assert!(points.iter().all(|point| point.requests == 2));
    }
}
