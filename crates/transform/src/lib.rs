//! Runs the scripts of connections, in processes that can be killed.
//!
//! A script is a stranger's program. The interrupt of an embedded engine cannot stop it for sure:
//! one call of a built-in function may run for minutes. So scripts run in worker processes, the
//! same binary under another command, which share nothing with the gateway but two pipes: no
//! environment, no files that they could open, no network. Whoever is not done at the deadline is
//! killed, and the next script gets a new process.
//!
//! [`Pool`] is the gateway's side, [`work`] the worker's.

mod frame;
mod pool;
mod script;
mod worker;

pub use pool::{Pool, PoolSettings};
pub use worker::work;
