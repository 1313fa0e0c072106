//! Every rule of hooklatch as plain functions on plain data.
//!
//! Facts in, decision out. Nothing in this crate reads a clock, draws a random number, opens a
//! file or a socket, or logs: times, randomness and limits are arguments. Stores and handlers
//! hold no rule; they load the facts, ask here, and write what the answer says.

mod digest;

pub mod address;
pub mod admission;
pub mod arrive;
pub mod backtest;
pub mod cause;
pub mod claim;
pub mod config;
pub mod delivery;
pub mod field;
pub mod filter;
pub mod fingerprint;
mod hex;
pub mod ids;
pub mod invariants;
pub mod json;
pub mod key;
pub mod limits;
pub mod location;
pub mod lookup;
pub mod message;
pub mod network;
pub mod oauth2;
pub mod outgoing;
pub mod provider;
pub mod receiving;
pub mod replay;
pub mod retention;
pub mod retry;
pub mod routing;
pub mod rules;
pub mod seal;
pub mod secret;
pub mod shadow;
pub mod signature;
pub mod time;
pub mod token;
pub mod trace;
pub mod transform;
pub mod verify;
pub mod window;
