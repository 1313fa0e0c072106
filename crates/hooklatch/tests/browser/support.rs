//! What the other tests from outside have already.

#![expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "this binary needs a part of what is shared"
)]

#[path = "../e2e/support/mod.rs"]
mod shared;

pub use shared::*;
