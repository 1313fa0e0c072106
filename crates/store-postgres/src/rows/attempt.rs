//! The row of an attempt that has ended.

use bytes::Bytes;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_store::record::attempt::{Columns, decode as decode_columns};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::among::{Among, since};
use super::{wide_at, wide_or_none_at};
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select_attempts {
    ($rest:literal) => {
        concat!(
            "SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
             status_code, started, duration_ms, fenced, meta, body FROM hooklatch.attempts ",
            $rest
        )
    };
}

/// Reads attempts, the last one first.
pub(crate) async fn load_all(db: &Client, among: &Among) -> Result<Vec<Attempt>, Fault> {
    let sql = select_attempts!("WHERE id = ANY($1) AND id >= $2 AND id <= $3 ORDER BY id DESC");
    if among.is_empty() {
        return Ok(Vec::new());
    }
    decode_all(&db.query_typed(sql, &among.params()).await?)
}

/// Reads attempts without the bodies of the answers, the last one first.
pub(crate) async fn load_light(db: &Client, among: &Among) -> Result<Vec<Attempt>, Fault> {
    let sql = "SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
               status_code, started, duration_ms, fenced, meta, NULL::bytea \
               FROM hooklatch.attempts \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3 ORDER BY id DESC";
    if among.is_empty() {
        return Ok(Vec::new());
    }
    decode_all(&db.query_typed(sql, &among.params()).await?)
}

/// Reads the attempts of a delivery, the first one first.
pub(crate) async fn of_delivery(db: &Client, delivery: &Delivery) -> Result<Vec<Attempt>, Fault> {
    let sql = select_attempts!("WHERE delivery = $1 AND id >= $2 ORDER BY id");
    let number = delivery.id.number();
    let rows = db
        .query_typed(sql, &[(&number, Type::INT8), (&since(number), Type::INT8)])
        .await?;
    decode_all(&rows)
}

fn decode_all(rows: &[Row]) -> Result<Vec<Attempt>, Fault> {
    rows.iter().map(decode).collect()
}

fn decode(row: &Row) -> Result<Attempt, Fault> {
    let body: Option<Vec<u8>> = row.try_get(13)?;
    Ok(decode_columns(Columns {
        id: row.try_get(0)?,
        delivery: row.try_get(1)?,
        message: row.try_get(2)?,
        project: row.try_get(3)?,
        endpoint: row.try_get(4)?,
        number: wide_at(row, 5)?,
        trigger: wide_at(row, 6)?,
        outcome: wide_at(row, 7)?,
        status_code: wide_or_none_at(row, 8)?,
        started: row.try_get(9)?,
        duration_ms: row.try_get(10)?,
        fenced: row.try_get(11)?,
        meta: row.try_get(12)?,
        body: body.map(Bytes::from),
    })?)
}
