//! What the kit costs: begin and complete beside bare writes into the same store, and an event in a
//! transaction beside the user's own transaction. One run, one machine, 8 callers at once; every
//! database syncs each commit to the disk.
//!
//! ```text
//! cargo xtask bench --receiver [events]
//! ```

mod mariadb;
mod measure;
mod memcached;
mod postgres;
mod redis;
mod sqlite;
#[path = "../../tests/support/mod.rs"]
mod support;

const EVENTS_DEFAULT: usize = 4_000;

#[tokio::main]
async fn main() {
    // `cargo bench` passes an argument of its own.
    let asked = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let events: usize = asked.unwrap_or(EVENTS_DEFAULT);
    measure::head(events);
    postgres::measure(events).await;
    mariadb::measure(events).await;
    sqlite::measure(events / 2).await;
    // Without a disk to wait for, more of them take no longer.
    redis::measure(events * 5).await;
    memcached::measure(events * 5).await;
}
