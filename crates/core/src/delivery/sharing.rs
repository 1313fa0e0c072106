//! How live traffic and replays to one place share what the place takes at once (P4).
//!
//! Replays have a quarter while they have anything due, and live traffic the rest, so that neither
//! ever waits for all of the other, and both together stay within the limit. A place that takes
//! one at a time takes turns. Whether replays have anything due is known from the look before:
//! every lane in which something is due is asked about in every look.

use std::collections::HashSet;

use super::Lane;
use super::lane::{Traffic, share};

/// What the other lane to the same place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Beside {
    /// Attempts under way.
    pub in_flight: usize,
    /// What it may still take in the look under way.
    pub offered: usize,
}

/// Which replays have anything due.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// The lanes of replays that were asked about in the look under way.
    asked: HashSet<Lane>,
    /// Those of the look before.
    known: HashSet<Lane>,
    /// A lane got less for the sake of the other.
    held_back: bool,
}

impl Sharing {
    /// A look begins.
    pub fn begin_look(&mut self) {
        self.known = std::mem::take(&mut self.asked);
        self.held_back = false;
    }

    /// How many a lane may have at once of the `concurrency` of its place.
    pub fn limit(&mut self, lane: Lane, concurrency: usize, beside: Beside) -> usize {
        let taken = beside.in_flight + beside.offered;
        let limit = match lane.traffic() {
            Traffic::Live if taken == 0 && !self.known.contains(&lane.for_replays()) => {
                return concurrency;
            }
            Traffic::Live if concurrency > 1 => concurrency - share(concurrency),
            Traffic::Live => concurrency.saturating_sub(taken),
            Traffic::Replays => {
                self.asked.insert(lane);
                share(concurrency).min(concurrency.saturating_sub(taken))
            }
        };
        self.held_back |= limit == 0 && concurrency > 0;
        limit
    }

    /// Whether a lane waits for an attempt of the other to end.
    pub fn held_back(&self) -> bool {
        self.held_back
    }

    /// Whether a replay was held back by what live traffic was offered before anybody knew of the
    /// replay: the next look goes otherwise.
    pub fn comes_as_news(&self) -> bool {
        self.held_back && !self.asked.is_subset(&self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Lane = Lane(5);
    const NONE: Beside = Beside {
        in_flight: 0,
        offered: 0,
    };

    fn offered(offered: usize) -> Beside {
        Beside {
            in_flight: 0,
            offered,
        }
    }

    #[test]
    fn p4_live_traffic_has_all_of_a_place_until_a_replay_wants_some() {
        let replays = LIVE.for_replays();
        let mut sharing = Sharing::default();
        sharing.begin_look();
        assert_eq!(sharing.limit(LIVE, 16, NONE), 16);
        assert_eq!(sharing.limit(replays, 16, offered(16)), 0);
        assert!(sharing.comes_as_news() && sharing.held_back());
        sharing.begin_look();
        assert_eq!(sharing.limit(LIVE, 16, NONE), 12);
        assert_eq!(sharing.limit(replays, 16, offered(12)), 4);
        assert!(!sharing.comes_as_news() && !sharing.held_back());
        sharing.begin_look();
        sharing.begin_look();
        assert_eq!(sharing.limit(LIVE, 16, NONE), 16, "nothing is due any more");
    }

    #[test]
    fn p4_both_together_stay_within_the_limit_and_take_turns_where_it_is_one() {
        let replays = LIVE.for_replays();
        for concurrency in [1, 2, 3, 8] {
            for order in [[LIVE, replays], [replays, LIVE]] {
                let mut sharing = Sharing::default();
                for _ in 0..3 {
                    sharing.begin_look();
                    let first = sharing.limit(order[0], concurrency, NONE);
                    let second = sharing.limit(order[1], concurrency, offered(first));
                    assert!(first + second <= concurrency, "{order:?} of {concurrency}");
                    assert!(first > 0);
                }
            }
        }
        let mut sharing = Sharing::default();
        assert_eq!(sharing.limit(LIVE, 0, NONE), 0, "a paused place");
        assert!(!sharing.held_back());
    }
}
