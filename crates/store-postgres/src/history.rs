//! Reads single things as people see them.

use std::collections::HashMap;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId, RequestId};
use hooklatch_store::{MessageView, RequestView};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::Fault;
use crate::rows::among::{Among, since};
use crate::rows::message::StoredMessage;
use crate::rows::payload::{self, missing};
use crate::rows::{attempt, delivery, message, request};

/// A message of a project.
pub(crate) async fn message(
    db: &Client,
    project: ProjectId,
    id: MessageId,
) -> Result<Option<MessageView>, Fault> {
    let found = views(db, &[id.number()]).await?;
    let own = |view: &MessageView| view.message.project_id == project;
    Ok(found.into_iter().next().filter(own))
}

/// Messages as people see them, in the order of their numbers as given.
pub(crate) async fn views(db: &Client, numbers: &[i64]) -> Result<Vec<MessageView>, Fault> {
    let among = Among::of(numbers.iter().copied());
    let mut messages = message::load_all(db, &among).await?;
    let followed: Vec<(i64, i64)> = messages
        .values()
        .map(|stored| (stored.message.id.number(), stored.following))
        .collect();
    let mut deliveries = delivery::of_messages(db, &followed).await?;
    let duplicates = duplicates(db, &among).await?;
    let mut payloads = payload::load_all(db, &among).await?;
    let mut views = Vec::with_capacity(numbers.len());
    for number in numbers {
        let Some(stored) = messages.remove(number) else {
            continue;
        };
        let payload = payloads.remove(number).ok_or_else(|| missing(*number))?;
        views.push(MessageView {
            message: stored.message,
            envelope: payload.envelope,
            body: payload.body.unwrap_or_default(),
            deliveries: deliveries.remove(number).unwrap_or_default(),
            duplicates: duplicates.get(number).copied().unwrap_or_default(),
        });
    }
    Ok(views)
}

/// How many requests repeated each of some messages (INV-8).
async fn duplicates(db: &Client, among: &Among) -> Result<HashMap<i64, u64>, Fault> {
    let sql = "SELECT original, COUNT(*) FROM hooklatch.requests \
               WHERE original = ANY($1) AND original >= $2 AND original <= $3 AND id >= $4 \
               GROUP BY original";
    if among.is_empty() {
        return Ok(HashMap::new());
    }
    let begin = since(among.first());
    let [numbers, first, last] = among.params();
    let params = [numbers, first, last, (&begin, Type::INT8)];
    let rows = db.query_typed(sql, &params).await?;
    let counted = rows.iter().map(|row| {
        let count: i64 = row.try_get(1)?;
        Ok((row.try_get(0)?, count.unsigned_abs()))
    });
    counted.collect()
}

/// A request of a project.
pub(crate) async fn request(
    db: &Client,
    project: ProjectId,
    id: RequestId,
) -> Result<Option<RequestView>, Fault> {
    let found = requests(db, &[id.number()]).await?;
    let own = |view: &RequestView| match view {
        RequestView::Accepted { message, .. } => message.project_id == project,
        RequestView::Other { request, .. } => request.project_id == project,
    };
    Ok(found.into_iter().next().filter(own))
}

/// Requests as people see them, in the order of their numbers as given.
pub(crate) async fn requests(db: &Client, numbers: &[i64]) -> Result<Vec<RequestView>, Fault> {
    let among = Among::of(numbers.iter().copied());
    let mut refused = request::refused(db, &among).await?;
    let mut others = request::load_all(db, &among).await?;
    let mut messages = message::load_all(db, &among).await?;
    let mut envelopes = payload::envelopes(db, &among).await?;
    let mut views = Vec::with_capacity(numbers.len());
    for number in numbers {
        if let Some((request, envelope)) = refused.remove(number) {
            views.push(RequestView::Other { request, envelope });
            continue;
        }
        let mut envelope = || envelopes.remove(number).ok_or_else(|| missing(*number));
        if let Some(request) = others.remove(number) {
            let envelope = envelope()?;
            views.push(RequestView::Other { request, envelope });
        } else if let Some(message) = messages.remove(number).and_then(arrived) {
            let envelope = envelope()?;
            views.push(RequestView::Accepted { message, envelope });
        }
    }
    Ok(views)
}

/// A message that was made by a release is no arrival.
fn arrived(
    StoredMessage { message, .. }: StoredMessage,
) -> Option<hooklatch_core::message::Message> {
    (message.request_id == message.id.as_request()).then_some(message)
}

/// A delivery of a project.
pub(crate) async fn delivery(
    db: &Client,
    project: ProjectId,
    id: DeliveryId,
) -> Result<Option<Delivery>, Fault> {
    let found = delivery::load(db, id).await?;
    Ok(found.filter(|delivery| delivery.project_id == project))
}

/// The attempts of a delivery of a project, with the one under way.
pub(crate) async fn attempts_of(
    db: &Client,
    project: ProjectId,
    id: DeliveryId,
) -> Result<Vec<Attempt>, Fault> {
    let Some(delivery) = delivery(db, project, id).await? else {
        return Ok(Vec::new());
    };
    let mut attempts = attempt::of_delivery(db, &delivery).await?;
    attempts.extend(delivery.attempt_in_progress());
    Ok(attempts)
}
