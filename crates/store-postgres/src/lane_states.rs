//! How lanes fare, as people see it; and what moves from one lane to another at their command.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::LaneHealth;
use hooklatch_core::ids::ConnectionId;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use hooklatch_store::{Answer, LaneStates, decode_health};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::clock::StoreClock;
use crate::commands::now;
use crate::fault::Fault;
use crate::pool::transact;
use crate::rows::among::Param;
use crate::snapshot;
use crate::store::PostgresStore;

/// Deliveries that are shifted in one transaction, so that a long queue holds nobody up.
const SHIFTED_PER_STEP: u64 = 500;

impl LaneStates for PostgresStore {
    fn health(&self, lanes: Vec<Lane>) -> Answer<'_, Vec<LaneHealth>> {
        let pool = self.pool.clone();
        self.run(async move {
            snapshot::read(&pool, |db| {
                Box::pin(async move { health(db, &lanes).await })
            })
            .await
        })
    }

    fn shift(&self, connection: ConnectionId, from: Lane, to: Lane) -> Answer<'_, ()> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            loop {
                let shifted = transact(&pool, |transaction| {
                    let clock = memory.clock.clone();
                    Box::pin(
                        async move { shift(transaction, &clock, connection, (from, to)).await },
                    )
                });
                let (shifted, now) = shifted.await?;
                // Some of it may be due already; if nothing is, one look finds that out.
                memory.learnt(&[LaneChange::Due(to, now)]);
                if shifted < SHIFTED_PER_STEP {
                    return Ok(());
                }
            }
        })
    }
}

async fn health(db: &Client, lanes: &[Lane]) -> Result<Vec<LaneHealth>, Fault> {
    let sql = "SELECT health.health FROM unnest($1::bigint[]) WITH ORDINALITY asked(lane, place) \
               LEFT JOIN hooklatch.lane_health health ON health.lane = asked.lane \
               ORDER BY asked.place";
    let lanes: Vec<i64> = lanes.iter().map(|lane| lane.0).collect();
    let params: [Param<'_>; 1] = [(&lanes, Type::INT8_ARRAY)];
    let mut found = Vec::with_capacity(lanes.len());
    for row in db.query_typed(sql, &params).await? {
        let text: Option<&str> = row.try_get(0)?;
        found.push(text.map(decode_health).unwrap_or_default());
    }
    Ok(found)
}

/// Moves some of what waits; answers how many.
async fn shift(
    of: &Transaction<'_>,
    clock: &StoreClock,
    connection: ConnectionId,
    (from, to): (Lane, Lane),
) -> Result<(u64, Timestamp), Fault> {
    let sql = "UPDATE hooklatch.deliveries_live SET lane = $3 WHERE id IN (\
                   SELECT id FROM hooklatch.deliveries_live \
                   WHERE status = 0 AND lane = $1 AND connection = $2 \
                   ORDER BY at LIMIT $4 FOR UPDATE SKIP LOCKED)";
    let statement = of.prepare_cached(sql).await?;
    let limit = SHIFTED_PER_STEP as i64;
    let number = connection.number();
    let row: [&(dyn ToSql + Sync); 4] = [&from.0, &number, &to.0, &limit];
    let shifted = of.execute(&statement, &row).await?;
    Ok((shifted, now(of, clock).await?))
}
