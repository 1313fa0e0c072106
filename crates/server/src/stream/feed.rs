//! The one task that follows the history, and the channel to those who watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hooklatch_core::ids::ProjectId;
use hooklatch_store::{News, Seen, Store};
use tokio::sync::broadcast;

use super::event::{Event, events};
use super::place::Place;
use crate::problem::{Kind, Problem};

/// Between two looks at the history.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Requests and attempts of one look: more than anybody can read.
const NEWS_MAX: usize = 1_000;
/// Looks that a watcher may be behind before it misses something.
const LOOKS_KEPT: usize = 64;
/// Watchers of one project at once.
pub(super) const WATCHERS_MAX: usize = 16;
/// Watchers of all projects at once.
const ALL_WATCHERS_MAX: usize = 256;
/// How long a refused watcher shall wait, in seconds.
const BUSY_SECONDS: u32 = 5;

/// What one look brought.
pub(super) struct Look {
    /// What was new, of every project.
    pub events: Vec<Event>,
    /// Where the log stood before it.
    pub before: Place,
    /// Where it stands after it.
    pub after: Place,
    /// Whether there was more than could be shown.
    pub left_out: bool,
}

impl Look {
    pub(super) fn of(news: &News, before: Place) -> Self {
        Self {
            events: events(news),
            before,
            after: Place::of(&news.seen),
            left_out: news.left_out,
        }
    }
}

/// The live log of this process; cheap to clone.
#[derive(Clone)]
pub struct Feed {
    store: Arc<dyn Store>,
    looks: broadcast::Sender<Arc<Look>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    following: bool,
    watchers: HashMap<ProjectId, usize>,
}

/// One watcher's place and its end of the channel.
pub(super) struct Seat {
    pub looks: broadcast::Receiver<Arc<Look>>,
    feed: Feed,
    project: ProjectId,
}

impl Feed {
    /// The log of a store. It is not followed before somebody watches.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            looks: broadcast::Sender::new(LOOKS_KEPT),
            state: Arc::default(),
        }
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.state().watchers.values().sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat, and begins to follow if nobody did. Answers where the log stands: what is
    /// recorded later is shown.
    pub(super) async fn sit_down(&self, project: ProjectId) -> Result<(Seat, Place), Problem> {
        let present = self.store.present().await?;
        let place = Place::of(&present);
        let mut state = self.state();
        let all: usize = state.watchers.values().sum();
        let own = state.watchers.entry(project).or_default();
        if *own >= WATCHERS_MAX || all >= ALL_WATCHERS_MAX {
            return Err(crowded());
        }
        *own += 1;
        let seat = Seat {
            looks: self.looks.subscribe(),
            feed: self.clone(),
            project,
        };
        if !state.following {
            state.following = true;
            tokio::spawn(self.clone().follow(present));
        }
        drop(state);
        Ok((seat, place))
    }

    /// Follows until nobody watches any more.
    async fn follow(self, mut seen: Seen) {
        let mut pace = tokio::time::interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            if self.nobody_watches() {
                return;
            }
            let before = Place::of(&seen);
            match self.store.news(None, seen.clone(), NEWS_MAX).await {
                Ok(news) => {
                    let look = Look::of(&news, before);
                    seen = news.seen;
                    if !look.events.is_empty() || look.left_out {
                        // Whoever left a moment ago needs it no more.
                        drop(self.looks.send(Arc::new(look)));
                    }
                }
                Err(error) => tracing::debug!(%error, "the live log waits for the store"),
            }
        }
    }

    /// Under the same lock under which seats are taken, so that nobody sits down unseen.
    fn nobody_watches(&self) -> bool {
        let mut state = self.state();
        if state.watchers.is_empty() {
            state.following = false;
        }
        !state.following
    }
}

fn crowded() -> Problem {
    let detail = format!(
        "a project may have {WATCHERS_MAX} live streams at once; end one, or try again later"
    );
    Problem::new(Kind::TooManyRequests, detail).retry_after(BUSY_SECONDS)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        if let Some(own) = state.watchers.get_mut(&self.project) {
            *own -= 1;
            if *own == 0 {
                state.watchers.remove(&self.project);
            }
        }
    }
}
