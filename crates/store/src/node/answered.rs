//! When the last batches were answered: an arrival before that moment is concurrent with them.

use std::collections::VecDeque;

use hooklatch_core::ids::MessageId;
use hooklatch_core::time::Timestamp;

/// How many batches are remembered with the time at which they were answered.
const BATCHES_REMEMBERED: usize = 1_000;

/// When the last batches were answered: an arrival before that moment is concurrent with them.
#[derive(Debug, Default)]
pub struct Answered {
    batches: VecDeque<(i64, i64, Timestamp)>,
}

impl Answered {
    /// Notes that everything numbered from `first` and before `end` was answered `at`.
    pub fn note(&mut self, first: i64, end: i64, at: Timestamp) {
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        // Batches that are decided side by side are not always answered in their order.
        let place = self.batches.partition_point(|(other, ..)| *other < first);
        self.batches.insert(place, (first, end, at));
    }

    /// When a message was answered, if that is remembered.
    pub fn at(&self, message: MessageId) -> Option<Timestamp> {
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
        answered.note(20, 25, at(3));
        let asked = |number| answered.at(MessageId::from_number(number));
        assert_eq!(asked(10), Some(at(1)));
        assert_eq!(asked(39), Some(at(2)));
        assert_eq!(asked(24), Some(at(3)), "answered after the one behind it");
        for unknown in [9, 25, 29, 40] {
            assert_eq!(asked(unknown), None, "{unknown}");
        }
    }
}
