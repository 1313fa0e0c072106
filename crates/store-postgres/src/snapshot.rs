//! Reads, each of one moment: what is put together from several statements must not show a
//! delivery twice, or nowhere, that ended between two of them.

use deadpool_postgres::{Object, Pool};
use tokio_postgres::{Client, IsolationLevel};

use crate::fault::{Fault, Remedy};
use crate::pool::Doing;

/// Reads in a transaction that sees one moment and cannot write.
pub(crate) async fn read<T, F>(pool: &Pool, work: F) -> Result<T, Fault>
where
    F: for<'a> FnOnce(&'a Client) -> Doing<'a, T> + Send,
{
    let mut client = pool.get().await?;
    let done = once(&mut client, work).await;
    if done
        .as_ref()
        .is_err_and(|fault| fault.remedy() == Remedy::Reconnect)
    {
        drop(Object::take(client));
    }
    done
}

async fn once<T, F>(client: &mut Object, work: F) -> Result<T, Fault>
where
    F: for<'a> FnOnce(&'a Client) -> Doing<'a, T> + Send,
{
    let moment = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let done = work(moment.client()).await?;
    moment.commit().await?;
    Ok(done)
}
