//! What can go wrong inside the store, told apart by what it means for the others in a batch.

use std::sync::Arc;

use hooklatch_store::StoreError;
use hooklatch_store::record::Unreadable;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};

/// A failure. Cheap to clone, since a failed commit answers everyone in its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite failed.
    #[error(transparent)]
    Sql(Arc<rusqlite::Error>),
    /// There is no room left.
    #[error(transparent)]
    Full(Arc<rusqlite::Error>),
    /// A record cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// The system failed.
    #[error(transparent)]
    System(Arc<std::io::Error>),
    /// An assertion of ours failed.
    #[error("a bug stopped the operation: {0}")]
    Panicked(String),
    /// The store is being shut down.
    #[error("the store is closed")]
    Closed,
}

impl Fault {
    /// A record that cannot be understood.
    pub(crate) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable(what.into())
    }

    /// Whether another operation of the same batch may do better: the failure lies in what was
    /// asked, not in the disk.
    pub(crate) fn is_of_one_operation(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Panicked(_) => true,
            Self::Sql(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::ReadOnly
                        | ErrorCode::PermissionDenied
                )
            ),
            Self::Full(_) | Self::System(_) | Self::Closed => false,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.sqlite_error().map(|error| error.extended_code);
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || matches!(detail, Some(SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE));
        if full {
            Self::Full(Arc::new(error))
        } else {
            Self::Sql(Arc::new(error))
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::System(Arc::new(error))
    }
}

impl From<Unreadable> for Fault {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(_) => Self::Full(Some(Box::new(fault))),
            Fault::Unreadable(what) => Self::Unreadable(what),
            Fault::Closed => Self::Unavailable(None),
            Fault::Sql(_) | Fault::System(_) | Fault::Panicked(_) => {
                Self::Unavailable(Some(Box::new(fault)))
            }
        }
    }
}
