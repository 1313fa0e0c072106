//! What the other tests from outside have already: a client, and waiting with a deadline.

#![expect(dead_code, reason = "this binary needs a part of what is shared")]

#[path = "../e2e/support/api.rs"]
pub mod api;
#[path = "../e2e/support/eventually.rs"]
pub mod eventually;
#[path = "../e2e/support/http.rs"]
pub mod http;

pub use eventually::DEADLINE;
