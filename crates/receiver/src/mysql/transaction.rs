//! MySQL and MariaDB, in the caller's own transaction: record and effect are one commit.

use std::time::Duration;

use mysql_async::Transaction;
use mysql_async::prelude::Queryable;

use super::rows::{self, DEADLOCK, DUPLICATE, Error, LOCK_WAIT, Opened};
use super::store::first;
use crate::claim::{Claim, Claimed};
use crate::limits::RESULT_BYTES_MAX;
use crate::machine::{self, Moment};
use crate::record::Record;
use crate::run::{Begun, InTx, Once, Run};

const RESULT: &str = "\
UPDATE hooklatch_claims SET result = ? WHERE `key` = ? AND token = ? AND state = 2";

/// Why a run could not begin in a transaction. Roll it back explicitly in every case: after a lock
/// that was waited for in vain the server keeps the transaction open, and a commit would keep a
/// part of it.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The transaction collided with another one: repeat it from its start, a few times at most.
    #[error("the transaction collided with another one; roll back and repeat it")]
    Collision(#[source] mysql_async::Error),
    /// The server did not answer, or not as it should.
    #[error("the store is unavailable; nothing was run, repeating is safe")]
    Unavailable(#[source] Error),
}

/// Begins to run an event in the caller's transaction, which should be `READ COMMITTED`.
///
/// Where another transaction holds the key, this waits as long as the session's
/// `innodb_lock_wait_timeout` (50 s by default: set it below the sender's patience) and then says
/// [`Begun::Busy`]. Roll back after everything but [`Begun::Run`].
///
/// # Errors
/// A collision, to be repeated; or a server that does not answer.
pub async fn begin_in<'t, 'c>(
    tx: &'t mut Transaction<'c>,
    claim: &Claim,
) -> Result<Begun<InTx<'t, Transaction<'c>>>, BeginError> {
    let inserted = match rows::insert(tx, claim, Opened::InTransaction).await {
        Ok(inserted) => inserted,
        Err(error) => return sort(error.into()),
    };
    if let Some(fence) = inserted {
        let grant = first(claim, fence);
        return Ok(Begun::Run(Run::new(claim.key, grant, InTx { tx })));
    }
    let decide =
        |prior: Option<&Record>, at: Moment| machine::claim_in_transaction(prior, claim, at);
    let claimed = match rows::change(tx, &claim.key, decide).await {
        Ok(claimed) => claimed,
        Err(error) => return sort(error),
    };
    Ok(match claimed {
        Some(Claimed::Run(grant)) => Begun::Run(Run::new(claim.key, grant, InTx { tx })),
        Some(Claimed::Busy { retry_after }) => Begun::Busy { retry_after },
        Some(Claimed::Done { result }) => Begun::Done { result },
        Some(Claimed::Conflict { state }) => Begun::Conflict { state },
        Some(Claimed::Dead { error }) => Begun::Dead { error },
        // It was swept, or its holder rolled back, in this moment: the sender comes back.
        None => Begun::Busy {
            retry_after: Duration::ZERO,
        },
    })
}

fn sort<'t, 'c>(error: Error) -> Result<Begun<InTx<'t, Transaction<'c>>>, BeginError> {
    match error.downcast::<mysql_async::Error>() {
        Ok(error) => match rows::code(&error) {
            Some(LOCK_WAIT) => Ok(Begun::Busy {
                retry_after: Duration::from_secs(1),
            }),
            Some(DEADLOCK) => Err(BeginError::Collision(*error)),
            Some(_) | None => Err(BeginError::Unavailable(error)),
        },
        Err(error) => Err(BeginError::Unavailable(error)),
    }
}

impl Run<InTx<'_, Transaction<'_>>> {
    /// Writes what the event gave; the caller's commit makes it true. A result of more than
    /// [`RESULT_BYTES_MAX`] is not kept.
    ///
    /// # Errors
    /// The statement failed: roll the transaction back.
    pub async fn complete(mut self, result: &[u8]) -> Result<(), mysql_async::Error> {
        if result.is_empty() {
            // The row says so already.
            return Ok(());
        }
        let held = self.held();
        let kept = (result.len() <= RESULT_BYTES_MAX).then_some(result);
        let (key, token) = (
            held.key.as_bytes().as_slice(),
            held.token.as_bytes().as_slice(),
        );
        let tx = &mut *self.mode_mut().tx;
        tx.exec_drop(RESULT, (kept, key, token)).await
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
    work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, mysql_async::Error>,
) -> Result<Once<T>, mysql_async::Error> {
    tx.query_drop("SAVEPOINT hooklatch_once").await?;
    match work(tx).await {
        Ok(ran) => {
            tx.query_drop("RELEASE SAVEPOINT hooklatch_once").await?;
            Ok(Once::Ran(ran))
        }
        Err(error) if violates(&error, constraint) => {
            tx.query_drop("ROLLBACK TO SAVEPOINT hooklatch_once")
                .await?;
            Ok(Once::Done)
        }
        Err(error) => Err(error),
    }
}

/// MariaDB names the key alone, MySQL 8 the table before it.
fn violates(error: &mysql_async::Error, constraint: &str) -> bool {
    match error {
        mysql_async::Error::Server(error) if error.code == DUPLICATE => {
            let named = error.message.rsplit("for key ").next().unwrap_or_default();
            let named = named.trim_matches('\'');
            named == constraint || named.rsplit('.').next() == Some(constraint)
        }
        _ => false,
    }
}
