//! Leased mode on SQLite: one connection, lent to whoever needs it, off the runtime's threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::rows::{self, Error};
use crate::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use crate::key::ScopeKey;
use crate::limits::{RETENTION_MAX, millis};
use crate::machine::{self, Moment};
use crate::raw::sql;
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::table::process_now_ms;
use crate::token;

/// How long to wait for another process that writes.
const BUSY_MAX: Duration = Duration::from_secs(5);

const SAVE_STEP: &str = "\
INSERT OR IGNORE INTO hooklatch_steps (key, epoch, generation, step, result) \
VALUES (?1, ?2, ?3, ?4, ?5)";

const LOAD_STEP: &str = "\
SELECT result FROM hooklatch_steps \
WHERE key = ?1 AND epoch = ?2 AND generation = ?3 AND step = ?4";

const COMPLETE: &str = "\
UPDATE hooklatch_claims SET state = 2, lease_until = NULL, expires_at = ?3, result = ?4 \
WHERE key = ?1 AND token = ?2 AND state = 1";

const EXPIRED: &str = "\
SELECT key, fence FROM hooklatch_claims WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";

const NOTE_FENCE: &str = "UPDATE hooklatch_fence SET fence = ?1 WHERE id = 1 AND fence < ?1";

/// Records in a SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens a file, which may be the application's own, and makes the tables in it.
    ///
    /// # Errors
    /// The file cannot be opened or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::opened(path).map_err(|error| StoreError::new("open", error))
    }

    fn opened(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(super::SCHEMA)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs `work` in a transaction that holds the write lock from its start.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(operation, |connection| in_transaction(connection, work))
            .await
    }

    /// Runs `work` on the connection, off the runtime's threads.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection);
        let task = tokio::task::spawn_blocking(move || {
            // A panic cannot leave a transaction open: dropping it rolls back.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        let done = task.await.unwrap_or_else(|error| Err(error.into()));
        done.map_err(|error: Error| StoreError::new(operation, error))
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&tx)?;
    tx.commit()?;
    Ok(done)
}

/// One statement is a transaction by itself, and takes the write lock before it reads. Where it
/// finds nothing to complete, the record says why.
fn completed(
    connection: &Connection,
    held: &Held,
    result: Option<&[u8]>,
    retention: Duration,
) -> Result<bool, Error> {
    let expires_at = sql(process_now_ms() + millis(retention, RETENTION_MAX));
    let (key, token) = (held.key.as_bytes(), held.token.as_bytes());
    let mut complete = connection.prepare_cached(COMPLETE)?;
    let arguments = params![key.as_slice(), token.as_slice(), expires_at, result];
    Ok(complete.execute(arguments)? == 1)
}

impl Store for SqliteStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let (key, claim) = (claim.key, claim.clone());
        let decide = move |prior: Option<&Record>, at: Moment| machine::claim(prior, &claim, at);
        self.write("claim", move |tx| rows::claim(tx, &key, decide))
            .await
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let (held, result) = (*held, result.map(<[u8]>::to_vec));
        self.run("complete", move |connection| {
            if completed(connection, &held, result.as_deref(), retention)? {
                return Ok(Completion::Applied);
            }
            let decide = |prior: Option<&Record>, at: Moment| {
                machine::complete(prior, &held.token, result.as_deref(), retention, at.now_ms)
            };
            in_transaction(connection, |tx| rows::change(tx, &held.key, decide))
        })
        .await
    }

    async fn release(
        &self,
        held: &Held,
        retry_after: Duration,
        error: &str,
    ) -> Result<Hold, StoreError> {
        let (held, error, successor) = (*held, error.to_owned(), token::random());
        let decide = move |prior: Option<&Record>, at: Moment| {
            machine::release(
                prior,
                &held.token,
                successor,
                retry_after,
                &error,
                at.now_ms,
            )
        };
        self.write("release", move |tx| rows::change(tx, &held.key, decide))
            .await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let held = *held;
        let decide = move |prior: Option<&Record>, at: Moment| {
            machine::renew(prior, &held.token, lease, at.now_ms)
        };
        self.write("renew", move |tx| rows::change(tx, &held.key, decide))
            .await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        let (held, error) = (*held, error.to_owned());
        let decide = move |prior: Option<&Record>, at: Moment| {
            machine::fail(prior, &held.token, &error, retention, at.now_ms)
        };
        self.write("fail", move |tx| rows::change(tx, &held.key, decide))
            .await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let key = *key;
        let record = self.run("lookup", move |connection| rows::load(connection, &key));
        let record = record.await?;
        Ok(record.and_then(|record| record.sighting(process_now_ms())))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let (held, step, result) = (*held, step.to_owned(), result.to_vec());
        self.write("save_step", move |tx| {
            let prior = rows::load(tx, &held.key)?;
            if !machine::holds(prior.as_ref(), &held.token) {
                return Ok(Saved::Fenced);
            }
            let key = held.key.as_bytes().as_slice();
            let (epoch, generation) = (sql(held.epoch), held.generation);
            let mut save = tx.prepare_cached(SAVE_STEP)?;
            save.execute(params![key, epoch, generation, step, result])?;
            Ok(Saved::Saved)
        })
        .await
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (held, step) = (*held, step.to_owned());
        self.run("load_step", move |connection| {
            let key = held.key.as_bytes().as_slice();
            let mut load = connection.prepare_cached(LOAD_STEP)?;
            let name = params![key, sql(held.epoch), held.generation, step];
            Ok(load.query_row(name, |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        self.write("sweep", move |tx| {
            let mut expired = tx.prepare_cached(EXPIRED)?;
            let until = params![sql(process_now_ms()), limit];
            let rows = expired.query_map(until, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows: Vec<(Vec<u8>, i64)> = rows.collect::<Result<_, _>>()?;
            for (key, fence) in &rows {
                tx.execute("DELETE FROM hooklatch_steps WHERE key = ?1", [key])?;
                tx.execute("DELETE FROM hooklatch_claims WHERE key = ?1", [key])?;
                // The next run of this key must not get a fence that it has had.
                tx.execute(NOTE_FENCE, [fence])?;
            }
            Ok(rows.len() as u64)
        })
        .await
    }

    fn promise(&self) -> Promise {
        Promise {
            memory: Memory::Durable,
            effect: Effect::ExactlyOnceInTransaction,
            clock: Clock::Process,
        }
    }
}
