//! The outbox in SQLite.
//!
//! SQLite has one writer, so that rows are not locked while they are sent: two relays on one file may
//! both send the same row, which is one message by its key.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, TransactionBehavior, params};

use super::sealed::Rows;
use super::{
    EnqueueError, Outbox, Queued, Refused, RelayError, RelaySettings, Relayed, Row, Verdict,
    fitting, send, written,
};
use crate::{Client, NewMessage};

/// The table. Running it again changes nothing. Times are milliseconds since 1970.
pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS hooklatch_outbox (
    -- Never given out twice, so that a mark cannot meet another row.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT    NOT NULL,
    -- One item of POST /v1/webhooks/send/batch, in JSON.
    item            TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_at         INTEGER NOT NULL DEFAULT 0,
    -- Refused for good: it waits for a person.
    refused_at      INTEGER,
    error           TEXT,
    queued_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS hooklatch_outbox_waiting
    ON hooklatch_outbox (id) WHERE refused_at IS NULL;
";

/// How long a write waits for another one.
const BUSY_MAX: Duration = Duration::from_secs(5);

const ENQUEUE: &str =
    "INSERT INTO hooklatch_outbox (idempotency_key, item, queued_at) VALUES (?1, ?2, ?3)";

const TAKE: &str = "\
SELECT id, attempts, item FROM hooklatch_outbox \
WHERE refused_at IS NULL AND next_at <= ?1 ORDER BY id LIMIT ?2";

const SENT: &str = "DELETE FROM hooklatch_outbox WHERE id = ?1";

const REFUSED: &str = "\
UPDATE hooklatch_outbox SET refused_at = ?2, attempts = attempts + 1, error = ?3 WHERE id = ?1";

const POSTPONED: &str = "\
UPDATE hooklatch_outbox SET next_at = ?2, attempts = attempts + 1, error = ?3 WHERE id = ?1";

const LIST: &str = "\
SELECT id, idempotency_key, item, COALESCE(error, '') FROM hooklatch_outbox \
WHERE refused_at IS NOT NULL ORDER BY id LIMIT ?1";

const AGAIN: &str = "\
UPDATE hooklatch_outbox SET refused_at = NULL, next_at = 0 \
WHERE id = ?1 AND refused_at IS NOT NULL";

/// Writes a message in the caller's own transaction: it is sent if that commits.
///
/// # Errors
/// The message cannot be kept, or the statement failed.
pub fn enqueue(tx: &Connection, message: &NewMessage) -> Result<Queued, EnqueueError> {
    let written = written(message)?;
    let enqueued = tx.prepare_cached(ENQUEUE).and_then(|mut enqueue| {
        enqueue.insert(params![written.idempotency_key, written.item, now_ms()])
    });
    Ok(Queued {
        id: enqueued.map_err(|error| EnqueueError::Database(error.into()))?,
        idempotency_key: written.idempotency_key,
    })
}

/// The outbox as its relay sees it, over a connection of its own.
#[derive(Clone)]
pub struct SqliteOutbox {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteOutbox {
    /// Opens a file, and makes the table unless it is there.
    ///
    /// # Errors
    /// It is no database, or cannot be written.
    pub fn open(file: &Path) -> Result<Self, RelayError> {
        let opened = Connection::open(file).and_then(|connection| {
            connection.busy_timeout(BUSY_MAX)?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        Ok(Self {
            connection: Arc::new(Mutex::new(opened.map_err(database)?)),
        })
    }

    /// What was refused for good, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn refused(&self, limit: u16) -> Result<Vec<Refused>, RelayError> {
        self.on_file(move |connection| {
            let mut list = connection.prepare_cached(LIST)?;
            let refused = list.query_map([limit], |row| {
                Ok(Refused {
                    id: row.get(0)?,
                    idempotency_key: row.get(1)?,
                    item: row.get(2)?,
                    error: row.get(3)?,
                })
            })?;
            refused.collect()
        })
        .await
    }

    /// Gives what was refused another chance; says whether there was such a row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn send_again(&self, id: i64) -> Result<bool, RelayError> {
        self.on_file(move |connection| Ok(connection.execute(AGAIN, [id])? == 1))
            .await
    }

    /// Work on the file, off the runtime's threads.
    async fn on_file<A: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<A> + Send + 'static,
    ) -> Result<A, RelayError> {
        let connection = Arc::clone(&self.connection);
        let task = tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = task
            .await
            .map_err(|error| RelayError::Database(error.into()))?;
        done.map_err(database)
    }
}

fn database(error: rusqlite::Error) -> RelayError {
    RelayError::Database(error.into())
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

fn take(connection: &Connection, limit: u16) -> rusqlite::Result<Vec<Row>> {
    let mut take = connection.prepare_cached(TAKE)?;
    let rows = take.query_map(params![now_ms(), limit], |row| {
        Ok(Row {
            id: row.get(0)?,
            attempts: row.get(1)?,
            item: row.get(2)?,
        })
    })?;
    rows.collect()
}

fn mark(connection: &mut Connection, marks: &[(i64, Verdict)]) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (id, verdict) in marks {
        match verdict {
            Verdict::Sent => tx.execute(SENT, [id])?,
            Verdict::Refused(error) => tx.execute(REFUSED, params![id, now_ms(), error])?,
            Verdict::Postponed(wait, error) => {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let next_at = now_ms().saturating_add(wait_ms);
                tx.execute(POSTPONED, params![id, next_at, error])?
            }
        };
    }
    tx.commit()
}

impl Outbox for SqliteOutbox {}

impl Rows for SqliteOutbox {
    async fn relay(
        &self,
        client: &Client,
        settings: &RelaySettings,
    ) -> Result<Relayed, RelayError> {
        let limit = settings.batch_max();
        let rows = self
            .on_file(move |connection| take(connection, limit))
            .await?;
        if rows.is_empty() {
            return Ok(Relayed::default());
        }
        let rows = fitting(rows, settings);
        let verdicts = send(client, settings, &rows).await?;
        let relayed = Relayed::of(&verdicts);
        let ids = rows.iter().map(|row| row.id);
        let marks: Vec<_> = ids.zip(verdicts).collect();
        self.on_file(move |connection| mark(connection, &marks))
            .await?;
        Ok(relayed)
    }
}
