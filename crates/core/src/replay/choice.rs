//! Which deliveries a replay takes: first when it is planned, and again when each one's turn has
//! come, because the world goes on in between.

use super::plan::{Action, Plan, StatusWanted};
use crate::delivery::attempt::AttemptOutcome;
use crate::delivery::{Delivery, DeliveryStatus, Reason, State};
use crate::ids::{DeliveryId, MessageId};
use crate::message::Message;

/// How many deliveries of each standing a plan has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// No attempt was made, and none will be by itself.
    pub never_attempted: u64,
    /// The last attempt may or may not have reached the receiver.
    pub uncertain: u64,
    /// The last attempt did not succeed.
    pub failed: u64,
    /// The receiver has it.
    pub delivered: u64,
    /// An attempt is under way, or the first one will be made by itself. Left alone.
    pub under_way: u64,
    /// A person called it off. Left alone, unless the filter names this status.
    pub cancelled: u64,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The message.
    pub message: MessageId,
    /// The delivery; none where the message is sent elsewhere as a whole.
    pub delivery: Option<DeliveryId>,
}

/// What a page of history held for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What shall be done.
    pub items: Vec<Item>,
    /// What there was.
    pub counts: Counts,
}

/// How a delivery stands, as a plan counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    NeverAttempted,
    Uncertain,
    Failed,
    Delivered,
    UnderWay,
    Cancelled,
}

impl Counts {
    /// How many there are in all.
    pub const fn sum(&self) -> u64 {
        self.never_attempted
            + self.uncertain
            + self.failed
            + self.delivered
            + self.under_way
            + self.cancelled
    }

    /// Adds what another page held.
    pub const fn add(&mut self, other: &Self) {
        self.never_attempted += other.never_attempted;
        self.uncertain += other.uncertain;
        self.failed += other.failed;
        self.delivered += other.delivered;
        self.under_way += other.under_way;
        self.cancelled += other.cancelled;
    }

    const fn count(&mut self, standing: Standing) {
        match standing {
            Standing::NeverAttempted => self.never_attempted += 1,
            Standing::Uncertain => self.uncertain += 1,
            Standing::Failed => self.failed += 1,
            Standing::Delivered => self.delivered += 1,
            Standing::UnderWay => self.under_way += 1,
            Standing::Cancelled => self.cancelled += 1,
        }
    }
}

impl Found {
    /// Adds what a plan takes of one message. `last` says how the last attempt of a delivery ended.
    pub fn add(
        &mut self,
        plan: &Plan,
        message: &Message,
        deliveries: &[Delivery],
        last: impl Fn(DeliveryId) -> Option<AttemptOutcome>,
    ) {
        let chosen: Vec<(DeliveryId, Standing)> = deliveries
            .iter()
            .filter(|delivery| matches(plan, delivery))
            .map(|delivery| (delivery.id, standing(delivery, last(delivery.id))))
            .collect();
        if plan.to_endpoint.is_some() {
            self.add_whole(plan, message, deliveries, &chosen);
            return;
        }
        for (delivery, standing) in chosen {
            self.counts.count(standing);
            if takes(plan, standing) {
                self.items.push(Item {
                    message: message.id,
                    delivery: Some(delivery),
                });
            }
        }
    }

    /// A message goes elsewhere once, however many deliveries it has, and also without any (P3).
    fn add_whole(
        &mut self,
        plan: &Plan,
        message: &Message,
        deliveries: &[Delivery],
        chosen: &[(DeliveryId, Standing)],
    ) {
        let standing = match chosen
            .iter()
            .map(|(_, standing)| *standing)
            .max_by_key(worst)
        {
            Some(standing) => standing,
            None if deliveries.is_empty() && takes_unrouted(plan, message) => {
                Standing::NeverAttempted
            }
            None => return,
        };
        // A copy is no event of its own.
        if message.origin.is_copy() {
            return;
        }
        self.counts.count(standing);
        // What becomes of the original makes no difference elsewhere, but for being delivered.
        if plan.include_delivered || standing != Standing::Delivered {
            self.items.push(Item {
                message: message.id,
                delivery: None,
            });
        }
    }
}

/// The order in which a message's standing is that of its deliveries.
const fn worst(standing: &Standing) -> u8 {
    match standing {
        Standing::Uncertain => 5,
        Standing::Failed => 4,
        Standing::NeverAttempted => 3,
        Standing::UnderWay => 2,
        Standing::Cancelled => 1,
        Standing::Delivered => 0,
    }
}

fn takes_unrouted(plan: &Plan, message: &Message) -> bool {
    let filter = &plan.filter;
    if filter.endpoint_id.is_some() || filter.connection_id.is_some() {
        return false;
    }
    match filter.status {
        None => true,
        Some(StatusWanted::NoRoute) => !message.routed,
        Some(StatusWanted::Filtered) => message.routed,
        Some(
            StatusWanted::Pending
            | StatusWanted::Delivering
            | StatusWanted::Delivered
            | StatusWanted::Failed
            | StatusWanted::Held
            | StatusWanted::Cancelled,
        ) => false,
    }
}

fn matches(plan: &Plan, delivery: &Delivery) -> bool {
    let filter = &plan.filter;
    let status = delivery.state.status();
    let can_be = match plan.action {
        Action::Send => true,
        Action::Cancel => !status.is_final(),
    };
    can_be
        && filter
            .endpoint_id
            .is_none_or(|id| delivery.endpoint_id == Some(id))
        && filter
            .connection_id
            .is_none_or(|id| delivery.connection_id == Some(id))
        && filter
            .status
            .is_none_or(|wanted| wanted.of_delivery() == Some(status))
}

fn standing(delivery: &Delivery, last: Option<AttemptOutcome>) -> Standing {
    match &delivery.state {
        State::Delivered { .. } => Standing::Delivered,
        State::Delivering { .. } => Standing::UnderWay,
        State::Cancelled { .. } => Standing::Cancelled,
        State::Pending { .. } if delivery.attempts == 0 => Standing::UnderWay,
        State::Held {
            reason: Reason::Uncertain,
        } => Standing::Uncertain,
        State::Pending { .. } | State::Held { .. } | State::Failed { .. } => {
            match (delivery.attempts, last) {
                (0, _) => Standing::NeverAttempted,
                (_, Some(AttemptOutcome::Uncertain)) => Standing::Uncertain,
                (_, _) => Standing::Failed,
            }
        }
    }
}

fn takes(plan: &Plan, standing: Standing) -> bool {
    let named = |status| plan.filter.status == Some(status);
    match (plan.action, standing) {
        (Action::Send, Standing::NeverAttempted | Standing::Uncertain | Standing::Failed) => true,
        (Action::Send, Standing::Delivered) => plan.include_delivered,
        (Action::Send, Standing::Cancelled) => named(StatusWanted::Cancelled),
        (Action::Send, Standing::UnderWay) => false,
        // What has ended is no longer among them: nothing is left to call off.
        (Action::Cancel, _) => true,
    }
}

/// Whether a delivery whose turn has come is still one that the plan takes.
pub(super) fn still_takes(plan: &Plan, delivery: &Delivery) -> bool {
    match plan.action {
        Action::Cancel => !delivery.state.status().is_final(),
        Action::Send => match delivery.state.status() {
            DeliveryStatus::Delivered => plan.include_delivered,
            DeliveryStatus::Cancelled => plan.filter.status == Some(StatusWanted::Cancelled),
            DeliveryStatus::Delivering => false,
            DeliveryStatus::Pending => delivery.attempts > 0,
            DeliveryStatus::Failed | DeliveryStatus::Held => true,
        },
    }
}
