//! One step of a replay that runs: see what became of those that were handed over, and hand over
//! as many more as the rate and the window allow.

use std::collections::{HashMap, HashSet};

use super::choice::still_takes;
use super::{
    Action, Handed, Item, Plan, Progress, Replay, ReplayStatus, STEP_ITEMS_MAX, WINDOW_MAX,
};
use crate::delivery::lifecycle::{Command, Destination};
use crate::delivery::{Delivery, Lane, Reason, State, Trigger};
use crate::ids::{DeliveryId, MessageId, Mint, ReplayId};
use crate::message::{Message, Origin, Parcel};
use crate::time::{Millis, Timestamp};

/// After this a delivery that was handed over is no longer watched.
const WATCHED: Millis = Millis::from_seconds(60);
/// How much of its rate a replay may catch up with after it was held up.
const CATCH_UP_US: i64 = 250_000;
/// The shortest and the longest time between two steps: each is a commit that live traffic waits
/// for as well.
const STEP_WAIT: (i64, i64) = (50, 250);
/// By how much a replay lags behind its rate whose steps are too small for it, and the time between
/// two of them then.
const LAG_US: i64 = 50_000;
const STEP_WAIT_BUSY: Millis = Millis::new(5);

/// What a step needs of the store, read in its transaction.
#[derive(Debug, Default)]
pub struct Material {
    /// What is next, the oldest message first.
    pub items: Vec<Item>,
    /// Whether there is more after that.
    pub more: bool,
    /// The deliveries that the items name, as far as they are still there.
    pub deliveries: HashMap<DeliveryId, Delivery>,
    /// The messages of the items that can still be sent.
    pub present: HashSet<MessageId>,
    /// The messages themselves, where the plan makes new ones of them.
    pub parcels: HashMap<MessageId, Parcel>,
}

/// A message that a replay made of another, with its one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The message, with the envelope and the body of the other.
    pub parcel: Parcel,
    /// Its delivery.
    pub delivery: Delivery,
}

/// What a step came to, to be written in one commit with the replay itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stepped {
    /// Deliveries that moved.
    pub moved: Vec<Delivery>,
    /// Messages that were made.
    pub made: Vec<Made>,
}

impl Replay {
    /// Takes over what became of those that were handed over before.
    pub fn settle(&mut self, known: &HashMap<DeliveryId, Delivery>, now: Timestamp) {
        let id = self.id();
        let progress = &mut self.progress;
        let window = std::mem::take(&mut progress.window);
        for handed in window {
            let Some(delivery) = known.get(&handed.delivery) else {
                progress.gone += 1;
                continue;
            };
            match settled(id, &handed, delivery, now) {
                Settled::NotYet => progress.window.push(handed),
                Settled::Done => progress.done += 1,
                Settled::Failed => progress.failed += 1,
                Settled::Waiting => progress.waiting += 1,
                Settled::Overtaken => progress.skipped += 1,
            }
        }
    }

    /// How many more may be handed over now.
    pub fn allowance(&self, now: Timestamp) -> usize {
        if self.status() != ReplayStatus::Running {
            return 0;
        }
        let progress = &self.progress;
        let now_us = now.as_millis().saturating_mul(1_000);
        let from = progress.paced_from(now_us);
        if now_us < from {
            return 0;
        }
        let by_rate = (now_us - from) / self.cost_us() + 1;
        let by_window = WINDOW_MAX.saturating_sub(progress.window.len());
        usize::try_from(by_rate)
            .unwrap_or(usize::MAX)
            .min(by_window)
            .min(STEP_ITEMS_MAX)
    }

    /// Hands over what is next. `mint` numbers what is made.
    pub fn step(&mut self, material: &Material, mint: &mut Mint, now: Timestamp) -> Stepped {
        let mut stepped = Stepped::default();
        for item in &material.items {
            self.hand_over(item, material, mint, now, &mut stepped);
        }
        let now_us = now.as_millis().saturating_mul(1_000);
        let spent = self.cost_us() * i64::try_from(material.items.len()).unwrap_or(i64::MAX);
        let paced = self.progress.paced_from(now_us).saturating_add(spent);
        // What could not be handed over, for want of room or of anything to do, is not made up for.
        self.progress.paced_until_us = if material.items.len() < STEP_ITEMS_MAX {
            paced.max(now_us)
        } else {
            paced
        };
        let left = material.more;
        self.end_if_done(left, now);
        stepped
    }

    /// How long until the next step is worth taking.
    pub fn next_step_in(&self, now: Timestamp) -> Millis {
        let wait_us = self.progress.paced_until_us - now.as_millis().saturating_mul(1_000);
        if wait_us < -LAG_US && self.progress.window.len() < WINDOW_MAX {
            return STEP_WAIT_BUSY;
        }
        Millis::new((wait_us / 1_000).clamp(STEP_WAIT.0, STEP_WAIT.1))
    }

    fn cost_us(&self) -> i64 {
        1_000_000 / i64::from(self.head.plan.rate_per_second.max(1))
    }

    fn hand_over(
        &mut self,
        item: &Item,
        material: &Material,
        mint: &mut Mint,
        now: Timestamp,
        stepped: &mut Stepped,
    ) {
        let id = self.id();
        let plan = &self.head.plan;
        let progress = &mut self.progress;
        let delivery = item.delivery.map(|id| material.deliveries.get(&id));
        if !material.present.contains(&item.message) || delivery == Some(None) {
            progress.gone += 1;
            return;
        }
        let delivery = delivery.flatten();
        if delivery.is_some_and(|delivery| !still_takes(plan, delivery)) {
            progress.skipped += 1;
            return;
        }
        if plan.makes_messages() {
            let Some(parcel) = material.parcels.get(&item.message) else {
                progress.gone += 1;
                return;
            };
            let made = made(id, plan, parcel, delivery, mint, now);
            progress.watch(&made.delivery, now);
            stepped.made.push(made);
            return;
        }
        let delivery = delivery.expect("only what goes elsewhere is planned without a delivery");
        match plan.action {
            Action::Send => match delivery.replayed(id, now) {
                Ok(moved) => {
                    progress.watch(&moved, now);
                    stepped.moved.push(moved);
                }
                Err(_) => progress.skipped += 1,
            },
            Action::Cancel => match delivery.command(Command::Cancel, now) {
                Ok(moved) => {
                    progress.done += 1;
                    stepped.moved.push(moved);
                }
                Err(_) => progress.skipped += 1,
            },
        }
    }
}

impl Progress {
    /// From when the rate counts: what was not used long ago is not caught up with.
    fn paced_from(&self, now_us: i64) -> i64 {
        self.paced_until_us.max(now_us - CATCH_UP_US)
    }

    fn watch(&mut self, delivery: &Delivery, now: Timestamp) {
        self.window.push(Handed {
            delivery: delivery.id,
            attempts: delivery.attempts,
            at: now,
        });
    }
}

enum Settled {
    NotYet,
    Done,
    Failed,
    Waiting,
    Overtaken,
}

fn settled(id: ReplayId, handed: &Handed, delivery: &Delivery, now: Timestamp) -> Settled {
    let attempted = delivery.attempts > handed.attempts;
    match &delivery.state {
        State::Delivered { .. } => Settled::Done,
        State::Cancelled {
            reason: Reason::CancelledByPerson,
            ..
        } => Settled::Overtaken,
        State::Failed { .. } | State::Held { .. } | State::Cancelled { .. } => Settled::Failed,
        State::Pending { .. } | State::Delivering { .. } if delivery.replay_id != Some(id) => {
            Settled::Overtaken
        }
        State::Pending { .. } if attempted => Settled::Failed,
        // A second attempt is under way, so the first one has ended; unless it was lost with its
        // node, and is made again.
        State::Delivering { .. }
            if delivery.attempts > handed.attempts + 1 && delivery.trigger != Trigger::Recovery =>
        {
            Settled::Failed
        }
        State::Pending { .. } | State::Delivering { .. } => {
            if now.since(handed.at) > WATCHED {
                Settled::Waiting
            } else {
                Settled::NotYet
            }
        }
    }
}

/// What is sent as a message of its own: as a new event (P2), or elsewhere under the same name (P3).
fn made(
    id: ReplayId,
    plan: &Plan,
    original: &Parcel,
    of: Option<&Delivery>,
    mint: &mut Mint,
    now: Timestamp,
) -> Made {
    let message = message_of(plan, &original.message, mint, now);
    let destination = destination(plan, &original.message, of);
    let delivery = Delivery {
        trigger: Trigger::Replay,
        replay_id: Some(id),
        ..Delivery::opened(
            DeliveryId::from_number(mint.next(now)),
            message.id,
            message.project_id,
            &destination,
            now,
            now,
        )
    };
    let parcel = Parcel {
        message,
        envelope: original.envelope.clone(),
        body: original.body.clone(),
    };
    Made { parcel, delivery }
}

fn message_of(plan: &Plan, original: &Message, mint: &mut Mint, now: Timestamp) -> Message {
    let origin = if plan.as_new {
        Origin::Replayed
    } else if original.origin.derives_key() {
        Origin::CopiedDerived
    } else {
        Origin::Copied
    };
    Message {
        id: MessageId::from_number(mint.next(now)),
        origin,
        decided_at: now,
        routed: true,
        routing: Vec::new(),
        suspected_duplicate_of: None,
        original_message_id: Some(original.sent_as()),
        ..original.clone()
    }
}

fn destination(plan: &Plan, original: &Message, of: Option<&Delivery>) -> Destination {
    match (plan.to_endpoint, of) {
        (Some(endpoint), _) => Destination {
            endpoint_id: Some(endpoint),
            // Its script is what the receiver is used to.
            connection_id: plan.filter.connection_id,
            lane: Lane::of_endpoint(endpoint).for_replays(),
            suffix_webhook_id: false,
            // What is in order there is ordered by that endpoint's own rule, and this did not come
            // by it.
            order_key: None,
        },
        (None, Some(delivery)) => Destination {
            endpoint_id: delivery.endpoint_id,
            connection_id: delivery.connection_id,
            lane: delivery.lane().for_replays(),
            suffix_webhook_id: delivery.suffix_webhook_id,
            order_key: delivery.order_key,
        },
        (None, None) => unreachable!("{} has neither a delivery nor a place", original.id),
    }
}
