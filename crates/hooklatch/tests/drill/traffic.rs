//! Events that are sent at a steady rate, and when each was sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::support::api::{Api, Source};

/// Calls under way at once: a gateway that is slow is not asked without end.
const UNDER_WAY_MAX: usize = 64;

/// Events of one name.
pub struct Traffic {
    name: &'static str,
    many: usize,
    every: Duration,
}

impl Traffic {
    /// So many, so many per second.
    pub fn new(name: &'static str, many: usize, per_second: u32) -> Self {
        Self {
            name,
            many,
            every: Duration::from_secs(1) / per_second,
        }
    }

    /// The keys of its events.
    pub fn keys(&self) -> impl Iterator<Item = String> + use<> {
        let name = self.name;
        (0..self.many).map(move |number| format!("{name}-{number}"))
    }

    /// Sends all of them; answers when each was sent, by its key.
    pub async fn send(&self, api: &Api, to: &Source) -> HashMap<String, Instant> {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        let mut calls = JoinSet::new();
        for key in self.keys() {
            ticks.tick().await;
            let (api, to, room) = (api.clone(), to.clone(), Arc::clone(&room));
            calls.spawn(async move {
                let _room = room.acquire_owned().await.expect("it is never closed");
                let at = Instant::now();
                let body = format!(r#"{{"id": "{key}", "total": 4200}}"#);
                api.ingest_json(&to, &body).await;
                (key, at)
            });
        }
        calls.join_all().await.into_iter().collect()
    }
}
