//! How a delivery moves from state to state. Every move goes through here, on every store.

use super::attempt::{Attempt, AttemptOutcome, Timing};
use super::order::OrderKey;
use super::{Budget, Delivery, Lane, Lease, Reason, State, Trigger};
use crate::ids::{AttemptId, ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use crate::invariants;
use crate::time::{Millis, Timestamp};

/// Where a new delivery leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The endpoint; none where the message names a URL.
    pub endpoint_id: Option<EndpointId>,
    /// The connection that leads there, if one does.
    pub connection_id: Option<ConnectionId>,
    /// What the delivery queues behind.
    pub lane: Lane,
    /// Whether the connection's id is appended to the `webhook-id` (O1).
    pub suffix_webhook_id: bool,
    /// What its deliveries go one after the other with, where the endpoint is ordered.
    pub order_key: Option<OrderKey>,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The receiver has it.
    Deliver,
    /// Give it up.
    Fail(Reason),
    /// Try again.
    Retry {
        /// No earlier than this after the attempt is finished. A span, not a time: only the
        /// store's clock says when a delivery is due.
        after: Millis,
        /// Whether the attempt counts against the retry policy.
        counts: bool,
    },
    /// Let a person decide.
    Hold(Reason),
    /// Call it off.
    Cancel(Reason),
    /// Nothing was attempted: let it wait in another lane.
    Shift(Lane),
    /// Send it to another endpoint from now on, with a fresh budget.
    FailOver(EndpointId),
}

/// What a person asks of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Attempt it now, with a fresh budget, whatever has become of it.
    Retry,
    /// The same, but not where the receiver has it already. For whoever asks for many at once and
    /// cannot know which of them is delivered meanwhile.
    RetryUndelivered,
    /// Make no further attempt.
    Cancel,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// An attempt is under way.
    #[error("an attempt is under way; ask again when it has ended")]
    UnderWay,
    /// The receiver has it.
    #[error("the receiver has it already; to send it all the same, retry the delivery itself")]
    AlreadyDelivered,
    /// There is nothing left to cancel.
    #[error("the delivery has already ended; there is nothing to cancel")]
    AlreadyEnded,
    /// Others of its order key are before it.
    #[error("it waits for an older delivery with the same ordering key; retry or cancel that one")]
    NotItsTurn,
    /// The message or its payload is gone, so there is nothing to attempt with. Only a store can
    /// know.
    #[error(
        "the payload is gone: it had been kept for as long as it should, or its history was \
         dropped; there is nothing left to send"
    )]
    HistoryDropped,
}

/// What a finished attempt did to its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The delivery moved.
    Applied(Delivery),
    /// The lease had been overtaken or the delivery had ended: nothing changes (INV-5).
    Fenced,
}

/// A delivery that was just leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leasing {
    /// The delivery under its new lease.
    pub delivery: Delivery,
    /// The record of the attempt before, where its outcome was lost with its node.
    pub lost: Option<Attempt>,
}

impl Delivery {
    /// A new delivery, first due at `due`.
    pub fn opened(
        id: DeliveryId,
        message_id: MessageId,
        project_id: ProjectId,
        destination: &Destination,
        due: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            message_id,
            project_id,
            endpoint_id: destination.endpoint_id,
            connection_id: destination.connection_id,
            lane: destination.lane.0,
            suffix_webhook_id: destination.suffix_webhook_id,
            state: State::Pending { due },
            attempts: 0,
            trigger: Trigger::First,
            budget: Budget {
                free_attempts: 0,
                since: due.max(now),
            },
            replay_id: None,
            created_at: now,
            order_key: destination.order_key,
        }
    }

    /// Leases the delivery for its next attempt, if it is due or its last lease has ended.
    pub fn lease(&self, attempt_id: AttemptId, now: Timestamp, span: Millis) -> Option<Leasing> {
        let lost = match self.state {
            State::Pending { due } if due <= now => None,
            State::Delivering { lease } if lease.until <= now => Some(self.lost(&lease, now)),
            State::Pending { .. }
            | State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => return None,
        };
        let lease = Lease {
            attempt_id,
            started_at: now,
            until: now + span,
        };
        let delivery = Self {
            state: State::Delivering { lease },
            attempts: self.attempts + 1,
            trigger: if lost.is_some() {
                Trigger::Recovery
            } else {
                self.trigger
            },
            ..self.clone()
        };
        invariants::moved(self, &delivery);
        Some(Leasing { delivery, lost })
    }

    /// The record of an attempt whose node ended or froze before it said how it went.
    fn lost(&self, lease: &Lease, now: Timestamp) -> Attempt {
        let error = "the gateway stopped or froze during this attempt; its outcome is not known";
        Attempt {
            outcome: AttemptOutcome::Uncertain,
            error: Some(error.to_owned()),
            duration_ms: now.since(lease.started_at).get().unsigned_abs(),
            ..self.attempt_under(lease)
        }
    }

    /// The attempt under way, while one is.
    pub fn attempt_in_progress(&self) -> Option<Attempt> {
        match &self.state {
            State::Delivering { lease } => Some(self.attempt_under(lease)),
            State::Pending { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => None,
        }
    }

    fn attempt_under(&self, lease: &Lease) -> Attempt {
        Attempt {
            id: lease.attempt_id,
            delivery_id: self.id,
            message_id: self.message_id,
            project_id: self.project_id,
            endpoint_id: self.endpoint_id,
            number: self.attempts,
            trigger: self.trigger,
            outcome: AttemptOutcome::InProgress,
            status_code: None,
            error: None,
            receipt: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            response_body: bytes::Bytes::new(),
            response_truncated: false,
            started_at: lease.started_at,
            duration_ms: 0,
            timing: Timing::default(),
            fenced: false,
            replay_id: self.replay_id,
        }
    }

    /// Applies what came of the attempt `token`. With `attempted` false the lease was given back
    /// before anything was sent, and the attempt does not count at all.
    pub fn finish(&self, token: AttemptId, attempted: bool, next: Next, now: Timestamp) -> Finish {
        match self.state {
            State::Delivering { lease } if lease.attempt_id == token => {}
            State::Delivering { .. }
            | State::Pending { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => return Finish::Fenced,
        }
        let attempts = if attempted {
            self.attempts
        } else {
            self.attempts - 1
        };
        let (state, trigger, free) = match next {
            Next::Shift(_) => (State::Pending { due: now }, self.trigger, 0),
            Next::FailOver(_) => (State::Pending { due: now }, Trigger::Failover, 0),
            Next::Deliver => (State::Delivered { at: now }, self.trigger, 0),
            Next::Fail(reason) => (State::Failed { at: now, reason }, self.trigger, 0),
            Next::Cancel(reason) => (State::Cancelled { at: now, reason }, self.trigger, 0),
            Next::Hold(reason) => (State::Held { reason }, self.trigger, 0),
            Next::Retry { after, counts } => {
                let trigger = if attempted {
                    Trigger::Retry
                } else {
                    self.trigger
                };
                (
                    State::Pending { due: now + after },
                    trigger,
                    u32::from(attempted && !counts),
                )
            }
        };
        let budget = Budget {
            free_attempts: self.budget.free_attempts + free,
            ..self.budget
        };
        let moved = Self {
            state,
            attempts,
            trigger,
            budget,
            ..self.clone()
        };
        let moved = moved.placed(next, now);
        invariants::moved(self, &moved);
        Finish::Applied(moved)
    }

    /// Carries out what a person asks.
    ///
    /// # Errors
    /// Where the delivery stands in a state that does not allow it.
    pub fn command(&self, command: Command, now: Timestamp) -> Result<Self, CommandRefused> {
        let moved = match (command, &self.state) {
            (Command::Retry | Command::RetryUndelivered, State::Delivering { .. }) => {
                return Err(CommandRefused::UnderWay);
            }
            // What comes after it in its order must not start while the attempt may still run.
            (Command::Cancel, State::Delivering { .. }) if self.order_key.is_some() => {
                return Err(CommandRefused::UnderWay);
            }
            (Command::Retry | Command::RetryUndelivered, State::Pending { .. })
                if self.waits_for_turn() =>
            {
                return Err(CommandRefused::NotItsTurn);
            }
            // The attempt that was cancelled may still be running: a second one would overlap it.
            (Command::Retry | Command::RetryUndelivered, State::Cancelled { .. })
                if now < self.budget.since =>
            {
                return Err(CommandRefused::UnderWay);
            }
            (Command::RetryUndelivered, State::Delivered { .. }) => {
                return Err(CommandRefused::AlreadyDelivered);
            }
            (Command::Retry, State::Delivered { .. })
            | (
                Command::Retry | Command::RetryUndelivered,
                State::Pending { .. }
                | State::Held { .. }
                | State::Failed { .. }
                | State::Cancelled { .. },
            ) => self.afresh(Trigger::Manual, now),
            (Command::Cancel, State::Delivering { lease }) => self.cancelled(lease.until, now),
            (Command::Cancel, State::Pending { .. } | State::Held { .. }) => {
                self.cancelled(now, now)
            }
            (
                Command::Cancel,
                State::Delivered { .. } | State::Failed { .. } | State::Cancelled { .. },
            ) => return Err(CommandRefused::AlreadyEnded),
        };
        Ok(moved)
    }

    /// Called off by a person, while an attempt may run until `busy_until`.
    fn cancelled(&self, busy_until: Timestamp, now: Timestamp) -> Self {
        let reason = Reason::CancelledByPerson;
        Self {
            state: State::Cancelled { at: now, reason },
            budget: Budget {
                since: busy_until,
                ..self.budget
            },
            ..self.clone()
        }
    }

    /// The delivery started again by a duplicate of its message, if it may be (D2).
    pub fn redriven(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Failed { reason, .. } if reason.may_be_redriven() => {
                Some(self.afresh(Trigger::Redrive, now))
            }
            State::Failed { .. }
            | State::Pending { .. }
            | State::Delivering { .. }
            | State::Held { .. }
            | State::Delivered { .. }
            | State::Cancelled { .. } => None,
        }
    }

    /// The delivery started again by a replay, in the lane that replays have to its endpoint (P2,
    /// P4), whatever has become of it.
    ///
    /// # Errors
    /// While an attempt is under way, or may be.
    pub fn replayed(&self, replay: ReplayId, now: Timestamp) -> Result<Self, CommandRefused> {
        let afresh = self.command(Command::Retry, now)?;
        Ok(Self {
            lane: self.lane().for_replays().0,
            trigger: Trigger::Replay,
            replay_id: Some(replay),
            ..afresh
        })
    }

    /// Whatever starts it again by itself takes it out of a replay, and back to live traffic.
    fn afresh(&self, trigger: Trigger, now: Timestamp) -> Self {
        Self {
            lane: self.lane().for_live().0,
            replay_id: None,
            state: State::Pending { due: now },
            trigger,
            budget: Budget {
                free_attempts: self.attempts,
                since: now,
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::DeliveryStatus;
    use crate::delivery::DeliveryStatus::{Cancelled, Delivered, Failed, Held};

    const SPAN: Millis = Millis::new(100);

    fn opened() -> Delivery {
        let destination = Destination {
            endpoint_id: Some(EndpointId::from_number(1)),
            connection_id: None,
            lane: Lane(1),
            suffix_webhook_id: false,
            order_key: None,
        };
        let start = Timestamp::from_millis(0);
        let (id, message) = (DeliveryId::from_number(1), MessageId::from_number(1));
        Delivery::opened(
            id,
            message,
            ProjectId::from_number(1),
            &destination,
            start,
            start,
        )
    }

    /// What may happen to a delivery, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Time(i64),
        Lease,
        /// Finishes the attempt that was leased this many leases ago.
        Finish {
            age: usize,
            attempted: bool,
            next: Next,
        },
        Command(Command),
        Duplicate,
    }

    fn next() -> impl Strategy<Value = Next> {
        prop_oneof![
            Just(Next::Deliver),
            Just(Next::Fail(Reason::AttemptsExhausted)),
            Just(Next::Fail(Reason::RejectedByReceiver)),
            Just(Next::Hold(Reason::Uncertain)),
            Just(Next::Cancel(Reason::EndpointDeleted)),
            Just(Next::Shift(Lane(9))),
            Just(Next::FailOver(EndpointId::from_number(2))),
            (0_i64..300, any::<bool>()).prop_map(|(after, counts)| Next::Retry {
                after: Millis::new(after),
                counts
            }),
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0_i64..200).prop_map(Event::Time),
            Just(Event::Lease),
            (0_usize..3, any::<bool>(), next()).prop_map(|(age, attempted, next)| Event::Finish {
                age,
                attempted,
                next
            }),
            Just(Event::Command(Command::Retry)),
            Just(Event::Command(Command::RetryUndelivered)),
            Just(Event::Command(Command::Cancel)),
            Just(Event::Duplicate),
        ]
    }

    /// A delivery, what time it is, and every token that was ever given out for it.
    struct Run {
        delivery: Delivery,
        now: Timestamp,
        tokens: Vec<AttemptId>,
        /// When the attempt that was leased last has ended at the latest, while nobody has said
        /// that it has.
        runs_until: Option<Timestamp>,
    }

    impl Run {
        fn step(&mut self, event: Event) {
            match event {
                Event::Time(span) => self.now = self.now + Millis::new(span),
                Event::Lease => self.lease(),
                Event::Finish {
                    age,
                    attempted,
                    next,
                } => self.finish(age, attempted, next),
                Event::Command(command) => {
                    if let Ok(moved) = self.delivery.command(command, self.now) {
                        let was_delivered = self.delivery.state.status() == Delivered;
                        assert!(!was_delivered || command == Command::Retry, "{command:?}");
                        self.delivery = moved;
                    }
                }
                Event::Duplicate => {
                    if let Some(moved) = self.delivery.redriven(self.now) {
                        assert_eq!(self.delivery.state.status(), Failed, "D2");
                        self.delivery = moved;
                    }
                }
            }
        }

        fn lease(&mut self) {
            let id = AttemptId::from_number(self.tokens.len() as i64 + 1);
            let live = self.runs_until.is_some_and(|until| self.now < until);
            let Some(leasing) = self.delivery.lease(id, self.now, SPAN) else {
                return;
            };
            assert!(!live, "INV-5: two leases live at once");
            assert_eq!(leasing.delivery.attempts, self.delivery.attempts + 1);
            self.tokens.push(id);
            self.runs_until = Some(self.now + SPAN);
            self.delivery = leasing.delivery;
        }

        fn finish(&mut self, age: usize, attempted: bool, next: Next) {
            let Some(token) = self.tokens.iter().rev().nth(age).copied() else {
                return;
            };
            if age == 0 {
                self.runs_until = None;
            }
            let before = self.delivery.clone();
            match before.finish(token, attempted, next, self.now) {
                Finish::Fenced => {}
                Finish::Applied(moved) => {
                    let holder = before.attempt_in_progress().map(|attempt| attempt.id);
                    assert_eq!(holder, Some(token), "INV-5: an overtaken token was applied");
                    self.delivery = moved;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn inv_4_no_order_of_events_leaves_the_edges(
            events in proptest::collection::vec(event(), 0..60)
        ) {
            let mut run = Run {
                delivery: opened(),
                now: Timestamp::from_millis(0),
                tokens: Vec::new(),
                runs_until: None,
            };
            for event in events {
                let before = run.delivery.clone();
                run.step(event);
                let machine = matches!(event, Event::Time(_) | Event::Lease | Event::Finish { .. });
                let rests = before.state.status().is_final() || before.state.status() == Held;
                prop_assert!(!(machine && rests && run.delivery != before), "INV-4: revived");
                prop_assert!(run.delivery.attempts_spent() <= run.delivery.attempts);
            }
        }
    }

    #[test]
    fn inv_5_what_was_cancelled_during_an_attempt_is_retried_only_after_it() {
        let start = Timestamp::from_millis(10);
        let token = AttemptId::from_number(1);
        let leased = opened().lease(token, start, SPAN).expect("it is due");
        let soon = start + Millis::new(1);
        let cancelled = leased.delivery.command(Command::Cancel, soon).unwrap();
        for early in [soon, start + Millis::new(99)] {
            let refused = cancelled.command(Command::Retry, early);
            assert_eq!(refused, Err(CommandRefused::UnderWay));
        }
        let late = start + SPAN;
        let retried = cancelled.command(Command::Retry, late).unwrap();
        assert_eq!(retried.next_attempt_at(), Some(late));
        assert_eq!(retried.budget.since, late);
    }

    #[test]
    fn what_was_cancelled_while_it_waited_can_be_retried_at_once() {
        let waiting = Delivery {
            budget: Budget {
                free_attempts: 0,
                since: Timestamp::from_millis(500),
            },
            ..opened()
        };
        let now = Timestamp::from_millis(10);
        let cancelled = waiting.command(Command::Cancel, now).unwrap();
        let retried = cancelled.command(Command::Retry, now).unwrap();
        assert_eq!(retried.next_attempt_at(), Some(now));
    }

    #[test]
    fn inv_6_after_every_next_the_delivery_rests_or_is_due() {
        let now = Timestamp::from_millis(10);
        let token = AttemptId::from_number(1);
        let leased = opened()
            .lease(token, now, SPAN)
            .expect("it is due")
            .delivery;
        let cases: [(Next, DeliveryStatus); 4] = [
            (Next::Deliver, Delivered),
            (Next::Fail(Reason::TooOld), Failed),
            (Next::Hold(Reason::Uncertain), Held),
            (Next::Cancel(Reason::EndpointDeleted), Cancelled),
        ];
        for (next, status) in cases {
            let Finish::Applied(moved) = leased.finish(token, true, next, now) else {
                panic!("a live lease was fenced");
            };
            assert_eq!(moved.state.status(), status);
            assert_eq!(moved.next_attempt_at(), None);
        }
        let retry = Next::Retry {
            after: Millis::new(7),
            counts: true,
        };
        let Finish::Applied(moved) = leased.finish(token, true, retry, now) else {
            panic!("a live lease was fenced");
        };
        assert_eq!(moved.next_attempt_at(), Some(now + Millis::new(7)));
    }

    #[test]
    fn what_goes_over_to_another_endpoint_has_a_fresh_budget_and_its_numbers_go_on() {
        let now = Timestamp::from_millis(10);
        let token = AttemptId::from_number(1);
        let leased = opened().lease(token, now, SPAN).expect("it is due");
        let other = EndpointId::from_number(2);
        let given_up = Next::Fail(Reason::AttemptsExhausted).or_over_to(Some(other));
        assert_eq!(given_up, Next::FailOver(other));
        let Finish::Applied(moved) = leased.delivery.finish(token, true, given_up, now) else {
            panic!("a live lease was fenced");
        };
        assert_eq!(moved.endpoint_id, Some(other));
        assert_eq!(moved.lane(), Lane::of_endpoint(other));
        assert_eq!((moved.attempts, moved.attempts_spent()), (1, 0));
        assert_eq!(moved.trigger, Trigger::Failover);
        assert_eq!(moved.next_attempt_at(), Some(now));
        assert!(moved.is_elsewhere_than(&leased.delivery));
        for stays in [
            Next::Deliver,
            Next::Fail(Reason::StatusIsFinal),
            Next::Fail(Reason::RejectedByReceiver),
            Next::Hold(Reason::Uncertain),
            Next::Cancel(Reason::EndpointDeleted),
        ] {
            assert_eq!(stays.or_over_to(Some(other)), stays);
        }
        let alone = Next::Fail(Reason::AttemptsExhausted);
        assert_eq!(alone.or_over_to(None), alone);
    }

    #[test]
    fn what_waits_elsewhere_keeps_its_budget_its_trigger_and_its_endpoint() {
        let now = Timestamp::from_millis(10);
        let token = AttemptId::from_number(1);
        let leased = opened().lease(token, now, SPAN).expect("it is due");
        let shifted = leased
            .delivery
            .finish(token, false, Next::Shift(Lane(9)), now);
        let Finish::Applied(moved) = shifted else {
            panic!("a live lease was fenced");
        };
        let there = Delivery {
            lane: 9,
            state: State::Pending { due: now },
            ..opened()
        };
        assert_eq!(moved, there);
    }

    #[test]
    fn a_retry_of_the_undelivered_leaves_alone_what_the_receiver_has() {
        let now = Timestamp::from_millis(10);
        let token = AttemptId::from_number(1);
        let leased = opened().lease(token, now, SPAN).expect("it is due");
        let ended = |next| match leased.delivery.finish(token, true, next, now) {
            Finish::Applied(moved) => moved,
            Finish::Fenced => panic!("a live lease was fenced"),
        };
        let wish = Command::RetryUndelivered;
        let delivered = ended(Next::Deliver);
        assert_eq!(
            delivered.command(wish, now),
            Err(CommandRefused::AlreadyDelivered)
        );
        assert!(delivered.command(Command::Retry, now).is_ok());
        assert_eq!(
            leased.delivery.command(wish, now),
            Err(CommandRefused::UnderWay)
        );
        let others = [
            opened(),
            ended(Next::Fail(Reason::AttemptsExhausted)),
            ended(Next::Hold(Reason::Uncertain)),
            ended(Next::Cancel(Reason::EndpointDeleted)),
        ];
        for other in others {
            let retried = other.command(wish, now);
            assert_eq!(retried, other.command(Command::Retry, now));
            assert_eq!(retried.map(|moved| moved.trigger), Ok(Trigger::Manual));
        }
    }
}
