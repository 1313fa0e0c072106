//! MySQL 8 and MariaDB 10.6 or later, on InnoDB.
//!
//! What it promises: with `innodb_flush_log_at_trx_commit=1`, the default, a record that was
//! acknowledged is durable. In the caller's transaction ([`begin_in`]) the effect happens exactly
//! once; with a lease ([`MysqlStore`]) at least once. The server's clock ends leases.
//!
//! A claim is an `INSERT` first and a locking read only where that finds the key taken: reading
//! first would lock the gap where the key is not, and two different keys would deadlock.
//! Transactions are `READ COMMITTED` for the same reason.

mod rows;
mod store;
mod transaction;

pub use store::MysqlStore;
pub use transaction::{BeginError, begin_in, once_by_constraint};

/// The tables, a statement each. Running them again changes nothing.
pub fn schema() -> impl Iterator<Item = &'static str> {
    let statements = include_str!("../../sql/mysql.sql").split(';');
    statements.map(str::trim).filter(|text| !text.is_empty())
}
