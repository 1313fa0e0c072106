//! What a node keeps in memory beside any store. It holds no truth: all of it is found again in
//! the store, and a node without it is only slower.

mod answered;
mod cache;
mod lanes;
pub mod sums;

pub use answered::Answered;
pub use cache::ParcelCache;
pub use lanes::{FULL_WAIT_MIN, LaneChange, Lanes};
