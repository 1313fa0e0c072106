//! A typed client of hooklatch's HTTP API, so that a program never has to build a request by hand.
//!
//! Its point is safe repetition. [`Client::send`] makes an idempotency key where the caller gives
//! none, so that a call whose answer was lost can be repeated: the gateway answers a repetition
//! with the original record and sends nothing (S2). Only calls that are safe to repeat are ever
//! repeated; the others fail at the first error.
//!
//! ```no_run
//! # async fn example() -> Result<(), hooklatch_client::Error> {
//! use hooklatch_client::{Client, NewMessage, Target};
//!
//! let client = Client::new("http://127.0.0.1:8420", "hl_0123456789abcdef0123456789abcdef")?;
//! let order = serde_json::json!({"order": 1001, "total": "12.50"});
//! let message = NewMessage::new(Target::Tenant("acme".into()), &order)?.event_type("order.paid");
//! let sent = client.send(&message).await?;
//! println!("{} is {}", sent.message.id, sent.message.status);
//! # Ok(())
//! # }
//! ```

mod backoff;
mod call;
mod claims;
mod client;
mod error;
mod gateway;
mod key;
mod operations;
#[cfg(any(feature = "outbox-postgres", feature = "outbox-sqlite"))]
pub mod outbox;
mod raw;
mod replays;
mod resources;
mod stream;
mod wire;

pub use backoff::Backoff;
pub use client::{BatchItem, Client, Sent};
pub use error::{Error, FieldProblem, Problem};
pub use gateway::StatsFilter;
pub use raw::Progress;
pub use resources::{AttemptFilter, MessageFilter, RequestFilter};
pub use stream::{Stream, StreamEvent, StreamFilter};
pub use wire::*;
