//! From a name to addresses: bounded, shared and shortly remembered.
//!
//! The system's resolver blocks a thread and cannot be cancelled. So a lookup runs in a task of
//! its own, which holds its permit until the resolver returns, however long its callers waited;
//! and all who ask for one name at one time share one lookup, so that a dead name costs one thread
//! and not one per delivery.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::settings::SenderSettings;

/// Addresses of one name that are looked at. More would only lengthen a failing connect.
const ADDRESSES_MAX: usize = 16;

/// A lookup under way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. Whatever it answers is judged before it is dialled.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, best first, to be dialled at `port`.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The system's resolver, with its hosts file and its search rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The names in use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Names(Arc<Shared>);

struct Shared {
    resolver: Arc<dyn Resolve>,
    permits: Semaphore,
    timeout: Duration,
    ttl: Duration,
    names_max: usize,
    entries: Mutex<HashMap<Asked, Entry>>,
}

type Asked = (Arc<str>, u16);
type Found = Result<Arc<[SocketAddr]>, String>;

enum Entry {
    Known {
        addresses: Arc<[SocketAddr]>,
        until: Instant,
    },
    Pending(watch::Receiver<Option<Found>>),
}

impl Names {
    pub(crate) fn new(settings: &SenderSettings, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Shared {
            resolver,
            permits: Semaphore::new(settings.dns_concurrency.max(1)),
            timeout: settings.dns_timeout,
            ttl: settings.dns_ttl,
            names_max: settings.dns_names_max.max(1),
            entries: Mutex::new(HashMap::new()),
        }))
    }

    /// The addresses of a name, none of them judged yet; at least one.
    pub(crate) async fn addresses(&self, host: &Arc<str>, port: u16) -> Found {
        let mut pending = match self.known_or_pending(host, port) {
            Ok(addresses) => return Ok(addresses),
            Err(pending) => pending,
        };
        match timeout(self.0.timeout, pending.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().expect("wait_for saw a result"),
            Ok(Err(_)) => Err("the lookup was abandoned".to_owned()),
            Err(_) => Err(format!(
                "no answer within {} ms",
                self.0.timeout.as_millis()
            )),
        }
    }

    fn known_or_pending(
        &self,
        host: &Arc<str>,
        port: u16,
    ) -> Result<Arc<[SocketAddr]>, watch::Receiver<Option<Found>>> {
        let asked = (Arc::clone(host), port);
        let mut entries = self.0.entries();
        match entries.get(&asked) {
            Some(Entry::Known { addresses, until }) if Instant::now() < *until => {
                return Ok(Arc::clone(addresses));
            }
            // A closed channel is a lookup whose task died with its runtime: ask again.
            Some(Entry::Pending(pending)) if pending.has_changed().is_ok() => {
                return Err(pending.clone());
            }
            Some(Entry::Known { .. } | Entry::Pending(_)) | None => {}
        }
        let (answer, pending) = watch::channel(None);
        entries.insert(asked.clone(), Entry::Pending(pending.clone()));
        drop(entries);
        tokio::spawn(Arc::clone(&self.0).look_up(asked, answer));
        Err(pending)
    }
}

impl Shared {
    async fn look_up(self: Arc<Self>, asked: Asked, answer: watch::Sender<Option<Found>>) {
        let permit = self.permits.acquire().await;
        let resolved = self.resolver.resolve(&asked.0, asked.1).await;
        drop(permit);
        let found = match resolved {
            Ok(addresses) if addresses.is_empty() => Err("it has no address".to_owned()),
            Ok(addresses) => Ok(canonical(&addresses)),
            Err(error) => Err(error.to_string()),
        };
        self.remember(asked, &found);
        answer.send_replace(Some(found));
    }

    fn remember(&self, asked: Asked, found: &Found) {
        let mut entries = self.entries();
        let now = Instant::now();
        match found {
            Ok(addresses) if !self.ttl.is_zero() => {
                make_room(&mut entries, self.names_max, now);
                let known = Entry::Known {
                    addresses: Arc::clone(addresses),
                    until: now + self.ttl,
                };
                entries.insert(asked, known);
            }
            // A failure is not kept: the person who mends a name wants the next attempt to see it.
            Ok(_) | Err(_) => {
                entries.remove(&asked);
            }
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Asked, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All addresses are judged, so an answer that is too long is cut before and not after.
fn canonical(addresses: &[SocketAddr]) -> Arc<[SocketAddr]> {
    addresses
        .iter()
        .take(ADDRESSES_MAX)
        .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
        .collect()
}

fn make_room(entries: &mut HashMap<Asked, Entry>, names_max: usize, now: Instant) {
    if entries.len() < names_max {
        return;
    }
    entries.retain(|_, entry| match entry {
        Entry::Known { until, .. } => now < *until,
        Entry::Pending(_) => true,
    });
    if entries.len() >= names_max {
        // Lookups under way must stay: others wait for them, and their number is bounded by the
        // attempts under way.
        entries.retain(|_, entry| matches!(entry, Entry::Pending(_)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Answers when told to, and counts how often it was asked.
    #[derive(Default)]
    struct Scripted {
        asked: AtomicUsize,
        go: Notify,
        fails: bool,
    }

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _: &'a str, port: u16) -> Resolving<'a> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                self.go.notified().await;
                match self.fails {
                    true => Err(io::Error::other("no such name")),
                    false => Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]),
                }
            })
        }
    }

    fn names(resolver: &Arc<Scripted>, settings: &SenderSettings) -> Names {
        Names::new(settings, Arc::clone(resolver) as Arc<dyn Resolve>)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_at_once_share_one_lookup_and_its_answer_is_kept_for_a_while() {
        let resolver = Arc::new(Scripted::default());
        let names = names(&resolver, &SenderSettings::default());
        let host: Arc<str> = "example.com".into();
        let (first, second, ()) = tokio::join!(
            names.addresses(&host, 80),
            names.addresses(&host, 80),
            async { resolver.go.notify_one() }
        );
        assert_eq!(first, second);
        assert_eq!(names.addresses(&host, 80).await, first);
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);

        tokio::time::advance(SenderSettings::default().dns_ttl).await;
        resolver.go.notify_one();
        assert_eq!(names.addresses(&host, 80).await, first);
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let resolver = Arc::new(Scripted {
            fails: true,
            ..Scripted::default()
        });
        let names = names(&resolver, &SenderSettings::default());
        let host: Arc<str> = "gone.example".into();
        for asked in 1..=2 {
            resolver.go.notify_one();
            let found = names.addresses(&host, 80).await;
            assert_eq!(found, Err("no such name".to_owned()));
            assert_eq!(resolver.asked.load(Ordering::SeqCst), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_hangs_keeps_its_permit_and_lets_its_callers_go() {
        let resolver = Arc::new(Scripted::default());
        let settings = SenderSettings {
            dns_concurrency: 1,
            ..SenderSettings::default()
        };
        let names = names(&resolver, &settings);
        for host in ["dead.example", "dead.example", "other.example"] {
            let found = names.addresses(&host.into(), 80).await;
            assert_eq!(found, Err("no answer within 5000 ms".to_owned()));
        }
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_names_kept_is_bounded() {
        let resolver = Arc::new(Scripted::default());
        let settings = SenderSettings {
            dns_names_max: 8,
            ..SenderSettings::default()
        };
        let names = names(&resolver, &settings);
        for number in 0..50 {
            resolver.go.notify_one();
            let host = format!("{number}.example").into();
            names.addresses(&host, 80).await.unwrap();
            assert!(names.0.entries().len() <= 8);
        }
    }
}
