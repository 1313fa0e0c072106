//! MariaDB passes the vectors, and keeps what it promises beyond them.

mod support;

use std::sync::Arc;

use hooklatch_receiver::mysql::MysqlStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::services::{self, Disk, until_it_answers};

#[tokio::test(flavor = "multi_thread")]
async fn v4_mariadb_passes_every_vector() {
    let service = services::mariadb(Disk::Unsynced);
    let pool = mysql_async::Pool::new(service.address.as_str());
    let store = Arc::new(MysqlStore::new(pool.clone()));
    until_it_answers(|| store.create_tables()).await;
    let promise = Promise {
        memory: Memory::Durable,
        effect: Effect::ExactlyOnceInTransaction,
        clock: Clock::Server,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
    pool.disconnect().await.unwrap();
}
