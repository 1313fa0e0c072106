//! Connections for what does not go in batches: reads, and what people command.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts, Transaction,
};
use tokio_postgres::error::SqlState;

use crate::connect::{CONNECT_PATIENCE, Connector};
use crate::fault::{Fault, Remedy};

/// For how long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
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
        match once(&mut client, &work).await {
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

async fn once<T, F>(client: &mut Object, work: &F) -> Result<T, Fault>
where
    F: for<'a, 't> Fn(&'a Transaction<'t>) -> Doing<'a, T>,
{
    let transaction = client.transaction().await?;
    let done = work(&transaction).await?;
    match transaction.commit().await {
        Ok(()) => Ok(done),
        // Refused for certain.
        Err(error)
            if error
                .code()
                .is_some_and(|state| *state != SqlState::ADMIN_SHUTDOWN) =>
        {
            Err(error.into())
        }
        Err(error) => Err(Fault::Unknown(error.to_string().into())),
    }
}
