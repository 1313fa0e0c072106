//! SQLite, in the caller's own transaction: record and effect are one commit.
//!
//! A committed row *is* completion: there is no state of being processed that a crash could leave
//! behind.

use rusqlite::{ErrorCode, Transaction, params};

use super::rows::{self, Error};
use crate::claim::{Claim, Claimed};
use crate::limits::RESULT_BYTES_MAX;
use crate::machine::{self, Moment};
use crate::record::Record;
use crate::run::{Begun, InTx, Once, Run};

/// Why a run could not begin in a transaction. Roll it back.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable; nothing was run, repeating is safe")]
pub struct BeginError(#[source] Error);

/// Begins to run an event in the caller's transaction, which has to be `IMMEDIATE`: a deferred one
/// may fail at its first write. The tables have to be in the same file as the effect.
///
/// Completing after the commit does not compile:
///
/// ```compile_fail
/// # use hooklatch_receiver::{claim::Claim, run::Begun, sqlite};
/// # fn take(mut tx: rusqlite::Transaction<'_>, claim: Claim)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// if let Begun::Run(run) = sqlite::begin_in(&mut tx, &claim)? {
///     tx.commit()?;
///     run.complete(b"thanks")?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The file cannot be read or written, or another process holds it for too long.
pub fn begin_in<'t, 'c>(
    tx: &'t mut Transaction<'c>,
    claim: &Claim,
) -> Result<Begun<InTx<'t, Transaction<'c>>>, BeginError> {
    let decide =
        |prior: Option<&Record>, at: Moment| machine::claim_in_transaction(prior, claim, at);
    let claimed = rows::claim(tx, &claim.key, decide).map_err(BeginError)?;
    Ok(match claimed {
        Claimed::Run(grant) => Begun::Run(Run::new(claim.key, grant, InTx { tx })),
        Claimed::Busy { retry_after } => Begun::Busy { retry_after },
        Claimed::Done { result } => Begun::Done { result },
        Claimed::Conflict { state } => Begun::Conflict { state },
        Claimed::Dead { error } => Begun::Dead { error },
    })
}

impl Run<InTx<'_, Transaction<'_>>> {
    /// Writes what the event gave; the caller's commit makes it true. A result of more than
    /// [`RESULT_BYTES_MAX`] is not kept.
    ///
    /// # Errors
    /// The statement failed: roll the transaction back.
    pub fn complete(mut self, result: &[u8]) -> rusqlite::Result<()> {
        if result.is_empty() {
            // The row says so already.
            return Ok(());
        }
        let held = self.held();
        let kept = (result.len() <= RESULT_BYTES_MAX).then_some(result);
        let statement = "\
            UPDATE hooklatch_claims SET result = ?3 WHERE key = ?1 AND token = ?2 AND state = 2";
        let tx = &*self.mode_mut().tx;
        let (key, token) = (
            held.key.as_bytes().as_slice(),
            held.token.as_bytes().as_slice(),
        );
        tx.prepare_cached(statement)?
            .execute(params![key, token, kept])?;
        Ok(())
    }
}

/// Runs `work` once by the caller's own unique constraint, without any table of ours: where `work`
/// violates it, it has run before, and what it did is undone. `columns` are the constraint's
/// columns as SQLite names them in its error, `ledger.event_id` for example.
///
/// # Errors
/// Whatever `work` fails with, other than by that constraint.
pub fn once_by_constraint<T>(
    tx: &mut Transaction<'_>,
    columns: &str,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Once<T>> {
    tx.execute_batch("SAVEPOINT hooklatch_once")?;
    match work(tx) {
        Ok(ran) => {
            tx.execute_batch("RELEASE hooklatch_once")?;
            Ok(Once::Ran(ran))
        }
        Err(error) if violates(&error, columns) => {
            tx.execute_batch("ROLLBACK TO hooklatch_once; RELEASE hooklatch_once")?;
            Ok(Once::Done)
        }
        Err(error) => Err(error),
    }
}

fn violates(error: &rusqlite::Error, columns: &str) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, Some(text)) => {
            let named = text.strip_prefix("UNIQUE constraint failed: ");
            failure.code == ErrorCode::ConstraintViolation && named == Some(columns)
        }
        _ => false,
    }
}
