//! Memcached passes the vectors, and is no better than its documentation says.

mod support;

use std::sync::Arc;

use hooklatch_receiver::memcached::MemcachedStore;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use support::runner::{Bench, Time, passes_every_vector};
use support::services;

#[tokio::test(flavor = "multi_thread")]
async fn v4_memcached_passes_every_vector() {
    let service = services::memcached(64);
    let store = Arc::new(MemcachedStore::new(service.address.parse().unwrap()));
    let promise = Promise {
        memory: Memory::Evictable,
        effect: Effect::AtLeastOnce,
        clock: Clock::Process,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}
