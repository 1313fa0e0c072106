//! When to look for due deliveries, and how many may be under way: per lane, and in all.
//!
//! It holds no clock and does no work: the engine tells it what happened (`handle_…`), and asks
//! what to do (`poll`). Times are spans on the engine's monotonic clock, counted from its start;
//! when a delivery is due is the store's business alone.
//!
//! A slow lane never delays another. Each has a limit of its own; and as all of them share the
//! total, none is offered more than keeps it within the room that is left. So however many lanes
//! are slow, some room stays for the others. Memory is bounded: only lanes with an attempt under
//! way, or asked about in the look under way, are known.

use std::collections::HashMap;

use super::Lane;
use super::sharing::{Beside, Sharing};
use crate::time::Millis;

/// The first wait after the store failed; it doubles each time.
const STORE_WAIT_MIN: Millis = Millis::new(100);
/// The longest.
const STORE_WAIT_MAX: Millis = Millis::from_seconds(5);

/// The shortest wait for what is due next: a bound on the rate of looks, whatever the store says.
const DUE_WAIT_MIN: Millis = Millis::new(5);

/// What the engine may take upon itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerLimits {
    /// Attempts under way at once, over all lanes.
    pub in_flight: usize,
    /// Deliveries leased at once.
    pub lease_batch: usize,
    /// The longest time without a look, whatever woke us or did not.
    pub poll_every: Millis,
}

impl Default for SchedulerLimits {
    fn default() -> Self {
        Self {
            in_flight: 512,
            lease_batch: 256,
            poll_every: Millis::from_seconds(2),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look for due deliveries, and tell what was found before the next poll.
    Lease {
        /// At most so many.
        limit: usize,
    },
    /// Nothing until this time, unless something happens.
    WaitUntil(Millis),
    /// Nothing until something happens: there is no room.
    Wait,
}

/// Whether the end of an attempt made room that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Somebody may: poll.
    Wanted,
    /// Nobody does.
    NotWanted,
}

/// Counts what is under way and says when to look for more.
#[derive(Debug)]
pub struct Scheduler {
    limits: SchedulerLimits,
    lanes: HashMap<Lane, Load>,
    in_flight: usize,
    /// Something may be due.
    look_now: bool,
    /// When to look though nothing happens.
    look_at: Millis,
    /// The store failed: leave it alone until then.
    not_before: Millis,
    /// For how long, the next time that it fails.
    store_wait: Millis,
    /// There was no room at the last poll.
    full: bool,
    /// A lane was held back at the last look for the sake of the others.
    lane_waits: bool,
    /// An attempt ended while the look was under way.
    ended_meanwhile: bool,
    /// How live traffic and replays to one place share it.
    sharing: Sharing,
}

#[derive(Debug)]
struct Load {
    in_flight: usize,
    /// What is left of its share of the last look; none where nothing of it was due then.
    offered: Option<Offer>,
}

#[derive(Debug)]
struct Offer {
    left: usize,
    bound: Bound,
}

/// What an offer ended at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// The lane's own limit.
    Limit,
    /// Its share of the room.
    Share,
}

impl Scheduler {
    /// A scheduler that looks at once.
    pub fn new(limits: SchedulerLimits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            in_flight: 0,
            look_now: true,
            look_at: Millis::ZERO,
            not_before: Millis::ZERO,
            store_wait: STORE_WAIT_MIN,
            full: false,
            lane_waits: false,
            ended_meanwhile: false,
            sharing: Sharing::default(),
        }
    }

    /// Attempts under way.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Millis) -> Step {
        let room = self.room();
        self.full = room == 0;
        if self.full {
            return Step::Wait;
        }
        if now < self.not_before {
            return Step::WaitUntil(self.not_before);
        }
        if !self.look_now && now < self.look_at {
            return Step::WaitUntil(self.look_at);
        }
        self.begin_look();
        // Half of the room at a time, so that the shares of lanes follow it as it shrinks.
        let limit = room.div_ceil(2).min(self.limits.lease_batch.max(1));
        Step::Lease { limit }
    }

    /// How many more a lane may have to whose place go `limit` at once, live traffic and replays
    /// together. Asked during a look.
    pub fn capacity(&mut self, lane: Lane, limit: usize) -> usize {
        let room = self.room();
        let beside = self.lanes.get(&lane.sibling()).map(Load::beside);
        let limit = self.sharing.limit(lane, limit, beside.unwrap_or_default());
        let load = self.lanes.entry(lane).or_insert(Load {
            in_flight: 0,
            offered: None,
        });
        let own = limit.saturating_sub(load.in_flight);
        let share = room.saturating_sub(load.in_flight).div_ceil(2);
        let (left, bound) = if own <= share {
            (own, Bound::Limit)
        } else {
            (share, Bound::Share)
        };
        load.offered = Some(Offer { left, bound });
        left
    }

    /// One delivery of this lane was leased in the look under way.
    pub fn handle_leased(&mut self, lane: Lane) {
        self.in_flight += 1;
        let load = self.lanes.entry(lane).or_insert(Load {
            in_flight: 0,
            offered: None,
        });
        load.in_flight += 1;
        if let Some(offer) = &mut load.offered {
            offer.left = offer.left.saturating_sub(1);
        }
    }

    /// The look is over: `leased` of the `limit` asked for were found, each told before, and the
    /// next is due in so long.
    pub fn handle_looked(
        &mut self,
        now: Millis,
        limit: usize,
        leased: usize,
        next_due_in: Option<Millis>,
    ) {
        self.store_wait = STORE_WAIT_MIN;
        self.lanes.retain(|_, load| load.in_flight > 0);
        let mut used_up = self.lanes.values().filter_map(Load::used_up).peekable();
        let missed = self.ended_meanwhile && used_up.peek().is_some();
        self.lane_waits = used_up.any(|bound| bound == Bound::Share) || self.sharing.held_back();
        self.look_now |= missed || leased >= limit || self.sharing.comes_as_news();
        let wait = next_due_in.unwrap_or(self.limits.poll_every);
        self.look_at = now + wait.max(DUE_WAIT_MIN).min(self.limits.poll_every);
    }

    /// The look failed with the store.
    pub fn handle_store_failed(&mut self, now: Millis) {
        self.lanes.retain(|_, load| load.in_flight > 0);
        self.look_now = true;
        self.not_before = now + self.store_wait;
        self.store_wait = (self.store_wait + self.store_wait).min(STORE_WAIT_MAX);
    }

    /// Something may have become due.
    pub fn handle_woken(&mut self) {
        self.look_now = true;
    }

    /// An attempt of this lane ended, however it ended.
    pub fn handle_finished(&mut self, lane: Lane) -> Room {
        let load = self.lanes.get_mut(&lane);
        let load = load.expect("only what was leased is finished");
        assert!(load.in_flight > 0, "{lane:?} finished more than it leased");
        load.in_flight -= 1;
        self.in_flight -= 1;
        self.ended_meanwhile = true;
        let lane_waited = load.used_up().is_some();
        if load.in_flight == 0 && load.offered.is_none() {
            self.lanes.remove(&lane);
        }
        if lane_waited || self.lane_waits || self.full {
            self.look_now = true;
            Room::Wanted
        } else {
            Room::NotWanted
        }
    }

    fn room(&self) -> usize {
        self.limits.in_flight.max(1).saturating_sub(self.in_flight)
    }

    fn begin_look(&mut self) {
        self.look_now = false;
        self.lane_waits = false;
        self.ended_meanwhile = false;
        self.sharing.begin_look();
        self.lanes.retain(|_, load| load.in_flight > 0);
        for load in self.lanes.values_mut() {
            load.offered = None;
        }
    }
}

impl Load {
    /// What the lane takes of the place that it shares with another.
    fn beside(&self) -> Beside {
        Beside {
            in_flight: self.in_flight,
            offered: self.offered.as_ref().map_or(0, |offer| offer.left),
        }
    }

    /// What stopped the lane at the last look, if anything did.
    fn used_up(&self) -> Option<Bound> {
        let offer = self.offered.as_ref()?;
        (offer.left == 0).then_some(offer.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Lane = Lane(1);
    const B: Lane = Lane(2);

    fn scheduler(in_flight: usize) -> Scheduler {
        Scheduler::new(SchedulerLimits {
            in_flight,
            lease_batch: 100,
            poll_every: Millis::new(2_000),
        })
    }

    fn at(millis: i64) -> Millis {
        Millis::new(millis)
    }

    /// One look at a store that has `due` of each lane, whose limits are all `lane_limit`.
    fn look(
        scheduler: &mut Scheduler,
        now: Millis,
        lane_limit: usize,
        due: &mut [(Lane, usize)],
    ) -> usize {
        let Step::Lease { limit } = scheduler.poll(now) else {
            return 0;
        };
        let mut offers: Vec<usize> = due
            .iter()
            .map(|(lane, waiting)| scheduler.capacity(*lane, lane_limit).min(*waiting))
            .collect();
        let mut leased = 0;
        while leased < limit && offers.iter().any(|offer| *offer > 0) {
            for (offer, (lane, waiting)) in offers.iter_mut().zip(due.iter_mut()) {
                if *offer > 0 && leased < limit {
                    (*offer, *waiting, leased) = (*offer - 1, *waiting - 1, leased + 1);
                    scheduler.handle_leased(*lane);
                }
            }
        }
        scheduler.handle_looked(now, limit, leased, None);
        leased
    }

    fn look_until_still(
        scheduler: &mut Scheduler,
        lane_limit: usize,
        due: &mut [(Lane, usize)],
    ) -> usize {
        let mut leased = 0;
        for _ in 0..100 {
            leased += look(scheduler, at(0), lane_limit, due);
        }
        assert!(
            !matches!(scheduler.poll(at(0)), Step::Lease { .. }),
            "it never rests"
        );
        leased
    }

    #[test]
    fn it_looks_at_once_then_when_the_next_is_due_and_at_least_every_few_seconds() {
        let mut scheduler = scheduler(10);
        assert_eq!(scheduler.poll(at(0)), Step::Lease { limit: 5 });
        scheduler.handle_looked(at(0), 5, 0, Some(at(700)));
        assert_eq!(scheduler.poll(at(1)), Step::WaitUntil(at(700)));
        assert_eq!(scheduler.poll(at(700)), Step::Lease { limit: 5 });
        scheduler.handle_looked(at(700), 5, 0, Some(at(3_600_000)));
        assert_eq!(scheduler.poll(at(701)), Step::WaitUntil(at(2_700)));
        assert_eq!(scheduler.poll(at(2_700)), Step::Lease { limit: 5 });
        scheduler.handle_looked(at(2_700), 5, 0, None);
        assert_eq!(scheduler.poll(at(2_701)), Step::WaitUntil(at(4_700)));
    }

    #[test]
    fn a_store_that_says_due_and_gives_nothing_is_not_asked_without_a_pause() {
        let mut scheduler = scheduler(10);
        assert_eq!(scheduler.poll(at(0)), Step::Lease { limit: 5 });
        scheduler.handle_looked(at(0), 5, 0, Some(Millis::ZERO));
        assert_eq!(scheduler.poll(at(0)), Step::WaitUntil(at(5)));
    }

    #[test]
    fn being_woken_during_a_look_is_not_forgotten() {
        let mut scheduler = scheduler(10);
        assert_eq!(scheduler.poll(at(0)), Step::Lease { limit: 5 });
        scheduler.handle_woken();
        scheduler.handle_looked(at(0), 5, 0, None);
        assert_eq!(scheduler.poll(at(0)), Step::Lease { limit: 5 });
        scheduler.handle_looked(at(0), 5, 0, None);
        assert_eq!(scheduler.poll(at(0)), Step::WaitUntil(at(2_000)));
    }

    #[test]
    fn a_lane_gets_no_more_than_its_limit_and_is_asked_again_when_one_of_its_own_ends() {
        let mut scheduler = scheduler(100);
        let mut due = [(A, 50)];
        assert_eq!(look_until_still(&mut scheduler, 4, &mut due), 4);
        assert_eq!(scheduler.handle_finished(A), Room::Wanted);
        assert_eq!(look(&mut scheduler, at(0), 4, &mut due), 1);
    }

    #[test]
    fn the_end_of_an_attempt_wakes_nobody_where_nobody_waits() {
        let mut scheduler = scheduler(100);
        let mut due = [(A, 2), (B, 9)];
        look_until_still(&mut scheduler, 4, &mut due);
        assert_eq!(scheduler.handle_finished(A), Room::NotWanted);
        assert_eq!(scheduler.handle_finished(A), Room::NotWanted);
        assert_eq!(scheduler.handle_finished(B), Room::Wanted);
    }

    #[test]
    fn a_full_house_waits_and_is_woken_by_any_end() {
        let mut scheduler = scheduler(3);
        let mut due = [(A, 1), (B, 1), (Lane(3), 1), (Lane(4), 1)];
        assert_eq!(look_until_still(&mut scheduler, 10, &mut due), 3);
        assert_eq!(scheduler.poll(at(9_999)), Step::Wait);
        assert_eq!(scheduler.handle_finished(A), Room::Wanted);
        assert_eq!(scheduler.poll(at(0)), Step::Lease { limit: 1 });
    }

    #[test]
    fn many_slow_lanes_leave_room_for_another() {
        let mut scheduler = scheduler(512);
        let mut due: Vec<_> = (1..=100).map(|lane| (Lane(lane), 1_000)).collect();
        let leased = look_until_still(&mut scheduler, 64, &mut due);
        assert!((450..512).contains(&leased), "{leased}");
        let mut fast = [(Lane(-1), 1)];
        scheduler.handle_woken();
        assert_eq!(look(&mut scheduler, at(0), 64, &mut fast), 1);
    }

    #[test]
    fn a_lane_held_back_for_the_others_is_asked_again_when_any_of_them_ends() {
        let mut scheduler = scheduler(16);
        let mut due = [(A, 100), (B, 100)];
        let leased = look_until_still(&mut scheduler, 64, &mut due);
        assert_eq!(leased, 12);
        let ends = [B, B, B].map(|lane| scheduler.handle_finished(lane));
        assert_eq!(ends, [Room::Wanted; 3]);
        assert_eq!(look(&mut scheduler, at(0), 64, &mut due[..1]), 1);
    }

    #[test]
    fn an_end_during_a_look_is_not_forgotten() {
        let mut scheduler = scheduler(100);
        let mut due = [(A, 1)];
        look_until_still(&mut scheduler, 2, &mut due);
        scheduler.handle_woken();
        assert!(matches!(scheduler.poll(at(0)), Step::Lease { .. }));
        assert_eq!(scheduler.capacity(A, 2), 1);
        scheduler.handle_finished(A);
        scheduler.handle_leased(A);
        scheduler.handle_looked(at(0), 50, 1, None);
        assert!(matches!(scheduler.poll(at(0)), Step::Lease { .. }));
    }

    #[test]
    fn a_lowered_limit_offers_nothing_until_enough_has_ended() {
        let mut scheduler = scheduler(100);
        look_until_still(&mut scheduler, 4, &mut [(A, 4)]);
        let mut due = [(A, 9)];
        scheduler.handle_woken();
        assert_eq!(look(&mut scheduler, at(0), 2, &mut due), 0);
        let ends = [A, A, A].map(|lane| scheduler.handle_finished(lane));
        assert_eq!(ends, [Room::Wanted; 3]);
        assert_eq!(look(&mut scheduler, at(0), 2, &mut due), 1);
    }

    #[test]
    fn a_failing_store_is_left_alone_for_longer_and_longer_up_to_a_bound() {
        let mut scheduler = scheduler(10);
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(matches!(scheduler.poll(now), Step::Lease { .. }));
            scheduler.handle_store_failed(now);
            scheduler.handle_woken();
            let Step::WaitUntil(until) = scheduler.poll(now) else {
                panic!("it does not wait");
            };
            waits.push(until.get() - now.get());
            now = until;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert!(matches!(scheduler.poll(now), Step::Lease { .. }));
        scheduler.handle_looked(now, 5, 0, None);
        scheduler.handle_woken();
        assert!(matches!(scheduler.poll(now), Step::Lease { .. }));
        scheduler.handle_store_failed(now);
        assert_eq!(scheduler.poll(now), Step::WaitUntil(now + at(100)));
    }

    #[test]
    fn nothing_is_remembered_of_lanes_without_attempts() {
        let mut scheduler = scheduler(10);
        for lane in 0..1_000 {
            scheduler.handle_woken();
            look(&mut scheduler, at(0), 3, &mut [(Lane(lane), 1)]);
            scheduler.handle_finished(Lane(lane));
        }
        scheduler.handle_woken();
        look(&mut scheduler, at(0), 3, &mut []);
        assert!(scheduler.lanes.is_empty() && scheduler.in_flight() == 0);
    }
}
