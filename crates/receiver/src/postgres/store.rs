//! Leased mode on PostgreSQL: each method is one statement, and commits by itself.

use std::time::Duration;

use deadpool_postgres::{Client, Pool};
use tokio_postgres::types::ToSql;

use super::rows::{self, Arguments};
use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;
use crate::limits::{ERROR_BYTES_MAX, LEASE_MAX, RETENTION_MAX, cut, millis};
use crate::machine::{self, Moment};
use crate::pg_sql::{CLAIM, FIRST, FIRST_UNSYNCED, LOOKUP};
use crate::raw::sql;
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::token;

/// How often a claim that lost a race looks again.
const ROUNDS_MAX: usize = 3;

const COMPLETE: &str = "\
UPDATE hooklatch_claims SET state = 2, result = $3, lease_until = NULL, \
 expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond' \
WHERE key = $1 AND token = $2 AND state = 1";

const RELEASE: &str = "\
UPDATE hooklatch_claims SET state = 3, token = $3, error = $4, \
 lease_until = clock_timestamp() + $5::bigint * interval '1 millisecond' \
WHERE key = $1 AND token = $2 AND state = 1";

const RENEW: &str = "\
UPDATE hooklatch_claims SET \
 lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond' \
WHERE key = $1 AND token = $2 AND state = 1";

const FAIL: &str = "\
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL, \
 expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond' \
WHERE key = $1 AND token = $2 AND state = 1";

/// Of a record whose attempts are used up, unless it has changed since it was read.
const BURY: &str = "\
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL, \
 expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond' \
WHERE key = $1 AND token = $2 AND state IN (1, 3) AND lease_until <= clock_timestamp()";

const SAVE_STEP: &str = "\
WITH held AS (SELECT key, epoch, generation FROM hooklatch_claims \
  WHERE key = $1 AND token = $2 AND state = 1 FOR UPDATE), \
 saved AS (INSERT INTO hooklatch_steps (key, epoch, generation, step, result) \
  SELECT key, epoch, generation, $3, $4 FROM held ON CONFLICT DO NOTHING) \
SELECT 1 FROM held";

const LOAD_STEP: &str = "\
SELECT result FROM hooklatch_steps \
WHERE key = $1 AND epoch = $2 AND generation = $3 AND step = $4";

/// Looks through 4,096 pages, which are chosen by chance where there are more: there is no index to find
/// what has expired by. Records that nobody has completed are passed over.
const SWEEP: &str = "\
WITH place AS MATERIALIZED (SELECT 4096 * floor(random() * ceil(GREATEST(1, \
   pg_relation_size('hooklatch_claims') / current_setting('block_size')::bigint) / 4096.0))::bigint \
  AS page), \
 expired AS (SELECT key FROM hooklatch_claims \
  WHERE ctid >= (SELECT '(' || page || ',0)' FROM place)::tid \
   AND ctid < (SELECT '(' || page + 4096 || ',0)' FROM place)::tid \
   AND state IN (2, 4) AND expires_at <= (SELECT clock_timestamp()) \
  LIMIT $1 FOR UPDATE SKIP LOCKED), \
 steps AS (DELETE FROM hooklatch_steps USING expired WHERE hooklatch_steps.key = expired.key) \
DELETE FROM hooklatch_claims USING expired WHERE hooklatch_claims.key = expired.key";

/// Whether a claim waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClaimDurability {
    /// As the server is set up.
    #[default]
    AsConfigured,
    /// A claim does not wait; completions, releases and failures do. Nothing is lost: should the
    /// server crash within the moment before the claim reaches the disk (three times
    /// `wal_writer_delay` at most), the next delivery finds no claim, and may run beside the first.
    /// It saves one of two syncs per event.
    Unsynced,
}

/// Records in PostgreSQL, each under a lease.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    claim_durability: ClaimDurability,
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

impl PostgresStore {
    /// A store on these connections. The tables of [`SCHEMA`](super::SCHEMA) have to be there;
    /// [`create_tables`](Self::create_tables) makes them.
    pub const fn new(pool: Pool) -> Self {
        Self {
            pool,
            claim_durability: ClaimDurability::AsConfigured,
        }
    }

    /// The same store with another durability of claims.
    #[must_use]
    pub const fn with_claim_durability(mut self, claim_durability: ClaimDurability) -> Self {
        self.claim_durability = claim_durability;
        self
    }

    /// Makes the tables unless they are there.
    ///
    /// # Errors
    /// The server does not answer, or does not let this user make tables.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        let made = async {
            let client = self.pool.get().await?;
            // Two processes that start at once would both find no table, and one would fail.
            let script = format!(
                "BEGIN; SELECT pg_advisory_xact_lock(7596463214); {} COMMIT;",
                super::SCHEMA
            );
            client.batch_execute(&script).await?;
            Ok::<(), Boxed>(())
        };
        made.await
            .map_err(|error| StoreError::new("create_tables", error))
    }

    async fn client(&self) -> Result<Client, Boxed> {
        Ok(self.pool.get().await?)
    }

    async fn execute(
        &self,
        statement: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Boxed> {
        let client = self.client().await?;
        let prepared = client.prepare_cached(statement).await?;
        Ok(client.execute(&prepared, arguments).await?)
    }

    async fn read(&self, key: &ScopeKey) -> Result<rows::Read, Boxed> {
        let client = self.client().await?;
        let prepared = client.prepare_cached(LOOKUP).await?;
        let key: &[u8] = key.as_bytes();
        rows::record(client.query_opt(&prepared, &[&key]).await?)
    }

    /// Nothing where the key is known.
    async fn first(&self, claim: &Claim) -> Result<Option<Claimed>, Boxed> {
        let client = self.client().await?;
        let statement = match self.claim_durability {
            ClaimDurability::AsConfigured => FIRST,
            ClaimDurability::Unsynced => FIRST_UNSYNCED,
        };
        let prepared = client.prepare_cached(statement).await?;
        let arguments = Arguments::of(claim);
        let lease_ms = sql(millis(claim.lease, LEASE_MAX));
        let row = client
            .query_opt(
                &prepared,
                &[
                    &arguments.key,
                    &arguments.token,
                    &arguments.fingerprint,
                    &lease_ms,
                    &arguments.provider,
                    &arguments.event_type,
                    &arguments.received_at_ms,
                ],
            )
            .await?;
        let grant = row.map(|row| rows::first_grant(&row, claim.token));
        Ok(grant.transpose()?.map(Claimed::Run))
    }

    async fn upsert(&self, claim: &Claim) -> Result<Option<Claimed>, Boxed> {
        let client = self.client().await?;
        let prepared = client.prepare_cached(CLAIM).await?;
        let arguments = Arguments::of(claim);
        let lease_ms = sql(millis(claim.lease, LEASE_MAX));
        let sync = match self.claim_durability {
            ClaimDurability::AsConfigured => "",
            ClaimDurability::Unsynced => "off",
        };
        let row = client
            .query_opt(
                &prepared,
                &[
                    &arguments.key,
                    &arguments.token,
                    &arguments.fingerprint,
                    &lease_ms,
                    &arguments.attempts_max,
                    &arguments.replay,
                    &arguments.provider,
                    &arguments.event_type,
                    &arguments.received_at_ms,
                    &sync,
                ],
            )
            .await?;
        let grant = row.map(|row| rows::grant(&row, claim.token)).transpose()?;
        Ok(grant.map(Claimed::Run))
    }

    async fn bury(&self, claim: &Claim, prior: &Record, error: &str) -> Result<bool, Boxed> {
        let key: &[u8] = claim.key.as_bytes();
        let token: &[u8] = prior.token.as_bytes();
        let retention_ms = sql(millis(claim.retention, RETENTION_MAX));
        let arguments: [&(dyn ToSql + Sync); 4] = [&key, &token, &error, &retention_ms];
        Ok(self.execute(BURY, &arguments).await? == 1)
    }

    async fn claim_or_say_why_not(&self, claim: &Claim) -> Result<Claimed, Boxed> {
        for _ in 0..ROUNDS_MAX {
            if let Some(claimed) = self.first(claim).await? {
                return Ok(claimed);
            }
            // A record that is gone by now was swept in between: claim again.
            let Some((prior, now_ms)) = self.read(&claim.key).await? else {
                continue;
            };
            let at = Moment {
                now_ms,
                next_fence: prior.fence,
            };
            let change = machine::claim(Some(&prior), claim, at);
            match (change.answer, change.write) {
                (Claimed::Run(_), _) => {
                    if let Some(claimed) = self.upsert(claim).await? {
                        return Ok(claimed);
                    }
                }
                (Claimed::Dead { error }, Some(_)) => {
                    if self.bury(claim, &prior, &error).await? {
                        return Ok(Claimed::Dead { error });
                    }
                }
                (answer, _) => return Ok(answer),
            }
        }
        Err("the record changed with every look at it".into())
    }

    async fn hold(
        &self,
        operation: &'static str,
        statement: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<Hold, StoreError> {
        let changed = self.execute(statement, arguments).await;
        match changed.map_err(|error| StoreError::new(operation, error))? {
            0 => Ok(Hold::Fenced),
            _ => Ok(Hold::Kept),
        }
    }
}

impl Store for PostgresStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let claimed = self.claim_or_say_why_not(claim).await;
        claimed.map_err(|error| StoreError::new("claim", error))
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let completed = async {
            let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
            let retention_ms = sql(millis(retention, RETENTION_MAX));
            let arguments: [&(dyn ToSql + Sync); 4] = [&key, &token, &result, &retention_ms];
            if self.execute(COMPLETE, &arguments).await? == 1 {
                return Ok(Completion::Applied);
            }
            let prior = self.read(&held.key).await?;
            let (prior, now_ms) = prior.map_or((None, 0), |(prior, now_ms)| (Some(prior), now_ms));
            let why = machine::complete(prior.as_ref(), &held.token, result, retention, now_ms);
            Ok::<_, Boxed>(why.answer)
        };
        completed
            .await
            .map_err(|error| StoreError::new("complete", error))
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
        let successor = token::random();
        let successor: &[u8] = successor.as_bytes();
        let after_ms = sql(millis(retry_after, LEASE_MAX));
        let error = cut(error, ERROR_BYTES_MAX);
        let arguments: [&(dyn ToSql + Sync); 5] = [&key, &token, &successor, &error, &after_ms];
        self.hold("release", RELEASE, &arguments).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
        let lease_ms = sql(millis(lease, LEASE_MAX));
        self.hold("renew", RENEW, &[&key, &token, &lease_ms]).await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
        let error = cut(error, ERROR_BYTES_MAX);
        let retention_ms = sql(millis(retention, RETENTION_MAX));
        let arguments: [&(dyn ToSql + Sync); 4] = [&key, &token, &error, &retention_ms];
        self.hold("fail", FAIL, &arguments).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let read = self.read(key).await;
        let read = read.map_err(|error| StoreError::new("lookup", error))?;
        Ok(read.and_then(|(record, now_ms)| record.sighting(now_ms)))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
        let arguments: [&(dyn ToSql + Sync); 4] = [&key, &token, &step, &result];
        let owners = self.execute(SAVE_STEP, &arguments).await;
        match owners.map_err(|error| StoreError::new("save_step", error))? {
            0 => Ok(Saved::Fenced),
            _ => Ok(Saved::Saved),
        }
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let loaded = async {
            let client = self.client().await?;
            let prepared = client.prepare_cached(LOAD_STEP).await?;
            let key: &[u8] = held.key.as_bytes();
            let (epoch, generation) = (sql(held.epoch), i32::try_from(held.generation)?);
            let arguments: [&(dyn ToSql + Sync); 4] = [&key, &epoch, &generation, &step];
            let row = client.query_opt(&prepared, &arguments).await?;
            Ok::<_, Boxed>(row.map(|row| row.try_get(0)).transpose()?)
        };
        loaded
            .await
            .map_err(|error| StoreError::new("load_step", error))
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        let swept = self.execute(SWEEP, &[&i64::from(limit)]).await;
        swept.map_err(|error| StoreError::new("sweep", error))
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Durable,
            effect: Effect::ExactlyOnceInTransaction,
            clock: Clock::Server,
        }
    }
}
