//! A delivery: numbers only, so that a row can be moved where it lies. A stored format.

use hooklatch_core::delivery::order::OrderKey;
use hooklatch_core::delivery::{Budget, Delivery, DeliveryStatus, Lease, State};
use hooklatch_core::ids::{
    AttemptId, ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId,
};
use hooklatch_core::time::Timestamp;

use super::{Code, Unreadable, narrow};

/// A delivery's columns. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Its number.
    pub id: i64,
    /// The message's.
    pub message: i64,
    /// The project's.
    pub project: i64,
    /// The endpoint's.
    pub endpoint: Option<i64>,
    /// The connection's.
    pub connection: Option<i64>,
    /// What it queues behind.
    pub lane: i64,
    /// The status's code.
    pub status: i64,
    /// When a pending one is due, when a lease ends, or when a final one ended.
    pub at: Option<i64>,
    /// Attempts started so far.
    pub attempts: i64,
    /// The trigger's code.
    pub trigger: i64,
    /// The number of the last attempt, by which leases are fenced. None in the columns of a
    /// delivery that has no lease: what is stored stays.
    pub token: Option<i64>,
    /// When the last lease was given. None where `token` is.
    pub started: Option<i64>,
    /// The reason's code.
    pub reason: Option<i64>,
    /// Attempts that do not count.
    pub free_attempts: i64,
    /// From when the budget counts.
    pub since: i64,
    /// When it was made.
    pub created: i64,
    /// Whether the connection's id is appended to the `webhook-id`.
    pub suffix: bool,
    /// What it goes one after the other with.
    pub order_key: Option<i64>,
    /// The replay's number. It lies in a table of its own, which is looked into only for what is
    /// in the lane of a replay.
    pub replay: Option<i64>,
}

impl Columns {
    /// The columns of a delivery that is stored already.
    pub fn of(delivery: &Delivery) -> Self {
        let (at, lease) = match &delivery.state {
            State::Pending { due } => (Some(*due), None),
            State::Delivering { lease } => (Some(lease.until), Some(lease)),
            State::Held { .. } => (None, None),
            State::Delivered { at } | State::Failed { at, .. } | State::Cancelled { at, .. } => {
                (Some(*at), None)
            }
        };
        Self {
            id: delivery.id.number(),
            message: delivery.message_id.number(),
            project: delivery.project_id.number(),
            endpoint: delivery.endpoint_id.map(EndpointId::number),
            connection: delivery.connection_id.map(ConnectionId::number),
            lane: delivery.lane,
            status: delivery.state.status().code(),
            at: at.map(Timestamp::as_millis),
            attempts: delivery.attempts.into(),
            trigger: delivery.trigger.code(),
            token: lease.map(|lease| lease.attempt_id.number()),
            started: lease.map(|lease| lease.started_at.as_millis()),
            reason: delivery.state.reason().map(Code::code),
            free_attempts: delivery.budget.free_attempts.into(),
            since: delivery.budget.since.as_millis(),
            created: delivery.created_at.as_millis(),
            suffix: delivery.suffix_webhook_id,
            order_key: delivery.order_key.map(OrderKey::number),
            replay: delivery.replay_id.map(ReplayId::number),
        }
    }

    /// The columns of a new delivery. Before its first attempt the token is the delivery's own
    /// number, and the start its making: a row that keeps its width is updated in its place.
    pub fn of_new(delivery: &Delivery) -> Self {
        let columns = Self::of(delivery);
        Self {
            token: columns.token.or(Some(columns.id)),
            started: columns.started.or(Some(columns.created)),
            ..columns
        }
    }

    /// Puts a new delivery, or one that starts again, behind the others of its order key.
    pub fn wait_for_turn(&mut self) {
        self.at = Some(Timestamp::NEVER.as_millis());
    }

    fn at(&self) -> Result<Timestamp, Unreadable> {
        let at = self.at.map(Timestamp::from_millis);
        at.ok_or_else(|| self.lacks("time"))
    }

    fn reason<C: Code>(&self) -> Result<C, Unreadable> {
        let code = self.reason.ok_or_else(|| self.lacks("reason"))?;
        C::of_code(code)
    }

    fn lease(&self) -> Result<Lease, Unreadable> {
        let token = self.token.ok_or_else(|| self.lacks("token"))?;
        let started = self.started.ok_or_else(|| self.lacks("start"))?;
        Ok(Lease {
            attempt_id: AttemptId::from_number(token),
            started_at: Timestamp::from_millis(started),
            until: self.at()?,
        })
    }

    fn lacks(&self, what: &str) -> Unreadable {
        Unreadable(format!("the delivery {} has no {what}", self.id))
    }
}

/// How many deliveries of a new message follow its number without a gap, so that they are found
/// without an index: all of them, since numbers are minted one after the other, or, where a node's
/// numbers were used up in between, none. Those are strays.
pub fn following(message: MessageId, deliveries: &[Delivery]) -> usize {
    let expected = (message.number() + 1)..;
    let in_row = |(delivery, number): (&Delivery, i64)| delivery.id.number() == number;
    if deliveries.iter().zip(expected).all(in_row) {
        deliveries.len()
    } else {
        0
    }
}

/// A delivery from its columns.
///
/// # Errors
/// Where a column does not hold what belongs there.
pub fn decode(columns: &Columns) -> Result<Delivery, Unreadable> {
    Ok(Delivery {
        id: DeliveryId::from_number(columns.id),
        message_id: MessageId::from_number(columns.message),
        project_id: ProjectId::from_number(columns.project),
        endpoint_id: columns.endpoint.map(EndpointId::from_number),
        connection_id: columns.connection.map(ConnectionId::from_number),
        lane: columns.lane,
        suffix_webhook_id: columns.suffix,
        state: decode_state(columns)?,
        attempts: narrow(columns.attempts, "number of attempts")?,
        trigger: Code::of_code(columns.trigger)?,
        budget: Budget {
            free_attempts: narrow(columns.free_attempts, "number of attempts")?,
            since: Timestamp::from_millis(columns.since),
        },
        replay_id: columns.replay.map(ReplayId::from_number),
        created_at: Timestamp::from_millis(columns.created),
        order_key: columns.order_key.map(OrderKey::from_number),
    })
}

fn decode_state(columns: &Columns) -> Result<State, Unreadable> {
    Ok(match DeliveryStatus::of_code(columns.status)? {
        DeliveryStatus::Pending => State::Pending { due: columns.at()? },
        DeliveryStatus::Delivering => State::Delivering {
            lease: columns.lease()?,
        },
        DeliveryStatus::Held => State::Held {
            reason: columns.reason()?,
        },
        DeliveryStatus::Delivered => State::Delivered { at: columns.at()? },
        DeliveryStatus::Failed => State::Failed {
            at: columns.at()?,
            reason: columns.reason()?,
        },
        DeliveryStatus::Cancelled => State::Cancelled {
            at: columns.at()?,
            reason: columns.reason()?,
        },
    })
}
