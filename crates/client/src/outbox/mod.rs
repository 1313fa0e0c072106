//! An outbox: messages that are sent if, and only if, the caller's own transaction commits.
//!
//! A service that writes its order and then sends its webhook loses the webhook when it dies in
//! between; one that sends first tells of orders that were never written. So the message is written
//! beside the order, in the same transaction, and a relay sends it later: as often as it takes, under
//! the key that its row has, so that the gateway takes it once (S2).
//!
//! Rows wait in the table `hooklatch_outbox`, in `postgres` or `sqlite`, the features
//! `outbox-postgres` and `outbox-sqlite`. Any number of relays may run: on PostgreSQL they share the
//! rows, and where two send the same one it is still one message. Rows go in their order as far as
//! nothing fails; a row that has to wait is overtaken.
//!
//! What the gateway refuses for good (another payload under a known key, an endpoint that is not
//! there) is kept, with the reason, until a person has looked: `refused` lists it, `send_again` gives
//! it another chance. Whatever may pass is tried again, after pauses that grow.
//!
//! ```no_run
//! # #[cfg(feature = "outbox-postgres")]
//! # async fn example(db: &mut tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use hooklatch_client::outbox::{Relay, postgres};
//! use hooklatch_client::{Client, NewMessage, Target};
//!
//! // In the service: the order and its message, or neither.
//! let tx = db.transaction().await?;
//! tx.execute("INSERT INTO orders (id, total) VALUES (1001, 1250)", &[]).await?;
//! let order = serde_json::json!({"order": 1001, "total": "12.50"});
//! let message = NewMessage::new(Target::Tenant("acme".into()), &order)?.event_type("order.paid");
//! postgres::enqueue(&tx, &message).await?;
//! tx.commit().await?;
//!
//! // In the background, in one process or in several.
//! let config = "host=127.0.0.1 user=shop dbname=shop".parse()?;
//! let outbox = postgres::PostgresOutbox::new(config, tokio_postgres::NoTls);
//! outbox.create_table().await?;
//! let client = Client::new("http://127.0.0.1:8420", "hl_0123456789abcdef0123456789abcdef")?;
//! Relay::new(client, outbox).run(std::future::pending::<()>(), |error| eprintln!("{error}")).await;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "outbox-postgres")]
pub mod postgres;
#[cfg(feature = "outbox-sqlite")]
pub mod sqlite;

use std::time::Duration;

use serde_json::value::RawValue;

use crate::{Backoff, BatchItem, Client, Error, NewMessage, Problem, key};

/// Bytes of one row's message: the gateway takes no larger one either.
const ITEM_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a reason that is kept.
const ERROR_BYTES_MAX: usize = 1_000;
/// No message waits longer than this for its next try.
const POSTPONED_MAX: Duration = Duration::from_secs(600);

/// A message that waits in an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its row.
    pub id: i64,
    /// The key under which it will be sent.
    pub idempotency_key: String,
}

/// A message that the gateway has refused for good.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its row.
    pub id: i64,
    /// The key under which it was sent.
    pub idempotency_key: String,
    /// The call as it was made, in JSON.
    pub item: String,
    /// What the gateway said.
    pub error: String,
}

/// What one round of a relay has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// The gateway has them.
    pub sent: usize,
    /// They wait for a person.
    pub refused: usize,
    /// They are tried again later.
    pub postponed: usize,
}

/// Why a message was not written to an outbox.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// It cannot be written as JSON, or has too many bytes.
    #[error("the message cannot be kept: {0}")]
    Message(String),
    /// The statement failed, and on PostgreSQL with it the transaction.
    #[error("failed to write to the outbox")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a round has come to nothing. Its rows are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The gateway.
    #[error("the outbox could not be sent: {0}")]
    Gateway(#[from] Error),
    /// The database.
    #[error("the outbox could not be read or marked: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a relay goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaySettings {
    /// Messages of one call. 100 by default, 1,000 at most.
    pub batch_max: u16,
    /// Bytes of one call, unless a single message has more. 1 MiB by default.
    pub batch_bytes_max: usize,
    /// How long to wait where nothing waits. 1 s by default.
    pub idle: Duration,
    /// The pause after a round that came to nothing; it doubles with every further one.
    pub pause: Duration,
    /// The longest pause. 60 s by default.
    pub pause_max: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            batch_max: 100,
            batch_bytes_max: 1024 * 1024,
            idle: Duration::from_secs(1),
            pause: Duration::from_millis(200),
            pause_max: Duration::from_secs(60),
        }
    }
}

/// Where messages wait: [`postgres`] or [`sqlite`].
pub trait Outbox: sealed::Rows {}

pub(crate) mod sealed {
    use super::{Client, RelayError, RelaySettings, Relayed};

    /// Sends a batch, and marks what came of it.
    pub trait Rows: Send + Sync {
        fn relay(
            &self,
            client: &Client,
            settings: &RelaySettings,
        ) -> impl Future<Output = Result<Relayed, RelayError>> + Send;
    }
}

/// Sends what waits in an outbox.
pub struct Relay<O> {
    client: Client,
    outbox: O,
    settings: RelaySettings,
}

impl<O: Outbox> Relay<O> {
    /// A relay to the gateway of this client.
    pub fn new(client: Client, outbox: O) -> Self {
        // The relay itself repeats: rows that are being sent are not to be held up meanwhile.
        Self {
            client: client.with_backoff(Backoff::NONE),
            outbox,
            settings: RelaySettings::default(),
        }
    }

    /// The same relay with other settings.
    #[must_use]
    pub const fn with_settings(mut self, settings: RelaySettings) -> Self {
        self.settings = settings;
        self
    }

    /// The outbox.
    pub const fn outbox(&self) -> &O {
        &self.outbox
    }

    /// Sends one batch of what waits.
    ///
    /// # Errors
    /// The gateway or the database does not answer; nothing is lost, and what the gateway has taken
    /// all the same it takes once.
    pub async fn once(&self) -> Result<Relayed, RelayError> {
        self.outbox.relay(&self.client, &self.settings).await
    }

    /// Sends until `stop` is ready, and says why where a round came to nothing. A batch that is being
    /// sent at that moment is sent again by the next relay.
    pub async fn run(&self, stop: impl Future<Output = ()>, mut failed: impl FnMut(&RelayError)) {
        let mut stop = std::pin::pin!(stop);
        let mut failures = 0;
        loop {
            let round = tokio::select! {
                round = self.once() => round,
                () = &mut stop => return,
            };
            let wait = match &round {
                Ok(relayed) if *relayed == Relayed::default() => self.settings.idle,
                Ok(_) => Duration::ZERO,
                Err(error) => {
                    failed(error);
                    self.settings.pause_after(failures)
                }
            };
            failures = if round.is_ok() { 0 } else { failures + 1 };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut stop => return,
            }
        }
    }
}

impl RelaySettings {
    fn pause_after(&self, failures: u32) -> Duration {
        let grown = self.pause.saturating_mul(1 << failures.min(16));
        grown.min(self.pause_max)
    }

    /// When a message is tried again that the gateway could not take for now.
    fn postponed(&self, attempts: u32) -> Duration {
        let grown = self.pause.saturating_mul(1 << attempts.min(16));
        grown.min(POSTPONED_MAX)
    }

    fn batch_max(&self) -> u16 {
        self.batch_max.clamp(1, 1_000)
    }
}

/// A row as it waits.
pub(crate) struct Row {
    pub id: i64,
    pub attempts: u32,
    pub item: String,
}

/// What becomes of a row.
pub(crate) enum Verdict {
    Sent,
    Refused(String),
    Postponed(Duration, String),
}

/// What is written for a message.
pub(crate) struct Written {
    pub idempotency_key: String,
    pub item: String,
}

pub(crate) fn written(message: &NewMessage) -> Result<Written, EnqueueError> {
    let idempotency_key = message.idempotency_key.clone().unwrap_or_else(key::mint);
    let item = serde_json::to_string(&message.with_key(&idempotency_key))
        .map_err(|error| EnqueueError::Message(error.to_string()))?;
    if item.len() > ITEM_BYTES_MAX {
        let detail = format!("it has {} bytes, and {ITEM_BYTES_MAX} at most", item.len());
        return Err(EnqueueError::Message(detail));
    }
    Ok(Written {
        idempotency_key,
        item,
    })
}

/// As many of the rows as one call may have, by bytes; always one.
pub(crate) fn fitting(mut rows: Vec<Row>, settings: &RelaySettings) -> Vec<Row> {
    let mut bytes = 0;
    let fit = rows.iter().take_while(|row| {
        bytes += row.item.len();
        bytes <= settings.batch_bytes_max
    });
    let fit = fit.count().max(1);
    rows.truncate(fit);
    rows
}

/// Sends rows in one call; a verdict for each, from the first as far as the gateway took so many.
pub(crate) async fn send(
    client: &Client,
    settings: &RelaySettings,
    mut rows: &[Row],
) -> Result<Vec<Verdict>, Error> {
    let answers = loop {
        match client.send_items(&items(rows)?).await {
            Ok(answers) => break answers,
            // Alone, a message is what was refused; among others nobody knows which one is, and
            // none may stand in the way of the rest.
            Err(Error::Refused(problem)) if !passes(problem.status) => {
                if rows.len() <= 1 {
                    return Ok(vec![Verdict::Refused(shown(&problem))]);
                }
                rows = &rows[..rows.len() / 2];
            }
            Err(error) => return Err(error),
        }
    };
    let verdict = |(row, answer): (&Row, &BatchItem)| match &answer.result {
        Ok(_) => Verdict::Sent,
        Err(problem) if passes(problem.status) => {
            Verdict::Postponed(settings.postponed(row.attempts), shown(problem))
        }
        Err(problem) => Verdict::Refused(shown(problem)),
    };
    Ok(rows.iter().zip(&answers).map(verdict).collect())
}

fn items(rows: &[Row]) -> Result<Vec<&RawValue>, Error> {
    let items = rows.iter().map(|row| serde_json::from_str(&row.item));
    items.collect::<Result<_, _>>().map_err(Error::Payload)
}

/// Whether the same may be answered otherwise later: a key of the API that is not valid is put right
/// by a person without a look at any row.
const fn passes(status: u16) -> bool {
    matches!(status, 401 | 403 | 408 | 429 | 500..=599)
}

fn shown(problem: &Problem) -> String {
    let mut text = problem.to_string();
    let end = text.floor_char_boundary(ERROR_BYTES_MAX);
    text.truncate(end);
    text
}

impl Relayed {
    pub(crate) fn of(verdicts: &[Verdict]) -> Self {
        let mut relayed = Self::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Sent => relayed.sent += 1,
                Verdict::Refused(_) => relayed.refused += 1,
                Verdict::Postponed(..) => relayed.postponed += 1,
            }
        }
        relayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: usize) -> Row {
        Row {
            id: 1,
            attempts: 0,
            item: "x".repeat(bytes),
        }
    }

    #[test]
    fn a_call_has_as_many_rows_as_fit_and_always_one() {
        let settings = RelaySettings {
            batch_bytes_max: 10,
            ..RelaySettings::default()
        };
        let count = |rows| fitting(rows, &settings).len();
        assert_eq!(count(vec![row(4), row(6), row(1)]), 2);
        assert_eq!(count(vec![row(11), row(1)]), 1);
    }

    #[test]
    fn pauses_grow_and_end_at_the_longest() {
        let settings = RelaySettings::default();
        let pauses = [0, 1, 2, 40].map(|failures| settings.pause_after(failures).as_millis());
        assert_eq!(pauses, [200, 400, 800, 60_000]);
        assert_eq!(settings.postponed(40), POSTPONED_MAX);
    }
}
