//! PostgreSQL, in the caller's own transaction: record and effect are one commit.
//!
//! A committed row *is* completion. There is no state of being processed that a crash could leave
//! behind: a rollback, or a connection that breaks, takes the row along.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Transaction};

use super::rows::{self, Arguments};
use crate::claim::{Claim, Claimed, Grant};
use crate::limits::{RESULT_BYTES_MAX, RETENTION_MAX, millis};
use crate::machine::{self, Moment};
use crate::pg_sql::{CLAIM_IN, FIRST_IN, FIRST_IN_UP_TO, RESULT_IN};
use crate::pg_wait::Wait;
use crate::raw::sql;
use crate::run::{Begun, InTx, Once, Run};

/// Why a run could not begin in a transaction. Roll it back in every case.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The transaction collided with another one: repeat it from its start, a few times at most.
    #[error("the transaction collided with another one; roll back and repeat it")]
    Collision(#[source] tokio_postgres::Error),
    /// The server did not answer, or not as it should.
    #[error("the store is unavailable; nothing was run, repeating is safe")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

type Error = Box<dyn std::error::Error + Send + Sync>;
/// An argument of a statement, and its type.
type Argument<'a> = (&'a (dyn ToSql + Sync), Type);

/// A transaction that an event can be run in: of `tokio-postgres`, or of `deadpool-postgres`, whose
/// connections keep statements prepared, which saves most of what a claim costs the server.
pub trait ClaimTransaction: sealed::Rows {}

impl ClaimTransaction for Transaction<'_> {}
impl ClaimTransaction for deadpool_postgres::Transaction<'_> {}

mod sealed {
    use super::{Argument, Row};

    /// Runs a statement of ours.
    pub trait Rows: Sync {
        fn rows(
            &self,
            statement: &'static str,
            arguments: &[Argument<'_>],
        ) -> impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>> + Send;
    }
}

impl sealed::Rows for Transaction<'_> {
    async fn rows(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.query_typed(statement, arguments).await
    }
}

impl sealed::Rows for deadpool_postgres::Transaction<'_> {
    async fn rows(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let types: Vec<Type> = arguments.iter().map(|(_, kind)| kind.clone()).collect();
        let prepared = self.prepare_typed_cached(statement, &types).await?;
        let values: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|(value, _)| *value).collect();
        self.query(&prepared, &values).await
    }
}

/// Begins to run an event in the caller's transaction.
///
/// Where another transaction holds the key, this waits as `wait` says, a [`Wait`] or a [`Duration`], and
/// then answers [`Begun::Busy`]; the transaction is aborted by that and has to be rolled back. Work in the
/// default isolation level, `READ COMMITTED`: in a stricter one a duplicate may be answered with a
/// [`BeginError::Collision`] first.
///
/// ```no_run
/// # use std::time::Duration;
/// # use hooklatch_receiver::{claim::Claim, postgres, run::Begun};
/// # async fn take(client: &mut tokio_postgres::Client, claim: Claim)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = client.transaction().await?;
/// match postgres::begin_in(&mut tx, &claim, Duration::from_secs(2)).await? {
///     Begun::Run(mut run) => {
///         let effect = "UPDATE account SET balance = balance + 42";
///         run.transaction().execute(effect, &[]).await?;
///         run.complete(b"thanks").await?;
///         tx.commit().await?;
///     }
///     Begun::Done { .. } | Begun::Busy { .. } | Begun::Conflict { .. } | Begun::Dead { .. } => {
///         tx.rollback().await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Completing after the commit does not compile:
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use hooklatch_receiver::{claim::Claim, postgres, run::Begun};
/// # async fn take(client: &mut tokio_postgres::Client, claim: Claim)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = client.transaction().await?;
/// if let Begun::Run(run) = postgres::begin_in(&mut tx, &claim, Duration::from_secs(2)).await? {
///     tx.commit().await?;
///     run.complete(b"thanks").await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// A transaction that fails leaves no trace, so that its attempts are not counted. Whoever wants
/// the cap on attempts calls [`Receiver::note_failure`](crate::kit::Receiver::note_failure) after
/// the rollback.
///
/// # Errors
/// A collision, to be repeated; or a server that does not answer.
pub async fn begin_in<'t, T: ClaimTransaction>(
    tx: &'t mut T,
    claim: &Claim,
    wait: impl Into<Wait>,
) -> Result<Begun<InTx<'t, T>>, BeginError> {
    Ok(match claimed(tx, claim, wait.into()).await? {
        Claimed::Run(grant) => Begun::Run(Run::new(claim.key, grant, InTx { tx })),
        Claimed::Busy { retry_after } => Begun::Busy { retry_after },
        Claimed::Done { result } => Begun::Done { result },
        Claimed::Conflict { state } => Begun::Conflict { state },
        Claimed::Dead { error } => Begun::Dead { error },
    })
}

async fn claimed(
    tx: &impl ClaimTransaction,
    claim: &Claim,
    wait: Wait,
) -> Result<Claimed, BeginError> {
    match first(tx, claim, wait).await {
        Ok(Some(grant)) => return Ok(Claimed::Run(grant)),
        Ok(None) => {}
        Err(error) => return sort(error, wait),
    }
    let read = read(tx, claim, wait)
        .await
        .map_err(BeginError::Unavailable)?;
    let Some((prior, now_ms)) = read else {
        return Err(BeginError::Unavailable(
            "the record was swept at this moment".into(),
        ));
    };
    let at = Moment {
        now_ms,
        next_fence: prior.fence,
    };
    match machine::claim(Some(&prior), claim, at).answer {
        Claimed::Run(_) => match upsert(tx, claim, wait).await {
            Ok(Some(grant)) => Ok(Claimed::Run(grant)),
            // Somebody else was faster: the sender comes back.
            Ok(None) => Ok(Claimed::Busy {
                retry_after: Duration::ZERO,
            }),
            Err(error) => sort(error, wait),
        },
        answer => Ok(answer),
    }
}

/// Nothing where the key is known.
async fn first(
    tx: &impl ClaimTransaction,
    claim: &Claim,
    wait: Wait,
) -> Result<Option<Grant>, Error> {
    let arguments = Arguments::of(claim);
    let retention_ms = sql(millis(claim.retention, RETENTION_MAX));
    let wait = wait.lock_timeout();
    let arguments: [Argument<'_>; 8] = [
        (&arguments.key, Type::BYTEA),
        (&arguments.token, Type::BYTEA),
        (&arguments.fingerprint, Type::BYTEA),
        (&retention_ms, Type::INT8),
        (&arguments.provider, Type::TEXT),
        (&arguments.event_type, Type::TEXT),
        (&arguments.received_at_ms, Type::INT8),
        (&wait, Type::TEXT),
    ];
    let [without_wait @ .., _] = &arguments;
    let rows = match wait {
        None => tx.rows(FIRST_IN, without_wait).await?,
        Some(_) => tx.rows(FIRST_IN_UP_TO, &arguments).await?,
    };
    let grant = rows.first().map(|row| rows::first_grant(row, claim.token));
    grant.transpose()
}

async fn upsert(
    tx: &impl ClaimTransaction,
    claim: &Claim,
    wait: Wait,
) -> Result<Option<Grant>, Error> {
    let arguments = Arguments::of(claim);
    let retention_ms = sql(millis(claim.retention, RETENTION_MAX));
    let wait = wait.lock_timeout();
    let arguments: [Argument<'_>; 10] = [
        (&arguments.key, Type::BYTEA),
        (&arguments.token, Type::BYTEA),
        (&arguments.fingerprint, Type::BYTEA),
        (&retention_ms, Type::INT8),
        (&arguments.attempts_max, Type::INT4),
        (&arguments.replay, Type::BOOL),
        (&arguments.provider, Type::TEXT),
        (&arguments.event_type, Type::TEXT),
        (&arguments.received_at_ms, Type::INT8),
        (&wait, Type::TEXT),
    ];
    let rows = tx.rows(CLAIM_IN, &arguments).await?;
    let grant = rows.first().map(|row| rows::grant(row, claim.token));
    grant.transpose()
}

async fn read(tx: &impl ClaimTransaction, claim: &Claim, wait: Wait) -> Result<rows::Read, Error> {
    let key: &[u8] = claim.key.as_bytes();
    let found = tx.rows(wait.lookup(), &[(&key, Type::BYTEA)]).await?;
    rows::record(found.into_iter().next())
}

fn sort(error: Error, wait: Wait) -> Result<Claimed, BeginError> {
    let error = match error.downcast::<tokio_postgres::Error>() {
        Ok(error) => *error,
        Err(error) => return Err(BeginError::Unavailable(error)),
    };
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Claimed::Busy {
            retry_after: wait.retry_after(),
        }),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => {
            Err(BeginError::Collision(error))
        }
        Some(_) | None => Err(BeginError::Unavailable(error.into())),
    }
}

impl<T: ClaimTransaction> Run<InTx<'_, T>> {
    /// Writes what the event gave; the caller's commit makes it true. A result of more than
    /// [`RESULT_BYTES_MAX`] is not kept.
    ///
    /// # Errors
    /// The statement failed, and with it the transaction: roll back.
    pub async fn complete(mut self, result: &[u8]) -> Result<(), tokio_postgres::Error> {
        if result.is_empty() {
            // The row says so already.
            return Ok(());
        }
        let held = self.held();
        let kept = (result.len() <= RESULT_BYTES_MAX).then_some(result);
        let (key, token): (&[u8], &[u8]) = (held.key.as_bytes(), held.token.as_bytes());
        let arguments: [Argument<'_>; 3] = [
            (&key, Type::BYTEA),
            (&token, Type::BYTEA),
            (&kept, Type::BYTEA),
        ];
        let tx = &*self.mode_mut().tx;
        tx.rows(RESULT_IN, &arguments).await?;
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
    tx: &mut Transaction<'_>,
    constraint: &str,
    work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, tokio_postgres::Error>,
) -> Result<Once<T>, tokio_postgres::Error> {
    // A violation aborts the transaction, unless a savepoint takes it.
    let mut savepoint = tx.transaction().await?;
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

fn violates(error: &tokio_postgres::Error, constraint: &str) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::UNIQUE_VIOLATION && error.constraint() == Some(constraint)
    })
}
