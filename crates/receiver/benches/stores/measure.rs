//! How a store is measured, and what is printed of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
use hooklatch_receiver::kit::{Delivery, Receiver};
use hooklatch_receiver::run::{Begun, Completed, Settings};
use hooklatch_receiver::store::Store;

/// Who calls at once.
pub const CALLERS: usize = 8;
const ROUNDS: usize = 21;
/// With fewer some caller would have none in a round: SQLite is given half of them.
pub const EVENTS_MIN: usize = 2 * ROUNDS * CALLERS;
/// Begin and complete, beside two bare writes that are as durable.
const LEASED_TARGET: f64 = 1.3;
/// An event in the user's transaction, beside one that keeps the event's key by hand.
const IN_TRANSACTION_TARGET: f64 = 1.15;

/// A table for bare writes.
pub const BARE: &str = "\
CREATE TABLE IF NOT EXISTS bare (k VARCHAR(64) NOT NULL PRIMARY KEY, done INTEGER NOT NULL)";
/// What a careful handler without the kit has for its transaction.
pub const KEY_ROW: &str =
    "CREATE TABLE IF NOT EXISTS event_keys (k VARCHAR(64) NOT NULL PRIMARY KEY)";
/// The effect.
pub const BOOK: &str = "INSERT INTO effects VALUES (1)";

/// A fresh event for each call.
pub fn delivery() -> Delivery {
    let id = hooklatch_receiver::token::random().to_hex();
    let scope = Scope {
        source: "bench",
        ..Scope::default()
    };
    let key = ScopeKey::derive(&scope, &[&id]).expect("an id");
    Delivery::new(key, Fingerprint::of(id.as_bytes()))
}

/// An event in leased mode, with nothing to do.
pub async fn leased<S: Store>(kit: Receiver<S>) {
    let begun = kit.begin(&delivery()).await.expect("the store answers");
    let Begun::Run(run) = begun else {
        panic!("a fresh event: {begun:?}");
    };
    let completed = run.complete(b"").await.expect("the store answers");
    assert_eq!(completed, Completed::Applied);
}

/// A kit on this store.
pub fn kit<S: Store>(store: S) -> Receiver<S> {
    Receiver::new(store, Settings::default())
}

/// A fresh key, for bare writes.
pub fn key() -> String {
    delivery().key.to_string()
}

/// One way of doing the work of an event.
pub type Call = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub fn call<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn() -> F + Send + Sync + 'static,
) -> Call {
    Arc::new(move || Box::pin(work()))
}

/// Microseconds for each call, from [`CALLERS`] at once.
async fn timed(events: usize, call: &Call) -> f64 {
    let caller = |_| {
        let call = Arc::clone(call);
        tokio::spawn(async move {
            for _ in 0..events / CALLERS {
                call().await;
            }
        })
    };
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS).map(caller).collect();
    for caller in callers {
        caller.await.expect("a caller does not panic");
    }
    start.elapsed().as_secs_f64() * 1e6 / events as f64
}

/// The times of some calls, round by round.
struct Rounds<const N: usize>([Vec<f64>; N]);

impl<const N: usize> Rounds<N> {
    /// Each call in turn, [`ROUNDS`] times, to and fro, so that a table that grows meets all alike.
    async fn of(events: usize, calls: [&Call; N]) -> Self {
        let mut times = [const { Vec::new() }; N];
        // The first round prepares statements and opens connections.
        for round in 0..=ROUNDS {
            let mut turn: Vec<usize> = (0..N).collect();
            if round % 2 == 1 {
                turn.reverse();
            }
            for at in turn {
                let time = timed(events / ROUNDS, calls[at]).await;
                if round > 0 {
                    times[at].push(time);
                }
            }
        }
        Self(times)
    }

    fn median(&self, call: usize) -> f64 {
        median(self.0[call].clone())
    }

    /// How often the time of one call goes into that of another: the median of all rounds, each
    /// compared with itself, because a machine that others use too is not as quick in all of them.
    fn times(&self, call: usize, other: usize) -> f64 {
        let rounds = self.0[call].iter().zip(&self.0[other]);
        median(rounds.map(|(time, other)| time / other).collect())
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Begin and complete are two writes, each of which the other side must be able to rely on: the
/// claim before the handler works, the completion before the sender is answered. So they stand
/// beside one write, which no honest claim can equal, and beside two.
pub async fn compare_leased(store: &str, events: usize, one: Call, two: Call, ours: Call) {
    let rounds = Rounds::of(events, [&one, &two, &ours]).await;
    let name = format!("{store}, leased");
    row(&name, "one bare write", &rounds, 0, None);
    row("", "two bare writes", &rounds, 1, Some(LEASED_TARGET));
}

/// The user's own transaction, then that which keeps the event's key in a table of its own (an
/// insert under a primary key, as a careful handler has it without the kit), then the kit's claim in
/// its place. One commit each time. A protected transaction needs a second row, so that the target
/// is set beside the second.
pub async fn compare_in_transaction(
    store: &str,
    events: usize,
    own: Call,
    keyed: Call,
    ours: Call,
) {
    let rounds = Rounds::of(events, [&own, &keyed, &ours]).await;
    let name = format!("{store}, in transaction");
    row(&name, "own transaction", &rounds, 0, None);
    let target = Some(IN_TRANSACTION_TARGET);
    row("", "own, with a key row", &rounds, 1, target);
}

/// Ours is the last of three calls.
fn row(name: &str, beside: &str, rounds: &Rounds<3>, other: usize, target: Option<f64>) {
    let target = target.map_or_else(|| "-".to_owned(), |target| format!("{target:.2}"));
    let (theirs, ours) = (rounds.median(other), rounds.median(2));
    let times = rounds.times(2, other);
    println!("{name:<36} {beside:<20} {theirs:>8.0} {ours:>8.0} {times:>6.2} {target:>6}");
}

/// The head of the table.
pub fn head(events: usize) {
    println!("{events} events, {CALLERS} callers at once, microseconds for each event");
    println!(
        "leased: begin and complete, beside writes of a key alone, each committed by itself, over \
         as many connections and as durable"
    );
    println!(
        "in transaction: claim, effect and commit, beside effect and commit, and beside key, effect \
         and commit"
    );
    println!("medians of {ROUNDS} rounds in turn; times: ours by theirs, within each round");
    println!(
        "{:<36} {:<20} {:>8} {:>8} {:>6} {:>6}",
        "store and mode", "beside", "theirs", "ours", "times", "target"
    );
}
