//! PostgreSQL in the caller's own transaction, for those who use `sqlx`: the same statements and
//! the same promise as [`begin_in`](crate::postgres) of the feature `postgres`, which has the
//! leased mode. It needs rustc 1.94, as `sqlx` does.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use crate::claim::{Claim, Claimed, Grant, Intent, Origin};
use crate::limits::{RESULT_BYTES_MAX, RETENTION_MAX, millis};
use crate::machine::{self, Moment};
use crate::raw::{RawGrant, RawRecord, sql};
use crate::record::Record;
use crate::run::{Begun, InTx, Once, Run};

pub use crate::pg_sql::SCHEMA;
use crate::pg_sql::{CLAIM_IN, FIRST_IN, FIRST_IN_UP_TO, RESULT_IN};
pub use crate::pg_wait::Wait;

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// Why a run could not begin in a transaction. Roll it back in every case.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The transaction collided with another one: repeat it from its start, a few times at most.
    #[error("the transaction collided with another one; roll back and repeat it")]
    Collision(#[source] sqlx::Error),
    /// The server did not answer, or not as it should.
    #[error("the store is unavailable; nothing was run, repeating is safe")]
    Unavailable(#[source] Boxed),
}

/// Begins to run an event in the caller's transaction: give it `&mut *tx`.
///
/// Where another transaction holds the key, this waits as `wait` says, a [`Wait`] or a [`Duration`], and
/// then answers [`Begun::Busy`]; the transaction is aborted by that and has to be rolled back.
///
/// Completing after the commit does not compile:
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use hooklatch_receiver::{claim::Claim, run::Begun, sqlx::begin_in};
/// # async fn take(mut tx: sqlx::Transaction<'_, sqlx::Postgres>, claim: Claim)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// if let Begun::Run(run) = begin_in(&mut *tx, &claim, Duration::from_secs(2)).await? {
///     tx.commit().await?;
///     run.complete(b"thanks").await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A collision, to be repeated; or a server that does not answer.
pub async fn begin_in<'t>(
    tx: &'t mut PgConnection,
    claim: &Claim,
    wait: impl Into<Wait>,
) -> Result<Begun<InTx<'t, PgConnection>>, BeginError> {
    Ok(match claimed(tx, claim, wait.into()).await? {
        Claimed::Run(grant) => Begun::Run(Run::new(claim.key, grant, InTx { tx })),
        Claimed::Busy { retry_after } => Begun::Busy { retry_after },
        Claimed::Done { result } => Begun::Done { result },
        Claimed::Conflict { state } => Begun::Conflict { state },
        Claimed::Dead { error } => Begun::Dead { error },
    })
}

async fn claimed(tx: &mut PgConnection, claim: &Claim, wait: Wait) -> Result<Claimed, BeginError> {
    match first(tx, claim, wait).await {
        Ok(Some(row)) => return run(first_grant(&row, claim)),
        Ok(None) => {}
        Err(error) => return sort(error, wait),
    }
    let read = read(tx, claim, wait)
        .await
        .map_err(BeginError::Unavailable)?;
    let Some((prior, now_ms)) = read else {
        let swept = "the record was swept at this moment";
        return Err(BeginError::Unavailable(swept.into()));
    };
    let at = Moment {
        now_ms,
        next_fence: prior.fence,
    };
    match machine::claim(Some(&prior), claim, at).answer {
        Claimed::Run(_) => match upsert(tx, claim, wait).await {
            Ok(Some(row)) => run(grant(&row, claim)),
            // Somebody else was faster: the sender comes back.
            Ok(None) => Ok(Claimed::Busy {
                retry_after: Duration::ZERO,
            }),
            Err(error) => sort(error, wait),
        },
        answer => Ok(answer),
    }
}

fn run(grant: Result<Grant, Boxed>) -> Result<Claimed, BeginError> {
    grant.map(Claimed::Run).map_err(BeginError::Unavailable)
}

fn sort(error: sqlx::Error, wait: Wait) -> Result<Claimed, BeginError> {
    match code(&error).as_deref() {
        Some("55P03") => Ok(Claimed::Busy {
            retry_after: wait.retry_after(),
        }),
        Some("40001" | "40P01") => Err(BeginError::Collision(error)),
        Some(_) | None => Err(BeginError::Unavailable(error.into())),
    }
}

/// Nothing where the key is known.
async fn first(
    tx: &mut PgConnection,
    claim: &Claim,
    wait: Wait,
) -> Result<Option<PgRow>, sqlx::Error> {
    let wait = wait.lock_timeout();
    let statement = match wait {
        None => FIRST_IN,
        Some(_) => FIRST_IN_UP_TO,
    };
    let query = sqlx::query(statement)
        .bind(claim.key.as_bytes().as_slice())
        .bind(claim.token.as_bytes().as_slice())
        .bind(claim.fingerprint.as_bytes().as_slice())
        .bind(sql(millis(claim.retention, RETENTION_MAX)))
        .bind(claim.metadata.provider())
        .bind(claim.metadata.event_type())
        .bind(claim.metadata.received_at_ms());
    let query = match wait {
        None => query,
        Some(wait) => query.bind(wait),
    };
    query.fetch_optional(tx).await
}

async fn upsert(
    tx: &mut PgConnection,
    claim: &Claim,
    wait: Wait,
) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(CLAIM_IN)
        .bind(claim.key.as_bytes().as_slice())
        .bind(claim.token.as_bytes().as_slice())
        .bind(claim.fingerprint.as_bytes().as_slice())
        .bind(sql(millis(claim.retention, RETENTION_MAX)))
        .bind(i32::try_from(claim.attempts_max).unwrap_or(i32::MAX))
        .bind(claim.intent == Intent::Replay)
        .bind(claim.metadata.provider())
        .bind(claim.metadata.event_type())
        .bind(claim.metadata.received_at_ms())
        .bind(wait.lock_timeout())
        .fetch_optional(tx)
        .await
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Of a key that nobody had seen.
fn first_grant(row: &PgRow, claim: &Claim) -> Result<Grant, Boxed> {
    Ok(Grant {
        token: claim.token,
        fence: u64::try_from(row.try_get::<i64, _>("fence")?)?,
        epoch: u64::try_from(row.try_get::<i64, _>("epoch")?)?,
        generation: 1,
        attempt: 1,
        origin: Origin::First,
    })
}

fn grant(row: &PgRow, claim: &Claim) -> Result<Grant, Boxed> {
    let raw = RawGrant {
        fence: row.try_get("fence")?,
        epoch: row.try_get("epoch")?,
        generation: row.try_get::<i32, _>("generation")?.into(),
        origin: row.try_get::<i16, _>("origin")?.into(),
        attempt: row.try_get::<i32, _>("attempt")?.into(),
    };
    Ok(raw.grant(claim.token)?)
}

async fn read(
    tx: &mut PgConnection,
    claim: &Claim,
    wait: Wait,
) -> Result<Option<(Record, u64)>, Boxed> {
    let query = sqlx::query(wait.lookup()).bind(claim.key.as_bytes().as_slice());
    let Some(row) = query.fetch_optional(tx).await? else {
        return Ok(None);
    };
    let raw = RawRecord {
        state: row.try_get::<i16, _>("state")?.into(),
        token: row.try_get("token")?,
        fence: row.try_get("fence")?,
        epoch: row.try_get("epoch")?,
        generation: row.try_get::<i32, _>("generation")?.into(),
        origin: row.try_get::<i16, _>("origin")?.into(),
        fingerprint: row.try_get("fingerprint")?,
        attempt: row.try_get::<i32, _>("attempt")?.into(),
        until_ms: row.try_get("until_ms")?,
        result: row.try_get("result")?,
        error: row.try_get("error")?,
        provider: row.try_get("provider")?,
        event_type: row.try_get("event_type")?,
        received_at_ms: row.try_get("received_at_ms")?,
    };
    let now_ms: i64 = row.try_get("now_ms")?;
    Ok(Some((Record::try_from(raw)?, u64::try_from(now_ms)?)))
}

impl Run<InTx<'_, PgConnection>> {
    /// Writes what the event gave; the caller's commit makes it true. A result of more than
    /// [`RESULT_BYTES_MAX`] is not kept.
    ///
    /// # Errors
    /// The statement failed, and with it the transaction: roll back.
    pub async fn complete(mut self, result: &[u8]) -> Result<(), sqlx::Error> {
        if result.is_empty() {
            // The row says so already.
            return Ok(());
        }
        let held = self.held();
        let kept = (result.len() <= RESULT_BYTES_MAX).then_some(result);
        sqlx::query(RESULT_IN)
            .bind(held.key.as_bytes().as_slice())
            .bind(held.token.as_bytes().as_slice())
            .bind(kept)
            .execute(&mut *self.mode_mut().tx)
            .await?;
        Ok(())
    }
}

/// Runs `work` once by the caller's own unique constraint, without any table of ours: where `work`
/// violates the constraint of this name, it has run before, and what it did is undone. Everything
/// is in the caller's transaction; commit it in both cases.
///
/// # Errors
/// Whatever `work` fails with, other than by that constraint.
pub async fn once_by_constraint<T>(
    tx: &mut PgConnection,
    constraint: &str,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<Once<T>, sqlx::Error> {
    // A violation aborts the transaction, unless a savepoint takes it.
    let mut savepoint = tx.begin().await?;
    match work(&mut savepoint).await {
        Ok(ran) => {
            savepoint.commit().await?;
            Ok(Once::Ran(ran))
        }
        Err(error) if violates(&error, constraint) => {
            savepoint.rollback().await?;
            Ok(Once::Done)
        }
        Err(error) => Err(error),
    }
}

fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(constraint))
}
