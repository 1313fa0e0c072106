//! Who may run an event now, and what is remembered of it: the rules of the receiver kit (V1 to V6)
//! and of the gateway's claim API (L2), which are the same rules.
//!
//! A claim of this kind is a receiver's: the right to work on one event, under a lease. It is not
//! the ledger's claim ([`crate::claim`]), which binds a key to the message that it became.

pub mod call;
pub mod claim;
pub mod key;
pub mod limits;
pub mod machine;
pub mod raw;
pub mod record;
pub mod token;
