//! What the writer keeps in memory beside the file. It changes only after a commit, so that a
//! batch that is rolled back leaves nothing behind; and it holds no truth, since all of it is
//! found again when the file is opened.

use std::collections::VecDeque;
use std::sync::Arc;

use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Parcel;
use hooklatch_core::time::Timestamp;

use crate::cache::ParcelCache;
use crate::filter::KeyHash;
use crate::generations::Generations;
use crate::lanes::{LaneChange, Lanes};

/// How many batches are remembered with the time at which they were answered.
const BATCHES_REMEMBERED: usize = 1_000;

/// The memory.
pub(crate) struct Memory {
    /// From when each lane may have something due.
    pub lanes: Lanes,
    /// Parcels that were admitted a moment ago.
    pub parcels: ParcelCache,
    /// The generations of the ledger.
    pub generations: Generations,
    /// How many refused requests are kept.
    pub refused: usize,
    /// When the last batches were answered.
    pub answered: Answered,
}

/// What a batch changes in memory once it is committed.
#[derive(Default)]
pub(crate) struct Effects {
    /// What was learnt of lanes, in order.
    pub lanes: Vec<LaneChange>,
    /// Admitted parcels, with the number of their deliveries.
    pub admitted: Vec<(Arc<Parcel>, usize)>,
    /// The messages of leased deliveries.
    pub leased: Vec<MessageId>,
    /// Written claims, with the end of their window.
    pub claimed: Vec<(KeyHash, Timestamp)>,
    /// Refused requests that were added less those that were removed.
    pub refused: isize,
}

/// Whether someone who leases should look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Something may have become due.
    Appeared,
    /// Nothing has.
    Unchanged,
}

impl Memory {
    /// Takes over what a committed batch changed.
    pub(crate) fn apply(&mut self, effects: Effects) -> Work {
        let mut work = Work::Unchanged;
        for change in effects.lanes {
            if matches!(change, LaneChange::Due(..)) {
                work = Work::Appeared;
            }
            self.lanes.apply(change);
        }
        for (parcel, deliveries) in effects.admitted {
            self.parcels.insert(parcel, deliveries);
        }
        for message in effects.leased {
            self.parcels.leased(message);
        }
        for (key, expires) in effects.claimed {
            self.generations.claimed(key, expires);
        }
        self.refused = self.refused.saturating_add_signed(effects.refused);
        work
    }
}

/// When the last batches were answered: an arrival before that moment is concurrent with them.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    batches: VecDeque<(i64, i64, Timestamp)>,
}

impl Answered {
    /// Notes that everything numbered from `first` and before `end` was answered `at`.
    pub(crate) fn note(&mut self, first: i64, end: i64, at: Timestamp) {
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back((first, end, at));
    }

    /// When a message was answered, if that is remembered.
    pub(crate) fn at(&self, message: MessageId) -> Option<Timestamp> {
        let number = message.number();
        let place = self.batches.partition_point(|(_, end, _)| *end <= number);
        let (first, _, at) = self.batches.get(place)?;
        (*first <= number).then_some(*at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_remembered_batch_minted_is_known_to_be_answered() {
        let mut answered = Answered::default();
        let at = Timestamp::from_millis;
        answered.note(10, 20, at(1));
        answered.note(30, 40, at(2));
        let asked = |number| answered.at(MessageId::from_number(number));
        assert_eq!(asked(10), Some(at(1)));
        assert_eq!(asked(39), Some(at(2)));
        for unknown in [9, 20, 29, 40] {
            assert_eq!(asked(unknown), None, "{unknown}");
        }
    }
}
