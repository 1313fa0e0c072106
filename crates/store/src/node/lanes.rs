//! From when each lane may have something due, so that a pass over what is due reads nothing of
//! the lanes that only wait.
//!
//! What is kept is a lower bound: too early costs one look into the store, too late would leave a
//! delivery lying. So a bound is only raised to what was just read, in the transaction that read
//! it.

use std::collections::{BTreeSet, HashMap};

use hooklatch_core::delivery::Lane;
use hooklatch_core::time::{Millis, Timestamp};

/// The lanes in which something waits.
#[derive(Debug, Default)]
pub struct Lanes {
    earliest: HashMap<Lane, Timestamp>,
    by_time: BTreeSet<(Timestamp, Lane)>,
    last_served: Option<Lane>,
    /// Lanes in which something is due, and may not go before a time: their rate is used up, or
    /// their circuit is open.
    deferred: HashMap<Lane, Timestamp>,
    /// How often in a row each lane was found filled up.
    full: HashMap<Lane, u32>,
}

/// How soon a lane is looked at again that was found filled up: the leases may be another node's,
/// and then nobody says when they end. Each time in a row the wait doubles, up to the longest.
pub const FULL_WAIT_MIN: Millis = Millis::new(20);
const FULL_WAIT_MAX: Millis = Millis::from_seconds(1);

/// The longest for which a lane is left alone. Its settings may change, here or on another node.
const DEFERRED_MAX: Millis = Millis::from_seconds(1);

/// What a batch learnt of the lanes; applied in order, after its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneChange {
    /// Something was written that is due then.
    Due(Lane, Timestamp),
    /// This is all that there is in the lane, none if nothing is.
    Known(Lane, Option<Timestamp>),
    /// The lane was the last one to be served.
    Served(Lane),
    /// Nothing of the lane may go before then, though it is due.
    Deferred(Lane, Timestamp),
    /// As many of the lane are leased as may be.
    Full(Lane),
}

impl LaneChange {
    /// A lane of which nothing may go for so long.
    pub fn deferred(lane: Lane, wait: Millis, now: Timestamp) -> Self {
        Self::Deferred(lane, now + wait.min(DEFERRED_MAX))
    }
}

impl Lanes {
    /// Applies what was learnt.
    pub fn apply(&mut self, change: LaneChange) {
        match change {
            LaneChange::Due(lane, at) => {
                let known = self.earliest.get(&lane).copied();
                if known.is_none_or(|known| at < known) {
                    self.set(lane, Some(at));
                }
            }
            LaneChange::Known(lane, at) => self.set(lane, at),
            LaneChange::Served(lane) => {
                self.last_served = Some(lane);
                self.full.remove(&lane);
            }
            LaneChange::Full(lane) => *self.full.entry(lane).or_default() += 1,
            LaneChange::Deferred(lane, until) => {
                self.deferred.insert(lane, until);
            }
        }
    }

    fn set(&mut self, lane: Lane, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.earliest.insert(lane, at),
            None => {
                self.deferred.remove(&lane);
                self.full.remove(&lane);
                self.earliest.remove(&lane)
            }
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, lane));
        }
        if let Some(at) = at {
            self.by_time.insert((at, lane));
        }
    }

    /// How soon a lane that is filled up is to be looked at again.
    pub fn full_wait(&self, lane: Lane) -> Millis {
        let doubled = self.full.get(&lane).map_or(0, |times| (*times).min(16));
        Millis::new(FULL_WAIT_MIN.get() << doubled).min(FULL_WAIT_MAX)
    }

    /// The lanes in which something may be due, beginning after the one that was served last.
    pub fn due(&self, now: Timestamp) -> Vec<Lane> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        let mut lanes: Vec<Lane> = due.map(|(_, lane)| *lane).collect();
        if !self.deferred.is_empty() {
            lanes.retain(|lane| self.deferred.get(lane).is_none_or(|until| *until <= now));
        }
        lanes.sort_unstable();
        if let Some(last) = self.last_served {
            let begin = lanes.partition_point(|lane| *lane <= last);
            lanes.rotate_left(begin);
        }
        lanes
    }

    /// When the first of the lanes may go that were left out for what limits them.
    pub fn first_deferred(&self, now: Timestamp) -> Option<Timestamp> {
        self.deferred
            .values()
            .copied()
            .filter(|until| *until > now)
            .min()
    }

    /// The lanes in which nothing is due yet, the soonest first.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Lane)> + use<'_> {
        self.by_time
            .iter()
            .copied()
            .skip_while(move |(at, _)| *at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_bound_is_lowered_by_what_is_written_and_raised_only_by_what_was_read() {
        let mut lanes = Lanes::default();
        lanes.apply(LaneChange::Due(Lane(1), at(5)));
        lanes.apply(LaneChange::Due(Lane(1), at(9)));
        assert_eq!(lanes.waiting(at(0)).collect::<Vec<_>>(), [(at(5), Lane(1))]);
        lanes.apply(LaneChange::Known(Lane(1), Some(at(9))));
        assert_eq!(lanes.waiting(at(0)).collect::<Vec<_>>(), [(at(9), Lane(1))]);
        lanes.apply(LaneChange::Known(Lane(1), None));
        assert_eq!(lanes.waiting(at(0)).count(), 0);
    }

    #[test]
    fn a_lane_whose_rate_is_used_up_is_left_alone_until_it_may_go() {
        let mut lanes = Lanes::default();
        for lane in [1, 2] {
            lanes.apply(LaneChange::Due(Lane(lane), at(0)));
        }
        lanes.apply(LaneChange::deferred(Lane(1), Millis::new(50), at(0)));
        assert_eq!(lanes.due(at(49)), [Lane(2)]);
        assert_eq!(lanes.first_deferred(at(49)), Some(at(50)));
        lanes.apply(LaneChange::Due(Lane(1), at(10)));
        assert_eq!(lanes.due(at(49)), [Lane(2)], "one more changes nothing");
        assert_eq!(lanes.due(at(50)), [Lane(1), Lane(2)]);
        assert_eq!(lanes.first_deferred(at(50)), None);
        lanes.apply(LaneChange::deferred(
            Lane(2),
            Millis::from_seconds(3_600),
            at(50),
        ));
        assert_eq!(
            lanes.due(at(1_050)),
            [Lane(1), Lane(2)],
            "settings may have changed"
        );
    }

    #[test]
    fn a_lane_that_stays_filled_up_is_looked_at_less_and_less_often_until_it_gives_something() {
        let mut lanes = Lanes::default();
        lanes.apply(LaneChange::Due(Lane(1), at(0)));
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(lanes.full_wait(Lane(1)).get());
            lanes.apply(LaneChange::Full(Lane(1)));
        }
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        lanes.apply(LaneChange::Served(Lane(1)));
        assert_eq!(lanes.full_wait(Lane(1)).get(), 20);
    }

    #[test]
    fn the_turn_goes_on_after_the_lane_that_was_served_last() {
        let mut lanes = Lanes::default();
        for lane in [3, 1, 2] {
            lanes.apply(LaneChange::Due(Lane(lane), at(lane)));
        }
        lanes.apply(LaneChange::Served(Lane(1)));
        assert_eq!(lanes.due(at(9)), [Lane(2), Lane(3), Lane(1)]);
        assert_eq!(lanes.due(at(2)), [Lane(2), Lane(1)]);
    }
}
