//! Leased mode on MySQL and MariaDB.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, IsolationLevel, Params, Pool, Row, TxOpts, Value};

use super::rows::{self, DEADLOCK, Error, LOCK_WAIT, LOOKUP, Opened, now_us};
use crate::claim::{Claim, Claimed, Completion, Grant, Held, Hold, Origin, Saved, Sighting};
use crate::key::ScopeKey;
use crate::limits::{ERROR_BYTES_MAX, LEASE_MAX, RETENTION_MAX, cut, millis};
use crate::machine::{self, Moment};
use crate::raw::sql;
use crate::record::Record;
use crate::store::{Clock, Effect, Memory, Promise, Store, StoreError};
use crate::token;

/// How often a claim that lost a race looks again.
const ROUNDS_MAX: usize = 8;

// Every statement changes a column in every case, because a row that stays as it was is counted as
// not found.
const COMPLETE: &str = concat!(
    "UPDATE hooklatch_claims SET result = ?, until_at = ",
    now_us!(),
    " + ?, state = 2 WHERE `key` = ? AND token = ? AND state = 1"
);

const RELEASE: &str = concat!(
    "UPDATE hooklatch_claims SET error = ?, until_at = ",
    now_us!(),
    " + ?, state = 3, token = ? WHERE `key` = ? AND token = ? AND state = 1"
);

const RENEW: &str = concat!(
    "UPDATE hooklatch_claims SET until_at = ",
    now_us!(),
    " + ? WHERE `key` = ? AND token = ? AND state = 1"
);

const FAIL: &str = concat!(
    "UPDATE hooklatch_claims SET error = ?, until_at = ",
    now_us!(),
    " + ?, state = 4 WHERE `key` = ? AND token = ? AND state = 1"
);

const SAVE_STEP: &str = "\
INSERT INTO hooklatch_steps (`key`, epoch, generation, step, result) VALUES (?, ?, ?, ?, ?) \
ON DUPLICATE KEY UPDATE step = step";

const LOAD_STEP: &str = "\
SELECT result FROM hooklatch_steps \
WHERE `key` = ? AND epoch = ? AND generation = ? AND step = ?";

/// What may go of the records around a key; those that nobody has completed are passed over, and those
/// that somebody is at. Keys are checksums: around one that is chosen by chance lie any. 10,000 rows with
/// results in them may be 80 MB that the server reads.
const EXPIRED: &str = concat!(
    "SELECT claim.`key` FROM (\
         (SELECT `key`, state, until_at FROM hooklatch_claims WHERE `key` >= ? \
          ORDER BY `key` LIMIT 5000) \
         UNION ALL \
         (SELECT `key`, state, until_at FROM hooklatch_claims WHERE `key` < ? \
          ORDER BY `key` DESC LIMIT 5000)) part \
     STRAIGHT_JOIN hooklatch_claims claim ON claim.`key` = part.`key` \
     WHERE part.state IN (2, 4) AND part.until_at <= ",
    now_us!(),
    " AND claim.state IN (2, 4) AND claim.until_at <= ",
    now_us!(),
    " LIMIT ? FOR UPDATE SKIP LOCKED"
);

/// Records in MySQL or MariaDB, each under a lease.
#[derive(Clone)]
pub struct MysqlStore {
    pool: Pool,
}

impl MysqlStore {
    /// A store on these connections. The tables of [`schema`](super::schema) have to be there;
    /// [`create_tables`](Self::create_tables) makes them.
    pub const fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Makes the tables unless they are there.
    ///
    /// # Errors
    /// The server does not answer, or does not let this user make tables.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        let made = async {
            let mut connection = self.connection().await?;
            for statement in super::schema() {
                connection.query_drop(statement).await?;
            }
            Ok::<(), Error>(())
        };
        made.await
            .map_err(|error| StoreError::new("create_tables", error))
    }

    async fn connection(&self) -> Result<Conn, Error> {
        Ok(self.pool.get_conn().await?)
    }

    async fn claimed(&self, claim: &Claim) -> Result<Claimed, Error> {
        let mut connection = self.connection().await?;
        for _ in 0..ROUNDS_MAX {
            if let Some(fence) = rows::insert(&mut connection, claim, Opened::Leased).await? {
                return Ok(Claimed::Run(first(claim, fence)));
            }
            // A record that is gone by now was swept in between: insert again.
            if let Some(claimed) = reclaim(&mut connection, claim).await? {
                return Ok(claimed);
            }
        }
        Err("the record changed with every look at it".into())
    }

    async fn update(&self, statement: &str, arguments: Vec<Value>) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let arguments = Params::Positional(arguments);
        connection.exec_drop(statement, arguments).await?;
        Ok(connection.affected_rows() == 1)
    }

    async fn hold(
        &self,
        operation: &'static str,
        statement: &str,
        arguments: Vec<Value>,
    ) -> Result<Hold, StoreError> {
        let changed = self.update(statement, arguments).await;
        match changed.map_err(|error| StoreError::new(operation, error))? {
            true => Ok(Hold::Kept),
            false => Ok(Hold::Fenced),
        }
    }

    async fn read(&self, key: &ScopeKey) -> Result<Option<(Record, u64)>, Error> {
        let mut connection = self.connection().await?;
        let key = (key.as_bytes().as_slice(),);
        let row: Option<Row> = connection.exec_first(LOOKUP, key).await?;
        rows::record(row)
    }

    async fn kept_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, Error> {
        let mut connection = self.connection().await?;
        let mut tx = connection.start_transaction(read_committed()).await?;
        let key = held.key.as_bytes().as_slice();
        let row: Option<Row> = tx.exec_first(rows::LOCK, (key,)).await?;
        let prior = rows::record(row)?.map(|(record, _)| record);
        if !machine::holds(prior.as_ref(), &held.token) {
            tx.rollback().await?;
            return Ok(Saved::Fenced);
        }
        let arguments = (key, sql(held.epoch), held.generation, step, result);
        tx.exec_drop(SAVE_STEP, arguments).await?;
        tx.commit().await?;
        Ok(Saved::Saved)
    }

    async fn swept(&self, limit: u32) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        let mut tx = connection.start_transaction(read_committed()).await?;
        let around: [u8; 32] = rand::random();
        let looked_for = (around.as_slice(), around.as_slice(), limit);
        let keys: Vec<Vec<u8>> = tx.exec(EXPIRED, looked_for).await?;
        for key in &keys {
            let steps = "DELETE FROM hooklatch_steps WHERE `key` = ?";
            tx.exec_drop(steps, (key,)).await?;
            let claim = "DELETE FROM hooklatch_claims WHERE `key` = ?";
            tx.exec_drop(claim, (key,)).await?;
        }
        tx.commit().await?;
        Ok(keys.len() as u64)
    }
}

pub(super) fn first(claim: &Claim, fence: u64) -> Grant {
    Grant {
        token: claim.token,
        fence,
        epoch: fence,
        generation: 1,
        attempt: 1,
        origin: Origin::First,
    }
}

fn read_committed() -> TxOpts {
    let mut options = TxOpts::default();
    options.with_isolation_level(IsolationLevel::ReadCommitted);
    options
}

/// A claim on a key that is known; nothing where the record is gone, or another transaction was
/// in the way.
async fn reclaim(connection: &mut Conn, claim: &Claim) -> Result<Option<Claimed>, Error> {
    let mut tx = connection.start_transaction(read_committed()).await?;
    let decide = |prior: Option<&Record>, at: Moment| machine::claim(prior, claim, at);
    match rows::change(&mut tx, &claim.key, decide).await {
        Ok(claimed) => {
            tx.commit().await?;
            Ok(claimed)
        }
        Err(error) => {
            // A lock that was waited for in vain leaves the transaction open: without this a
            // commit would keep half of it.
            tx.rollback().await?;
            let server = error.downcast_ref::<mysql_async::Error>();
            match server.and_then(rows::code) {
                Some(DEADLOCK | LOCK_WAIT) => Ok(None),
                Some(_) | None => Err(error),
            }
        }
    }
}

fn micros(span: Duration, max: Duration) -> Value {
    sql(millis(span, max) * 1_000).into()
}

impl Store for MysqlStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let claimed = self.claimed(claim).await;
        claimed.map_err(|error| StoreError::new("claim", error))
    }

    async fn complete(
        &self,
        held: &Held,
        result: Option<&[u8]>,
        retention: Duration,
    ) -> Result<Completion, StoreError> {
        let completed = async {
            let arguments = vec![
                result.into(),
                micros(retention, RETENTION_MAX),
                held.key.as_bytes().as_slice().into(),
                held.token.as_bytes().as_slice().into(),
            ];
            if self.update(COMPLETE, arguments).await? {
                return Ok(Completion::Applied);
            }
            let prior = self.read(&held.key).await?;
            let (prior, now_ms) = prior.map_or((None, 0), |(prior, now_ms)| (Some(prior), now_ms));
            let why = machine::complete(prior.as_ref(), &held.token, result, retention, now_ms);
            Ok::<_, Error>(why.answer)
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
        let arguments = vec![
            cut(error, ERROR_BYTES_MAX).into(),
            micros(retry_after, LEASE_MAX),
            token::random().as_bytes().as_slice().into(),
            held.key.as_bytes().as_slice().into(),
            held.token.as_bytes().as_slice().into(),
        ];
        self.hold("release", RELEASE, arguments).await
    }

    async fn renew(&self, held: &Held, lease: Duration) -> Result<Hold, StoreError> {
        let arguments = vec![
            micros(lease, LEASE_MAX),
            held.key.as_bytes().as_slice().into(),
            held.token.as_bytes().as_slice().into(),
        ];
        self.hold("renew", RENEW, arguments).await
    }

    async fn fail(
        &self,
        held: &Held,
        error: &str,
        retention: Duration,
    ) -> Result<Hold, StoreError> {
        let arguments = vec![
            cut(error, ERROR_BYTES_MAX).into(),
            micros(retention, RETENTION_MAX),
            held.key.as_bytes().as_slice().into(),
            held.token.as_bytes().as_slice().into(),
        ];
        self.hold("fail", FAIL, arguments).await
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        let read = self.read(key).await;
        let read = read.map_err(|error| StoreError::new("lookup", error))?;
        Ok(read.and_then(|(record, now_ms)| record.sighting(now_ms)))
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        let saved = self.kept_step(held, step, result).await;
        saved.map_err(|error| StoreError::new("save_step", error))
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let loaded = async {
            let mut connection = self.connection().await?;
            let key = held.key.as_bytes().as_slice();
            let name = (key, sql(held.epoch), held.generation, step);
            Ok::<_, Error>(connection.exec_first(LOAD_STEP, name).await?)
        };
        loaded
            .await
            .map_err(|error| StoreError::new("load_step", error))
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        let swept = self.swept(limit).await;
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
