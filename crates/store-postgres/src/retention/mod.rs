//! Pruning, row by row and a little at a time; whole days are dropped elsewhere.
//!
//! A step locks what it is about to remove without waiting for anybody, and only then looks whether
//! a delivery still needs it. Whoever starts a delivery again locks its payload as well: so one of
//! the two sees what the other has done. Where a step would have to wait, it gives up and is made
//! again later.

mod forget;
mod payloads;

pub(crate) use payloads::prune_ended;

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use hooklatch_core::ids::ProjectId;
use hooklatch_core::message::Effect;
use hooklatch_core::retention::{PruneStep, Pruned, Standing, What, Wrapping};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::Code;
use hooklatch_store::{PayloadSize, PayloadSizes};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::Fault;
use crate::rows::among::{Among, Param};

/// The lock of whoever prunes: "hklt" and "prun" in ASCII.
const LOCK: i64 = 0x686b_6c74_7072_756e;
/// The least and the largest wait for a lock that somebody else holds.
const PATIENCE: &str = "SET LOCAL lock_timeout = '100ms'";

/// A payload's row, with as much of its owner as a step needs.
struct Row {
    number: i64,
    wrapping: Wrapping,
    has_body: bool,
    project: ProjectId,
    /// Of a request that did not become a message.
    effect: Option<Effect>,
}

/// Carries out a step; nothing where another node is at it.
pub(crate) async fn prune(
    transaction: &Transaction<'_>,
    now: Timestamp,
    step: &PruneStep,
) -> Result<Pruned, Fault> {
    let db = transaction.client();
    if !begin(db).await? {
        return Ok(Pruned::default());
    }
    let (rows, next) = rows(db, step).await?;
    let wanted = rows.into_iter().filter(|row| {
        let worth = step.what == What::History || row.has_body;
        // Where its envelope lies with another, an unfinished one may have to take a copy.
        worth && step.takes(row.project, row.number, row.wrapping)
    });
    let wanted: Vec<Row> = wanted.collect();
    let held = lock(db, &wanted).await?;
    let locked: Vec<Row> = wanted
        .into_iter()
        .filter(|it| held.contains(&it.number))
        .collect();
    let mut pruned = Pruned {
        next,
        ..Pruned::default()
    };
    match step.what {
        What::Payloads => pruned.payloads = payloads::prune(db, &locked, now).await?,
        What::History => {
            pruned.records = forget::forget(db, &locked).await?;
            if next.is_none() {
                pruned.records += forget::forget_refused(db, step).await?;
            }
        }
    }
    Ok(pruned)
}

/// Whether this transaction is the one that prunes.
async fn begin(db: &Client) -> Result<bool, Fault> {
    db.batch_execute(PATIENCE).await?;
    let sql = "SELECT pg_try_advisory_xact_lock($1)";
    let row = db.query_typed_opt(sql, &[(&LOCK, Type::INT8)]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

async fn rows(db: &Client, step: &PruneStep) -> Result<(Vec<Row>, Option<i64>), Fault> {
    let sql = "SELECT p.id, p.shared IS NOT NULL, p.body IS NOT NULL, \
                   COALESCE(m.project, r.project), r.effect \
               FROM (SELECT id, shared, body FROM hooklatch.payloads \
                     WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3) p \
               LEFT JOIN hooklatch.messages m ON m.id = p.id \
               LEFT JOIN hooklatch.requests r ON r.id = p.id ORDER BY p.id DESC";
    let limit = i64::try_from(step.rows_max).unwrap_or(i64::MAX);
    let params: [Param<'_>; 3] = [
        (&step.from, Type::INT8),
        (&step.below, Type::INT8),
        (&limit, Type::INT8),
    ];
    let found = db.query_typed(sql, &params).await?;
    let full = found.len() == step.rows_max;
    let next = match found.last() {
        Some(last) if full => Some(last.try_get(0)?),
        Some(_) | None => None,
    };
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let project: Option<i64> = row.try_get(3)?;
        let Some(project) = project else { continue };
        let effect: Option<i64> = row.try_get(4)?;
        let wrapping = if row.try_get(1)? {
            Wrapping::Shared
        } else {
            Wrapping::Own
        };
        rows.push(Row {
            number: row.try_get(0)?,
            wrapping,
            has_body: row.try_get(2)?,
            project: ProjectId::from_number(project),
            effect: effect.map(Effect::of_code).transpose()?,
        });
    }
    Ok((rows, next))
}

/// Locks rows that nobody else has locked; answers which.
async fn lock(db: &Client, rows: &[Row]) -> Result<HashSet<i64>, Fault> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let among = Among::of(rows.iter().map(|row| row.number));
    let sql = "SELECT id FROM hooklatch.payloads WHERE id = ANY($1) AND id >= $2 AND id <= $3 \
               FOR UPDATE SKIP LOCKED";
    let held = db.query_typed(sql, &among.params()).await?;
    Ok(held.iter().map(|row| row.get(0)).collect())
}

/// The numbers of those that are finished, and of those that are not. To be asked once they are
/// locked: in a statement of its own, which sees what was committed before.
async fn finished(db: &Client, rows: &[Row]) -> Result<(Vec<i64>, Vec<i64>), Fault> {
    let among = Among::of(rows.iter().map(|row| row.number));
    let unfinished = unfinished_messages(db, &among).await?;
    let effects = effects(db, &among).await?;
    let stands = |row: &Row| match row.effect {
        Some(_) => effects
            .iter()
            .find(|(number, _)| *number == row.number)
            .map_or(Standing::Ended, |(_, effect)| Standing::of_request(*effect)),
        None if unfinished.contains(&row.number) => Standing::Unfinished,
        None => Standing::Ended,
    };
    let numbered = |standing| {
        let some = rows.iter().filter(move |row| stands(row) == standing);
        some.map(|row| row.number).collect()
    };
    Ok((numbered(Standing::Ended), numbered(Standing::Unfinished)))
}

/// Messages with a delivery that has not ended.
async fn unfinished_messages(db: &Client, among: &Among) -> Result<HashSet<i64>, Fault> {
    let sql = "SELECT l.message FROM hooklatch.messages m \
               JOIN hooklatch.deliveries_live l \
                   ON l.id > m.id AND l.id <= m.id + m.deliveries AND l.message = m.id \
               WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 \
               UNION \
               SELECT l.message FROM hooklatch.strays s \
               JOIN hooklatch.deliveries_live l ON l.id = s.delivery \
               WHERE s.message = ANY($1) AND s.message >= $2 AND s.message <= $3";
    let rows = db.query_typed(sql, &among.params()).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What requests have set in motion, as it is now that they are locked.
async fn effects(db: &Client, among: &Among) -> Result<Vec<(i64, Effect)>, Fault> {
    let sql = "SELECT id, effect FROM hooklatch.requests \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3 FOR UPDATE";
    let rows = db.query_typed(sql, &among.params()).await?;
    let read = rows.iter().map(|row| {
        let effect: i64 = row.try_get(1)?;
        Ok((row.try_get(0)?, Effect::of_code(effect)?))
    });
    read.collect()
}

/// Up to which number history may be gone.
pub(crate) async fn forgotten_up_to(db: &Client) -> Result<i64, Fault> {
    let sql = "SELECT value FROM hooklatch.meta WHERE name = 'history_pruned'";
    let row = db.query_typed_opt(sql, &[]).await?;
    Ok(row.map_or(i64::MIN, |row| row.get(0)))
}

/// Notes when a payload shall go.
pub(crate) async fn note_end(db: &Client, at: Timestamp, message: i64) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.payload_ends (at, message) VALUES ($1, $2)";
    let params: [Param<'_>; 2] = [(&at.as_millis(), Type::INT8), (&message, Type::INT8)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

/// The sizes of bodies, youngest first.
pub(crate) async fn payload_sizes(
    db: &Client,
    below: i64,
    rows_max: usize,
) -> Result<PayloadSizes, Fault> {
    let sql = "SELECT p.id, COALESCE(m.project, r.project), p.bytes \
               FROM (SELECT id, octet_length(body)::bigint AS bytes FROM hooklatch.payloads \
                     WHERE id < $1 ORDER BY id DESC LIMIT $2) p \
               LEFT JOIN hooklatch.messages m ON m.id = p.id \
               LEFT JOIN hooklatch.requests r ON r.id = p.id ORDER BY p.id DESC";
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let params: [Param<'_>; 2] = [(&below, Type::INT8), (&limit, Type::INT8)];
    let rows = db.query_typed(sql, &params).await?;
    let mut found = PayloadSizes::default();
    for row in &rows {
        let project: Option<i64> = row.try_get(1)?;
        let bytes: Option<i64> = row.try_get(2)?;
        if let (Some(project), Some(bytes)) = (project, bytes) {
            found.sizes.push(PayloadSize {
                number: row.try_get(0)?,
                project: ProjectId::from_number(project),
                bytes: bytes.unsigned_abs(),
            });
        }
    }
    if let (Some(last), true) = (rows.last(), rows.len() == rows_max) {
        found.next = Some(last.try_get(0)?);
    }
    Ok(found)
}
