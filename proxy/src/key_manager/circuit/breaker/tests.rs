//! Each way through the state machine, with a clock of the test.

use super::*;

const TIMED_OUT: Outcome = Outcome::Failed(Failure::TimedOut);
const BROKEN: Outcome = Outcome::Failed(Failure::Broken);

pub(in super::super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(in super::super) fn config() -> BreakerConfig {
    BreakerConfig {
        window: ms(10_000),
        min_results: 4,
        pause: ms(100),
        max_pause: ms(350),
        probes: 2,
    }
}

struct Model {
    breaker: Breaker,
    now: Instant,
}

impl Model {
    fn new() -> Self {
        Self {
            breaker: Breaker::new(config()),
            now: Instant::now(),
        }
    }

    fn after(&mut self, wait: u64) -> &mut Self {
        self.now += ms(wait);
        self
    }

    fn call(&mut self, outcome: Outcome) -> Result<Option<Change>, Refused> {
        let ticket = self.breaker.admit(self.now)?;
        Ok(self.breaker.record(ticket, outcome, self.now))
    }

    fn opened() -> Self {
        let mut model = Self::new();
        for _ in 0..3 {
            assert_eq!(model.call(BROKEN), Ok(None));
        }
        let opened = Change::Opened {
            pause: ms(100),
            last: Failure::TimedOut,
        };
        assert_eq!(model.call(TIMED_OUT), Ok(Some(opened)));
        model
    }
}

#[test]
fn it_opens_at_half_failures_and_not_before_there_are_enough_results() {
    let mut model = Model::new();
    for outcome in [Outcome::Answered, Outcome::Answered, BROKEN] {
        assert_eq!(model.call(outcome), Ok(None));
    }
    let opened = Some(Change::Opened {
        pause: ms(100),
        last: Failure::Broken,
    });
    assert_eq!(model.call(BROKEN), Ok(opened));

    let mut model = Model::new();
    for outcome in [Outcome::Answered; 4].into_iter().chain([BROKEN; 3]) {
        assert_eq!(model.call(outcome), Ok(None));
    }
    assert_eq!(model.call(BROKEN), Ok(opened));
}

#[test]
fn results_outside_the_window_do_not_count() {
    let mut model = Model::new();
    for _ in 0..3 {
        assert_eq!(model.call(BROKEN), Ok(None));
    }
    assert_eq!(model.after(10_001).call(BROKEN), Ok(None));
}

#[test]
fn open_it_refuses_with_what_it_opened_for_until_the_pause_is_over() {
    let mut model = Model::opened();
    let refused = Refused {
        last: Failure::TimedOut,
        retry_in: ms(60),
    };
    assert_eq!(model.after(40).call(Outcome::Answered), Err(refused));
    assert!(matches!(refused.into(), KeyManagerError::TimedOut));
    let broken = Refused {
        last: Failure::Broken,
        ..refused
    };
    assert!(matches!(broken.into(), KeyManagerError::Unavailable(_)));
    assert_eq!(model.after(60).call(Outcome::Answered), Ok(None));
}

#[test]
fn half_open_it_admits_one_probe_at_a_time_and_closes_after_enough_of_them() {
    let mut model = Model::opened();
    model.after(100);
    let probe = model.breaker.admit(model.now).unwrap();
    let refused = model.call(Outcome::Answered).unwrap_err();
    assert_eq!(refused.retry_in, Duration::ZERO);
    assert_eq!(
        model.breaker.record(probe, Outcome::Answered, model.now),
        None
    );
    assert_eq!(model.call(Outcome::Answered), Ok(Some(Change::Closed)));
    // Nothing is left of the failures of before.
    for _ in 0..3 {
        assert_eq!(model.call(BROKEN), Ok(None));
    }
}

#[test]
fn a_failed_probe_doubles_the_pause_up_to_its_bound() {
    let mut model = Model::opened();
    for pause in [100, 200, 350, 350] {
        let early = model.after(pause - 1).call(Outcome::Answered);
        assert_eq!(early.unwrap_err().retry_in, ms(1), "{pause}");
        let Ok(Some(Change::Opened { pause: next, .. })) = model.after(1).call(BROKEN) else {
            panic!("a failed probe opens");
        };
        assert_eq!(next, (ms(pause) * 2).min(ms(350)));
    }
}

#[test]
fn a_probe_that_is_given_up_makes_room_for_another() {
    let mut model = Model::opened();
    model.after(100);
    let probe = model.breaker.admit(model.now).unwrap();
    model.breaker.give_up(probe);
    assert_eq!(model.call(Outcome::Answered), Ok(None));
}

#[test]
fn results_of_an_earlier_phase_do_not_count() {
    let mut model = Model::new();
    let late = [(); 2].map(|()| model.breaker.admit(model.now).unwrap());
    let mut late = late.into_iter();
    for _ in 0..4 {
        model.call(BROKEN).unwrap();
    }
    model.after(100);
    let probe = model.breaker.admit(model.now).unwrap();
    let old = late.next().unwrap();
    assert_eq!(model.breaker.record(old, BROKEN, model.now), None);
    let old = late.next().unwrap();
    model.breaker.give_up(old);
    assert!(model.breaker.check(model.now).is_err(), "still probing");
    assert_eq!(
        model.breaker.record(probe, Outcome::Answered, model.now),
        None
    );
    assert_eq!(model.call(Outcome::Answered), Ok(Some(Change::Closed)));
}
