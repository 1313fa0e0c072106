//! The claims of receivers (L2): one row an event, changed under its lock.
//!
//! A row that is not there cannot be locked. Of several who find none, the primary key lets one
//! write; the others' transactions are done again, and find it.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{self, Answer, Call, Decision, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::receiving::machine::Moment;
use hooklatch_core::receiving::raw::RawRecord;
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::entry::Columns;
use hooklatch_store::{Answer as Later, AuditEntry, Claims};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::clock::StoreClock;
use crate::config;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::pool::transact;
use crate::rows::among::Param;
use crate::store::PostgresStore;
use crate::text::{from_column, to_column};

impl Claims for PostgresStore {
    fn call_claim(
        &self,
        project: ProjectId,
        key: ScopeKey,
        call: Call,
        audit: AuditEntry,
    ) -> Later<'_, Answer> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let asked = Arc::new((call, audit));
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, asked) = (Arc::clone(&memory), Arc::clone(&asked));
                Box::pin(async move { called(transaction, &memory, (project, key), &asked).await })
            })
            .await
        })
    }

    fn claim_entry(&self, project: ProjectId, key: ScopeKey) -> Later<'_, Option<Entry>> {
        self.read(move |db| Box::pin(async move { load(db, (project, key), "").await }))
    }

    fn keep_claim_step(&self, project: ProjectId, key: ScopeKey, step: Step) -> Later<'_, Kept> {
        let pool = self.pool.clone();
        let step = Arc::new(step);
        self.run(async move {
            transact(&pool, |transaction| {
                let step = Arc::clone(&step);
                Box::pin(async move { keep(transaction, (project, key), &step).await })
            })
            .await
        })
    }

    fn claim_step(
        &self,
        project: ProjectId,
        key: ScopeKey,
        generation: u32,
        name: String,
    ) -> Later<'_, Option<Vec<u8>>> {
        self.read(move |db| {
            Box::pin(async move { step(db, (project, key), generation, &name).await })
        })
    }

    fn sweep_claims(&self, limit: usize) -> Later<'_, usize> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            let client = pool.get().await?;
            sweep(&client, memory.clock.now(), limit).await
        })
    }
}

type Place = (ProjectId, ScopeKey);

/// Does what a call asks.
async fn called(
    transaction: &Transaction<'_>,
    memory: &Memory,
    place: Place,
    (call, audit): &(Call, AuditEntry),
) -> Result<Answer, Fault> {
    let db = transaction.client();
    let prior = load(db, place, "FOR UPDATE").await?;
    let at = moment(transaction, &memory.clock, call).await?;
    let decision = call::decide(prior.as_ref(), call, at);
    write(transaction, place, prior.is_some(), &decision).await?;
    if decision.answer.began_a_replay() {
        config::audit(db, &memory.numbers, place.0, audit).await?;
    }
    Ok(decision.answer)
}

/// The time once the row is locked, and a fence for a claim.
async fn moment(of: &Transaction<'_>, clock: &StoreClock, call: &Call) -> Result<Moment, Fault> {
    let sql = match call {
        Call::Claim { .. } => {
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
             nextval('hooklatch.receiver_fences')"
        }
        Call::Complete { .. } | Call::Release { .. } | Call::Renew { .. } | Call::Fail { .. } => {
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0::bigint"
        }
    };
    let statement = of.prepare_cached(sql).await?;
    let row = of.query_one(&statement, &[]).await?;
    let fence: i64 = row.try_get(1)?;
    let now = clock.observe(row.try_get(0)?);
    Ok(Moment {
        now_ms: u64::try_from(now.as_millis()).unwrap_or(0),
        next_fence: fence.unsigned_abs(),
    })
}

async fn load(
    db: &Client,
    (project, key): Place,
    lock: &'static str,
) -> Result<Option<Entry>, Fault> {
    let sql = format!(
        "SELECT scope, key, lease, retention, state, until, token, fence, epoch, generation, \
         origin, fingerprint, attempt, error, provider, event_type, received, result \
         FROM hooklatch.receiver_claims WHERE project = $1 AND hash = $2 {lock}"
    );
    let params: [Param<'_>; 2] = [
        (&project.number(), Type::INT8),
        (&key.as_bytes().as_slice(), Type::BYTEA),
    ];
    let Some(row) = db.query_typed_opt(&sql, &params).await? else {
        return Ok(None);
    };
    Ok(Some(columns(&row)?.decode()?))
}

fn columns(row: &Row) -> Result<Columns, Fault> {
    let error: Option<String> = row.try_get(13)?;
    Ok(Columns {
        scope: from_column(row.try_get(0)?),
        key: from_column(row.try_get(1)?),
        lease_ms: row.try_get(2)?,
        retention_ms: row.try_get(3)?,
        record: RawRecord {
            state: row.try_get(4)?,
            until_ms: row.try_get(5)?,
            token: row.try_get(6)?,
            fence: row.try_get(7)?,
            epoch: row.try_get(8)?,
            generation: row.try_get(9)?,
            origin: row.try_get(10)?,
            fingerprint: row.try_get(11)?,
            attempt: row.try_get(12)?,
            error: error.map(from_column),
            provider: from_column(row.try_get(14)?),
            event_type: from_column(row.try_get(15)?),
            received_at_ms: row.try_get(16)?,
            result: row.try_get(17)?,
        },
    })
}

const INSERT: &str = "INSERT INTO hooklatch.receiver_claims (project, hash, scope, key, lease, \
    retention, state, until, token, fence, epoch, generation, origin, fingerprint, attempt, \
    error, provider, event_type, received, result) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
    $19, $20)";

const UPDATE: &str = "UPDATE hooklatch.receiver_claims SET scope = $3, key = $4, lease = $5, \
    retention = $6, state = $7, until = $8, token = $9, fence = $10, epoch = $11, \
    generation = $12, origin = $13, fingerprint = $14, attempt = $15, error = $16, \
    provider = $17, event_type = $18, received = $19, result = $20 \
    WHERE project = $1 AND hash = $2";

async fn write(
    of: &Transaction<'_>,
    (project, key): Place,
    is_there: bool,
    decision: &Decision,
) -> Result<(), Fault> {
    let (project, hash) = (project.number(), key.as_bytes().as_slice());
    if decision.forget_steps {
        let sql = "DELETE FROM hooklatch.receiver_steps WHERE project = $1 AND hash = $2";
        let statement = of.prepare_cached(sql).await?;
        of.execute(&statement, &[&project, &hash]).await?;
    }
    let Some(entry) = &decision.write else {
        return Ok(());
    };
    let columns = Columns::of(entry);
    let record = &columns.record;
    let statement = of
        .prepare_cached(if is_there { UPDATE } else { INSERT })
        .await?;
    let (scope, name) = (to_column(&columns.scope), to_column(&columns.key));
    let error = record.error.as_deref().map(to_column);
    let (provider, event_type) = (to_column(&record.provider), to_column(&record.event_type));
    let row: [&(dyn ToSql + Sync); 20] = [
        &project,
        &hash,
        &scope.as_ref(),
        &name.as_ref(),
        &columns.lease_ms,
        &columns.retention_ms,
        &record.state,
        &record.until_ms,
        &record.token,
        &record.fence,
        &record.epoch,
        &record.generation,
        &record.origin,
        &record.fingerprint,
        &record.attempt,
        &error.as_deref(),
        &provider.as_ref(),
        &event_type.as_ref(),
        &record.received_at_ms,
        &record.result,
    ];
    of.execute(&statement, &row).await?;
    Ok(())
}

/// Keeps the result of a step.
async fn keep(of: &Transaction<'_>, place: Place, step: &Step) -> Result<Kept, Fault> {
    let prior = load(of.client(), place, "FOR UPDATE").await?;
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
async fn step(
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

/// Removes some of what has expired; answers how many. What somebody is changing at this moment is
/// left to the next time.
pub(crate) async fn sweep(client: &Client, now: Timestamp, limit: usize) -> Result<usize, Fault> {
    let sql = "DELETE FROM hooklatch.receiver_claims c USING (\
                   SELECT project, hash FROM hooklatch.receiver_claims \
                   WHERE state IN (2, 4) AND until <= $1 \
                   ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED) ended \
               WHERE c.project = ended.project AND c.hash = ended.hash";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let swept = client.execute(sql, &[&now.as_millis(), &limit]).await?;
    Ok(usize::try_from(swept).unwrap_or(usize::MAX))
}
