//! A month of traffic, by the store's own methods, under a clock that is set from minute to minute:
//! what arrives is admitted, what is due is leased and finished, and sums are made, as a gateway
//! would have had it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use bytes::Bytes;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome, Timing};
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{Lane, Reason};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::{
    Admissions, Clock, Configuration, Deliveries, Expected, FinishAttempt, Lease, LeaseRequest,
    LeaseTerms, RolledUp, Saved, Stats, Store, SystemClock, Terms,
};
use hooklatch_store_sqlite::{Options, SqliteStore};
use tokio::task::JoinSet;

use super::arrivals::{Place, Places};
use super::event::{self, Fate, scattered};
use super::world::{PAUSED, World};
use crate::Failure;

/// How far back the history goes.
const MINUTES: u64 = 30 * 24 * 60;
const MINUTE_MS: i64 = 60_000;
/// How often sums are made, in minutes of the history.
const SUMMED_EVERY: u64 = 240;
/// The key with which the configuration's secrets are sealed lies beside the data.
const KEY_FILE: &str = "encryption.key";

/// A clock that stands where it is set.
struct Past(AtomicI64);

impl Clock for Past {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Relaxed))
    }
}

/// Makes a store with so many messages, under the configuration of another one.
pub(super) fn fill(
    configured: &Path,
    directory: &Path,
    world: &World,
    messages: u64,
) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let end = SystemClock.now();
            let begin = end - Millis::new(MINUTES as i64 * MINUTE_MS);
            let clock = Arc::new(Past(AtomicI64::new(begin.as_millis())));
            std::fs::create_dir_all(directory)?;
            let store = SqliteStore::open(directory, clock.clone(), Options::default())?;
            configure(configured, directory, &store).await?;
            let past = Filling {
                store: Arc::clone(&store),
                clock,
                begin,
                places: Places::of(world)?,
            };
            past.live(messages).await?;
            Ok(store.close().await?)
        })
}

/// Brings the configuration over, and the key of its secrets.
async fn configure(from: &Path, to: &Path, store: &SqliteStore) -> Result<(), Failure> {
    let configured = SqliteStore::open(from, Arc::new(SystemClock), Options::default())?;
    for record in configured.load().await? {
        let saved = store.save(record, Expected::Nothing).await?;
        if !matches!(saved, Saved::Done { .. }) {
            return Err("the configuration was not taken over".into());
        }
    }
    configured.close().await?;
    std::fs::copy(from.join(KEY_FILE), to.join(KEY_FILE))?;
    Ok(())
}

struct Filling {
    store: Arc<SqliteStore>,
    clock: Arc<Past>,
    begin: Timestamp,
    places: Places,
}

impl Filling {
    async fn live(&self, messages: u64) -> Result<(), Failure> {
        let terms: Arc<dyn LeaseTerms> = Arc::new(Everywhere {
            but: self.places.lane(PAUSED),
        });
        for minute in 0..MINUTES {
            let until =
                Millis::new(minute as i64 * MINUTE_MS + (scattered(minute) % 50_000) as i64);
            self.clock
                .0
                .store((self.begin + until).as_millis(), Relaxed);
            let numbers = minute * messages / MINUTES..(minute + 1) * messages / MINUTES;
            self.arrive(numbers, messages).await?;
            self.deliver(&terms).await?;
            if minute % SUMMED_EVERY == 0 {
                while self.store.roll_up().await? == RolledUp::More {}
            }
            if minute % (MINUTES / 10) == 0 {
                eprintln!("filled {} %", minute * 100 / MINUTES);
            }
        }
        while self.store.roll_up().await? == RolledUp::More {}
        Ok(())
    }

    async fn arrive(&self, numbers: std::ops::Range<u64>, of: u64) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut arrivals = Vec::new();
        for number in numbers {
            arrivals.push(self.places.first(Place { number, of }, now));
            if let Some((number, how)) = event::repetition(number) {
                arrivals.push(self.places.again(Place { number, of }, how, now));
            }
        }
        if !arrivals.is_empty() {
            self.store.admit(arrivals).await?;
        }
        Ok(())
    }

    async fn deliver(&self, terms: &Arc<dyn LeaseTerms>) -> Result<(), Failure> {
        loop {
            let (limit, terms) = (512, Arc::clone(terms));
            let leases = self.store.lease(LeaseRequest { limit, terms }).await?;
            if leases.leased.is_empty() {
                return Ok(());
            }
            let mut finishing = JoinSet::new();
            for lease in leases.leased {
                let store = Arc::clone(&self.store);
                let Some(finish) = attempted(&lease) else {
                    continue;
                };
                finishing.spawn(async move { store.finish(finish).await });
            }
            while let Some(finished) = finishing.join_next().await {
                finished??;
            }
        }
    }
}

/// Every lane takes what it is given, but for one.
struct Everywhere {
    but: Lane,
}

impl LeaseTerms for Everywhere {
    fn terms(&self, lane: Lane) -> Terms {
        Terms {
            capacity: if lane == self.but { 0 } else { 512 },
            live_max: usize::MAX,
            span: Millis::from_seconds(40),
        }
    }
}

/// How an attempt went.
fn attempted(lease: &Lease) -> Option<FinishAttempt> {
    let begun = lease.delivery.attempt_in_progress()?;
    let drawn = scattered(begun.message_id.number().unsigned_abs());
    let retry = Next::Retry {
        after: Millis::from_seconds(30),
        counts: true,
    };
    let (outcome, status, next) = match (event::fate(drawn), begun.number) {
        (Fate::Well, _) | (Fate::LateButWell, 2..) => {
            (AttemptOutcome::Delivered, Some(200), Next::Deliver)
        }
        (Fate::LateButWell, _) | (Fate::Badly, 0..3) => (AttemptOutcome::Failed, Some(503), retry),
        (Fate::Badly, _) => (
            AttemptOutcome::Failed,
            Some(500),
            Next::Fail(Reason::AttemptsExhausted),
        ),
        (Fate::Uncertain, _) => (
            AttemptOutcome::Uncertain,
            None,
            Next::Hold(Reason::Uncertain),
        ),
        (Fate::CalledOff, _) => (
            AttemptOutcome::Failed,
            Some(503),
            Next::Cancel(Reason::CancelledByPerson),
        ),
    };
    Some(FinishAttempt {
        delivery_id: lease.delivery.id,
        token: begun.id,
        attempt: Some(ended(begun, outcome, status, drawn)),
        next,
    })
}

fn ended(begun: Attempt, outcome: AttemptOutcome, status: Option<u16>, drawn: u64) -> Attempt {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let delivered = outcome == AttemptOutcome::Delivered;
    Attempt {
        outcome,
        status_code: status,
        error: status
            .is_none()
            .then(|| "no answer came within 30 s".to_owned()),
        receipt: delivered.then(|| "processed".to_owned()),
        request_headers: vec![
            line("content-type", "application/json".into()),
            line("webhook-id", begun.message_id.to_string()),
            line(
                "webhook-timestamp",
                (begun.started_at.as_millis() / 1_000).to_string(),
            ),
            line("webhook-signature", "***".into()),
            line("hooklatch-attempt", begun.number.to_string()),
            line("user-agent", "hooklatch".into()),
        ],
        response_headers: vec![
            line("content-type", "application/json".into()),
            line("server", "shop".into()),
        ],
        response_body: Bytes::from_static(if delivered {
            br#"{"received": true}"#
        } else {
            br#"{"error": "the database is away for maintenance, please try again later"}"#
        }),
        duration_ms: 4 + drawn % 180,
        timing: Timing {
            first_byte_us: Some(3_000 + drawn % 170_000),
            ..Timing::default()
        },
        ..begun
    }
}
