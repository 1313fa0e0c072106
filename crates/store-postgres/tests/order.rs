//! Deliveries that go one after the other, beside a node that knows nothing of it.

mod server;

use std::str::FromStr;
use std::time::{Duration, Instant};

use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_store::suite::World;
use server::InADatabase;
use tokio_postgres::{Config, NoTls};

/// Runs a statement in the test's database.
fn run(fixture: &InADatabase, statement: &str) -> u64 {
    let mut config = Config::from_str(&fixture.server).expect("the URL is one");
    config.dbname(&fixture.database);
    fixture.runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client.execute(statement, &[]).await.expect("it is done")
    })
}

#[test]
fn inv_10_a_turn_that_nobody_gave_on_is_found_and_given() {
    let world = World::<InADatabase>::new();
    let mut messages = Vec::new();
    for name in ["a", "b", "c"] {
        messages.push(world.accepted(world.inbound(name, "{}").in_order(7)));
    }
    let other = world.accepted(world.inbound("d", "{}").in_order(8));
    // So an earlier version ends a delivery: it is gone from among the live ones, and that is all.
    let ended = "DELETE FROM hooklatch.deliveries_live WHERE at < 9223372036854775807 \
                 AND order_key = 7";
    assert_eq!(run(&world.fixture, ended), 1);
    assert_eq!(world.attempt(Next::Deliver).message_id, other);

    let deadline = Instant::now() + Duration::from_secs(60);
    let lease = loop {
        if let Some(lease) = world.lease().pop() {
            break lease;
        }
        assert!(Instant::now() < deadline, "nobody was given the turn");
        std::thread::yield_now();
    };
    assert_eq!(lease.delivery.message_id, messages[1]);
    assert!(world.lease().is_empty(), "one at a time");
    world.finish(&lease, Next::Deliver);
    assert_eq!(world.attempt(Next::Deliver).message_id, messages[2]);
}
