//! Memcached: better than nothing.
//!
//! What it promises: duplicates are suppressed while the item lives. A restart loses all, and a
//! full server evicts live claims, first of all in favour of other claims: eviction is by size, so
//! that results are kept in items of their own. Nothing is lost by that, but an event may run
//! twice. The processes' clocks end leases: a lease has to be longer than twice the largest skew
//! between them.
//!
//! Items are added where there is none, or swapped for a version that is known; never merely set, and
//! never deleted: that would take no notice of who holds the claim. It needs Memcached 1.6.10 or
//! later, for its meta commands: they tell the version of what they write, so that an event that
//! nobody else touches is two round trips, one to claim it and one to complete it.

mod client;
mod codec;
mod known;
mod store;

pub use store::MemcachedStore;
