//! The claims of receivers (L2): one row an event, changed under its lock.
//!
//! Calls go in batches, like arrivals. What is rarer, and what people do, has transactions of its
//! own, which meet the batches at the rows' locks.

mod calls;
mod plan;
mod rows;
mod steps;

use std::sync::Arc;

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::{Answer, Call, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::time::Timestamp;
use hooklatch_store::{Answer as Later, AuditEntry, Claims};
use tokio_postgres::Client;

use crate::fault::Fault;
use crate::pool::transact;
use crate::store::{PostgresStore, wait};

pub(crate) use calls::{Asked, Calling};

/// Where a claim stands: a key means something within its project only.
type Place = (ProjectId, ScopeKey);

impl Claims for PostgresStore {
    fn call_claim(
        &self,
        project: ProjectId,
        key: ScopeKey,
        call: Call,
        audit: AuditEntry,
    ) -> Later<'_, Answer> {
        let bytes = call.bytes();
        let place = (project, key);
        let asked = Asked { place, call, audit };
        wait(&self.calling, asked, bytes, |task| task)
    }

    fn claim_entry(&self, project: ProjectId, key: ScopeKey) -> Later<'_, Option<Entry>> {
        self.read(move |db| Box::pin(async move { rows::load(db, (project, key), "").await }))
    }

    fn keep_claim_step(&self, project: ProjectId, key: ScopeKey, step: Step) -> Later<'_, Kept> {
        let pool = self.pool.clone();
        let step = Arc::new(step);
        self.run(async move {
            transact(&pool, |transaction| {
                let step = Arc::clone(&step);
                Box::pin(async move { steps::keep(transaction, (project, key), &step).await })
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
            Box::pin(async move { steps::load(db, (project, key), generation, &name).await })
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
