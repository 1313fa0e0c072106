//! The steps of events (V1): what a takeover need not do again.

use deadpool_postgres::Transaction;
use hooklatch_core::receiving::call::{self, Kept, Step};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::{Place, rows};
use crate::fault::Fault;
use crate::rows::among::Param;
use crate::text::to_column;

/// Keeps the result of a step.
pub(super) async fn keep(of: &Transaction<'_>, place: Place, step: &Step) -> Result<Kept, Fault> {
    let prior = rows::load(of.client(), place, "FOR UPDATE").await?;
    let generation = prior.as_ref().map_or(1, |entry| entry.record.generation);
    let generation = i64::from(generation);
    let (project, hash) = (place.0.number(), place.1.as_bytes().as_slice());
    let name = to_column(&step.name);
    let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE name = $4) FROM hooklatch.receiver_steps \
               WHERE project = $1 AND hash = $2 AND generation = $3";
    let statement = of.prepare_cached(sql).await?;
    let params: [&(dyn ToSql + Sync); 4] = [&project, &hash, &generation, &name.as_ref()];
    let counted = of.query_one(&statement, &params).await?;
    let (count, known): (i64, i64) = (counted.try_get(0)?, counted.try_get(1)?);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let (kept, write) = call::keep_step(prior.as_ref(), &step.token, known > 0, count);
    if write {
        let sql = "INSERT INTO hooklatch.receiver_steps VALUES ($1, $2, $3, $4, $5)";
        let statement = of.prepare_cached(sql).await?;
        let row: [&(dyn ToSql + Sync); 5] =
            [&project, &hash, &generation, &name.as_ref(), &step.result];
        of.execute(&statement, &row).await?;
    }
    Ok(kept)
}

/// The result of a step.
pub(super) async fn load(
    db: &Client,
    (project, key): Place,
    generation: u32,
    name: &str,
) -> Result<Option<Vec<u8>>, Fault> {
    let sql = "SELECT result FROM hooklatch.receiver_steps \
               WHERE project = $1 AND hash = $2 AND generation = $3 AND name = $4";
    let name = to_column(name);
    let params: [Param<'_>; 4] = [
        (&project.number(), Type::INT8),
        (&key.as_bytes().as_slice(), Type::BYTEA),
        (&i64::from(generation), Type::INT8),
        (&name.as_ref(), Type::TEXT),
    ];
    let row = db.query_typed_opt(sql, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}
