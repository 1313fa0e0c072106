//! Tries a key rule on the past, without acting: what would have been suppressed, and was that right?
//!
//! A trial reads keys as the rule would have read them; a tally then goes through what was read in
//! the order in which it arrived, and counts. The two are apart because reading can be done on
//! several processors at once, and counting cannot. What a tally remembers of a key is a part of its
//! hash, a time and three numbers, so that a million of keys take about a hundred megabytes.

mod lint;
mod tally;
mod trial;

pub use lint::{Linted, lint};
pub use tally::{KEYS_MAX, Report, Room, Sample, Stored, Tally, Unkeyed};
pub use trial::{Read, Sight, Trial};
