//! What the tests share: the binary as a child, a client, a receiver that remembers, and waiting
//! with a deadline.

pub mod api;
pub mod data;
pub mod eventually;
pub mod gateway;
pub mod http;
pub mod inputs;
pub mod raw;
pub mod receiver;

pub use api::{Api, Endpoint, Source};
pub use data::{Backend, Data};
pub(crate) use data::{on_each_lasting_store, on_each_store, on_stores};
pub use eventually::{DEADLINE, eventually, eventually_ok};
pub use gateway::Gateway;
pub use http::Answer;
pub use receiver::{Delivered, Receiver, Reply};
