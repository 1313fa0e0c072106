//! What moves from one store to another, table by table and row by row, in the stored encodings of
//! [`crate::record`]: nothing is interpreted on the way, so nothing can be misread.
//!
//! A row is its values in the order of the table's columns. Rows are told apart by a cursor, which
//! grows from row to row, so that a copy that was interrupted goes on where it stopped. What was
//! copied is compared by counts and by a sum of digests, which does not depend on the order.

use std::ops::AddAssign;

use sha2::{Digest, Sha256};

/// What can stand in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number; 0 or 1 where the column says yes or no.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What a column holds, where it holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Integer,
    /// Yes or no.
    Flag,
    /// A text in which strangers may have written anything.
    Text,
    /// A text that we have written as JSON.
    Json,
    /// Bytes.
    Bytes,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What is copied, in this order: whatever a row names is there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Configuration.
    Config,
    /// Who changed what.
    Audit,
    /// Envelopes and bodies of messages and requests.
    Payloads,
    /// Messages.
    Messages,
    /// Requests that became no message.
    Requests,
    /// Requests that were refused, with their envelopes.
    Refused,
    /// Deliveries.
    Deliveries,
    /// Deliveries that do not follow their message's number.
    Strays,
    /// Attempts that have ended.
    Attempts,
    /// When payloads go whose senders said so.
    PayloadEnds,
    /// What scripts made of requests, for the deliveries that send it.
    Transformed,
    /// Claims that protect their key.
    Claims,
    /// How things were before and after they were changed, by the line of the audit log.
    AuditDetails,
    /// When API keys were last used.
    KeyUsed,
    /// How lanes fare: what their circuits and their time of failing rest on.
    LaneHealth,
    /// The claims of receivers.
    ReceiverClaims,
    /// The steps that receivers have kept under their claims.
    ReceiverSteps,
    /// Replays, and how far they have come.
    Replays,
    /// What replays have still to do.
    ReplayItems,
    /// By which replay a delivery was last sent again.
    Replayed,
    /// Sums of what is settled. They outlive the history that they were made from.
    Stats,
    /// What is still to be added to the sums.
    StatsLate,
    /// The last request of each source.
    StatsLast,
    /// How far counters and sums have come.
    Marks,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

macro_rules! columns {
    ($($name:literal $kind:ident),+ $(,)?) => {
        const { &[$(column($name, Kind::$kind)),+] }
    };
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 24] = [
        Self::Config,
        Self::Audit,
        Self::Payloads,
        Self::Messages,
        Self::Requests,
        Self::Refused,
        Self::Deliveries,
        Self::Strays,
        Self::Attempts,
        Self::PayloadEnds,
        Self::Transformed,
        Self::Claims,
        Self::AuditDetails,
        Self::KeyUsed,
        Self::LaneHealth,
        Self::ReceiverClaims,
        Self::ReceiverSteps,
        Self::Replays,
        Self::ReplayItems,
        Self::Replayed,
        Self::Stats,
        Self::StatsLate,
        Self::StatsLast,
        Self::Marks,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Audit => "audit",
            Self::Payloads => "payloads",
            Self::Messages => "messages",
            Self::Requests => "requests",
            Self::Refused => "refused",
            Self::Deliveries => "deliveries",
            Self::Strays => "strays",
            Self::Attempts => "attempts",
            Self::PayloadEnds => "payload_ends",
            Self::Transformed => "transformed",
            Self::Claims => "claims",
            Self::AuditDetails => "audit_details",
            Self::KeyUsed => "key_used",
            Self::LaneHealth => "lane_health",
            Self::ReceiverClaims => "receiver_claims",
            Self::ReceiverSteps => "receiver_steps",
            Self::Replays => "replays",
            Self::ReplayItems => "replay_items",
            Self::Replayed => "replayed",
            Self::Stats => "stats",
            Self::StatsLate => "stats_late",
            Self::StatsLast => "stats_last",
            Self::Marks => "marks",
        }
    }

    /// What a row consists of.
    #[expect(
        clippy::too_many_lines,
        reason = "one line for each column of each table"
    )]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Config => columns![
                "kind" Integer, "number" Integer, "project" Integer, "name" Text,
                "document" Json, "revision" Integer,
            ],
            Self::Audit => columns![
                "id" Integer, "project" Integer, "at" Integer, "actor" Integer, "action" Text,
                "subject" Text, "reason" Text,
            ],
            Self::Payloads => columns![
                "id" Integer, "shared" Integer, "envelope" Json, "body" Bytes,
            ],
            Self::Messages => columns![
                "id" Integer, "project" Integer, "request" Integer, "source" Integer,
                "tenant" Text, "event_type" Text, "received" Integer, "decided" Integer,
                "routed" Flag, "deliveries" Integer, "checksum" Bytes, "fingerprint" Bytes,
                "meta" Json,
            ],
            Self::Requests => columns![
                "id" Integer, "project" Integer, "source" Integer, "outcome" Integer,
                "cause" Integer, "effect" Integer, "original" Integer, "released" Integer,
                "checksum" Bytes, "fingerprint" Bytes, "received" Integer, "meta" Json,
                "diff" Json,
            ],
            Self::Refused => columns![
                "id" Integer, "project" Integer, "source" Integer, "received" Integer,
                "meta" Json, "envelope" Json,
            ],
            Self::Deliveries => columns![
                "id" Integer, "message" Integer, "project" Integer, "endpoint" Integer,
                "connection" Integer, "lane" Integer, "status" Integer, "at" Integer,
                "attempts" Integer, "trigger" Integer, "token" Integer, "started" Integer,
                "reason" Integer, "free_attempts" Integer, "since" Integer, "created" Integer,
                "suffix" Flag, "order_key" Integer,
            ],
            Self::Strays => columns!["message" Integer, "delivery" Integer],
            Self::PayloadEnds => columns!["at" Integer, "message" Integer],
            Self::Attempts => columns![
                "id" Integer, "delivery" Integer, "message" Integer, "project" Integer,
                "endpoint" Integer, "number" Integer, "trigger" Integer, "outcome" Integer,
                "status_code" Integer, "started" Integer, "duration_ms" Integer, "fenced" Flag,
                "meta" Json, "body" Bytes,
            ],
            Self::Transformed => columns!["delivery" Integer, "headers" Json, "body" Bytes],
            Self::Claims => columns![
                "checksum" Bytes, "scope" Text, "variant" Bytes, "kind" Integer,
                "project" Integer, "parts" Json, "message" Integer, "fingerprint" Bytes,
                "first_seen" Integer, "expires" Integer,
            ],
            Self::AuditDetails => columns!["id" Integer, "before" Json, "after" Json],
            Self::KeyUsed => columns!["key" Integer, "at" Integer],
            Self::LaneHealth => columns!["lane" Integer, "health" Json],
            Self::ReceiverClaims => columns![
                "project" Integer, "hash" Bytes, "scope" Text, "key" Text, "lease" Integer,
                "retention" Integer, "state" Integer, "until" Integer, "token" Bytes,
                "fence" Integer, "epoch" Integer, "generation" Integer, "origin" Integer,
                "fingerprint" Bytes, "attempt" Integer, "error" Text, "provider" Text,
                "event_type" Text, "received" Integer, "result" Bytes,
            ],
            Self::ReceiverSteps => columns![
                "project" Integer, "hash" Bytes, "generation" Integer, "name" Text,
                "result" Bytes,
            ],
            Self::Replays => columns![
                "id" Integer, "project" Integer, "status" Integer, "digest" Text,
                "request_key" Text, "head" Json, "progress" Json, "holder" Integer,
                "held_until" Integer, "rest" Flag,
            ],
            Self::ReplayItems => columns![
                "replay" Integer, "message" Integer, "delivery" Integer,
            ],
            Self::Replayed => columns!["delivery" Integer, "replay" Integer],
            Self::Stats => columns![
                "project" Integer, "level" Integer, "at" Integer, "kind" Integer,
                "subject" Integer, "outcome" Integer, "why" Integer, "many" Integer,
                "millis" Integer,
            ],
            Self::StatsLate => columns![
                "attempt" Integer, "project" Integer, "endpoint" Integer, "outcome" Integer,
                "trigger" Integer, "millis" Integer, "sign" Integer,
            ],
            Self::StatsLast => columns!["source" Integer, "project" Integer, "id" Integer],
            Self::Marks => columns!["name" Text, "value" Integer],
        }
    }
}

/// The marks that are copied: the largest fence that a receiver's claim was given, and up to which
/// numbers requests and attempts are summed.
pub const MARKS: [&str; 3] = ["receiver_fence", "summed_arrivals", "summed_attempts"];

/// One row, in the order of its table's columns.
pub type Row = Vec<Value>;

/// Where a row stands in its table's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The number by which rows are sorted.
    pub first: i64,
    /// The number by which those are that share the first; else 0.
    pub second: i64,
}

impl Cursor {
    /// Before every row.
    pub const MIN: Self = Self {
        first: i64::MIN,
        second: i64::MIN,
    };
}

/// Some rows that follow each other.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The rows; none at the end of the table.
    pub rows: Vec<Row>,
    /// Where the last of them stands.
    pub last: Cursor,
}

impl Chunk {
    /// What comes after the last row.
    pub const fn end() -> Self {
        Self {
            rows: Vec::new(),
            last: Cursor::MIN,
        }
    }
}

/// How many rows there are, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    /// The sum of the first 16 bytes of the SHA-256 of each row, modulo 2^128.
    pub sum: u128,
}

impl Tally {
    /// The tally of one row.
    pub fn of(row: &[Value]) -> Self {
        let mut digest = Sha256::new();
        for value in row {
            match value {
                Value::Null => digest.update([0]),
                Value::Integer(number) => {
                    digest.update([1]);
                    digest.update(number.to_be_bytes());
                }
                Value::Text(text) => add_bytes(&mut digest, 2, text.as_bytes()),
                Value::Bytes(bytes) => add_bytes(&mut digest, 3, bytes),
            }
        }
        let digest: [u8; 32] = digest.finalize().into();
        let (half, _) = digest.split_at(16);
        Self {
            rows: 1,
            sum: u128::from_be_bytes(half.try_into().expect("half of 32 bytes are 16")),
        }
    }
}

/// With its length, so that the end of one value is never taken for the begin of the next.
fn add_bytes(digest: &mut Sha256, kind: u8, bytes: &[u8]) {
    digest.update([kind]);
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: &[Row]) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            tally += Tally::of(row);
        }
        tally
    }

    #[test]
    fn a_tally_does_not_depend_on_the_order_of_rows_and_does_on_everything_else() {
        let text = |text: &str| Value::Text(text.to_owned());
        let one = vec![text("ab"), text("c"), Value::Null];
        let two = vec![Value::Integer(1), Value::Bytes(vec![1])];
        let both = tally(&[one.clone(), two.clone()]);
        assert_eq!(both, tally(&[two.clone(), one.clone()]));
        assert_eq!(both.rows, 2);
        let moved = vec![text("a"), text("bc"), Value::Null];
        assert_ne!(both, tally(&[moved, two.clone()]));
        let other_kind = vec![Value::Integer(1), text("\u{1}")];
        assert_ne!(both, tally(&[one.clone(), other_kind]));
        assert_ne!(both, tally(&[one.clone(), one.clone()]));
        // Two rows that are there twice do not cancel each other out.
        assert_ne!(tally(&[one.clone(), one.clone()]).sum, 0);
        assert_ne!(tally(&[one.clone(), one, two.clone(), two]).sum, both.sum);
    }

    #[test]
    fn every_table_has_columns_of_different_names() {
        for table in Table::ALL {
            let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
            for (n, name) in names.iter().enumerate() {
                assert!(!names[..n].contains(name), "{}.{name}", table.name());
            }
        }
    }
}
