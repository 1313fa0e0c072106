//! SQLite: one file, one machine.
//!
//! What it promises: with `synchronous=FULL`, which [`SqliteStore::open`] sets, a record that was
//! acknowledged is durable; in WAL mode with `synchronous=NORMAL` a power cut may take the last
//! commits along. In the caller's transaction ([`begin_in`]) the effect happens exactly once; with
//! a lease at least once. The processes' own clock ends leases: they are on one machine, so that
//! it is one clock, but a clock that jumps forward by more than a lease lets it lapse.
//!
//! A new event is one insert, its completion one update. Every other change is a load, a decision by
//! the state machine and a write. All of it is under `BEGIN IMMEDIATE`, or a statement by itself: a
//! deferred transaction would fail at its first write as soon as two of them have read.

mod rows;
mod store;
mod transaction;

pub use store::SqliteStore;
pub use transaction::{BeginError, begin_in, once_by_constraint};

/// The tables, with all that belongs to them. Running it again changes nothing.
pub const SCHEMA: &str = include_str!("../../sql/sqlite.sql");
