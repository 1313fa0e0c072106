//! Reads single things as people see them.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId, RequestId};
use hooklatch_core::message::Parcel;
use hooklatch_store::{MessageView, RequestView};
use rusqlite::Connection;

use crate::fault::Fault;
use crate::rows::message::StoredMessage;
use crate::rows::{attempt, delivery, message, payload, request};

/// A message with what is needed to send it.
pub(crate) fn parcel(db: &Connection, id: MessageId) -> Result<Option<Parcel>, Fault> {
    let Some(stored) = message::load(db, id)? else {
        return Ok(None);
    };
    Ok(Some(Parcel {
        message: stored.message,
        envelope: payload::envelope(db, id.number())?,
        body: payload::body(db, id.number())?.unwrap_or_default(),
    }))
}

/// A message of a project.
pub(crate) fn message(
    db: &Connection,
    project: ProjectId,
    id: MessageId,
) -> Result<Option<MessageView>, Fault> {
    match message::load(db, id)? {
        Some(stored) if stored.message.project_id == project => {
            let deliveries = delivery::of_message(db, id, stored.following, None)?;
            view(db, stored, deliveries).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// A message as people see it.
pub(crate) fn view(
    db: &Connection,
    stored: StoredMessage,
    deliveries: Vec<Delivery>,
) -> Result<MessageView, Fault> {
    let number = stored.message.id.number();
    let sql = "SELECT COUNT(*) FROM requests INDEXED BY requests_original WHERE original = ?1";
    let duplicates: i64 = db
        .prepare_cached(sql)?
        .query_row([number], |row| row.get(0))?;
    Ok(MessageView {
        message: stored.message,
        envelope: payload::envelope(db, number)?,
        body: payload::body(db, number)?.unwrap_or_default(),
        deliveries,
        duplicates: duplicates.unsigned_abs(),
    })
}

/// A request of a project.
pub(crate) fn request(
    db: &Connection,
    project: ProjectId,
    id: RequestId,
) -> Result<Option<RequestView>, Fault> {
    if let Some(request) = request::load(db, id)? {
        if request.project_id != project {
            return Ok(None);
        }
        let envelope = payload::envelope(db, id.number())?;
        return Ok(Some(RequestView::Other { request, envelope }));
    }
    match message::load(db, id.as_message())? {
        // A message that was made by a release is no arrival.
        Some(StoredMessage { message, .. })
            if message.project_id == project && message.request_id == id =>
        {
            let envelope = payload::envelope(db, id.number())?;
            Ok(Some(RequestView::Accepted { message, envelope }))
        }
        Some(_) | None => Ok(None),
    }
}

/// A delivery of a project.
pub(crate) fn delivery(
    db: &Connection,
    project: ProjectId,
    id: DeliveryId,
) -> Result<Option<Delivery>, Fault> {
    let found = delivery::load(db, id)?;
    Ok(found.filter(|delivery| delivery.project_id == project))
}

/// The attempts of a delivery of a project, with the one under way.
pub(crate) fn attempts_of(
    db: &Connection,
    project: ProjectId,
    id: DeliveryId,
) -> Result<Vec<Attempt>, Fault> {
    let Some(delivery) = delivery(db, project, id)? else {
        return Ok(Vec::new());
    };
    let mut attempts = attempt::of_delivery(db, id)?;
    attempts.extend(delivery.attempt_in_progress());
    Ok(attempts)
}
