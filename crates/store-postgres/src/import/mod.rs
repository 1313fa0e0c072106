//! Takes in what another store held, table by table, so that a copy that was cut off goes on where
//! it stopped: how far it has come moves in the transaction that brings the rows.
//!
//! Until everything is there no gateway opens the database. What is there is read back and summed
//! up as its source is, so that nobody has to believe that it is the same.

mod read;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;

use futures_util::TryStreamExt;
use hooklatch_core::time::Timestamp;
use hooklatch_store::transfer::{Chunk, Cursor, Row, Table, Tally, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use crate::OpenError;
use crate::connect::Connector;
use crate::fault::Fault;
use crate::migrate;
use crate::node::CHANGE;
use crate::partitions::{self, Day};
use crate::url::DatabaseUrl;

/// The lock of whoever copies: "hooklatch copies".
const LOCK: i64 = 0x686b_6c74_636f_7079;
/// The name of the row that says what is copied.
const SOURCE: &str = "source";
/// `rows` of that row when the copy is complete.
const COMPLETE: i64 = 1;
/// Rows between two tellings of how far the reading back has come.
const TOLD_EVERY: u64 = 1_000;

/// A database that takes in what another store held.
pub struct Import {
    client: Client,
    cutoff: Timestamp,
    complete: bool,
    standings: HashMap<Table, Standing>,
}

/// How far the copy of a table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where its last copied row stands in the source.
    pub last: Cursor,
    /// How many rows are copied.
    pub rows: u64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            last: Cursor::MIN,
            rows: 0,
        }
    }
}

/// Why something was not taken in. No text of it holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database cannot be used at all.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another copy goes on at the same time.
    #[error("another copy into this database is under way")]
    Busy,
    /// There is something in it already that no copy brought.
    #[error("the database holds data of hooklatch already: copy into an empty one")]
    NotEmpty,
    /// It is the copy of something else.
    #[error("what was copied into this database, whole or in part, came from another directory")]
    OtherSource,
    /// The database failed or refused. What was brought in before stays, and a copy that is run
    /// again goes on from there.
    #[error("the database did not do what the copy needs")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl From<Fault> for ImportError {
    fn from(fault: Fault) -> Self {
        Self::Refused(Box::new(fault))
    }
}

impl From<tokio_postgres::Error> for ImportError {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::from(error).into()
    }
}

impl Import {
    /// Brings the tables to this version, and begins to copy from the data with this identity or
    /// goes on with it. `now` is the time as of which claims are taken, unless that was settled
    /// before or the database's clock shows less.
    ///
    /// # Errors
    /// Where the database cannot be used, holds other data, or another copy is under way.
    pub async fn open(
        url: &DatabaseUrl,
        identity: i64,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let connector = Connector::new(url).map_err(OpenError::Certificates)?;
        migrate::migrate(&connector).await?;
        let client = connector.connect().await.map_err(OpenError::unreachable)?;
        lock(&client).await?;
        let source = match find(&client).await? {
            Some(found) if found.identity != identity => return Err(ImportError::OtherSource),
            Some(found) => found,
            None => begin(&client, identity, now).await?,
        };
        let standings = standings(&client).await?;
        Ok(Self {
            client,
            cutoff: source.cutoff,
            complete: source.complete,
            standings,
        })
    }

    /// The time as of which claims are taken: the same however often the copy is interrupted.
    pub const fn cutoff(&self) -> Timestamp {
        self.cutoff
    }

    /// Whether the copy was complete before, so that the database may have gone on since.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// How far a table has come.
    pub fn standing(&self, table: Table) -> Standing {
        self.standings.get(&table).copied().unwrap_or_default()
    }

    /// Takes in the rows that come next in a table, in one transaction.
    ///
    /// # Errors
    /// Where a row does not fit its table, or the database fails; then none of them is there.
    pub async fn take(&mut self, table: Table, chunk: &Chunk) -> Result<(), ImportError> {
        assert!(!self.complete, "a complete copy takes nothing more");
        let standing = self.standing(table);
        assert!(chunk.last > standing.last, "{table:?}: a row came twice");
        partitions::ensure_days(&self.client, &days(table, &chunk.rows)).await?;
        let inserts = write::inserts(table, &chunk.rows)?;
        let next = Standing {
            last: chunk.last,
            rows: standing.rows + chunk.rows.len() as u64,
        };
        let transaction = self.client.transaction().await?;
        for insert in &inserts {
            let arrays = insert.params();
            transaction.execute_typed(&insert.sql, &arrays).await?;
        }
        move_to(&transaction, table, next).await?;
        transaction.commit().await?;
        self.standings.insert(table, next);
        Ok(())
    }

    /// Reads a table back, and tells now and then how many rows more have been read.
    ///
    /// # Errors
    /// Where the database fails or something in it cannot be read.
    pub async fn tally(
        &self,
        table: Table,
        mut told: impl FnMut(u64),
    ) -> Result<Tally, ImportError> {
        let mut tally = Tally::default();
        for sql in read::selects(table) {
            let parameters: [(&(dyn ToSql + Sync), Type); 0] = [];
            let rows = self.client.query_typed_raw(&sql, parameters).await?;
            let mut rows = std::pin::pin!(rows);
            while let Some(row) = rows.try_next().await? {
                tally += Tally::of(&read::row(table, &row)?);
                if tally.rows.is_multiple_of(TOLD_EVERY) {
                    told(TOLD_EVERY);
                }
            }
        }
        told(tally.rows % TOLD_EVERY);
        Ok(tally)
    }

    /// Says that everything is there and the same: from now on gateways open the database.
    ///
    /// # Errors
    /// Where the database fails; then the copy is not complete.
    pub async fn complete(&mut self) -> Result<(), ImportError> {
        // Without it the first queries would be planned for empty tables.
        for table in write::TABLES {
            let sql = format!("ANALYZE hooklatch.{table}");
            self.client.batch_execute(&sql).await?;
        }
        let transaction = self.client.transaction().await?;
        transaction
            .batch_execute(
                // The directory may have pruned history up to here, which its claims outlive. Fences
                // go on after the last that was given out there.
                "UPDATE hooklatch.meta SET value = value + 1 WHERE name = 'config_version'; \
                 INSERT INTO hooklatch.meta (name, value) \
                     SELECT 'history_pruned', COALESCE(MAX(message), 0) FROM hooklatch.claims \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value; \
                 SELECT setval('hooklatch.receiver_fences', GREATEST(last, 1), last > 0) \
                     FROM (SELECT GREATEST(0, \
                         (SELECT value FROM hooklatch.meta WHERE name = 'receiver_fence'), \
                         (SELECT MAX(fence) FROM hooklatch.receiver_claims)) AS last) fences",
            )
            .await?;
        let sql = "UPDATE hooklatch.copy SET rows = $1 WHERE name = $2";
        transaction.execute(sql, &[&COMPLETE, &SOURCE]).await?;
        let sql = "SELECT pg_notify($1, '')";
        transaction.query(sql, &[&CHANGE]).await?;
        transaction.commit().await?;
        self.complete = true;
        Ok(())
    }
}

/// Whether a copy into the database was begun and is not complete.
pub(crate) async fn is_under_way(client: &Client) -> Result<bool, Fault> {
    Ok(find(client).await?.is_some_and(|source| !source.complete))
}

/// Keeps other copies out, until the session ends. That of a copy that was killed ends soon.
async fn lock(client: &Client) -> Result<(), ImportError> {
    // Reading back takes as long as it takes.
    client.batch_execute("SET statement_timeout = 0").await?;
    let locked = client.query_one("SELECT pg_advisory_lock($1)", &[&LOCK]);
    match locked.await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Err(ImportError::Busy),
        Err(error) => Err(error.into()),
    }
}

/// What is copied.
struct Source {
    identity: i64,
    cutoff: Timestamp,
    complete: bool,
}

async fn find(client: &Client) -> Result<Option<Source>, Fault> {
    let sql = "SELECT first, second, rows FROM hooklatch.copy WHERE name = $1";
    let Some(row) = client.query_opt(sql, &[&SOURCE]).await? else {
        return Ok(None);
    };
    Ok(Some(Source {
        identity: row.try_get(0)?,
        cutoff: Timestamp::from_millis(row.try_get(1)?),
        complete: row.try_get::<_, i64>(2)? == COMPLETE,
    }))
}

async fn begin(client: &Client, identity: i64, now: Timestamp) -> Result<Source, ImportError> {
    let filled = write::TABLES.map(|table| format!("EXISTS (SELECT FROM hooklatch.{table})"));
    let sql = format!("SELECT {}", filled.join(" OR "));
    if client.query_one(&sql, &[]).await?.try_get(0)? {
        return Err(ImportError::NotEmpty);
    }
    let sql = "INSERT INTO hooklatch.copy (name, first, second, rows) VALUES ($1, $2, \
               LEAST($3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), 0) \
               RETURNING second";
    let row = client
        .query_one(sql, &[&SOURCE, &identity, &now.as_millis()])
        .await?;
    Ok(Source {
        identity,
        cutoff: Timestamp::from_millis(row.try_get(0)?),
        complete: false,
    })
}

async fn standings(client: &Client) -> Result<HashMap<Table, Standing>, Fault> {
    let sql = "SELECT first, second, rows FROM hooklatch.copy WHERE name = $1";
    let mut standings = HashMap::new();
    for table in Table::ALL {
        let Some(row) = client.query_opt(sql, &[&table.name()]).await? else {
            continue;
        };
        let last = Cursor {
            first: row.try_get(0)?,
            second: row.try_get(1)?,
        };
        let rows = row.try_get::<_, i64>(2)?.unsigned_abs();
        standings.insert(table, Standing { last, rows });
    }
    Ok(standings)
}

async fn move_to(
    transaction: &Transaction<'_>,
    table: Table,
    standing: Standing,
) -> Result<(), Fault> {
    let sql = "INSERT INTO hooklatch.copy (name, first, second, rows) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET first = excluded.first, \
                   second = excluded.second, rows = excluded.rows";
    let Cursor { first, second } = standing.last;
    let rows = i64::try_from(standing.rows).expect("nobody has so many rows");
    transaction
        .execute(sql, &[&table.name(), &first, &second, &rows])
        .await?;
    Ok(())
}

/// The days whose partitions the rows need. A live delivery goes to history when it ends, so the
/// days of those are needed as well.
fn days(table: Table, rows: &[Row]) -> BTreeSet<Day> {
    match table {
        Table::Config
        | Table::Audit
        | Table::Refused
        | Table::PayloadEnds
        | Table::Claims
        | Table::AuditDetails
        | Table::KeyUsed
        | Table::LaneHealth
        | Table::ReceiverClaims
        | Table::ReceiverSteps
        | Table::Replays
        | Table::ReplayItems
        | Table::Replayed
        | Table::Stats
        | Table::StatsLate
        | Table::StatsLast
        | Table::Marks => BTreeSet::new(),
        Table::Payloads
        | Table::Messages
        | Table::Requests
        | Table::Deliveries
        | Table::Strays
        | Table::Attempts
        | Table::Transformed => rows.iter().filter_map(|row| day(row)).collect(),
    }
}

/// The number by which a table is partitioned stands first in all of them.
fn day(row: &[Value]) -> Option<Day> {
    match row.first()? {
        Value::Integer(number) => Some(Day::of_number(*number)),
        Value::Null | Value::Text(_) | Value::Bytes(_) => None,
    }
}
