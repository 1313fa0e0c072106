//! History that goes: everything of a message or request but its claims.

use hooklatch_core::retention::{PruneStep, Wrapping};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{Row, finished};
use crate::fault::Fault;
use crate::rows::among::{Among, Param};

/// Removes what is locked and finished; answers how many messages and requests went.
pub(super) async fn forget(db: &Client, locked: &[Row]) -> Result<u64, Fault> {
    if locked.is_empty() {
        return Ok(0);
    }
    let (ended, unfinished) = finished(db, locked).await?;
    let shared = |number: &i64| {
        let mut rows = locked.iter();
        rows.any(|row| row.number == *number && row.wrapping == Wrapping::Shared)
    };
    adopt_envelopes(db, unfinished.into_iter().filter(shared).collect()).await?;
    let among = Among::of(ended);
    if among.is_empty() {
        return Ok(0);
    }
    note_forgotten(db, &among).await?;
    transformed(db, &among).await?;
    deliveries(db, &among).await?;
    let mut gone = 0;
    for table in ["messages", "requests"] {
        let sql =
            format!("DELETE FROM hooklatch.{table} WHERE id = ANY($1) AND id >= $2 AND id <= $3");
        gone += db.execute_typed(&sql, &among.params()).await?;
    }
    let sql = "DELETE FROM hooklatch.payloads WHERE id = ANY($1) AND id >= $2 AND id <= $3";
    db.execute_typed(sql, &among.params()).await?;
    Ok(gone)
}

/// The row that holds the envelope of a batch goes once all others have gone: one that stays takes
/// a copy.
async fn adopt_envelopes(db: &Client, numbers: Vec<i64>) -> Result<(), Fault> {
    let sql = "UPDATE hooklatch.payloads p SET envelope = other.envelope, shared = NULL \
               FROM hooklatch.payloads other WHERE other.id = p.shared \
               AND p.id = ANY($1) AND p.id >= $2 AND p.id <= $3";
    if !numbers.is_empty() {
        let among = Among::of(numbers);
        db.execute_typed(sql, &among.params()).await?;
    }
    Ok(())
}

/// So that a claim without its message is known to have outlived it (INV-2).
async fn note_forgotten(db: &Client, among: &Among) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.meta AS m (name, value) VALUES ('history_pruned', $1) \
               ON CONFLICT (name) DO UPDATE SET value = GREATEST(m.value, excluded.value)";
    let last = among.last();
    db.execute_typed(sql, &[(&last, Type::INT8)]).await?;
    Ok(())
}

/// Removes what scripts made of messages.
pub(super) async fn transformed(db: &Client, among: &Among) -> Result<(), Fault> {
    let sql = "DELETE FROM hooklatch.transformed t USING (\
                   SELECT d.id FROM hooklatch.messages m JOIN hooklatch.deliveries_done d \
                       ON d.id > m.id AND d.id <= m.id + m.deliveries \
                   WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 AND d.id >= $2 \
                   UNION ALL SELECT s.delivery FROM hooklatch.strays s \
                   WHERE s.message = ANY($1) AND s.message >= $2 AND s.message <= $3) of \
               WHERE t.delivery = of.id AND t.delivery >= $2";
    db.execute_typed(sql, &among.params()).await?;
    Ok(())
}

async fn deliveries(db: &Client, among: &Among) -> Result<(), Fault> {
    let sql = "DELETE FROM hooklatch.deliveries_done d USING (\
                   SELECT m.id + 1 AS first, m.id + m.deliveries AS last \
                   FROM hooklatch.messages m \
                   WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 AND m.deliveries > 0 \
                   UNION ALL SELECT s.delivery, s.delivery FROM hooklatch.strays s \
                   WHERE s.message = ANY($1) AND s.message >= $2 AND s.message <= $3) of \
               WHERE d.id >= of.first AND d.id <= of.last AND d.id >= $2 RETURNING d.id";
    let rows = db.query_typed(sql, &among.params()).await?;
    let gone: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    if !gone.is_empty() {
        let sql = "DELETE FROM hooklatch.attempts WHERE delivery = ANY($1) AND id >= $2";
        let first = among.first();
        let params: [Param<'_>; 2] = [(&gone, Type::INT8_ARRAY), (&first, Type::INT8)];
        db.execute_typed(sql, &params).await?;
    }
    let sql = "DELETE FROM hooklatch.strays \
               WHERE message = ANY($1) AND message >= $2 AND message <= $3";
    db.execute_typed(sql, &among.params()).await?;
    Ok(())
}

/// Removes refused requests, whose number is bounded, all at once.
pub(super) async fn forget_refused(db: &Client, step: &PruneStep) -> Result<u64, Fault> {
    let sql = "DELETE FROM hooklatch.refused r USING unnest($1::bigint[], $2::bigint[]) \
                   cut(project, before) \
               WHERE r.project = cut.project AND r.id < cut.before AND r.id >= $3";
    let projects: Vec<i64> = step.cuts.iter().map(|cut| cut.project.number()).collect();
    let befores: Vec<i64> = step.cuts.iter().map(|cut| cut.before).collect();
    let params: [Param<'_>; 3] = [
        (&projects, Type::INT8_ARRAY),
        (&befores, Type::INT8_ARRAY),
        (&step.from, Type::INT8),
    ];
    Ok(db.execute_typed(sql, &params).await?)
}
