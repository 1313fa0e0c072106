//! The second half of a batch: what it writes and its commit, in one trip.

use futures_util::future::join_all;
use tokio_postgres::{Client, Statement};

use crate::columns::{Arrays, params};
use crate::fault::Fault;

/// Commits. The server must not end its wait for a standby for lack of time: it would report as done
/// what only the primary has.
const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// One statement to be sent.
pub(crate) struct Sent<'a> {
    /// Which.
    pub statement: &'a Statement,
    /// Its parameters.
    pub arrays: Arrays<'a>,
    /// How many rows it must change; none where that is not known.
    pub rows: Option<usize>,
}

impl<'a> Sent<'a> {
    /// A statement of which it is not known how many rows it changes.
    pub(crate) fn new(statement: &'a Statement, arrays: Arrays<'a>) -> Self {
        Self {
            statement,
            arrays,
            rows: None,
        }
    }
}

/// Writes and commits. What is sent after a statement that fails fails as well, so that the commit
/// comes to nothing.
pub(crate) async fn commit(client: &Client, sent: &[Sent<'_>]) -> Result<(), Fault> {
    if sent.is_empty() {
        // Nothing happened: nothing needs a sync.
        return Ok(client.batch_execute("ROLLBACK").await?);
    }
    let params: Vec<_> = sent.iter().map(|sent| params(&sent.arrays)).collect();
    let executing = sent.iter().zip(&params);
    let executing = executing.map(|(sent, params)| client.execute(sent.statement, params));
    // Polled in order, hence sent in order.
    let executing = join_all(executing);
    let (executed, committed) = tokio::join!(biased; executing, client.batch_execute(COMMIT));
    for (sent, rows) in sent.iter().zip(executed) {
        let rows = rows?;
        if sent.rows.is_some_and(|expected| rows != expected as u64) {
            tracing::error!(rows, "what was read under lock had changed: a bug");
        }
    }
    Ok(committed?)
}
