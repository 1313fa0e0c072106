//! What can go wrong between us and the database, told apart by what it means for the others in a
//! batch and for the one who asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hooklatch_store::StoreError;
use hooklatch_store::record::Unreadable;
use tokio_postgres::error::SqlState;

use crate::memory::text_of;

/// A failure. Cheap to clone, since a failed commit answers everyone in its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// The database refused a statement.
    #[error("{}", describe(.0))]
    Sql(Arc<tokio_postgres::Error>),
    /// The connection is gone, or was not to be had.
    #[error("the connection to the database is lost: {0}")]
    Lost(Arc<str>),
    /// The database has not answered in time; the connection counts as lost.
    #[error("the database did not answer in time")]
    Silent,
    /// The connection was lost while a transaction was being committed, and nobody could be asked
    /// since how it ended.
    #[error("the connection to the database was lost during a commit: {0}")]
    Unknown(Arc<str>),
    /// There is no room left.
    #[error("{}", describe(.0))]
    Full(Arc<tokio_postgres::Error>),
    /// A record cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// An assertion of ours failed.
    #[error("a bug stopped the operation: {0}")]
    Panicked(String),
    /// A partition for this time has to be made first.
    #[error("no partition for the time {0}")]
    NoPartition(i64),
    /// The store is being shut down.
    #[error("the store is closed")]
    Closed,
}

/// Runs what asserts: a panic of ours ends this batch and nothing else.
pub(crate) fn guarded<T>(decide: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(decide)).map_err(|panic| Fault::Panicked(text_of(&*panic)))
}

/// The driver's own text hides what the server said.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}

impl Fault {
    /// A record that cannot be understood.
    pub(crate) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable(what.into())
    }

    /// The connection is gone.
    pub(crate) fn lost(why: impl Into<Arc<str>>) -> Self {
        Self::Lost(why.into())
    }

    /// Whether the others of a batch may do better without one of them.
    pub(crate) fn may_be_of_one_task(&self) -> bool {
        matches!(self.remedy(), Remedy::Alone | Remedy::Again)
    }

    /// What to do about it.
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Unreadable(_) | Self::Panicked(_) => Remedy::Alone,
            Self::Lost(_) | Self::Silent | Self::Unknown(_) | Self::Closed => Remedy::Reconnect,
            Self::NoPartition(_) => Remedy::Again,
            Self::Full(_) => Remedy::GiveUp,
            Self::Sql(error) => error.code().map_or(Remedy::Reconnect, remedy_for),
        }
    }
}

/// What helps against a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Do the same transaction again: another one stood in its way.
    Again,
    /// Do the operations of the batch one by one: one of them is impossible.
    Alone,
    /// Nothing now; the connection is as good as it was.
    GiveUp,
    /// Nothing before there is another connection.
    Reconnect,
}

fn remedy_for(state: &SqlState) -> Remedy {
    let again = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        // A key that another node claimed meanwhile, where locks are not what they promise.
        &SqlState::UNIQUE_VIOLATION,
    ];
    if again.contains(&state) {
        return Remedy::Again;
    }
    let gone = [
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
    ];
    let class = &state.code()[..2];
    if gone.contains(&state) || class == "08" || class == "57" && state != &SqlState::QUERY_CANCELED
    {
        return Remedy::Reconnect;
    }
    match class {
        // Resources are short, or the statement took too long.
        "53" | "57" | "55" => Remedy::GiveUp,
        _ => Remedy::Alone,
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.is_closed() {
            return Self::lost(error.to_string());
        }
        match error.code() {
            Some(state) if *state == SqlState::DISK_FULL => Self::Full(Arc::new(error)),
            Some(_) => Self::Sql(Arc::new(error)),
            None if std::error::Error::source(&error)
                .is_some_and(|source| source.is::<std::io::Error>()) =>
            {
                Self::lost(format!(
                    "{error}: {}",
                    std::error::Error::source(&error).expect("it was looked at")
                ))
            }
            None => Self::Sql(Arc::new(error)),
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.0)
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::lost(other.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(_) => Self::Full(Some(Box::new(fault))),
            Fault::Unreadable(what) => Self::Unreadable(what),
            Fault::Closed => Self::Unavailable(None),
            Fault::Unknown(_) => Self::Unknown(Some(Box::new(fault))),
            Fault::Sql(_)
            | Fault::Lost(_)
            | Fault::Silent
            | Fault::Panicked(_)
            | Fault::NoPartition(_) => Self::Unavailable(Some(Box::new(fault))),
        }
    }
}
