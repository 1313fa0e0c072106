//! For those who receive webhooks: each event has its effect once.
//!
//! Webhooks come at least once, and a receiver that marks an event first and works after loses it
//! for ever when it dies in between. This kit claims an event in the store that you already run,
//! lets your handler work, and records the end; a repeat gets the first answer, a crash frees the
//! event as soon as a short lease has lapsed, and who was overtaken can record nothing.
//!
//! Two modes, and what they promise:
//!
//! - **In your transaction** (`begin_in` of [`postgres`], [`sqlx`], [`mysql`], [`sqlite`]): record
//!   and effect are one commit, so that the effect happens *exactly once*. `once_by_constraint` is
//!   the same with a unique constraint of your own, and no table of ours.
//! - **Leased** ([`Receiver::once`](kit::Receiver::once), in every store): nothing is lost. The
//!   effect happens *at least once*: again only where a process dies, or a lease lapses, between
//!   the effect and its completion. [`Work::step`](once::Work::step) keeps what was done, and gives
//!   every call to another system a key that makes a repeat one effect there.
//!
//! | store | feature | what it remembers | in a transaction | whose clock |
//! |---|---|---|---|---|
//! | [`postgres`], [`sqlx`] | `postgres`, `sqlx` | durably | yes | the server's |
//! | [`mysql`] | `mysql` | durably | yes | the server's |
//! | [`sqlite`] | `sqlite` | durably, on one machine | yes | the process's |
//! | [`redis`] | `redis` | while the primary lives | no | the server's |
//! | [`memcached`] | `memcached` | until it is evicted | no | the process's |
//! | [`remote`], a gateway's claim API | `remote` | durably | no | the gateway's store's |
//! | [`memory`] | `memory` | until the process ends | no | the process's |
//!
//! The feature `layer` brings a tower layer ([`layer`]) that verifies signatures, derives keys and
//! answers. No feature is on by itself.
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
//! use hooklatch_receiver::kit::{Delivery, Receiver};
//! use hooklatch_receiver::memory::MemoryStore;
//! use hooklatch_receiver::once::Outcome;
//! use hooklatch_receiver::run::Settings;
//!
//! let receiver = Receiver::new(MemoryStore::new(), Settings::default());
//! let scope = Scope { source: "stripe", consumer: "billing", ..Scope::default() };
//! let key = ScopeKey::derive(&scope, &["evt_1042"])?;
//! let delivery = Delivery::new(key, Fingerprint::of(b"the body"));
//! let outcome = receiver
//!     .once(delivery, async |_work| Ok(b"charged".to_vec()))
//!     .await?;
//! assert!(matches!(outcome, Outcome::Ran { .. }));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "memory"))]
//! # fn main() {}
//! ```
//!
//! [`machine`] holds the rules, as plain functions; `vectors/receiver.json` states them as data,
//! and every store here, and every kit in another language, runs that file.

pub mod event;
pub mod kit;
#[cfg(feature = "layer")]
pub mod layer;
#[cfg(feature = "memcached")]
pub mod memcached;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod once;
#[cfg(any(feature = "postgres", feature = "sqlx"))]
mod pg_sql;
#[cfg(any(feature = "postgres", feature = "sqlx"))]
mod pg_wait;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "remote")]
pub mod remote;
pub mod run;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlx")]
pub mod sqlx;
pub mod store;
mod table;
pub mod token;

#[cfg(any(
    feature = "memcached",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite",
    feature = "sqlx"
))]
use hooklatch_core::receiving::raw;
pub use hooklatch_core::receiving::{claim, key, limits, machine, record};
