//! What shapes the traffic of a lane beyond its concurrency: a rate, a slow start, a circuit.
//!
//! A store keeps one small state per lane that has such a limit, and asks here, inside the
//! transaction that leases, how many of the lane's deliveries may go now. So a limit holds over all
//! nodes, whichever of them asks, and what has to wait is simply not leased: a wait costs neither
//! an attempt nor a part of the retry budget.
//!
//! Two parts of the state have two writers, so that nobody waits for the other: the bucket is moved
//! by whoever leases, the health by whoever finishes. That a circuit is half open needs no write at
//! all: it is one that was opened, and whose time has come.

mod bucket;
mod circuit;
mod health;
mod ramp;

pub use bucket::{Bucket, Rate};
pub use circuit::{Breaker, Circuit, PROBES_TO_CLOSE, Phase};
pub use health::{LaneEvent, LaneHealth, LaneReport, Patience, Sample};
pub use ramp::SLOW_START;

use crate::time::{Millis, Timestamp};

/// What limits a lane, as its endpoint is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneControl {
    /// The rate of attempts, where one is set.
    pub rate: Option<Rate>,
    /// When the circuit opens, where that is on.
    pub breaker: Option<Breaker>,
    /// When a person last let the endpoint go on: it is drained slowly from then on, and what was
    /// counted against it before counts no more.
    pub resumed_at: Option<Timestamp>,
    /// What becomes of what is due while the circuit is open.
    pub while_open: WhileOpen,
}

/// What becomes of what is due while a circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhileOpen {
    /// It waits.
    #[default]
    Wait,
    /// It is leased to be sent elsewhere.
    Divert,
}

/// How a delivery is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passage {
    /// To be attempted.
    #[default]
    Through,
    /// To be sent elsewhere: the circuit of its lane is open.
    Around,
}

/// How much of a lane may be leased now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// At most so many more.
    pub most: usize,
    /// At most so many live leases, over all nodes.
    pub live_max: usize,
    /// For what they are leased.
    pub passage: Passage,
    /// How long until anything may be leased; none where something may be now.
    pub wait: Option<Millis>,
}

impl LaneControl {
    /// Whether anything of it holds at `now`. Where nothing does, no state need be read.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.rate.is_some()
            || self.breaker.is_some()
            || self.resumed_at.is_some_and(|at| ramp::is_on(at, now))
    }

    /// How much may be leased of a lane that stands so.
    pub fn grant(&self, bucket: Bucket, health: &LaneHealth, now: Timestamp) -> Grant {
        let open = Grant {
            most: usize::MAX,
            live_max: usize::MAX,
            passage: Passage::Through,
            wait: None,
        };
        let live_max = match (self.phase(health, now), self.while_open) {
            (Phase::Open { until }, WhileOpen::Wait) => {
                return Grant {
                    most: 0,
                    wait: Some(until.since(now)),
                    ..open
                };
            }
            (Phase::Open { .. }, WhileOpen::Divert) => {
                return Grant {
                    passage: Passage::Around,
                    ..open
                };
            }
            // One probe at a time: the first says enough.
            (Phase::HalfOpen, _) => 1,
            (Phase::Closed, _) => usize::MAX,
        };
        let Some(rate) = self.rate_at(health, now) else {
            return Grant { live_max, ..open };
        };
        let most = bucket.free(rate, now);
        Grant {
            most,
            live_max,
            wait: (most == 0).then(|| bucket.wait(rate, now)),
            passage: Passage::Through,
        }
    }

    /// The bucket after `many` were leased to be attempted, and how long until it has more, where
    /// it is empty now. None where no rate holds.
    pub fn take(
        &self,
        bucket: Bucket,
        health: &LaneHealth,
        many: usize,
        now: Timestamp,
    ) -> Option<(Bucket, Option<Millis>)> {
        let rate = self.rate_at(health, now)?;
        let left = bucket.taken(rate, many, now);
        let wait = (left.free(rate, now) == 0).then(|| left.wait(rate, now));
        Some((left, wait))
    }

    /// How the circuit stands.
    pub fn phase(&self, health: &LaneHealth, now: Timestamp) -> Phase {
        match self.breaker {
            Some(_) => health.circuit.phase(self.resumed_at, now),
            None => Phase::Closed,
        }
    }

    /// The rate that holds now: the endpoint's own, or the slow start's where that is lower.
    fn rate_at(&self, health: &LaneHealth, now: Timestamp) -> Option<Rate> {
        let closed_at = self.breaker.and_then(|_| health.circuit.closed_at());
        let begun = self.resumed_at.max(closed_at);
        let ramp = begun.and_then(|begun| ramp::rate(begun, now));
        match (self.rate, ramp) {
            (Some(own), Some(ramp)) => Some(own.lower_of(ramp)),
            (own, ramp) => own.or(ramp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(millis: i64) -> Timestamp {
        START + Millis::new(millis)
    }

    fn breaker() -> Breaker {
        Breaker {
            failure_percent: 50,
            minimum_attempts: 4,
            window: Millis::from_seconds(60),
            cooldown: Millis::from_seconds(30),
        }
    }

    /// A circuit that failures at `START` have opened.
    fn opened() -> LaneHealth {
        let mut health = LaneHealth::default();
        for _ in 0..4 {
            let report = LaneReport {
                sample: Sample::Failure,
                started_at: START,
                breaker: Some(breaker()),
                patience: None,
                resumed_at: None,
            };
            health = health.after(&report, START).0;
        }
        health
    }

    #[test]
    fn a_lane_without_limits_needs_no_state() {
        assert!(!LaneControl::default().holds(START));
        let resumed = LaneControl {
            resumed_at: Some(START),
            ..LaneControl::default()
        };
        assert!(resumed.holds(at(0)));
        assert!(!resumed.holds(START + SLOW_START), "the start is over");
    }

    #[test]
    fn while_the_circuit_is_open_nothing_goes_until_it_is_probed_one_at_a_time() {
        let control = LaneControl {
            breaker: Some(breaker()),
            ..LaneControl::default()
        };
        let health = opened();
        let open = control.grant(Bucket::default(), &health, at(1));
        assert_eq!(open.most, 0);
        assert_eq!(open.wait, Some(Millis::new(29_999)));
        let half_open = control.grant(Bucket::default(), &health, at(30_000));
        assert_eq!((half_open.live_max, half_open.wait), (1, None));
        assert_eq!(half_open.passage, Passage::Through);
    }

    #[test]
    fn an_open_circuit_with_another_way_diverts_and_half_open_probes() {
        let control = LaneControl {
            breaker: Some(breaker()),
            while_open: WhileOpen::Divert,
            ..LaneControl::default()
        };
        let health = opened();
        let open = control.grant(Bucket::default(), &health, at(1));
        assert_eq!(open.passage, Passage::Around);
        assert_eq!((open.most, open.wait), (usize::MAX, None));
        let half_open = control.grant(Bucket::default(), &health, at(30_000));
        assert_eq!(half_open.passage, Passage::Through);
        assert_eq!(half_open.live_max, 1);
    }

    #[test]
    fn a_person_who_resumes_closes_the_circuit_and_begins_slowly() {
        let control = LaneControl {
            breaker: Some(breaker()),
            resumed_at: Some(at(10)),
            ..LaneControl::default()
        };
        let grant = control.grant(Bucket::default(), &opened(), at(10));
        assert_eq!((grant.most, grant.wait), (1, None));
    }

    #[test]
    fn the_lower_of_rate_and_slow_start_holds() {
        let resumed = |per_second| LaneControl {
            rate: Some(Rate {
                per_second,
                burst: 3,
            }),
            resumed_at: Some(START),
            ..LaneControl::default()
        };
        let wait_after_one = |control: LaneControl, now| {
            let health = LaneHealth::default();
            let taken = control.take(Bucket::default(), &health, 1, now);
            taken.and_then(|(_, wait)| wait)
        };
        let own = wait_after_one(resumed(2), START);
        assert_eq!(own, Some(Millis::new(500)), "its own rate is lower");
        let start = wait_after_one(resumed(500), START);
        assert_eq!(start, Some(Millis::new(100)), "the slow start is");
        let later = START + SLOW_START;
        assert_eq!(wait_after_one(resumed(500), later), None, "a burst is left");
    }

    #[test]
    fn what_is_leased_is_taken_from_the_bucket_and_the_wait_is_told() {
        let control = LaneControl {
            rate: Some(Rate {
                per_second: 10,
                burst: 2,
            }),
            ..LaneControl::default()
        };
        let health = LaneHealth::default();
        let (left, wait) = control
            .take(Bucket::default(), &health, 1, START)
            .expect("a rate holds");
        assert_eq!(wait, None, "one is left");
        let (empty, wait) = control.take(left, &health, 1, START).expect("a rate holds");
        assert_eq!(wait, Some(Millis::new(100)));
        assert_eq!(control.grant(empty, &health, at(99)).most, 0);
        assert_eq!(control.grant(empty, &health, at(100)).most, 1);
    }
}
