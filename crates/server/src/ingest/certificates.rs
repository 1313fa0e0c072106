//! Certificates that providers sign with: fetched once for all who wait, kept for a day, and asked
//! for no more often than a source's share allows.
//!
//! Whoever knows an ingest URL can name certificates that are not there, each under another name.
//! So a fetch costs a token of the source; without one, a request that needs a certificate which is
//! not known is told to come again, while what is known goes on serving. Nothing is judged here:
//! `core` does that, for every request anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hooklatch_core::ids::SourceId;
use hooklatch_core::time::Timestamp;
use hooklatch_core::verify::{CERTIFICATE_BYTES_MAX, Chain, TrustAnchor};
use hooklatch_engine::{Fetch, FetchError};
use tokio::time::Instant;

/// How long a certificate is kept. It is judged at every use, so that this says no more than how
/// soon a file that has changed is seen.
const KEPT: Duration = Duration::from_secs(86_400);
/// For so long a failure is the answer to those who ask for the same.
const FAILURE_KEPT: Duration = Duration::from_secs(30);
/// The time for a certificate with all of its issuers, and for waiting until others have fetched it:
/// providers wait for 15 seconds and longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fetches that a source may have at once.
const BURST: f64 = 8.0;
/// One more in so many seconds.
const SECONDS_PER_FETCH: f64 = 15.0;
/// Certificates that are kept.
const PLACES_MAX: usize = 1_024;
/// Bytes of the answer to a confirmation; nobody reads it.
const CONFIRMATION_BYTES_MAX: usize = 64 * 1024;

/// The certificates of this node.
pub(crate) struct Certificates {
    fetch: Arc<dyn Fetch>,
    roots: Arc<[TrustAnchor<'static>]>,
    places: Mutex<HashMap<String, Arc<Place>>>,
    shares: Mutex<HashMap<SourceId, Share>>,
}

/// One certificate. Whoever fetches it holds the lock meanwhile.
#[derive(Default)]
struct Place(tokio::sync::Mutex<Option<Held>>);

struct Held {
    found: Result<Arc<Chain>, String>,
    until: Instant,
}

/// What a source has left of its fetches.
#[derive(Clone, Copy)]
struct Share {
    tokens: f64,
    filled_at: Instant,
}

/// Why there is no certificate now; it may be there later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// It could not be fetched.
    #[error("{what} could not be fetched ({detail})")]
    Failed {
        /// What was to be fetched.
        what: &'static str,
        /// Why not.
        detail: String,
    },
    /// The source has had its share of fetches.
    #[error("too much was to be fetched for this source")]
    Share,
}

const CERTIFICATE: &str = "the certificate that the request names";
const CONFIRMATION: &str = "the URL that confirms the subscription";

impl Certificates {
    /// Fetches by `fetch`, and believes these authorities.
    pub(crate) fn new(fetch: Arc<dyn Fetch>, roots: Vec<TrustAnchor<'static>>) -> Self {
        Self {
            fetch,
            roots: roots.into(),
            places: Mutex::default(),
            shares: Mutex::default(),
        }
    }

    /// The authorities that are believed.
    pub(crate) fn roots(&self) -> Arc<[TrustAnchor<'static>]> {
        Arc::clone(&self.roots)
    }

    /// The certificate at a URL that is the provider's, with its issuers.
    pub(crate) async fn get(
        &self,
        source: SourceId,
        url: &str,
        now: Timestamp,
    ) -> Result<Arc<Chain>, Unavailable> {
        let getting = async {
            let place = self.place(url);
            let mut held = place.0.lock().await;
            if let Some(known) = held.as_ref().filter(|held| Instant::now() < held.until) {
                return known.found.clone().map_err(failed);
            }
            self.take_token(source)?;
            let found = self.load(url, now).await.map(Arc::new);
            let kept = if found.is_ok() { KEPT } else { FAILURE_KEPT };
            let until = Instant::now() + kept;
            *held = Some(Held {
                found: found.clone(),
                until,
            });
            found.map_err(failed)
        };
        match tokio::time::timeout(PATIENCE, getting).await {
            Ok(found) => found,
            Err(_) => Err(failed("it did not come in time".to_owned())),
        }
    }

    /// Calls the URL that confirms a subscription.
    pub(crate) async fn confirm(&self, source: SourceId, url: &str) -> Result<(), Unavailable> {
        self.take_token(source)?;
        let answer = self.fetch.get(url, CONFIRMATION_BYTES_MAX).await;
        answer.map(drop).map_err(|error| Unavailable::Failed {
            what: CONFIRMATION,
            detail: error.to_string(),
        })
    }

    async fn load(&self, url: &str, now: Timestamp) -> Result<Chain, String> {
        let text = |error: FetchError| error.to_string();
        let file = self.fetch.get(url, CERTIFICATE_BYTES_MAX).await;
        let file = file.map_err(text)?;
        let mut chain = Chain::read(&file).map_err(|error| error.to_string())?;
        // The chain's length is bounded, and each round makes it longer.
        while let Some(issuer) = chain.issuer_wanted(&self.roots, now) {
            let file = self.fetch.get(&issuer, CERTIFICATE_BYTES_MAX).await;
            let file = file.map_err(|error| format!("its issuer: {error}"))?;
            let longer = chain.extend(&file);
            longer.map_err(|error| format!("its issuer: {error}"))?;
        }
        Ok(chain)
    }

    fn place(&self, url: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= PLACES_MAX && !places.contains_key(url) {
            make_room(&mut places);
        }
        Arc::clone(places.entry(url.to_owned()).or_default())
    }

    fn take_token(&self, source: SourceId) -> Result<(), Unavailable> {
        let now = Instant::now();
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.entry(source).or_insert(Share {
            tokens: BURST,
            filled_at: now,
        });
        let since = now.saturating_duration_since(share.filled_at).as_secs_f64();
        share.tokens = (share.tokens + since / SECONDS_PER_FETCH).min(BURST);
        share.filled_at = now;
        if share.tokens < 1.0 {
            return Err(Unavailable::Share);
        }
        share.tokens -= 1.0;
        Ok(())
    }
}

/// Leaves what was found and is still good, if that is not too much. A place that somebody is
/// fetching into goes on serving those who wait there.
fn make_room(places: &mut HashMap<String, Arc<Place>>) {
    let now = Instant::now();
    places.retain(|_, place| {
        let held = place.0.try_lock();
        held.is_ok_and(|held| {
            let good = |held: &Held| held.found.is_ok() && now < held.until;
            held.as_ref().is_some_and(good)
        })
    });
    if places.len() >= PLACES_MAX {
        places.clear();
    }
}

fn failed(detail: String) -> Unavailable {
    Unavailable::Failed {
        what: CERTIFICATE,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use hooklatch_engine::Fetching;
    use serde_json::Value;

    use super::*;

    const URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-1";
    const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);

    /// Has a certificate under one URL, its issuer under another, and nothing elsewhere.
    struct Scripted {
        files: HashMap<&'static str, Bytes>,
        asked: AtomicUsize,
    }

    impl Fetch for Scripted {
        fn get<'a>(&'a self, url: &'a str, _: usize) -> Fetching<'a> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let file = self.files.get(url).cloned();
                file.ok_or(FetchError::Status(404))
            })
        }
    }

    /// The sample's certificate, without and with what it needs.
    fn certificates(with_issuer: bool) -> (Arc<Scripted>, Certificates) {
        let sample = include_str!("../../../core/src/provider/samples/paypal.json");
        let sample: Value = serde_json::from_str(sample).expect("a sample is JSON");
        let file = |at: &Value| {
            use base64::Engine;
            let text = at.as_str().expect("a sample's files are texts");
            let der = base64::engine::general_purpose::STANDARD.decode(text);
            Bytes::from(der.unwrap_or_else(|_| text.as_bytes().to_vec()))
        };
        let mut files = HashMap::from([(URL, file(&sample["files"][0]))]);
        if with_issuer {
            files.insert(
                "http://ca.example.com/issuer.cer",
                file(&sample["files"][1]),
            );
        }
        let fetch = Arc::new(Scripted {
            files,
            asked: AtomicUsize::new(0),
        });
        (
            Arc::clone(&fetch),
            Certificates::new(fetch, vec![anchor(&file(&sample["roots"][0]))]),
        )
    }

    fn anchor(der: &[u8]) -> TrustAnchor<'static> {
        Chain::anchor(der).expect("a sample's root is a certificate")
    }

    fn source(number: i64) -> SourceId {
        SourceId::from_number(number)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_for_a_certificate_share_one_fetch_and_it_is_kept_for_a_day() {
        let (fetch, certificates) = certificates(true);
        let (one, other) = tokio::join!(
            certificates.get(source(1), URL, NOW),
            certificates.get(source(2), URL, NOW),
        );
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(
            fetch.asked.load(Ordering::SeqCst),
            2,
            "the leaf and its issuer"
        );
        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        assert!(certificates.get(source(1), URL, NOW).await.is_ok());
        assert_eq!(fetch.asked.load(Ordering::SeqCst), 2);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(certificates.get(source(1), URL, NOW).await.is_ok());
        assert_eq!(fetch.asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_without_its_issuer_is_not_there_and_that_is_kept_for_a_while() {
        let (fetch, certificates) = certificates(false);
        let missing = certificates.get(source(1), URL, NOW).await.unwrap_err();
        assert!(missing.to_string().contains("its issuer: 404"), "{missing}");
        let again = certificates.get(source(1), URL, NOW).await.unwrap_err();
        assert_eq!(again, missing);
        assert_eq!(fetch.asked.load(Ordering::SeqCst), 2);
        tokio::time::advance(FAILURE_KEPT).await;
        assert!(certificates.get(source(1), URL, NOW).await.is_err());
        assert_eq!(fetch.asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_that_are_not_there_costs_its_own_source_a_few_fetches() {
        let (fetch, certificates) = certificates(true);
        assert!(certificates.get(source(1), URL, NOW).await.is_ok());
        for number in 0..500 {
            let url = format!("{URL}-{number}");
            assert!(certificates.get(source(1), &url, NOW).await.is_err());
        }
        assert!(fetch.asked.load(Ordering::SeqCst) <= 2 + 8);
        // What is known goes on serving, and other sources have shares of their own.
        assert!(certificates.get(source(1), URL, NOW).await.is_ok());
        let elsewhere = certificates.get(source(2), "https://x.example/", NOW).await;
        assert!(matches!(elsewhere, Err(Unavailable::Failed { .. })));
        assert_eq!(
            certificates.confirm(source(1), URL).await,
            Err(Unavailable::Share)
        );
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(certificates.confirm(source(1), URL).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_certificates_kept_is_bounded() {
        let (_, certificates) = certificates(true);
        assert!(certificates.get(source(0), URL, NOW).await.is_ok());
        for number in 0..i64::try_from(2 * PLACES_MAX).expect("it is small") {
            let url = format!("{URL}-{number}");
            let _ = certificates.get(source(number), &url, NOW).await;
        }
        let places = certificates.places.lock().unwrap();
        assert!(places.len() <= PLACES_MAX && places.contains_key(URL));
    }
}
