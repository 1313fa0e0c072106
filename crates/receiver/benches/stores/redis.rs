//! Redis, as it was started: the other side is as durable as ours.

use hooklatch_receiver::redis::RedisStore;

use crate::measure::{call, compare_leased, key, kit, leased};
use crate::support::services;

/// Measures the one mode.
pub async fn measure(events: usize) {
    let service = services::redis(&[]);
    let client = redis::Client::open(service.address.as_str()).expect("a URL");
    let connection = client.get_connection_manager().await.expect("it answers");
    let set = move |key: String, only: &'static str| {
        let mut connection = connection.clone();
        async move {
            let mut set = redis::cmd("SET");
            set.arg(key).arg("1").arg(only).arg("EX").arg(86_400);
            let () = set.query_async(&mut connection).await.expect("it is set");
        }
    };
    let (first, second) = (set.clone(), set);
    let one = call(move || first(key(), "NX"));
    let two = call(move || {
        let (set, key) = (second.clone(), key());
        async move {
            set(key.clone(), "NX").await;
            set(key, "XX").await;
        }
    });
    let kit = kit(RedisStore::connect(&client).await.expect("it answers"));
    let ours = call(move || leased(kit.clone()));
    compare_leased("redis", events, one, two, ours).await;
}
