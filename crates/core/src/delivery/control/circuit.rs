//! A circuit breaker: closed, open, probed, closed again.
//!
//! Attempts are counted over a window that slides, as two counters of which the older one fades
//! out: the count is exact where attempts come evenly, and needs no memory of single attempts.

use serde::{Deserialize, Serialize};

use super::Sample;
use crate::time::{Millis, Timestamp};

/// So many probes in a row must succeed before a circuit closes.
pub const PROBES_TO_CLOSE: u32 = 3;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// It opens when at least so many of a hundred attempts failed,
    pub failure_percent: u32,
    /// of at least so many attempts,
    pub minimum_attempts: u32,
    /// within so long.
    pub window: Millis,
    /// How long it stays open before it is probed, and after a probe that failed.
    pub cooldown: Millis,
}

/// A circuit as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// Everything goes.
    Closed {
        /// Since when; none if it was never open.
        since: Option<Timestamp>,
        /// What was counted.
        counts: Counts,
    },
    /// Nothing goes until it is probed.
    Open {
        /// Since when.
        since: Timestamp,
        /// The next probe is made no earlier.
        until: Timestamp,
        /// Probes that succeeded one after the other.
        probes: u32,
    },
}

/// Attempts of a window, and of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// When the window began.
    pub begun: Timestamp,
    /// Attempts in it.
    pub attempts: u32,
    /// Those that failed.
    pub failed: u32,
    /// Attempts in the one before.
    pub attempts_before: u32,
    /// Those that failed.
    pub failed_before: u32,
}

/// How a circuit stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Everything goes.
    Closed,
    /// Nothing goes.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// One probe at a time.
    HalfOpen,
}

/// What an attempt did to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing that anybody need be told.
    Stays,
    /// It has opened, over so many attempts of which so many failed.
    Opens { attempts: u32, failed: u32 },
    /// It has closed.
    Closes,
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed {
            since: None,
            counts: Counts::default(),
        }
    }
}

impl Phase {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Circuit {
    /// How it stands. One that a person has resumed is closed.
    pub fn phase(&self, resumed_at: Option<Timestamp>, now: Timestamp) -> Phase {
        match *self {
            Self::Closed { .. } => Phase::Closed,
            Self::Open { since, .. } if resumed_at.is_some_and(|at| at >= since) => Phase::Closed,
            Self::Open { until, .. } if now < until => Phase::Open { until },
            Self::Open { .. } => Phase::HalfOpen,
        }
    }

    /// When it closed last, if it was ever open.
    pub(super) fn closed_at(&self) -> Option<Timestamp> {
        match *self {
            Self::Closed { since, .. } => since,
            Self::Open { .. } => None,
        }
    }

    /// The circuit after an attempt that began at `started_at`. One that began before the circuit
    /// last changed says nothing of how the endpoint is now.
    pub(super) fn after(
        self,
        breaker: &Breaker,
        sample: Sample,
        (started_at, resumed_at): (Timestamp, Option<Timestamp>),
        now: Timestamp,
    ) -> (Self, Turn) {
        let reset = resumed_at.filter(|at| *at >= self.since().unwrap_or_default());
        let this = match self {
            Self::Open { .. } if reset.is_some() => Self::closed(reset),
            Self::Open { .. } | Self::Closed { .. } => self,
        };
        if this.since().is_some_and(|since| started_at < since) {
            return (this, Turn::Stays);
        }
        match this {
            Self::Closed { since, counts } => {
                let counts = counts.counted(breaker.window, sample, now);
                match counts.verdict(breaker, now) {
                    Some((attempts, failed)) if sample == Sample::Failure => {
                        (Self::opened(breaker, now), Turn::Opens { attempts, failed })
                    }
                    Some(_) | None => (Self::Closed { since, counts }, Turn::Stays),
                }
            }
            Self::Open { since, until, .. } if sample == Sample::Failure => {
                // Only what was sent after the wait was a probe; the wait begins anew.
                let until = if started_at < until {
                    until
                } else {
                    now + breaker.cooldown
                };
                let probes = 0;
                let open = Self::Open {
                    since,
                    until,
                    probes,
                };
                (open, Turn::Stays)
            }
            Self::Open { until, .. } if started_at < until => (this, Turn::Stays),
            Self::Open { probes, .. } if probes + 1 >= PROBES_TO_CLOSE => {
                (Self::closed(Some(now)), Turn::Closes)
            }
            Self::Open {
                since,
                until,
                probes,
            } => {
                let probes = probes + 1;
                let open = Self::Open {
                    since,
                    until,
                    probes,
                };
                (open, Turn::Stays)
            }
        }
    }

    /// Since when it stands as it stands, if it ever changed.
    pub const fn since(&self) -> Option<Timestamp> {
        match *self {
            Self::Closed { since, .. } => since,
            Self::Open { since, .. } => Some(since),
        }
    }

    fn opened(breaker: &Breaker, now: Timestamp) -> Self {
        Self::Open {
            since: now,
            until: now + breaker.cooldown,
            probes: 0,
        }
    }

    fn closed(since: Option<Timestamp>) -> Self {
        Self::Closed {
            since,
            counts: Counts::default(),
        }
    }
}

impl Counts {
    fn counted(self, window: Millis, sample: Sample, now: Timestamp) -> Self {
        let counts = self.moved_on(window, now);
        let failed = u32::from(sample == Sample::Failure);
        Self {
            attempts: counts.attempts.saturating_add(1),
            failed: counts.failed.saturating_add(failed),
            ..counts
        }
    }

    fn moved_on(self, window: Millis, now: Timestamp) -> Self {
        let passed = now.since(self.begun);
        if passed < window {
            return self;
        }
        let fresh = Self {
            begun: now,
            ..Self::default()
        };
        if passed >= window + window {
            return fresh;
        }
        Self {
            begun: self.begun + window,
            attempts_before: self.attempts,
            failed_before: self.failed,
            ..fresh
        }
    }

    /// What was counted within a window's length, if it is enough to open.
    fn verdict(&self, breaker: &Breaker, now: Timestamp) -> Option<(u32, u32)> {
        let window = breaker.window.get().max(1);
        let left = (window - now.since(self.begun).get()).clamp(0, window);
        let fading = |count: u32| u32::try_from(i64::from(count) * left / window).unwrap_or(0);
        let attempts = self.attempts + fading(self.attempts_before);
        let failed = self.failed + fading(self.failed_before);
        let enough = attempts >= breaker.minimum_attempts;
        let percent =
            u64::from(failed) * 100 >= u64::from(attempts) * u64::from(breaker.failure_percent);
        (enough && percent).then_some((attempts, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(seconds: i64) -> Timestamp {
        START + Millis::from_seconds(seconds)
    }

    const BREAKER: Breaker = Breaker {
        failure_percent: 50,
        minimum_attempts: 4,
        window: Millis::from_seconds(60),
        cooldown: Millis::from_seconds(30),
    };

    /// A circuit after attempts that end as they begin.
    fn run(mut circuit: Circuit, samples: &[(i64, Sample)]) -> (Circuit, Turn) {
        let mut turn = Turn::Stays;
        for (seconds, sample) in samples {
            let now = at(*seconds);
            (circuit, turn) = circuit.after(&BREAKER, *sample, (now, None), now);
        }
        (circuit, turn)
    }

    use Sample::{Failure, Success};

    #[test]
    fn it_opens_at_the_percentage_and_not_before_the_minimum() {
        let (circuit, turn) = run(
            Circuit::default(),
            &[(0, Failure), (1, Failure), (2, Failure)],
        );
        assert_eq!(
            (circuit.phase(None, at(2)), turn),
            (Phase::Closed, Turn::Stays)
        );
        let (circuit, turn) = run(circuit, &[(3, Failure)]);
        assert_eq!(circuit.phase(None, at(3)), Phase::Open { until: at(33) });
        let opens = Turn::Opens {
            attempts: 4,
            failed: 4,
        };
        assert_eq!(turn, opens);
        let mostly_good = [(0, Success), (0, Success), (0, Success), (0, Failure)];
        let (circuit, turn) = run(Circuit::default(), &mostly_good);
        assert_eq!(
            (circuit.phase(None, at(1)), turn),
            (Phase::Closed, Turn::Stays)
        );
    }

    #[test]
    fn what_failed_longer_ago_than_the_window_counts_no_more() {
        let old = [(0, Failure), (0, Failure), (0, Failure)];
        let (circuit, _) = run(Circuit::default(), &old);
        let (circuit, turn) = run(circuit, &[(119, Failure), (119, Success), (119, Success)]);
        assert_eq!(turn, Turn::Stays, "{circuit:?}");
        assert_eq!(circuit.phase(None, at(119)), Phase::Closed);
    }

    #[test]
    fn probes_that_succeed_close_it_and_one_that_fails_begins_the_wait_anew() {
        let (open, _) = run(Circuit::default(), &[(0, Failure); 4]);
        assert_eq!(open.phase(None, at(30)), Phase::HalfOpen);
        let (failed, turn) = run(open, &[(30, Success), (31, Failure)]);
        assert_eq!(failed.phase(None, at(31)), Phase::Open { until: at(61) });
        assert_eq!(turn, Turn::Stays);
        assert_eq!(failed.since(), Some(START), "it has been open all the time");
        let (closed, turn) = run(failed, &[(61, Success), (62, Success), (63, Success)]);
        assert_eq!(turn, Turn::Closes);
        assert_eq!(closed.phase(None, at(63)), Phase::Closed);
        assert_eq!(closed.closed_at(), Some(at(63)));
    }

    #[test]
    fn attempts_from_before_it_opened_say_nothing() {
        let (open, _) = run(Circuit::default(), &[(10, Failure); 4]);
        for sample in [Success, Failure] {
            let (still, turn) = open.after(&BREAKER, sample, (at(9), None), at(50));
            assert_eq!((still, turn), (open, Turn::Stays));
        }
    }

    #[test]
    fn a_person_who_resumes_closes_it_and_it_counts_anew() {
        let (open, _) = run(Circuit::default(), &[(0, Failure); 4]);
        let resumed = Some(at(5));
        assert_eq!(open.phase(resumed, at(5)), Phase::Closed);
        let (after, turn) = open.after(&BREAKER, Failure, (at(6), resumed), at(7));
        assert_eq!(after.phase(resumed, at(7)), Phase::Closed);
        assert_eq!(turn, Turn::Stays, "one failure is no four");
    }
}
