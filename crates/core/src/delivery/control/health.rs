//! How an endpoint fares: what its attempts say of its circuit, and for how long none succeeded.

use serde::{Deserialize, Serialize};

use super::circuit::Turn;
use super::{Breaker, Circuit};
use crate::time::{Millis, Timestamp};

/// What an attempt says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// It works.
    Success,
    /// It does not.
    Failure,
}

/// After how long without a success an endpoint is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// It is disabled after this; half of it is the warning.
    pub disable_after: Millis,
}

/// What is told of an attempt that ended, with what its endpoint is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneReport {
    /// What it says.
    pub sample: Sample,
    /// When its lease was given, on the store's clock.
    pub started_at: Timestamp,
    /// The circuit's settings, where one is on.
    pub breaker: Option<Breaker>,
    /// When the endpoint is given up, where it ever is.
    pub patience: Option<Patience>,
    /// When a person last let it go on.
    pub resumed_at: Option<Timestamp>,
}

/// How an endpoint fares, as it is kept. A stored format: fields are added, and never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneHealth {
    /// The circuit.
    pub circuit: Circuit,
    /// When the first attempt failed after which none succeeded.
    pub failing_since: Option<Timestamp>,
    /// When one was last known to succeed. Successes are told at most once a minute, so that it
    /// may have been a minute later.
    pub succeeded_at: Option<Timestamp>,
    /// What was told of its failing.
    pub told: Told,
}

/// What was told of an endpoint's failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// That it will be disabled.
    Warned,
    /// That it is given up.
    GivenUp,
}

/// Something that people shall hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneEvent {
    /// The circuit has opened.
    CircuitOpened {
        /// Attempts in the window.
        attempts: u32,
        /// Those that failed.
        failed: u32,
        /// When it is probed.
        until: Timestamp,
    },
    /// The circuit has closed.
    CircuitClosed,
    /// Nothing has succeeded for long.
    FailingLong {
        /// Since when.
        since: Timestamp,
        /// When it will be disabled.
        disabled_at: Timestamp,
    },
    /// Nothing has succeeded for so long that it shall be disabled.
    GivenUp {
        /// Since when.
        since: Timestamp,
    },
    /// It succeeds again, after a warning.
    Recovered,
}

impl LaneEvent {
    /// What the audit log calls it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::CircuitOpened { .. } => "circuit.opened",
            Self::CircuitClosed => "circuit.closed",
            Self::FailingLong { .. } => "endpoint.failing",
            Self::GivenUp { .. } => "endpoint.disabled",
            Self::Recovered => "endpoint.recovered",
        }
    }

    /// What happened, as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::CircuitOpened {
                attempts,
                failed,
                until,
            } => format!(
                "{failed} of {attempts} attempts failed; deliveries wait and are probed from {until}"
            ),
            Self::CircuitClosed => {
                "probes succeeded; deliveries go on with a slow start".to_owned()
            }
            Self::FailingLong { since, disabled_at } => format!(
                "no attempt has succeeded since {since}; it is disabled at {disabled_at} if none \
                 does before"
            ),
            Self::GivenUp { since } => format!("no attempt has succeeded since {since}"),
            Self::Recovered => "an attempt succeeded again".to_owned(),
        }
    }
}

impl LaneHealth {
    /// The health after an attempt, and what people shall hear. Of the same long failure they hear
    /// once, but that it shall be disabled is said until it is.
    pub fn after(&self, report: &LaneReport, now: Timestamp) -> (Self, Vec<LaneEvent>) {
        let mut events = Vec::new();
        let mut next = *self;
        if let Some(breaker) = &report.breaker {
            let times = (report.started_at, report.resumed_at);
            let (circuit, turn) = self.circuit.after(breaker, report.sample, times, now);
            next.circuit = circuit;
            events.extend(match turn {
                Turn::Stays => None,
                Turn::Opens { attempts, failed } => Some(LaneEvent::CircuitOpened {
                    attempts,
                    failed,
                    until: now + breaker.cooldown,
                }),
                Turn::Closes => Some(LaneEvent::CircuitClosed),
            });
        }
        match report.sample {
            Sample::Success => next.succeeded(&mut events, now),
            Sample::Failure => next.failed(report, &mut events, now),
        }
        (next, events)
    }

    /// Whether the circuit is open or being probed.
    pub const fn is_open(&self) -> bool {
        match self.circuit {
            Circuit::Open { .. } => true,
            Circuit::Closed { .. } => false,
        }
    }

    /// Since when nothing has succeeded, as far as it counts after a person let it go on.
    pub fn failing_since(&self, resumed_at: Option<Timestamp>) -> Option<Timestamp> {
        self.failing_since
            .filter(|since| resumed_at.is_none_or(|at| at <= *since))
    }

    /// Whether this is the first time that people hear of an event.
    pub fn tells_anew(&self, event: &LaneEvent) -> bool {
        match event {
            LaneEvent::GivenUp { .. } => self.told != Told::GivenUp,
            LaneEvent::CircuitOpened { .. }
            | LaneEvent::CircuitClosed
            | LaneEvent::FailingLong { .. }
            | LaneEvent::Recovered => true,
        }
    }

    fn succeeded(&mut self, events: &mut Vec<LaneEvent>, now: Timestamp) {
        if self.told != Told::Nothing {
            events.push(LaneEvent::Recovered);
        }
        self.failing_since = None;
        self.succeeded_at = Some(now);
        self.told = Told::Nothing;
    }

    fn failed(&mut self, report: &LaneReport, events: &mut Vec<LaneEvent>, now: Timestamp) {
        let known = self.failing_since(report.resumed_at);
        let since = known.unwrap_or(now);
        if known.is_none() {
            self.told = Told::Nothing;
        }
        self.failing_since = Some(since);
        let Some(patience) = report.patience else {
            return;
        };
        let failing = now.since(since);
        if failing >= patience.disable_after {
            events.push(LaneEvent::GivenUp { since });
            self.told = Told::GivenUp;
        } else if failing >= patience.warn_after() && self.told == Told::Nothing {
            let disabled_at = since + patience.disable_after;
            events.push(LaneEvent::FailingLong { since, disabled_at });
            self.told = Told::Warned;
        }
    }
}

impl Patience {
    /// After how long it is said that the endpoint will be disabled.
    pub const fn warn_after(&self) -> Millis {
        Millis::new(self.disable_after.get() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(hours: i64) -> Timestamp {
        START + Millis::from_seconds(hours * 3_600)
    }

    fn report(sample: Sample, resumed_at: Option<Timestamp>) -> LaneReport {
        LaneReport {
            sample,
            started_at: START,
            breaker: None,
            patience: Some(Patience {
                disable_after: Millis::from_seconds(120 * 3_600),
            }),
            resumed_at,
        }
    }

    fn failed(health: &LaneHealth, hours: i64) -> (LaneHealth, Vec<LaneEvent>) {
        health.after(&report(Sample::Failure, None), at(hours))
    }

    #[test]
    fn long_failure_warns_once_at_half_the_time_and_then_gives_up() {
        let (health, events) = failed(&LaneHealth::default(), 0);
        assert_eq!(events, []);
        let (health, events) = failed(&health, 59);
        assert_eq!(events, []);
        let (health, events) = failed(&health, 60);
        let disabled_at = at(120);
        let since = START;
        assert_eq!(events, [LaneEvent::FailingLong { since, disabled_at }]);
        let (health, events) = failed(&health, 61);
        assert_eq!(events, [], "once");
        let (given_up, events) = failed(&health, 120);
        assert_eq!(events, [LaneEvent::GivenUp { since }]);
        assert!(health.tells_anew(&events[0]));
        let (_, events) = failed(&given_up, 121);
        assert_eq!(events.len(), 1, "it is said until it is done");
        assert!(!given_up.tells_anew(&events[0]), "but told to people once");
    }

    #[test]
    fn one_success_begins_anew() {
        let (health, _) = failed(&LaneHealth::default(), 0);
        let (health, _) = failed(&health, 60);
        let (health, events) = health.after(&report(Sample::Success, None), at(61));
        assert_eq!(events, [LaneEvent::Recovered]);
        assert_eq!(health.failing_since, None);
        let (health, events) = failed(&health, 130);
        assert_eq!(events, []);
        assert_eq!(health.failing_since, Some(at(130)));
    }

    #[test]
    fn what_failed_before_a_person_resumed_does_not_count() {
        let (health, _) = failed(&LaneHealth::default(), 0);
        let resumed = Some(at(119));
        let (health, events) = health.after(&report(Sample::Failure, resumed), at(120));
        assert_eq!(events, []);
        assert_eq!(health.failing_since, Some(at(120)));
    }

    #[test]
    fn the_stored_form_is_read_back_and_lacks_nothing_that_it_needs() {
        let (health, _) = failed(&LaneHealth::default(), 0);
        let text = serde_json::to_string(&health).unwrap();
        assert_eq!(serde_json::from_str::<LaneHealth>(&text).unwrap(), health);
        let empty: LaneHealth = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, LaneHealth::default());
    }
}
