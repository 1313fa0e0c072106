//! What the tests share: the binary as a child, a client, a receiver that remembers, and waiting
//! with a deadline.

pub mod api;
pub mod eventually;
pub mod gateway;
pub mod http;
pub mod inputs;
pub mod raw;
pub mod receiver;

pub use api::{Api, Endpoint, Source};
pub use eventually::{DEADLINE, eventually, eventually_ok};
pub use gateway::Gateway;
pub use http::Answer;
pub use receiver::{Delivered, Receiver, Reply};
