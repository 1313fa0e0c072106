//! Redis passes the vectors, and is no better than its documentation says.

mod support;

use std::sync::Arc;

use hooklatch_receiver::redis::RedisStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::services;

#[tokio::test(flavor = "multi_thread")]
async fn v4_redis_passes_every_vector() {
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).unwrap();
    let store = Arc::new(RedisStore::connect(&client).await.unwrap());
    let promise = Promise {
        memory: Memory::UntilFailover,
        effect: Effect::AtLeastOnce,
        clock: Clock::Server,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}
