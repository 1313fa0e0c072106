//! What is left when history is dropped: the ledger still knows its keys, nothing is sent from what
//! is gone, a day is dropped whole or not at all, and one clock that jumped drops nothing.

mod server;

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooklatch_core::admission::{OnConflict, ReleaseInput, ReleaseRefused};
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Next};
use hooklatch_core::ids::{ProjectId, RequestId};
use hooklatch_core::message::{Effect, RequestOutcome};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;
use hooklatch_store::suite::{Fixture, World};
use hooklatch_store::{Commanded, ReleaseOutcome};
use server::InADatabase;
use tokio_postgres::{Client, Config, NoTls};

const DAY: Millis = Millis::from_seconds(86_400);

/// For how long maintenance is waited for, which has its rounds every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world whose store keeps history for a day.
fn forgetful() -> World<InADatabase> {
    let mut world = World::<InADatabase>::new();
    forget(&mut world);
    world
}

/// From now on history is kept for a day.
fn forget(world: &mut World<InADatabase>) {
    world.fixture.history_kept = Some(DAY);
    world.fixture.crash();
}

/// The project that the suite's arrivals belong to.
fn project(world: &World<InADatabase>) -> ProjectId {
    world.inbound("any", "{}").arrival.project_id
}

fn connect(world: &World<InADatabase>) -> Client {
    world.fixture.runtime.block_on(async {
        let mut config = Config::from_str(&world.fixture.server).expect("the URL is one");
        config.dbname(&world.fixture.database);
        let (client, connection) = config.connect(NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client
    })
}

fn execute(world: &World<InADatabase>, client: &Client, sql: &str) {
    let done = world.fixture.runtime.block_on(client.batch_execute(sql));
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn says(world: &World<InADatabase>, client: &Client, sql: &str) -> bool {
    let row = world.fixture.runtime.block_on(client.query_one(sql, &[]));
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

fn wait_until(world: &World<InADatabase>, client: &Client, sql: &str) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if says(world, client, sql) {
            return;
        }
    }
    panic!("it never came to: {sql}");
}

/// The table of the day of a time.
fn table(of: &str, time: Timestamp) -> String {
    format!("hooklatch.{of}_d{}", time.as_millis() / DAY.get())
}

fn dropped(of: &str, time: Timestamp) -> String {
    format!("SELECT to_regclass('{}') IS NULL", table(of, time))
}

/// Waits until the day of a time is gone whole.
fn wait_until_dropped(world: &World<InADatabase>, time: Timestamp) {
    let client = connect(world);
    // The last table that is dropped.
    wait_until(world, &client, &dropped("attempts", time));
}

/// Waits until a round has swept what there is to be swept.
fn wait_until_swept(world: &World<InADatabase>, client: &Client) {
    let sql = "INSERT INTO hooklatch.writers (batch, at) VALUES (-1, 0)";
    execute(world, client, sql);
    let sql = "SELECT NOT EXISTS (SELECT FROM hooklatch.writers WHERE batch = -1)";
    wait_until(world, client, sql);
}

fn release(world: &World<InADatabase>, id: RequestId) -> ReleaseOutcome {
    let store = world.store();
    let input = ReleaseInput {
        destinations: world.inbound("any", "{}").arrival.destinations.into(),
        now: store.now(),
        rulings: Arc::default(),
    };
    let released = store.release(project(world), id, input);
    world
        .fixture
        .wait(released)
        .expect("the store is available")
}

#[test]
fn c4_a_key_stays_closed_when_the_history_of_its_original_is_dropped() {
    let world = forgetful();
    let begun = world.store().now();
    let original = world.accepted(world.inbound("k", "{}").window(Window::Forever));
    world.attempt(Next::Deliver);
    world.advance(Millis::from_seconds(5 * 86_400));
    wait_until_dropped(&world, begun);
    let duplicate = world.repeated(world.inbound("k", "{}").window(Window::Forever));
    assert_eq!(duplicate.outcome, RequestOutcome::Duplicate);
    assert_eq!(duplicate.original_message_id, Some(original));
    assert_eq!(duplicate.effect, Effect::Suppressed);
    assert_eq!(world.request(duplicate.id).id, duplicate.id);
    assert!(world.lease().is_empty(), "nothing is delivered");
    let both = vec![
        world.inbound("k", "{}").window(Window::Forever),
        world.inbound("new", "{}"),
    ];
    let both = world.admit_all(both);
    assert_eq!(both[0].message_id, original);
    assert_ne!(both[1].message_id, original, "others are not held up");
}

#[test]
fn what_was_dropped_is_not_released() {
    let mut world = World::<InADatabase>::new();
    let begun = world.store().now();
    let call = |world: &World<InADatabase>, payload| {
        let call = world.inbound("k", payload).window(Window::Forever);
        call.on_conflict(OnConflict::Quarantine)
    };
    world.accepted(call(&world, "1"));
    world.attempt(Next::Deliver);
    world.advance(Millis::from_seconds(3 * 86_400));
    let held = world.repeated(call(&world, "2"));
    forget(&mut world);
    wait_until_dropped(&world, begun);
    let refused = ReleaseOutcome::Refused(ReleaseRefused::HistoryDropped);
    assert_eq!(release(&world, held.id), refused);
    assert_eq!(world.request(held.id).effect, Effect::Held);
}

#[test]
fn a_delivery_is_not_retried_without_its_message() {
    let mut world = World::<InADatabase>::new();
    let begun = world.store().now();
    let unrouted = world.inbound("k", "{}").to(&[]).window(Window::Forever);
    let id = world.accepted(unrouted);
    world.advance(Millis::from_seconds(3 * 86_400));
    world.repeated(world.inbound("k", "{}").to(&[7]));
    let delivered = world.attempt(Next::Deliver);
    assert_eq!(delivered.message_id, id);
    forget(&mut world);
    wait_until_dropped(&world, begun);
    let store = world.store();
    for command in [Command::Retry, Command::Cancel] {
        let commanded = store.command(project(&world), delivered.id, command);
        let refused = match command {
            Command::Retry | Command::RetryUndelivered => CommandRefused::HistoryDropped,
            Command::Cancel => CommandRefused::AlreadyEnded,
        };
        let commanded = world.fixture.wait(commanded).unwrap();
        assert_eq!(commanded, Commanded::Refused(refused));
    }
    assert!(world.lease().is_empty());
}

#[test]
fn inv6_a_day_stays_for_the_lease_that_was_taken_on_it() {
    let world = forgetful();
    world.advance(DAY);
    let leased_on = world.store().now();
    world.accepted(world.inbound("k", "{}"));
    let lease = world.lease_one();
    let client = connect(&world);
    // As if it had been made later than it was leased: only the lease is of this day.
    let later = "UPDATE hooklatch.deliveries_live SET id = id + 400000000000000, \
                 message = message + 400000000000000";
    execute(&world, &client, later);
    world.advance(Millis::from_seconds(5 * 86_400));
    wait_until_dropped(&world, leased_on - DAY);
    wait_until_swept(&world, &client);
    assert!(!says(&world, &client, &dropped("attempts", leased_on)));
    let token = lease.delivery.attempt_in_progress().unwrap().id.number();
    let held =
        format!("SELECT EXISTS (SELECT FROM hooklatch.deliveries_live WHERE token = {token})");
    assert!(says(&world, &client, &held));
}

#[test]
fn inv6_a_day_that_was_half_dropped_is_made_whole_while_it_is_needed() {
    let world = forgetful();
    let begun = world.store().now();
    let id = world.accepted(world.inbound("k", "{}"));
    let client = connect(&world);
    for of in ["deliveries_done", "messages"] {
        let table = table(of, begun);
        let sql = format!("ALTER TABLE hooklatch.{of} DETACH PARTITION {table} CONCURRENTLY");
        execute(&world, &client, &sql);
    }
    world.advance(Millis::from_seconds(5 * 86_400));
    let whole = format!(
        "SELECT COUNT(*) = 2 FROM pg_inherits \
         WHERE inhrelid IN ('{}'::regclass, '{}'::regclass)",
        table("deliveries_done", begun),
        table("messages", begun)
    );
    wait_until(&world, &client, &whole);
    assert_eq!(world.message(id).message.id, id);
    world.attempt(Next::Deliver);
    wait_until_dropped(&world, begun);
}

#[test]
fn a_detachment_that_was_cut_off_is_ended_and_the_day_is_dropped() {
    let world = forgetful();
    let begun = world.store().now();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Deliver);
    let (reader, client) = (connect(&world), connect(&world));
    execute(&world, &reader, "BEGIN; SELECT FROM hooklatch.messages");
    execute(&world, &client, "SET lock_timeout = '100ms'");
    let table = table("messages", begun);
    let sql = format!("ALTER TABLE hooklatch.messages DETACH PARTITION {table} CONCURRENTLY");
    let cut_off = world.fixture.runtime.block_on(client.batch_execute(&sql));
    assert!(cut_off.is_err(), "the reader is in its way");
    let hidden = format!(
        "SELECT NOT EXISTS (SELECT FROM pg_inherits \
         WHERE inhrelid = '{table}'::regclass AND NOT inhdetachpending)"
    );
    assert!(says(&world, &client, &hidden));
    execute(&world, &reader, "COMMIT");
    world.advance(Millis::from_seconds(5 * 86_400));
    wait_until_dropped(&world, begun);
}

#[test]
fn inv9_a_clock_that_jumps_ahead_removes_nothing() {
    let world = forgetful();
    let begun = world.store().now();
    world.accepted(world.inbound("k", "{}"));
    world.attempt(Next::Deliver);
    let client = connect(&world);
    // The claim and the day end in a few hours by the machine's own clock.
    let soon = "UPDATE hooklatch.claims \
                SET expires = (extract(epoch FROM now() + interval '3 hours') * 1000)::bigint";
    execute(&world, &client, soon);
    world.advance(Millis::from_seconds(100 * 366 * 86_400));
    wait_until_swept(&world, &client);
    let claimed = "SELECT EXISTS (SELECT FROM hooklatch.claims)";
    assert!(says(&world, &client, claimed), "its window is open");
    // The day is old by both clocks, and goes; the claim's end does not hang on it.
    wait_until_dropped(&world, begun);
    assert!(says(&world, &client, claimed));
    let ended = "UPDATE hooklatch.claims \
                 SET expires = (extract(epoch FROM now() - interval '1 hour') * 1000)::bigint";
    execute(&world, &client, ended);
    wait_until_swept(&world, &client);
    assert!(
        !says(&world, &client, claimed),
        "it has ended by both clocks"
    );
}
