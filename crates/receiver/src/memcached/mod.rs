//! Memcached: better than nothing.
//!
//! What it promises: duplicates are suppressed while the item lives. A restart loses all, and a
//! full server evicts live claims, first of all in favour of other claims: eviction is by size, so
//! that results are kept in items of their own. Nothing is lost by that, but an event may run
//! twice. The processes' clocks end leases: a lease has to be longer than twice the largest skew
//! between them.
//!
//! Only `add` and `cas` write, never `set` and never `delete`: each would take no notice of who
//! holds the claim.

mod client;
mod codec;
mod store;

pub use store::MemcachedStore;
