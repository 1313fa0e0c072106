//! What the kit costs: begin and complete beside bare writes into the same store, and an event in a
//! transaction beside the user's own transaction. One run, one machine, 8 callers at once; every
//! database syncs each commit to the disk.
//!
//! ```text
//! cargo xtask bench --receiver [events] [store …]
//! ```

mod mariadb;
mod measure;
mod memcached;
mod postgres;
mod redis;
mod sqlite;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

/// In shorter runs it counts that tables are new, and their pages not yet in memory.
const EVENTS_DEFAULT: usize = 12_000;
const STORES: [&str; 5] = ["postgres", "mariadb", "sqlite", "redis", "memcached"];

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo bench` passes an argument of its own.
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let number = asked.iter().find_map(|text| text.parse().ok());
    let named: Vec<&str> = STORES
        .into_iter()
        .filter(|store| asked.iter().any(|text| text == store))
        .collect();
    let is_known = |text: &&String| {
        text.starts_with("--") || text.parse::<usize>().is_ok() || STORES.contains(&text.as_str())
    };
    if let Some(unknown) = asked.iter().find(|text| !is_known(text)) {
        eprintln!("{unknown:?} is no store: say {}", STORES.join(", "));
        return ExitCode::from(2);
    }
    let stores = if named.is_empty() {
        STORES.to_vec()
    } else {
        named
    };
    let events: usize = number.unwrap_or(EVENTS_DEFAULT);
    if events < measure::EVENTS_MIN {
        let least = measure::EVENTS_MIN;
        eprintln!("{events} events are too few to measure: say {least} or more");
        return ExitCode::from(2);
    }
    measure::head(events);
    for store in stores {
        match store {
            "postgres" => postgres::measure(events).await,
            "mariadb" => mariadb::measure(events).await,
            "sqlite" => sqlite::measure(events / 2).await,
            // Without a disk to wait for, more of them take no longer.
            "redis" => redis::measure(events * 5).await,
            "memcached" => memcached::measure(events * 5).await,
            other => unreachable!("{other} is not among STORES"),
        }
    }
    ExitCode::SUCCESS
}
