//! PostgreSQL: the store that can promise most.
//!
//! What it promises: a record that was acknowledged is durable (not with `synchronous_commit=off`,
//! and not where an asynchronous standby is promoted). In the caller's transaction ([`begin_in`])
//! the effect happens exactly once; with a lease ([`PostgresStore`]) at least once. The server's
//! clock alone ends leases: `clock_timestamp()`, because `now()` stands still in a transaction.
//!
//! A new event is one statement, an insert. Where the key is known, the record is read, and the state
//! machine says what it means; a record that may be run again is taken by one more statement, an
//! upsert that takes effect only where the state machine allows it.

mod rows;
mod store;
mod transaction;

pub use store::{ClaimDurability, PostgresStore};
pub use transaction::{BeginError, ClaimTransaction, begin_in, once_by_constraint};

pub use crate::pg_sql::SCHEMA;
pub use crate::pg_wait::Wait;
