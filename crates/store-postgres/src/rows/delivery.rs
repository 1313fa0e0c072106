//! The row of a delivery, live or ended.

use std::collections::HashMap;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::DeliveryId;
use hooklatch_store::record::delivery::{Columns, decode as decode_columns};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::among::{Among, since};
use super::{wide_at, wide_or_none_at};
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! delivery_columns {
    () => {
        "d.id, d.message, d.project, d.endpoint, d.connection, d.lane, d.status, d.at, \
         d.attempts, d.trigger, d.token, d.started, d.reason, d.free_attempts, d.since, \
         d.created, d.suffix, d.order_key, \
         CASE WHEN d.lane >= 4611686018427387904 OR d.lane < -4611686018427387904 \
             THEN (SELECT r.replay FROM hooklatch.replayed r WHERE r.delivery = d.id) END "
    };
}
pub(crate) use delivery_columns;

/// Reads them.
macro_rules! select_deliveries {
    ($rest:literal) => {
        concat!("SELECT ", crate::rows::delivery::delivery_columns!(), $rest)
    };
}
pub(crate) use select_deliveries;

/// A delivery from its row.
pub(crate) fn decode(row: &Row) -> Result<Delivery, Fault> {
    Ok(decode_columns(&Columns {
        id: row.try_get(0)?,
        message: row.try_get(1)?,
        project: row.try_get(2)?,
        endpoint: row.try_get(3)?,
        connection: row.try_get(4)?,
        lane: row.try_get(5)?,
        status: wide_at(row, 6)?,
        at: row.try_get(7)?,
        attempts: wide_at(row, 8)?,
        trigger: wide_at(row, 9)?,
        token: row.try_get(10)?,
        started: row.try_get(11)?,
        reason: wide_or_none_at(row, 12)?,
        free_attempts: wide_at(row, 13)?,
        since: row.try_get(14)?,
        created: row.try_get(15)?,
        suffix: row.try_get(16)?,
        order_key: row.try_get(17)?,
        replay: row.try_get(18)?,
    })?)
}

/// Deliveries from their rows.
pub(crate) fn decode_all(rows: &[Row]) -> Result<Vec<Delivery>, Fault> {
    rows.iter().map(decode).collect()
}

/// A delivery, wherever it is.
pub(crate) async fn load(db: &Client, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
    let found = all(db, &Among::of([id.number()])).await?;
    Ok(found.into_iter().next())
}

/// The deliveries of messages, each given with how many follow its number, in the order in which
/// they were made.
pub(crate) async fn of_messages(
    db: &Client,
    messages: &[(i64, i64)],
) -> Result<HashMap<i64, Vec<Delivery>>, Fault> {
    let of = Among::of(messages.iter().map(|(id, _)| *id));
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT delivery FROM hooklatch.strays \
               WHERE message = ANY($1) AND message >= $2 AND message <= $3";
    let strays = db.query_typed(sql, &of.params()).await?;
    let mut numbers = Vec::new();
    for (id, following) in messages {
        numbers.extend(id + 1..=id + following);
    }
    for row in &strays {
        numbers.push(row.try_get(0)?);
    }
    let mut deliveries: HashMap<i64, Vec<Delivery>> = HashMap::new();
    for delivery in all(db, &Among::of(numbers)).await? {
        let message = delivery.message_id.number();
        deliveries.entry(message).or_default().push(delivery);
    }
    Ok(deliveries)
}

/// Some deliveries. One statement, so that a delivery that ends meanwhile is found in one of the tables, and in
/// one only.
pub(crate) async fn all(db: &Client, among: &Among) -> Result<Vec<Delivery>, Fault> {
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let sql = concat!(
        select_deliveries!("FROM hooklatch.deliveries_live d WHERE d.id = ANY($1) "),
        "UNION ALL ",
        select_deliveries!(
            "FROM hooklatch.deliveries_done d \
             WHERE d.id = ANY($1) AND d.id >= $2 AND d.id <= $3 ORDER BY 1"
        ),
    );
    decode_all(&db.query_typed(sql, &among.params()).await?)
}

/// The messages with a delivery to an endpoint, newest first, from a number and before another,
/// at most so many.
pub(crate) async fn messages_to(
    db: &Client,
    endpoint: i64,
    (from, to): (i64, i64),
    many: i64,
) -> Result<Vec<i64>, Fault> {
    // A delivery that a duplicate made is numbered long after its message, never before it.
    let sql = "SELECT DISTINCT message FROM (\
                   (SELECT DISTINCT message FROM hooklatch.deliveries_live \
                    WHERE endpoint = $1 AND message >= $2 AND message < $3 \
                    ORDER BY message DESC LIMIT $4) \
                   UNION ALL \
                   (SELECT DISTINCT message FROM hooklatch.deliveries_done \
                    WHERE endpoint = $1 AND message >= $2 AND message < $3 AND id >= $5 \
                    ORDER BY message DESC LIMIT $4)\
               ) found ORDER BY message DESC LIMIT $4";
    let begin = since(from);
    let rows = db
        .query_typed(
            sql,
            &[
                (&endpoint, Type::INT8),
                (&from, Type::INT8),
                (&to, Type::INT8),
                (&many, Type::INT8),
                (&begin, Type::INT8),
            ],
        )
        .await?;
    let messages = rows.iter().map(|row| Ok(row.try_get(0)?));
    messages.collect()
}
