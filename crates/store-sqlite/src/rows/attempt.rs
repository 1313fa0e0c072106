//! The row of an attempt that has ended.

use bytes::Bytes;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, DeliveryId};
use hooklatch_store::record::attempt::{self as record, Columns};
use rusqlite::{Connection, Row, params};

use super::text_at;
use crate::fault::Fault;

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
             status_code, started, duration_ms, fenced, meta, body FROM attempts ",
            $rest
        )
    };
}

/// Whether an attempt's result was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It was.
    Yes,
    /// Its lease had been overtaken.
    Fenced,
}

/// Writes an attempt whose result was applied, or that was lost.
pub(crate) fn insert(db: &Connection, attempt: &Attempt, meta: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO attempts VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    write(db, sql, attempt, meta, Applied::Yes)
}

/// Writes an attempt whose lease had been overtaken, over the record of its being lost.
pub(crate) fn replace(db: &Connection, attempt: &Attempt, meta: &str) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO attempts VALUES \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    write(db, sql, attempt, meta, Applied::Fenced)
}

fn write(
    db: &Connection,
    sql: &str,
    attempt: &Attempt,
    meta: &str,
    applied: Applied,
) -> Result<(), Fault> {
    let columns = Columns {
        fenced: applied == Applied::Fenced,
        ..Columns::of(attempt, meta)
    };
    db.prepare_cached(sql)?.execute(params![
        columns.id,
        columns.delivery,
        columns.message,
        columns.project,
        columns.endpoint,
        columns.number,
        columns.trigger,
        columns.outcome,
        columns.status_code,
        columns.started,
        columns.duration_ms,
        columns.fenced,
        columns.meta,
        columns.body.as_deref(),
    ])?;
    Ok(())
}

/// Reads an attempt.
pub(crate) fn load(db: &Connection, id: AttemptId) -> Result<Option<Attempt>, Fault> {
    let mut statement = db.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Reads an attempt without the body of the answer.
pub(crate) fn load_light(db: &Connection, id: AttemptId) -> Result<Option<Attempt>, Fault> {
    let sql = "SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
               status_code, started, duration_ms, fenced, meta, NULL FROM attempts WHERE id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Reads the attempts of a delivery, the first one first.
pub(crate) fn of_delivery(db: &Connection, delivery: DeliveryId) -> Result<Vec<Attempt>, Fault> {
    let sql = select!("INDEXED BY attempts_delivery WHERE delivery = ?1 ORDER BY id");
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([delivery.number()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(decode(row)?);
    }
    Ok(attempts)
}

fn decode(row: &Row<'_>) -> Result<Attempt, Fault> {
    let body: Option<Vec<u8>> = row.get(13)?;
    Ok(record::decode(Columns {
        id: row.get(0)?,
        delivery: row.get(1)?,
        message: row.get(2)?,
        project: row.get(3)?,
        endpoint: row.get(4)?,
        number: row.get(5)?,
        trigger: row.get(6)?,
        outcome: row.get(7)?,
        status_code: row.get(8)?,
        started: row.get(9)?,
        duration_ms: row.get(10)?,
        fenced: row.get(11)?,
        meta: text_at(row, 12)?,
        body: body.map(Bytes::from),
    })?)
}
