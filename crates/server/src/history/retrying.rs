//! Attempts again, at a person's word, what a message's receivers do not have.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused};
use hooklatch_core::ids::MessageId;
use hooklatch_store::{Commanded, MessageView, StoreError};
use serde::Serialize;
use tokio::task::JoinSet;

use super::views::DeliveryRecord;
use crate::app::App;
use crate::problem::Problem;

/// Commands under way at once: enough to share commits, few enough to leave room for arrivals.
const COMMANDS_MAX: usize = 64;

/// What was done, for each delivery in the order in which they were made.
#[derive(Debug, Serialize)]
pub(crate) struct Retried {
    message_id: MessageId,
    retried: usize,
    data: Vec<DeliveryRetried>,
}

/// What was done for one delivery, which stands as it is shown.
#[derive(Debug, Serialize)]
struct DeliveryRetried {
    #[serde(flatten)]
    delivery: DeliveryRecord,
    result: Retrying,
    detail: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Retrying {
    Retried,
    AlreadyDelivered,
    UnderWay,
    WaitsForTurn,
    Gone,
}

impl Retrying {
    const fn detail(self) -> &'static str {
        match self {
            Self::Retried => "it is attempted now, with a fresh budget",
            Self::AlreadyDelivered => {
                "the receiver has it; to send it all the same, retry the delivery itself"
            }
            Self::UnderWay => "an attempt is under way; ask again when it has ended",
            Self::WaitsForTurn => {
                "it waits for an older delivery with the same ordering key, and is attempted after it"
            }
            Self::Gone => "it was removed meanwhile, with the history that it belonged to",
        }
    }
}

/// Retries every delivery of a message that was not delivered and is not under way.
///
/// Each is one command of its own: where the store fails midway, those before stay retried, and
/// repeating the call only makes them due again.
pub(crate) async fn retry_all(app: &App, view: MessageView) -> Result<Retried, Problem> {
    let message_id = view.message.id;
    let mut data = Vec::with_capacity(view.deliveries.len());
    for deliveries in view.deliveries.chunks(COMMANDS_MAX) {
        data.extend(retry_some(app, deliveries).await?);
    }
    let was_retried = |done: &&DeliveryRetried| done.result == Retrying::Retried;
    Ok(Retried {
        message_id,
        retried: data.iter().filter(was_retried).count(),
        data,
    })
}

async fn retry_some(app: &App, deliveries: &[Delivery]) -> Result<Vec<DeliveryRetried>, Problem> {
    let mut under_way = JoinSet::new();
    for (place, delivery) in deliveries.iter().cloned().enumerate() {
        let app = app.clone();
        under_way.spawn(async move { (place, retry_one(&app, delivery).await) });
    }
    let mut done = under_way.join_all().await;
    done.sort_by_key(|(place, _)| *place);
    let done: Result<Vec<_>, StoreError> = done.into_iter().map(|(_, result)| result).collect();
    Ok(done?)
}

/// What is delivered or leased since the message was read is not sent again: the command says so
/// itself, inside the store's transaction.
async fn retry_one(app: &App, delivery: Delivery) -> Result<DeliveryRetried, StoreError> {
    let (project, id) = (delivery.project_id, delivery.id);
    let wish = Command::RetryUndelivered;
    let result = match app.store().command(project, id, wish).await? {
        Commanded::Done(moved) => return Ok(reported(&moved, Retrying::Retried)),
        Commanded::Refused(CommandRefused::UnderWay) => Retrying::UnderWay,
        Commanded::Refused(CommandRefused::AlreadyDelivered) => Retrying::AlreadyDelivered,
        Commanded::Refused(CommandRefused::NotItsTurn) => Retrying::WaitsForTurn,
        Commanded::Refused(CommandRefused::AlreadyEnded) => {
            unreachable!("a delivery that has ended can be retried")
        }
        Commanded::Refused(CommandRefused::HistoryDropped) => Retrying::Gone,
        Commanded::NotFound => return Ok(reported(&delivery, Retrying::Gone)),
    };
    let now = app.store().delivery(project, id).await?;
    Ok(reported(&now.unwrap_or(delivery), result))
}

fn reported(delivery: &Delivery, result: Retrying) -> DeliveryRetried {
    DeliveryRetried {
        delivery: DeliveryRecord::of(delivery),
        result,
        detail: result.detail(),
    }
}
