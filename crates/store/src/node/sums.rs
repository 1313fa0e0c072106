//! Sums of what happened, as stores keep them: one row for each span, kind, subject, outcome and
//! reason. What a row's numbers stand for is a stored format.

use std::collections::BTreeMap;

use hooklatch_core::ids::{AttemptId, EndpointId, MessageId, SourceId};
use hooklatch_core::time::{Millis, Timestamp};

use crate::record::{Code, Unreadable};
use crate::stats::HOURLY_FROM;
use crate::{ArrivalCount, AttemptCount, Counts};

const MINUTE_MILLIS: i64 = 60_000;
const MINUTES_PER_HOUR: i64 = 60;
/// Stands for "none" where a row needs a number.
const NONE: i64 = -1;

/// What an old attempt is, when it ends: by then its minute may have been added up, so that it is
/// noted beside its record.
pub const LATE_AFTER: Millis = Millis::from_seconds(40);

/// How old an attempt is before it is added up. Longer than [`LATE_AFTER`] by more than a commit
/// takes, so that none falls between the two.
pub const ATTEMPTS_SETTLED_AFTER: Millis = Millis::from_seconds(60);

/// How much time one row spans. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each names its span")]
pub enum Level {
    Minute = 1,
    Hour = 2,
}

impl Level {
    /// What answers a question with this step.
    pub fn for_step(step: Millis) -> Self {
        if step >= HOURLY_FROM {
            Self::Hour
        } else {
            Self::Minute
        }
    }
}

/// What is summed. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each names what it sums")]
pub enum Summed {
    Arrivals = 1,
    Attempts = 2,
}

/// One row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// Minutes since 1970 at which its span begins.
    pub at: i64,
    /// The project's number.
    pub project: i64,
    /// [`Summed`] as a number.
    pub kind: i64,
    /// The source's or endpoint's number; -1 for none.
    pub subject: i64,
    /// The outcome's code.
    pub outcome: i64,
    /// The code of the cause or of the trigger; -1 for none.
    pub why: i64,
}

impl Slot {
    /// The slot of a request.
    pub fn arrival(
        number: i64,
        project: i64,
        source: Option<i64>,
        outcome: i64,
        cause: Option<i64>,
    ) -> Self {
        Self {
            at: minute_of(number),
            project,
            kind: Summed::Arrivals as i64,
            subject: source.unwrap_or(NONE),
            outcome,
            why: cause.unwrap_or(NONE),
        }
    }

    /// The slot of the whole step in which it lies.
    #[must_use]
    pub fn stepped(self, step: Millis) -> Self {
        let minutes = (step.get() / MINUTE_MILLIS).max(1);
        let at = self.at - self.at.rem_euclid(minutes);
        Self { at, ..self }
    }

    /// The slot of an attempt.
    pub fn attempt(
        number: i64,
        project: i64,
        endpoint: Option<i64>,
        outcome: i64,
        trigger: i64,
    ) -> Self {
        Self {
            at: minute_of(number),
            project,
            kind: Summed::Attempts as i64,
            subject: endpoint.unwrap_or(NONE),
            outcome,
            why: trigger,
        }
    }
}

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// How many.
    pub many: i64,
    /// How many milliseconds together; of requests, which take none, how many had no key.
    pub millis: i64,
}

/// Sums in the making.
#[derive(Debug, Clone, Default)]
pub struct Sums(BTreeMap<Slot, Sum>);

impl Sums {
    /// Adds to a slot.
    pub fn add(&mut self, slot: Slot, many: i64, millis: i64) {
        let sum = self.0.entry(slot).or_default();
        sum.many += many;
        sum.millis += millis;
    }

    /// Every sum.
    pub fn rows(&self) -> impl Iterator<Item = (Slot, Sum)> {
        self.0.iter().map(|(slot, sum)| (*slot, *sum))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same for whole hours.
    #[must_use]
    pub fn by_hour(&self) -> Self {
        let mut hours = Self::default();
        for (slot, sum) in self.rows() {
            let at = slot.at - slot.at.rem_euclid(MINUTES_PER_HOUR);
            hours.add(Slot { at, ..slot }, sum.many, sum.millis);
        }
        hours
    }

    /// What people ask for: one figure for each step.
    ///
    /// # Errors
    /// Where a number stands for nothing.
    pub fn counts(&self, step: Millis) -> Result<Counts, Unreadable> {
        let mut stepped = Self::default();
        for (slot, sum) in self.rows() {
            stepped.add(slot.stepped(step), sum.many, sum.millis);
        }
        let mut counts = Counts::default();
        for (slot, sum) in stepped.rows().filter(|(_, sum)| sum.many > 0) {
            if slot.kind == Summed::Arrivals as i64 {
                counts.arrivals.push(arrivals(slot, sum)?);
            } else {
                counts.attempts.push(attempts(slot, sum)?);
            }
        }
        Ok(counts)
    }
}

fn arrivals(slot: Slot, sum: Sum) -> Result<ArrivalCount, Unreadable> {
    Ok(ArrivalCount {
        at: time_of(slot.at),
        source_id: some(slot.subject).map(SourceId::from_number),
        outcome: Code::of_code(slot.outcome)?,
        cause: some(slot.why).map(Code::of_code).transpose()?,
        count: sum.many.unsigned_abs(),
        unkeyed: u64::try_from(sum.millis).unwrap_or(0),
    })
}

fn attempts(slot: Slot, sum: Sum) -> Result<AttemptCount, Unreadable> {
    Ok(AttemptCount {
        at: time_of(slot.at),
        endpoint_id: some(slot.subject).map(EndpointId::from_number),
        trigger: Code::of_code(slot.why)?,
        outcome: Code::of_code(slot.outcome)?,
        count: sum.many.unsigned_abs(),
        took: Millis::new(sum.millis.max(0)),
    })
}

fn some(number: i64) -> Option<i64> {
    (number != NONE).then_some(number)
}

fn minute_of(number: i64) -> i64 {
    minute_at(MessageId::from_number(number).minted_at())
}

/// Minutes since 1970.
pub fn minute_at(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(MINUTE_MILLIS)
}

fn time_of(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE_MILLIS)
}

/// Whether an attempt that is recorded now began so long ago that it is noted beside its record.
pub fn is_late(attempt: AttemptId, now: Timestamp) -> bool {
    now.since(attempt.minted_at()) >= LATE_AFTER
}

#[cfg(test)]
mod tests {
    use hooklatch_core::ids::first_number_at;

    use super::*;

    #[test]
    fn minutes_add_up_to_steps_and_hours() {
        let number = |minute: i64| first_number_at(time_of(minute)) + 5;
        let mut sums = Sums::default();
        for minute in 100..220 {
            sums.add(Slot::arrival(number(minute), 1, Some(7), 0, None), 2, 1);
        }
        let all: i64 = sums.by_hour().rows().map(|(_, sum)| sum.many).sum();
        assert_eq!(all, 240);
        assert_eq!(sums.by_hour().rows().count(), 3);
        let counts = sums.counts(Millis::from_seconds(600)).unwrap();
        assert_eq!(counts.arrivals.len(), 12);
        assert!(
            counts
                .arrivals
                .iter()
                .all(|it| (it.count, it.unkeyed) == (20, 10))
        );
        assert_eq!(counts.arrivals[0].at, time_of(100));
        assert_eq!(counts.arrivals[0].cause, None);
    }

    #[test]
    fn an_attempt_is_noted_before_it_can_have_been_added_up() {
        assert!(LATE_AFTER < ATTEMPTS_SETTLED_AFTER);
        let begun = Timestamp::from_millis(1_000_000);
        let id = AttemptId::from_number(first_number_at(begun));
        assert!(!is_late(id, begun + Millis::from_seconds(39)));
        assert!(is_late(id, begun + LATE_AFTER));
    }
}
