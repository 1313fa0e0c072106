//! Connections for what does not go in batches: reads, and what people command.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts, Transaction,
};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::connect::{CONNECT_PATIENCE, Connector};
use crate::fault::{Fault, Remedy};
use crate::rows::among::Param;

/// For how long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a commit may take before the connection counts as broken.
const COMMITTING_MAX: Duration = Duration::from_secs(10);
/// For how long an ambiguous commit is asked after.
const ASKING_MAX: Duration = Duration::from_secs(20);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a transaction is tried that another one stood in the way of.
const TRIES: usize = 5;

/// Makes a pool of at most so many connections.
pub(crate) fn pool(connector: &Connector, connections: usize) -> Pool {
    let (config, tls) = connector.parts();
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method });
    Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(PATIENCE),
            create: Some(CONNECT_PATIENCE),
            recycle: Some(PATIENCE),
        })
        .build()
        .expect("a pool with a runtime can have timeouts")
}

/// What is done inside a transaction.
pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Does something in a transaction of its own, and again where another one stood in its way.
/// What was read under lock is decided upon inside; nothing is answered before the commit.
pub(crate) async fn transact<T, F>(pool: &Pool, work: F) -> Result<T, Fault>
where
    F: for<'a, 't> Fn(&'a Transaction<'t>) -> Doing<'a, T>,
{
    let mut tried = 0;
    loop {
        tried += 1;
        let mut client = pool.get().await?;
        match once(pool, &mut client, &work).await {
            Err(fault) if fault.remedy() == Remedy::Again && tried < TRIES => {
                tracing::debug!(%fault, "a transaction is done again");
            }
            Err(fault) => {
                if fault.remedy() == Remedy::Reconnect {
                    drop(Object::take(client));
                }
                return Err(fault);
            }
            Ok(done) => return Ok(done),
        }
    }
}

async fn once<T, F>(pool: &Pool, client: &mut Object, work: &F) -> Result<T, Fault>
where
    F: for<'a, 't> Fn(&'a Transaction<'t>) -> Doing<'a, T>,
{
    let transaction = client.transaction().await?;
    let done = work(&transaction).await?;
    let number = number_of(&transaction).await?;
    let committed = tokio::time::timeout(COMMITTING_MAX, transaction.commit()).await;
    let cut_off = match committed {
        Ok(Ok(())) => return Ok(done),
        // Refused for certain.
        Ok(Err(error))
            if error
                .code()
                .is_some_and(|state| *state != SqlState::ADMIN_SHUTDOWN) =>
        {
            return Err(error.into());
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => Fault::Silent.to_string(),
    };
    match number {
        Some(number) => ask(pool, &number, &cut_off).await.map(|()| done),
        // It has written nothing, so there is nothing to be lost.
        None => Ok(done),
    }
}

/// The number under which the database remembers how a transaction ends; none where it has written
/// nothing.
async fn number_of(transaction: &Transaction<'_>) -> Result<Option<String>, Fault> {
    let sql = "SELECT pg_current_xact_id_if_assigned()::text";
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_one(&statement, &[]).await?.try_get(0)?)
}

/// Asks how a transaction ended whose commit was under way when the connection broke. An error says
/// that nothing was recorded, or that nobody could be asked.
async fn ask(pool: &Pool, number: &str, cut_off: &str) -> Result<(), Fault> {
    tracing::warn!(%cut_off, "a commit was cut off; asking the database how it ended");
    let until = Instant::now() + ASKING_MAX;
    while Instant::now() < until {
        match ask_once(pool, number).await {
            Ok(Some(End::Committed)) => return Ok(()),
            Ok(Some(End::Aborted)) => return Err(Fault::lost(cut_off)),
            Ok(None) => {}
            Err(fault) => tracing::debug!(%fault, "the database cannot be asked yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Fault::Unknown(cut_off.into()))
}

/// How a transaction ended.
enum End {
    Committed,
    Aborted,
}

/// None while it is under way.
async fn ask_once(pool: &Pool, number: &str) -> Result<Option<End>, Fault> {
    let client = pool.get().await?;
    let sql = "SELECT pg_xact_status($1::text::xid8)";
    let params: [Param<'_>; 1] = [(&number, Type::TEXT)];
    let asked = client.query_typed_one(sql, &params);
    let row = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(row)) => row,
        Ok(Err(error)) => return Err(let_go(client, error.into())),
        Err(_) => return Err(let_go(client, Fault::Silent)),
    };
    Ok(match row.try_get::<_, Option<&str>>(0)? {
        Some("committed") => Some(End::Committed),
        Some("aborted") => Some(End::Aborted),
        Some(_) | None => None,
    })
}

/// Closes a connection that may have died with the one that was cut off.
fn let_go(client: Object, fault: Fault) -> Fault {
    drop(Object::take(client));
    fault
}
