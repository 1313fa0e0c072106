//! The row of a delivery.

use hooklatch_core::delivery::{Delivery, DeliveryStatus};
use hooklatch_core::ids::{DeliveryId, MessageId};
use hooklatch_store::record::delivery::{self as record, Columns};
use rusqlite::{Connection, Row, params};

use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, message, project, endpoint, connection, lane, status, at, attempts, \
             trigger, token, started, reason, free_attempts, since, created, suffix, order_key, \
             CASE WHEN lane >= 4611686018427387904 OR lane < -4611686018427387904 \
                 THEN (SELECT replay FROM replayed WHERE replayed.delivery = deliveries.id) END \
             FROM deliveries ",
            $rest
        )
    };
}
pub(crate) use select;

/// Writes a new delivery.
pub(crate) fn insert(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "INSERT INTO deliveries (id, message, project, endpoint, connection, lane, status, at, \
               attempts, trigger, token, started, reason, free_attempts, since, created, suffix, \
               order_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
               ?15, ?16, ?17, ?18)";
    let columns = Columns::of_new(delivery);
    db.prepare_cached(sql)?.execute(params![
        columns.id,
        columns.message,
        columns.project,
        columns.endpoint,
        columns.connection,
        columns.lane,
        columns.status,
        columns.at,
        columns.attempts,
        columns.trigger,
        columns.token,
        columns.started,
        columns.reason,
        columns.free_attempts,
        columns.since,
        columns.created,
        columns.suffix,
        columns.order_key,
    ])?;
    Ok(())
}

/// Writes what can change of a delivery.
pub(crate) fn update(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "UPDATE deliveries SET status = ?2, at = ?3, attempts = ?4, trigger = ?5, \
               token = COALESCE(?6, token), started = COALESCE(?7, started), reason = ?8, \
               free_attempts = ?9, since = ?10, lane = ?11 WHERE id = ?1";
    let columns = Columns::of(delivery);
    let changed = db.prepare_cached(sql)?.execute(params![
        columns.id,
        columns.status,
        columns.at,
        columns.attempts,
        columns.trigger,
        columns.token,
        columns.started,
        columns.reason,
        columns.free_attempts,
        columns.since,
        columns.lane,
    ])?;
    assert_eq!(changed, 1, "{} was read a moment ago", delivery.id);
    Ok(())
}

/// Writes where a delivery belongs.
pub(crate) fn place(db: &Connection, delivery: &Delivery) -> Result<(), Fault> {
    let sql = "UPDATE deliveries SET endpoint = ?2, lane = ?3 WHERE id = ?1";
    let columns = Columns::of(delivery);
    db.prepare_cached(sql)?
        .execute(params![columns.id, columns.endpoint, columns.lane])?;
    Ok(())
}

/// Reads a delivery.
pub(crate) fn load(db: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
    let mut statement = db.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Reads the deliveries of a message, in the order in which they were made.
pub(crate) fn of_message(
    db: &Connection,
    message: MessageId,
    following: i64,
    status: Option<DeliveryStatus>,
) -> Result<Vec<Delivery>, Fault> {
    let first = message.number();
    let status = status.map(DeliveryStatus::code);
    let mut deliveries = Vec::new();
    if following > 0 {
        let sql = select!("WHERE id > ?1 AND id <= ?2 AND (?3 IS NULL OR status = ?3) ORDER BY id");
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, first + following, status])?;
        while let Some(row) = rows.next()? {
            deliveries.push(decode(row)?);
        }
    }
    let sql = select!(
        "WHERE id IN (SELECT delivery FROM strays WHERE message = ?1) \
         AND (?2 IS NULL OR status = ?2) ORDER BY id"
    );
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![first, status])?;
    while let Some(row) = rows.next()? {
        deliveries.push(decode(row)?);
    }
    Ok(deliveries)
}

/// A delivery from its row.
pub(crate) fn decode(row: &Row<'_>) -> Result<Delivery, Fault> {
    Ok(record::decode(&Columns {
        id: row.get(0)?,
        message: row.get(1)?,
        project: row.get(2)?,
        endpoint: row.get(3)?,
        connection: row.get(4)?,
        lane: row.get(5)?,
        status: row.get(6)?,
        at: row.get(7)?,
        attempts: row.get(8)?,
        trigger: row.get(9)?,
        token: row.get(10)?,
        started: row.get(11)?,
        reason: row.get(12)?,
        free_attempts: row.get(13)?,
        since: row.get(14)?,
        created: row.get(15)?,
        suffix: row.get(16)?,
        order_key: row.get(17)?,
        replay: row.get(18)?,
    })?)
}
