//! A session with the database, in plain blocking code: what measures is not measured, and asks
//! little.

use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

use crate::Failure;
use crate::database::address::Address;

/// A session. It ends with this value.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    /// Opens one.
    pub(crate) fn open(address: &Address) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = runtime.block_on(async {
            let connecting = address.config().connect(NoTls);
            let (client, connection) = connecting.await.map_err(explained)?;
            // Driven whenever something is asked.
            tokio::spawn(async move { drop(connection.await) });
            Ok::<_, Failure>(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// Executes statements that answer nothing.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), Failure> {
        let executing = self.client.batch_execute(sql);
        self.runtime.block_on(executing).map_err(explained)
    }

    /// Asks for exactly one row.
    pub(crate) fn row(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        let asking = self.client.query_one(sql, params);
        self.runtime.block_on(asking).map_err(explained)
    }

    /// Asks for rows.
    pub(crate) fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let asking = self.client.query(sql, params);
        self.runtime.block_on(asking).map_err(explained)
    }
}

/// The driver says where it failed, and its cause what the server said.
fn explained(error: tokio_postgres::Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(cause) => format!("the database: {error}: {cause}").into(),
        None => format!("the database: {error}").into(),
    }
}
