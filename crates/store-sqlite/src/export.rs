//! Takes everything out of a directory, table by table, for a copy into another store.
//!
//! No gateway has the directory meanwhile, so that all of it is of one moment however long the
//! copy takes, and however often it is interrupted.

use std::fs::File;
use std::path::Path;

use hooklatch_core::time::Timestamp;
use hooklatch_store::StoreError;
use hooklatch_store::transfer::{Chunk, Cursor, MARKS, Row, Table, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::filter::KeyHash;
use crate::{OpenError, open, schema};

/// Rows of one chunk.
const CHUNK_ROWS: i64 = 1_000;
/// Bytes after which a chunk ends.
const CHUNK_BYTES: usize = 4 << 20;

/// A directory whose data is taken out.
pub struct Export {
    db: Connection,
    // Held until the end.
    _lock: File,
    generations: Vec<i64>,
}

impl Export {
    /// Opens a directory. `now` is when its leases end at the latest: no process holds them.
    ///
    /// # Errors
    /// Where there is no data, a process has the directory, or it cannot be read.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, OpenError> {
        let (db, lock) = open::open_unserved(dir, now)?;
        let unreadable = |fault: Fault| OpenError::Unreadable {
            path: dir.to_owned(),
            source: Box::new(fault),
        };
        let generations = generations(&db).map_err(unreadable)?;
        let numbered = db.execute_batch(NUMBERED);
        numbered.map_err(|error| unreadable(error.into()))?;
        Ok(Self {
            db,
            _lock: lock,
            generations,
        })
    }

    /// A number that tells this directory's data from all other.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn identity(&self) -> Result<i64, StoreError> {
        let secret = schema::secret(&self.db)?;
        let hash = KeyHash::of_scope(&secret, "the identity of the file");
        Ok(hash.short() & i64::MAX)
    }

    /// How many rows a table has; of claims, those that protect their key at `cutoff`.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn count(&self, table: Table, cutoff: Timestamp) -> Result<u64, StoreError> {
        let mut rows = 0;
        for source in self.sources(table) {
            let sql = format!("SELECT COUNT(*) {}", source.from);
            let counted = self.count_one(&sql, source.after(Cursor::MIN), cutoff);
            rows += counted?;
        }
        Ok(rows)
    }

    fn count_one(&self, sql: &str, after: Cursor, cutoff: Timestamp) -> Result<u64, Fault> {
        let row = params![after.first, after.second, cutoff.as_millis()];
        let rows: i64 = self.db.query_row(sql, row, |row| row.get(0))?;
        Ok(rows.unsigned_abs())
    }

    /// The rows that come after a cursor, some at a time.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn chunk(
        &self,
        table: Table,
        after: Cursor,
        cutoff: Timestamp,
    ) -> Result<Chunk, StoreError> {
        for source in self.sources(table) {
            if source.first.is_some_and(|first| first < after.first) {
                continue;
            }
            let chunk = self.chunk_of(table, &source, source.after(after), cutoff)?;
            if !chunk.rows.is_empty() {
                return Ok(chunk);
            }
        }
        Ok(Chunk::end())
    }

    fn chunk_of(
        &self,
        table: Table,
        source: &Source,
        after: Cursor,
        cutoff: Timestamp,
    ) -> Result<Chunk, Fault> {
        let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
        let names = names.join(", ");
        let [first, second] = source.sorted;
        let from = &source.from;
        let sql =
            format!("SELECT {first}, {second}, {names} {from} ORDER BY 1, 2 LIMIT {CHUNK_ROWS}");
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(params![after.first, after.second, cutoff.as_millis()])?;
        let (mut chunk, mut bytes) = (Chunk::end(), 0);
        while let Some(row) = rows.next()? {
            let mut values = Row::with_capacity(table.columns().len());
            for column in 0..table.columns().len() {
                let value = value(row.get_ref(column + 2)?)?;
                bytes += size(&value);
                values.push(value);
            }
            chunk.rows.push(values);
            chunk.last = Cursor {
                first: source.first.map_or_else(|| row.get(0), Ok)?,
                second: row.get(1)?,
            };
            if bytes > CHUNK_BYTES {
                break;
            }
        }
        Ok(chunk)
    }

    /// Where the rows of a table lie.
    fn sources(&self, table: Table) -> Vec<Source> {
        match table {
            Table::Config => vec![Source {
                from: "FROM config WHERE (kind, number) > (?1, ?2) AND ?3 IS NOT NULL".into(),
                sorted: ["kind", "number"],
                first: None,
            }],
            Table::Strays => vec![Source {
                from: "FROM strays WHERE (message, delivery) > (?1, ?2) AND ?3 IS NOT NULL".into(),
                sorted: ["message", "delivery"],
                first: None,
            }],
            Table::PayloadEnds => vec![Source {
                from: "FROM payload_ends WHERE (at, message) > (?1, ?2) AND ?3 IS NOT NULL".into(),
                sorted: ["at", "message"],
                first: None,
            }],
            Table::Audit | Table::Messages | Table::Deliveries | Table::Attempts => {
                vec![by(table.name(), "id")]
            }
            Table::Payloads => vec![by("payloads", "id").and(
                "NOT EXISTS (SELECT 1 FROM requests refused \
                 WHERE refused.id = payloads.id AND refused.outcome = 3)",
            )],
            Table::Requests => vec![by("requests", "id").and("outcome <> 3")],
            Table::Refused => {
                vec![by("requests JOIN payloads USING (id)", "id").and("outcome = 3")]
            }
            Table::Claims => self.generations.iter().map(|g| of_generation(*g)).collect(),
            Table::Transformed | Table::Replayed => vec![by(table.name(), "delivery")],
            Table::AuditDetails | Table::ReceiverClaims | Table::Replays | Table::StatsLate => {
                vec![by(table.name(), "id")]
            }
            Table::KeyUsed => vec![by("key_used", "key")],
            Table::StatsLast => vec![by("stats_last", "source")],
            Table::LaneHealth => vec![by(WITH_HEALTH, "lane")],
            Table::ReceiverSteps => vec![by(STEPS, "place")],
            Table::ReplayItems => vec![by("temp.numbered_items", "rowid")],
            Table::Stats => vec![by("temp.numbered_stats", "rowid")],
            Table::Marks => vec![by(&marks(), "place")],
        }
    }
}

/// Numbers what has no number of its own and is larger than a cursor. It lies beside the file, is
/// gone with the connection, and is the same each time, because the file is.
const NUMBERED: &str = "
CREATE TEMP TABLE numbered_items AS SELECT * FROM replay_items
    ORDER BY replay, message, delivery;
CREATE TEMP TABLE numbered_stats AS SELECT * FROM stats
    ORDER BY project, level, at, kind, subject, outcome, why;
";

/// A bucket is full again after moments; how the lane fares is learnt more slowly.
const WITH_HEALTH: &str = "(SELECT lane, health FROM lanes WHERE health IS NOT NULL)";

/// Steps under the name by which others know the claim.
const STEPS: &str = "(SELECT s.rowid AS place, c.project, c.hash, s.generation, s.name, s.result \
                     FROM receiver_steps s JOIN receiver_claims c ON c.id = s.claim)";

/// The marks; what was never marked is at its beginning.
fn marks() -> String {
    let mark = |(place, name)| {
        format!(
            "SELECT {place} AS place, '{name}' AS name, \
             COALESCE((SELECT value FROM meta WHERE name = '{name}'), 0) AS value"
        )
    };
    let marks: Vec<String> = MARKS.iter().enumerate().map(mark).collect();
    format!("({})", marks.join(" UNION ALL "))
}

/// What is sorted by one number. Every statement takes the same three parameters.
fn by(from: &str, number: &'static str) -> Source {
    Source {
        from: format!("FROM {from} WHERE {number} > ?1 AND ?2 IS NOT NULL AND ?3 IS NOT NULL"),
        sorted: [number, "0"],
        first: None,
    }
}

/// One table of the file, or a part of one.
struct Source {
    /// From where, with the cursor in `?1` and `?2` and the cutoff in `?3`.
    from: String,
    /// By which columns its rows are sorted.
    sorted: [&'static str; 2],
    /// The first number of every row's cursor, where no column has it.
    first: Option<i64>,
}

impl Source {
    /// Those of its rows that this holds of.
    fn and(self, condition: &str) -> Self {
        let from = format!("{} AND {condition}", self.from);
        Self { from, ..self }
    }

    /// From where to go on in it.
    fn after(&self, after: Cursor) -> Cursor {
        match self.first {
            Some(first) if first != after.first => Cursor::MIN,
            Some(_) | None => after,
        }
    }
}

fn of_generation(g: i64) -> Source {
    Source {
        from: format!("FROM claims_{g} WHERE id > ?2 AND ?1 IS NOT NULL AND expires > ?3"),
        sorted: ["0", "id"],
        first: Some(g),
    }
}

fn generations(db: &Connection) -> Result<Vec<i64>, Fault> {
    let mut statement = db.prepare("SELECT g FROM generations ORDER BY g")?;
    let numbers = statement.query_map([], |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn value(found: ValueRef<'_>) -> Result<Value, Fault> {
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => return Err(Fault::unreadable("a text that is not UTF-8")),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Fault::unreadable("a number with a fraction")),
    })
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Integer(_) => 8,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}
