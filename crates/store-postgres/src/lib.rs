//! The shared store: PostgreSQL, for as many nodes as one database carries.
//!
//! Nodes hold no truth. Each gathers what its callers ask into batches; a batch locks, reads,
//! has core decide, writes and commits, in two trips to the database, and only then are its
//! callers answered. Only the database's clock decides windows and leases. Any node may die at any
//! moment: what it had leased is due again when its leases run out.

mod admit;
mod audits;
mod clock;
mod columns;
mod commands;
mod config;
mod connect;
mod deliveries;
mod fault;
mod figures;
mod follow;
mod history;
mod import;
mod inspect;
mod key;
mod lane_states;
mod ledger;
mod locks;
mod maintenance;
mod memory;
mod migrate;
mod node;
mod open;
mod order;
mod pages;
mod partitions;
mod people;
mod pool;
mod queue;
mod receiving;
mod replays;
mod requests;
mod retention;
mod rows;
mod scan;
mod sent;
mod shadows;
mod snapshot;
mod stats;
mod store;
mod text;
mod url;
mod worker;

pub use import::{Import, ImportError, Standing};
pub use inspect::inspect;
pub use migrate::Migrated;
pub use open::{OpenError, Options, migrate, reader, versions};
pub use partitions::Dropped;
pub use store::PostgresStore;
pub use url::{DatabaseUrl, UrlError};
