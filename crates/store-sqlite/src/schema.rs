//! The file: its tables, its settings, its version.
//!
//! The rule behind every table: what is accepted is appended at the right edge, so that no page
//! in the middle of a large tree is written before a request is answered. The one exception is
//! the claim, because its uniqueness rests on a constraint in this file and on nothing else.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::fault::Fault;
use crate::{receiving, shadows};

/// The version of the tables. A file with a larger one is refused.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// Marks the file as ours for `file(1)` and for people: "HkLt".
const APPLICATION_ID: i64 = 0x486b_4c74;

/// Pages of 4 KiB: larger ones write more bytes for each random claim.
const PAGE_BYTES: i64 = 4096;

/// The log keeps its length up to this.
const LOG_BYTES_KEPT: i64 = 256 << 20;

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- `request` is set where the message was released and so has another number than its request.
-- `deliveries` counts those that follow the message's id without a gap; others are in `strays`.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, project INTEGER, request INTEGER, source INTEGER, tenant TEXT,
    event_type TEXT, received INTEGER, decided INTEGER, routed INTEGER, deliveries INTEGER,
    checksum BLOB, fingerprint BLOB, meta TEXT
);
CREATE TABLE strays (message INTEGER, delivery INTEGER, PRIMARY KEY (message, delivery))
    WITHOUT ROWID;

-- What a request carried, by the number of the message or request. The elements of a split
-- request share the envelope of the first: `shared` names it.
CREATE TABLE payloads (id INTEGER PRIMARY KEY, shared INTEGER, envelope TEXT, body BLOB);

-- Requests that did not become a message when they arrived.
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, project INTEGER, source INTEGER, outcome INTEGER, cause INTEGER,
    effect INTEGER, original INTEGER, released INTEGER, checksum BLOB, fingerprint BLOB,
    received INTEGER, meta TEXT, diff TEXT
);
CREATE INDEX requests_original ON requests (original, id) WHERE original IS NOT NULL;
CREATE INDEX requests_refused ON requests (id) WHERE outcome = 3;

-- `at` is when a pending delivery is due, when a lease ends, or when a final one ended. `token`
-- is the last attempt's number, before the first one the delivery's own: a row that keeps its
-- width is updated in its place.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, message INTEGER, project INTEGER, endpoint INTEGER,
    connection INTEGER, lane INTEGER, status INTEGER, at INTEGER, attempts INTEGER,
    trigger INTEGER, token INTEGER, started INTEGER, reason INTEGER, free_attempts INTEGER,
    since INTEGER, created INTEGER, suffix INTEGER
);
CREATE INDEX deliveries_due ON deliveries (lane, at, status) WHERE status <= 1;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, delivery INTEGER, message INTEGER, project INTEGER,
    endpoint INTEGER, number INTEGER, trigger INTEGER, outcome INTEGER, status_code INTEGER,
    started INTEGER, duration_ms INTEGER, fenced INTEGER, meta TEXT, body BLOB
);
CREATE INDEX attempts_delivery ON attempts (delivery, id);

-- The ledger: one table of claims for each generation. A generation is closed when it is large,
-- and dropped once its last window has ended.
CREATE TABLE generations (
    g INTEGER PRIMARY KEY, sealed INTEGER NOT NULL DEFAULT 0, last_expiry INTEGER, filter BLOB
);

-- What lists are filtered by, written late and in sorted slices. `mark` in `meta` says up to
-- which number it is complete.
CREATE TABLE listed (kind INTEGER, value INTEGER, id INTEGER, PRIMARY KEY (kind, value, id))
    WITHOUT ROWID;

CREATE TABLE config (
    kind INTEGER, number INTEGER, project INTEGER, name TEXT, document TEXT, revision INTEGER,
    PRIMARY KEY (kind, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX config_name ON config (kind, project, name) WHERE name IS NOT NULL;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, project INTEGER, at INTEGER, actor INTEGER, action TEXT,
    subject TEXT, reason TEXT
);
CREATE INDEX audit_project ON audit (project, id);
";

/// What came later, and what an older version neither needs nor minds: a file is given it when it is
/// opened.
///
/// The live leases of each lane are few, so their index costs a page or two that stay in memory.
const ADDITIONS: &str = "
CREATE INDEX IF NOT EXISTS deliveries_live ON deliveries (lane, at) WHERE status = 1;
-- Failed, held and cancelled ones are few: what goes well never touches their index.
CREATE INDEX IF NOT EXISTS deliveries_wrong ON deliveries (status, message) WHERE status >= 3;
-- What a connection's script made of a request, by the delivery that sends it.
CREATE TABLE IF NOT EXISTS transformed (delivery INTEGER PRIMARY KEY, headers TEXT, body BLOB);
-- What limits a lane beyond its concurrency: when its bucket is full again, and how it fares.
CREATE TABLE IF NOT EXISTS lanes (
    lane INTEGER PRIMARY KEY, full_at_us INTEGER NOT NULL DEFAULT 0, health TEXT
);
-- When payloads go whose senders said so.
CREATE TABLE IF NOT EXISTS payload_ends (at INTEGER, message INTEGER, PRIMARY KEY (at, message))
    WITHOUT ROWID;
-- Sums of what is settled, for each minute (level 1) and each hour (2); `at` in minutes since 1970.
-- `summed_arrivals` and `summed_attempts` in `meta` say up to which numbers. All of it can be made
-- again from history.
CREATE TABLE IF NOT EXISTS stats (
    project INTEGER, level INTEGER, at INTEGER, kind INTEGER, subject INTEGER, outcome INTEGER,
    why INTEGER, many INTEGER, millis INTEGER,
    PRIMARY KEY (project, level, at, kind, subject, outcome, why)
) WITHOUT ROWID;
-- Attempts that were recorded so late that their minute may be summed already.
CREATE TABLE IF NOT EXISTS stats_late (
    id INTEGER PRIMARY KEY, attempt INTEGER, project INTEGER, endpoint INTEGER, outcome INTEGER,
    trigger INTEGER, millis INTEGER, sign INTEGER
);
-- The last request of each source that was not refused, up to `summed_arrivals`.
CREATE TABLE IF NOT EXISTS stats_last (source INTEGER PRIMARY KEY, project INTEGER, id INTEGER);
-- Replays: what each is and how far it has come; `rest` is 1 while items of a cancelled one lie
-- about. A delivery of 0 stands for the message as a whole.
CREATE TABLE IF NOT EXISTS replays (
    id INTEGER PRIMARY KEY, project INTEGER, status INTEGER, digest TEXT, request_key TEXT,
    head TEXT, progress TEXT, holder INTEGER, held_until INTEGER, rest INTEGER
);
CREATE INDEX IF NOT EXISTS replays_project ON replays (project, id);
CREATE INDEX IF NOT EXISTS replays_moving ON replays (id) WHERE status <= 1;
CREATE INDEX IF NOT EXISTS replays_rest ON replays (id) WHERE rest = 1;
CREATE INDEX IF NOT EXISTS replays_unended ON replays (project, digest) WHERE status <= 3;
CREATE UNIQUE INDEX IF NOT EXISTS replays_key ON replays (project, request_key)
    WHERE request_key IS NOT NULL;
CREATE TABLE IF NOT EXISTS replay_items (
    replay INTEGER, message INTEGER, delivery INTEGER, PRIMARY KEY (replay, message, delivery)
) WITHOUT ROWID;
-- By which replay a delivery was last sent again; looked into only for lanes of replays.
CREATE TABLE IF NOT EXISTS replayed (delivery INTEGER PRIMARY KEY, replay INTEGER);
-- How a thing was before and after a change, by the number of the line in `audit`.
CREATE TABLE IF NOT EXISTS audit_details (id INTEGER PRIMARY KEY, before TEXT, after TEXT);
-- When API keys were last used, to the minute.
CREATE TABLE IF NOT EXISTS key_used (key INTEGER PRIMARY KEY, at INTEGER);
";

/// A column that came later, and what rests on it. Only deliveries that have not ended are in the
/// index, and of them only those that go one after the other.
const ORDER_KEY: &str = "
ALTER TABLE deliveries ADD COLUMN order_key INTEGER;
CREATE INDEX deliveries_ordered ON deliveries (order_key, id)
    WHERE order_key IS NOT NULL AND status IN (0, 1, 4);
";

/// What stops a file from being opened, beside SQLite's own errors.
pub(crate) enum Unsuitable {
    /// It was written by a newer version.
    Newer(i64),
    /// SQLite failed.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Unsuitable {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Opens a connection that may write.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, Fault> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // The log is overwritten from its beginning, which is cheaper than to let it grow anew.
    db.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    db.pragma_update(None, "cache_size", -16_384)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    settle(&db, 256)?;
    Ok(db)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "query_only", 1)?;
    db.pragma_update(None, "cache_size", -8_192)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    settle(&db, 128)?;
    Ok(db)
}

/// What every connection has in common.
fn settle(db: &Connection, statements: usize) -> Result<(), Fault> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(statements);
    // Without this, SQLite plans many a statement anew whenever a parameter is bound, to see
    // whether its value suggests another plan: a sixth of the writer's time.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Makes the tables of a new file, and refuses one from a newer version.
pub(crate) fn prepare(db: &Connection) -> Result<(), Unsuitable> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        return Err(Unsuitable::Newer(version));
    }
    if version == 0 {
        let made = db.unchecked_transaction()?;
        db.execute_batch(TABLES)?;
        // The secret keeps strangers from choosing keys that collide in the filters.
        db.execute("INSERT INTO meta VALUES ('secret', randomblob(32))", [])?;
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        made.commit()?;
    }
    db.execute_batch(ADDITIONS)?;
    if !has_column(db, "deliveries", "order_key")? {
        let added = db.unchecked_transaction()?;
        db.execute_batch(ORDER_KEY)?;
        added.commit()?;
    }
    db.execute_batch(receiving::TABLES)?;
    db.execute_batch(shadows::TABLES)?;
    Ok(())
}

fn has_column(db: &Connection, table: &str, column: &str) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
    Ok(db.query_row(sql, [table, column], |row| row.get(0))?)
}

/// The secret of this file's hashes.
pub(crate) fn secret(db: &Connection) -> Result<[u8; 32], Fault> {
    let sql = "SELECT value FROM meta WHERE name = 'secret'";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bundled_sqlite_has_the_fix_for_concurrent_checkpoints() {
        assert!(rusqlite::version_number() >= 3_051_003);
    }
}
