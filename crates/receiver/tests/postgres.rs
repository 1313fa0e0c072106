//! PostgreSQL passes the vectors, and keeps what it promises beyond them.

mod support;

use std::sync::Arc;

use hooklatch_receiver::postgres::{ClaimDurability, PostgresStore};
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::services::{self, Disk, until_it_answers};
use support::targets::postgres_pool;

async fn connected(url: &str) -> PostgresStore {
    let store = PostgresStore::new(postgres_pool(url));
    until_it_answers(|| store.create_tables()).await;
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_postgres_passes_every_vector() {
    let service = services::postgres(Disk::Unsynced);
    let store = connected(&service.address).await;
    let promise = Promise {
        memory: Memory::Durable,
        effect: Effect::ExactlyOnceInTransaction,
        clock: Clock::Server,
    };
    assert_eq!(store.promise(), promise);
    for durability in [ClaimDurability::AsConfigured, ClaimDurability::Unsynced] {
        let store = Arc::new(store.clone().with_claim_durability(durability));
        passes_every_vector(|| Bench {
            store: Arc::clone(&store),
            time: Time::Real,
        })
        .await;
    }
}
