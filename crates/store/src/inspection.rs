//! What a store looks like from outside, to whoever looks for what is wrong with it.

use hooklatch_core::time::Timestamp;

use crate::ConfigRecord;

/// Waiting deliveries that are counted; of more it is only said that there are more.
pub const WAITING_COUNTED_MAX: i64 = 100_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of the tables; 0 where there are none.
    pub schema: i64,
    /// The version that this program knows.
    pub known: i64,
    /// The configuration; nothing where the version is newer than this program.
    pub documents: Vec<ConfigRecord>,
    /// Deliveries that wait or are under way, at most [`WAITING_COUNTED_MAX`].
    pub waiting: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
    /// What time the store has, where it has a clock of its own.
    pub clock: Option<Timestamp>,
}

impl Inspection {
    /// One that has nothing but its versions.
    pub const fn of_version(schema: i64, known: i64) -> Self {
        Self {
            schema,
            known,
            documents: Vec::new(),
            waiting: 0,
            oldest: None,
            clock: None,
        }
    }
}
