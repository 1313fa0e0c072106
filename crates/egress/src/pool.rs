//! Idle connections, bounded by age, per host and in all.
//!
//! The newest is used first, so that those above the need grow old and go. Nothing is closed while
//! the lock is held.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::link::Link;
use crate::settings::SenderSettings;
use crate::target::OriginKey;

pub(crate) struct Pool {
    idle: Mutex<Idle>,
    idle_timeout: Duration,
    connection_age_max: Duration,
    idle_per_host: usize,
    idle_total: usize,
    swept: AtomicBool,
}

/// The connections of each origin, the longest idle first.
#[derive(Default)]
struct Idle {
    #[expect(
        clippy::vec_box,
        reason = "a link is large, and moves between pool and attempt without a copy"
    )]
    links: HashMap<OriginKey, Vec<Box<Link>>>,
    count: usize,
}

impl Pool {
    pub(crate) fn new(settings: &SenderSettings) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::new(Idle::default()),
            idle_timeout: settings.idle_timeout,
            connection_age_max: settings.connection_age_max,
            idle_per_host: settings.idle_per_host,
            idle_total: settings.idle_total,
            swept: AtomicBool::new(false),
        })
    }

    /// A connection to `origin` that is worth trying.
    pub(crate) fn take(&self, origin: &OriginKey) -> Option<Box<Link>> {
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut idle = self.idle();
        let found = loop {
            let Some(link) = idle.pop_newest(origin) else {
                break None;
            };
            if self.is_fresh(&link, now) {
                break Some(link);
            }
            closed.push(link);
        };
        drop(idle);
        found
    }

    /// Keeps a connection for the next attempt, if there is room.
    pub(crate) fn put(self: &Arc<Self>, origin: &OriginKey, mut link: Box<Link>) {
        let now = Instant::now();
        link.idle_since = now;
        if self.idle_total == 0 || self.idle_per_host == 0 || !self.is_fresh(&link, now) {
            return;
        }
        let mut idle = self.idle();
        let of_origin = idle.links.get(origin).map_or(0, Vec::len);
        let closed = if of_origin >= self.idle_per_host {
            idle.remove_oldest_of(origin)
        } else if idle.count >= self.idle_total {
            idle.remove_oldest()
        } else {
            None
        };
        idle.push(origin, link);
        assert!(idle.count <= self.idle_total, "the pool outgrew its limit");
        drop(idle);
        drop(closed);
        self.sweep_from_now_on();
    }

    /// Connections that wait for use.
    pub(crate) fn count(&self) -> usize {
        self.idle().count
    }

    /// Correctness needs no sweep, since `take` looks at the age; it frees what nobody takes.
    fn sweep_from_now_on(self: &Arc<Self>) {
        if !self.swept.swap(true, Ordering::Relaxed) {
            let every = (self.idle_timeout / 2).max(Duration::from_millis(100));
            tokio::spawn(sweep_while_used(Arc::downgrade(self), every));
        }
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut idle = self.idle();
        for links in idle.links.values_mut() {
            closed.extend(
                links.extract_if(.., |link| !self.is_fresh(link, now) || link.was_closed()),
            );
        }
        idle.links.retain(|_, links| !links.is_empty());
        idle.count -= closed.len();
        drop(idle);
    }

    fn is_fresh(&self, link: &Link, now: Instant) -> bool {
        now.duration_since(link.idle_since) < self.idle_timeout
            && now.duration_since(link.opened) < self.connection_age_max
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep_while_used(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match pool.upgrade() {
            Some(pool) => pool.sweep(),
            None => return,
        }
    }
}

impl Idle {
    fn pop_newest(&mut self, origin: &OriginKey) -> Option<Box<Link>> {
        // The empty list stays: a busy origin fills it again at once, and the sweep clears it.
        let link = self.links.get_mut(origin)?.pop()?;
        self.count -= 1;
        Some(link)
    }

    fn push(&mut self, origin: &OriginKey, link: Box<Link>) {
        match self.links.get_mut(origin) {
            Some(links) => links.push(link),
            None => {
                self.links.insert(origin.clone(), vec![link]);
            }
        }
        self.count += 1;
    }

    fn remove_oldest_of(&mut self, origin: &OriginKey) -> Option<Box<Link>> {
        let links = self.links.get_mut(origin)?;
        if links.is_empty() {
            return None;
        }
        self.count -= 1;
        Some(links.remove(0))
    }

    fn remove_oldest(&mut self) -> Option<Box<Link>> {
        let oldest = self
            .links
            .values_mut()
            .filter(|links| !links.is_empty())
            .min_by_key(|links| links[0].idle_since)?;
        self.count -= 1;
        Some(oldest.remove(0))
    }
}
