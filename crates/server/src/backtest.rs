//! Runs a rule over stored history, in parts: while the store reads the next one, all processors
//! read the keys of the one before, and one of them counts in the order of arrival.

use std::sync::Arc;

use hooklatch_core::backtest::{Report, Room, Sight, Stored, Tally, Trial};
use hooklatch_store::record::envelope;
use hooklatch_store::{ScanPage, ScanStep, Scanned, Store, StoreError};
use tokio::task::JoinSet;

/// Stored requests in one part.
pub(crate) const ROWS_PER_PART: usize = 4_096;
/// Bytes of their bodies.
pub(crate) const BYTES_PER_PART: usize = 16 * 1024 * 1024;

/// What came of a run: the count, and samples for the linter.
pub struct Ran {
    /// The count, without warnings.
    pub report: Report,
    /// What the rule's locations held in some requests.
    pub held: Vec<Vec<Option<String>>>,
}

/// Runs a trial over what `step` names, up to `limit` stored requests. `progress` is told how many
/// have been looked at, and answers whether anybody still wants to know.
///
/// # Errors
/// Where the store fails.
pub async fn run(
    store: &Arc<dyn Store>,
    trial: Arc<Trial>,
    step: ScanStep,
    limit: u64,
    mut progress: impl FnMut(u64) -> bool + Send,
) -> Result<Ran, StoreError> {
    let mut tally = Tally::new(trial.window());
    let mut next = Some(step);
    let mut read: Option<ScanPage> = None;
    loop {
        let scanning = async {
            match next {
                Some(step) => store.scan(step).await.map(Some),
                None => Ok(None),
            }
        };
        let reading = sights(Arc::clone(&trial), read.take(), tally.wants_samples());
        let (scanned, sights) = tokio::join!(scanning, reading);
        if let Room::Full = count(&mut tally, sights, limit) {
            break;
        }
        if !progress(tally.looked_at()) {
            break;
        }
        let Some(page) = scanned? else { break };
        next = page.next.and_then(|from| {
            let more = next.map(|step| ScanStep { from, ..step });
            more.filter(|step| step.from < step.below)
        });
        read = Some(page);
    }
    let (report, held) = tally.finish();
    Ok(Ran { report, held })
}

type Looked = (Stored, Option<Vec<Sight>>);

fn count(tally: &mut Tally, looked: Vec<Looked>, limit: u64) -> Room {
    for (stored, sights) in looked {
        if tally.looked_at() >= limit {
            tally.truncate();
            return Room::Full;
        }
        if tally.count(&stored, sights) == Room::Full {
            return Room::Full;
        }
    }
    Room::Left
}

/// What the rule reads in a part, on as many processors as there are.
async fn sights(trial: Arc<Trial>, page: Option<ScanPage>, sampled: bool) -> Vec<Looked> {
    let Some(page) = page else {
        return Vec::new();
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let share = page.arrivals.len().div_ceil(processors).max(1);
    let mut rest = page.arrivals;
    let mut working = JoinSet::new();
    let mut at = 0;
    while !rest.is_empty() {
        let some: Vec<Scanned> = rest.drain(..share.min(rest.len())).collect();
        let trial = Arc::clone(&trial);
        let place = at;
        working.spawn_blocking(move || {
            let looked: Vec<Looked> = some.iter().map(|it| look(&trial, it, sampled)).collect();
            (place, looked)
        });
        at += 1;
    }
    let mut parts = working.join_all().await;
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().flat_map(|(_, looked)| looked).collect()
}

fn look(trial: &Trial, scanned: &Scanned, sampled: bool) -> Looked {
    let stored = Stored {
        request_id: scanned.request_id,
        message_id: scanned.message_id,
        received_at: scanned.received_at,
    };
    let Some(body) = &scanned.body else {
        return (stored, None);
    };
    let text = scanned.envelope.as_deref();
    let surrounded = text.and_then(|text| envelope::decode(text).ok());
    let surrounded = surrounded.unwrap_or_default();
    (stored, Some(trial.read(&surrounded, body, sampled)))
}
