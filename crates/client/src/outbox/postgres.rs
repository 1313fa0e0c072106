//! The outbox in PostgreSQL 10 or later.
//!
//! A relay locks the rows that it sends and skips those that another one has; should it die, the
//! server lets go of them with its connection, and they are sent again under the same keys.

use tokio::sync::Mutex;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client as Connection, Config, GenericClient, Socket};

use super::sealed::Rows;
use super::{
    EnqueueError, Outbox, Queued, Refused, RelayError, RelaySettings, Relayed, Row, Verdict,
    fitting, send, written,
};
use crate::{Client, NewMessage};

/// The table. Running it again changes nothing.
pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS hooklatch_outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key text        NOT NULL,
    -- One item of POST /v1/webhooks/send/batch, in JSON.
    item            text        NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0,
    next_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Refused for good: it waits for a person.
    refused_at      timestamptz,
    error           text,
    queued_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS hooklatch_outbox_waiting
    ON hooklatch_outbox (id) WHERE refused_at IS NULL;
";

const ENQUEUE: &str =
    "INSERT INTO hooklatch_outbox (idempotency_key, item) VALUES ($1, $2) RETURNING id";

const TAKE: &str = "\
SELECT id, attempts, item FROM hooklatch_outbox \
WHERE refused_at IS NULL AND next_at <= clock_timestamp() \
ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";

const SENT: &str = "DELETE FROM hooklatch_outbox WHERE id = ANY($1)";

const REFUSED: &str = "\
UPDATE hooklatch_outbox SET refused_at = clock_timestamp(), attempts = attempts + 1, error = $2 \
WHERE id = $1";

const POSTPONED: &str = "\
UPDATE hooklatch_outbox SET attempts = attempts + 1, error = $2, \
 next_at = clock_timestamp() + $3::bigint * interval '1 millisecond' WHERE id = $1";

const LIST: &str = "\
SELECT id, idempotency_key, item, COALESCE(error, '') AS error FROM hooklatch_outbox \
WHERE refused_at IS NOT NULL ORDER BY id LIMIT $1";

const AGAIN: &str = "\
UPDATE hooklatch_outbox SET refused_at = NULL, next_at = clock_timestamp() \
WHERE id = $1 AND refused_at IS NOT NULL";

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// Writes a message in the caller's own transaction: it is sent if that commits.
///
/// # Errors
/// The message cannot be kept, or the statement failed, and with it the transaction.
pub async fn enqueue(
    tx: &impl GenericClient,
    message: &NewMessage,
) -> Result<Queued, EnqueueError> {
    let written = written(message)?;
    let row = tx
        .query_one(ENQUEUE, &[&written.idempotency_key, &written.item])
        .await
        .map_err(|error| EnqueueError::Database(error.into()))?;
    Ok(Queued {
        id: row.get(0),
        idempotency_key: written.idempotency_key,
    })
}

/// The outbox as its relay sees it, over one connection that is opened when it is needed.
pub struct PostgresOutbox<T> {
    config: Config,
    tls: T,
    idle: Mutex<Option<Connection>>,
}

impl<T> PostgresOutbox<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    /// An outbox in this database. Give the configuration a `connect_timeout` and a
    /// `tcp_user_timeout`: a relay waits as long as they let it.
    pub const fn new(config: Config, tls: T) -> Self {
        Self {
            config,
            tls,
            idle: Mutex::const_new(None),
        }
    }

    /// Makes the table unless it is there.
    ///
    /// # Errors
    /// The server does not answer, or does not let this user make tables.
    pub async fn create_table(&self) -> Result<(), RelayError> {
        self.used(async |connection| {
            // Two processes that start at once would both find no table, and one would fail.
            let lock = "SELECT pg_advisory_xact_lock(7596463215)";
            let script = format!("BEGIN; {lock}; {SCHEMA} COMMIT;");
            Ok(connection.batch_execute(&script).await?)
        })
        .await
    }

    /// What was refused for good, the oldest first.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn refused(&self, limit: u16) -> Result<Vec<Refused>, RelayError> {
        self.used(async |connection| {
            let rows = connection.query(LIST, &[&i64::from(limit)]).await?;
            let refused = rows.iter().map(|row| Refused {
                id: row.get("id"),
                idempotency_key: row.get("idempotency_key"),
                item: row.get("item"),
                error: row.get("error"),
            });
            Ok(refused.collect())
        })
        .await
    }

    /// Gives what was refused another chance; says whether there was such a row.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn send_again(&self, id: i64) -> Result<bool, RelayError> {
        self.used(async |connection| Ok(connection.execute(AGAIN, &[&id]).await? == 1))
            .await
    }

    /// Lends the connection; one on which anything went wrong, or that was given up in the middle, is
    /// not used again.
    async fn used<A>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<A, Boxed>,
    ) -> Result<A, RelayError> {
        let mut connection = self.connection().await.map_err(RelayError::Database)?;
        let done = work(&mut connection).await.map_err(RelayError::Database)?;
        *self.idle.lock().await = Some(connection);
        Ok(done)
    }

    async fn connection(&self) -> Result<Connection, Boxed> {
        if let Some(connection) = self.idle.lock().await.take()
            && !connection.is_closed()
        {
            return Ok(connection);
        }
        let (connection, driver) = self.config.connect(self.tls.clone()).await?;
        // It ends with the connection, and says there what went wrong.
        tokio::spawn(async { drop(driver.await) });
        Ok(connection)
    }

    async fn relayed(
        &self,
        connection: &mut Connection,
        client: &Client,
        settings: &RelaySettings,
    ) -> Result<Relayed, RelayError> {
        let database = |error: tokio_postgres::Error| RelayError::Database(error.into());
        let tx = connection.transaction().await.map_err(database)?;
        let limit = i64::from(settings.batch_max());
        let taken = tx.query(TAKE, &[&limit]).await.map_err(database)?;
        if taken.is_empty() {
            tx.rollback().await.map_err(database)?;
            return Ok(Relayed::default());
        }
        let rows = taken.iter().map(|row| Row {
            id: row.get("id"),
            attempts: u32::try_from(row.get::<_, i32>("attempts")).unwrap_or(0),
            item: row.get("item"),
        });
        let rows = fitting(rows.collect(), settings);
        let verdicts = send(client, settings, &rows).await?;
        mark(&tx, &rows, &verdicts).await.map_err(database)?;
        tx.commit().await.map_err(database)?;
        Ok(Relayed::of(&verdicts))
    }
}

async fn mark(
    tx: &tokio_postgres::Transaction<'_>,
    rows: &[Row],
    verdicts: &[Verdict],
) -> Result<(), tokio_postgres::Error> {
    let mut sent: Vec<i64> = Vec::new();
    for (row, verdict) in rows.iter().zip(verdicts) {
        match verdict {
            Verdict::Sent => sent.push(row.id),
            Verdict::Refused(error) => {
                tx.execute(REFUSED, &[&row.id, error]).await?;
            }
            Verdict::Postponed(wait, error) => {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                tx.execute(POSTPONED, &[&row.id, error, &wait_ms]).await?;
            }
        }
    }
    tx.execute(SENT, &[&sent]).await?;
    Ok(())
}

impl<T> Outbox for PostgresOutbox<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
}

impl<T> Rows for PostgresOutbox<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    async fn relay(
        &self,
        client: &Client,
        settings: &RelaySettings,
    ) -> Result<Relayed, RelayError> {
        let mut connection = self.connection().await.map_err(RelayError::Database)?;
        let relayed = self.relayed(&mut connection, client, settings).await?;
        *self.idle.lock().await = Some(connection);
        Ok(relayed)
    }
}
