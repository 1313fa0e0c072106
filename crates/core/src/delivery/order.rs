//! Deliveries that go one after the other: per endpoint and value of its `ordered_by`.
//!
//! Of the deliveries of one key that have not ended, exactly one has the turn: it is due, under
//! way, or held. All others wait without a time of their own ([`Timestamp::NEVER`]), so that a
//! thousand that wait behind a failing one cost a pass over what is due nothing. When the one with
//! the turn ends, the oldest that waits is given it, in the same commit (INV-10).
//!
//! A store holds the key's lock wherever it asks who has the turn or gives it on. It asks for what
//! is new and for what starts again ([`Delivery::wants_turn`]), and gives it on after whatever ended
//! ([`turn_left`]).

use std::collections::HashSet;

use super::lifecycle::Destination;
use super::{Budget, Delivery, Lane, State};
use crate::ids::EndpointId;
use crate::key::{Body, Mode, Request, checksum_of_value, part_at};
use crate::location::Location;
use crate::time::Timestamp;

/// What deliveries that go one after the other have in common: a hash of their lane and the typed
/// value at the endpoint's `ordered_by` (K3, K4). 63 bits: two values that share a hash by chance
/// only wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderKey(i64);

impl OrderKey {
    /// The key with this number.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Its number, never negative.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The key of a request in a lane; none where it has no value at `location`, so that it goes
    /// as soon as it can.
    pub fn read(
        lane: Lane,
        location: &Location,
        request: &Request<'_>,
        body: &Body<'_>,
    ) -> Option<Self> {
        let value = part_at(location, request, body)?;
        let scope = format!("order {}", lane.0);
        let hash = checksum_of_value(Mode::All, scope.as_bytes(), 0, &value);
        let (first, _) = hash.as_bytes().split_first_chunk().expect("32 bytes");
        Some(Self((u64::from_be_bytes(*first) >> 1) as i64))
    }
}

impl serde::Serialize for OrderKey {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for OrderKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        i64::deserialize(from).map(Self)
    }
}

/// An endpoint whose deliveries go one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where a request says what it is ordered with.
    pub by: Location,
}

/// Gives each destination that is ordered the key of this request.
pub fn assign(
    destinations: &mut [Destination],
    ordered: &[Ordered],
    request: &Request<'_>,
    body: &Body<'_>,
) {
    for rule in ordered {
        let same = |it: &&mut Destination| it.endpoint_id == Some(rule.endpoint);
        // Of the endpoint's lane, also where a paused connection has them wait in another.
        let lane = Lane::of_endpoint(rule.endpoint);
        for destination in destinations.iter_mut().filter(same) {
            destination.order_key = OrderKey::read(lane, &rule.by, request, body);
        }
    }
}

/// The keys whose turn somebody has, as a batch knows them.
#[derive(Debug, Default)]
pub struct Turns(HashSet<OrderKey>);

impl Turns {
    /// The keys that have a delivery which has not ended.
    pub fn taken(keys: impl IntoIterator<Item = OrderKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Takes the turn of a key; answers whether nobody had it.
    pub fn take(&mut self, key: OrderKey) -> bool {
        self.0.insert(key)
    }

    /// The delivery in its place: with the turn where nobody has it, which is then taken; behind
    /// the others where somebody has.
    pub fn place(&mut self, delivery: Delivery) -> Delivery {
        match delivery.order_key {
            Some(key) if delivery.wants_turn() && !self.take(key) => delivery.behind(),
            Some(_) | None => delivery,
        }
    }
}

impl Delivery {
    /// Whether it waits until an older one of its key has ended.
    pub const fn waits_for_turn(&self) -> bool {
        match self.state {
            State::Pending { due } => {
                self.order_key.is_some() && due.as_millis() == Timestamp::NEVER.as_millis()
            }
            State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => false,
        }
    }

    /// Whether it is the one of its key that may be attempted.
    pub const fn has_turn(&self) -> bool {
        self.order_key.is_some() && !self.waits_for_turn() && !self.state.status().is_final()
    }

    /// Whether it is new or starts again, and so has to ask whether somebody has its key's turn.
    pub const fn wants_turn(&self) -> bool {
        self.order_key.is_some() && self.next_attempt_at().is_some()
    }

    /// The delivery behind the others of its key.
    #[must_use]
    pub fn behind(self) -> Self {
        assert!(self.wants_turn(), "only what is due can wait: {self:?}");
        Self {
            state: State::Pending {
                due: Timestamp::NEVER,
            },
            ..self
        }
    }

    /// The delivery with the turn: due when it would have been without the others, which is now as
    /// a rule. Its age counts from here, since nobody could have attempted it before.
    ///
    /// # Panics
    /// Where it did not wait: a bug of ours, stopped before it is written (INV-10).
    #[must_use]
    pub fn given_turn(self, now: Timestamp) -> Self {
        assert!(self.waits_for_turn(), "INV-10: {} did not wait", self.id);
        let due = self.budget.since.max(now);
        Self {
            state: State::Pending { due },
            budget: Budget {
                since: due,
                ..self.budget
            },
            ..self
        }
    }
}

/// The key whose turn a delivery has left by moving from `before` to `after`: the oldest that waits
/// is to be given it.
pub fn turn_left(before: &Delivery, after: &Delivery) -> Option<OrderKey> {
    if before.has_turn() && !after.has_turn() {
        before.order_key
    } else {
        None
    }
}

/// Whether a delivery that moved from `before` to `after` wants the turn that it did not have.
pub fn turn_wanted(before: &Delivery, after: &Delivery) -> Option<OrderKey> {
    if !before.has_turn() && after.wants_turn() {
        after.order_key
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::{Command, CommandRefused, Finish, Next};
    use super::super::{DeliveryStatus, Reason};
    use super::*;
    use crate::ids::{AttemptId, DeliveryId, MessageId, ProjectId};
    use crate::time::Millis;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn key(location: &str, payload: &str, lane: i64) -> Option<OrderKey> {
        let raw = payload.as_bytes();
        let request = Request {
            method: "POST",
            path: "/",
            query: None,
            headers: &[("x-customer", b"c1")],
            content_type: Some("application/json"),
            body: raw,
        };
        let body = Body::understand(Some("application/json"), raw);
        let location = location.parse().expect(location);
        OrderKey::read(Lane(lane), &location, &request, &body)
    }

    fn opened(number: i64, order_key: Option<i64>, due: i64) -> Delivery {
        let destination = Destination {
            endpoint_id: Some(EndpointId::from_number(1)),
            connection_id: None,
            lane: Lane(1),
            suffix_webhook_id: false,
            order_key: order_key.map(OrderKey::from_number),
        };
        Delivery::opened(
            DeliveryId::from_number(number),
            MessageId::from_number(number),
            ProjectId::from_number(1),
            &destination,
            at(due),
            at(0),
        )
    }

    #[test]
    fn a_key_is_of_a_lane_and_a_typed_value() {
        let of = |payload: &str| key("body:$.customer", payload, 1);
        let one = of(r#"{"customer": 1}"#);
        assert!(one.is_some());
        assert_eq!(one, of(r#"{"customer": 1.0, "other": 2}"#));
        assert_ne!(one, of(r#"{"customer": "1"}"#));
        assert_ne!(one, key("body:$.customer", r#"{"customer": 1}"#, 2));
        assert!(key("header:x-customer", "{}", 1).is_some());
        for nothing in ["{}", r#"{"customer": null}"#, r#"{"customer": ""}"#, "raw"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_first_of_a_key_has_the_turn_and_the_others_wait() {
        let mut turns = Turns::default();
        let first = turns.place(opened(1, Some(7), 0));
        let second = turns.place(opened(2, Some(7), 0));
        let other = turns.place(opened(3, Some(8), 0));
        let free = turns.place(opened(4, None, 0));
        assert!(first.has_turn() && other.has_turn() && second.waits_for_turn());
        assert!(!free.has_turn() && !free.waits_for_turn());
        assert_eq!(second.next_attempt_at(), None);
        let token = AttemptId::from_number(9);
        assert!(second.lease(token, at(1_000), Millis::new(5)).is_none());
        assert_eq!(second.state.status(), DeliveryStatus::Pending);
    }

    #[test]
    fn whatever_ends_leaves_the_turn_and_a_held_or_retried_one_keeps_it() {
        let first = opened(1, Some(7), 0);
        let token = AttemptId::from_number(9);
        let leased = first.lease(token, at(1), Millis::new(5)).unwrap().delivery;
        assert_eq!(turn_left(&first, &leased), None);
        let retry = Next::Retry {
            after: Millis::new(100),
            counts: true,
        };
        for (next, leaves) in [
            (Next::Deliver, true),
            (Next::Fail(Reason::AttemptsExhausted), true),
            (Next::Cancel(Reason::EndpointDeleted), true),
            (Next::Hold(Reason::Uncertain), false),
            (retry, false),
        ] {
            let Finish::Applied(after) = leased.finish(token, true, next, at(2)) else {
                panic!("its lease is live")
            };
            assert_eq!(turn_left(&leased, &after).is_some(), leaves, "{next:?}");
        }
    }

    #[test]
    fn a_delay_holds_also_for_one_that_waited_and_its_age_counts_from_its_turn() {
        let delayed = opened(2, Some(7), 500).behind();
        assert_eq!(
            delayed.clone().given_turn(at(100)).next_attempt_at(),
            Some(at(500))
        );
        let late = delayed.given_turn(at(900));
        assert_eq!(
            (late.next_attempt_at(), late.budget.since),
            (Some(at(900)), at(900))
        );
    }

    #[test]
    fn a_person_cannot_overtake_the_turn_but_can_give_it_up() {
        let waiting = opened(2, Some(7), 0).behind();
        for command in [Command::Retry, Command::RetryUndelivered] {
            let refused = waiting.command(command, at(1));
            assert_eq!(refused, Err(CommandRefused::NotItsTurn));
        }
        let cancelled = waiting.command(Command::Cancel, at(1)).unwrap();
        assert_eq!(turn_left(&waiting, &cancelled), None);

        let first = opened(1, Some(7), 0);
        let cancelled = first.command(Command::Cancel, at(1)).unwrap();
        assert_eq!(turn_left(&first, &cancelled), first.order_key);
        let again = cancelled.command(Command::Retry, at(2)).unwrap();
        assert_eq!(turn_wanted(&cancelled, &again), first.order_key);

        let token = AttemptId::from_number(9);
        let leased = first.lease(token, at(1), Millis::new(5)).unwrap().delivery;
        let refused = leased.command(Command::Cancel, at(2));
        assert_eq!(refused, Err(CommandRefused::UnderWay));
    }
}
