//! The first half of a batch: locks its keys and reads what the ledger knows of them.

use std::collections::{HashMap, HashSet};

use hooklatch_core::admission::Original;
use hooklatch_core::delivery::DeliveryStatus;
use hooklatch_core::ids::{MessageId, SourceId};
use hooklatch_core::time::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::known::Known;
use super::{Arriving, write};
use crate::columns::{INSERT_LIVE, array};
use crate::fault::Fault;
use crate::key::Key;
use crate::memory::Memory;
use crate::rows::claim::{self, select_claims};
use crate::rows::delivery::{self, select_deliveries};
use crate::rows::message::{self, StoredMessage, select_messages};
use crate::worker::{BY_VALUE, Link};
use crate::{partitions, retention};

/// Beyond so many keys a batch locks out all others instead of locking each key: the database's
/// table of locks is bounded.
pub(crate) const LOCKS_MAX: usize = 256;

/// Held shared by every batch, and alone by one with more keys than can be locked.
pub(crate) const GATE: i64 = 0x686b_6c74_6761_7465;

/// Originals by their numbers; the bounds let the database look into their partitions only.
const ORIGINALS: &str = "SELECT id, source, received, decided, routed, deliveries \
     FROM hooklatch.messages WHERE id = ANY($1) AND id >= $2 AND id <= $3 ORDER BY id";

/// The same, whole. One that has matched nothing may be routed by this batch, and by no other.
const UNROUTED: &str = select_messages!(
    " FROM hooklatch.messages m WHERE m.id = ANY($1) AND m.id >= $2 AND m.id <= $3 \
     ORDER BY m.id FOR UPDATE"
);

/// The statements of a batch of arrivals.
pub(crate) struct Statements {
    gate_shared: Statement,
    gate_alone: Statement,
    locks: Statement,
    time: Statement,
    claims: Statement,
    originals: Statement,
    unrouted: Statement,
    failed: Statement,
    failed_strays: Statement,
    /// The second half's.
    pub(super) write: write::Statements,
}

impl Statements {
    /// Prepares them.
    pub(super) async fn prepare(client: &Client) -> Result<Self, Fault> {
        Ok(Self {
            gate_shared: client
                .prepare("SELECT pg_advisory_xact_lock_shared($1)")
                .await?,
            gate_alone: client.prepare("SELECT pg_advisory_xact_lock($1)").await?,
            // The keys come sorted, and are locked in their order.
            locks: client
                .prepare("SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) key")
                .await?,
            time: client
                .prepare("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                .await?,
            claims: client.prepare(CLAIMS).await?,
            originals: client.prepare(ORIGINALS).await?,
            unrouted: client.prepare(UNROUTED).await?,
            failed: client.prepare(FAILED).await?,
            failed_strays: client.prepare(FAILED_STRAYS).await?,
            write: write::Statements::prepare(client, INSERT_LIVE).await?,
        })
    }
}

const CLAIMS: &str = select_claims!(
    "FROM unnest($1::uuid[], $2::integer[]) wanted(key, place) \
     JOIN hooklatch.claims c ON c.key = wanted.key AND c.place = wanted.place"
);

const FAILED: &str = select_deliveries!(
    "FROM hooklatch.deliveries_done d \
     JOIN unnest($1::bigint[], $2::bigint[]) of(message, following) \
         ON d.id > of.message AND d.id <= of.message + of.following \
     WHERE d.status = $3 AND d.id > $4 AND d.id <= $5 ORDER BY d.id FOR UPDATE OF d"
);

const FAILED_STRAYS: &str = select_deliveries!(
    "FROM hooklatch.strays s JOIN hooklatch.deliveries_done d ON d.id = s.delivery \
     WHERE s.message = ANY($1) AND s.message >= $3 AND s.message <= $4 \
     AND d.status = $2 AND d.id > $3 ORDER BY d.id FOR UPDATE OF d"
);

/// The keys of a batch.
struct Wanted {
    keys: Vec<(Key, i32)>,
    locks: Vec<i64>,
}

impl Wanted {
    fn of(tasks: &[Arriving]) -> Self {
        let mut keys = Vec::new();
        for task in tasks {
            if let Arriving::Admit(task) = task {
                let arrivals = task.input.arrivals.iter();
                keys.extend(arrivals.flat_map(|it| it.keys.iter().map(|key| (key.key, key.place))));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let mut locks: Vec<i64> = keys.iter().map(|(key, _)| key.lock()).collect();
        locks.sort_unstable();
        locks.dedup();
        Self { keys, locks }
    }
}

/// Begins the transaction, locks and reads. Answers the time after the locks were had.
pub(super) async fn read(
    link: &mut Link<Statements>,
    memory: &Memory,
    tasks: &[Arriving],
) -> Result<(Known, Timestamp), Fault> {
    let wanted = Wanted::of(tasks);
    let (now, rows) = lock(link, memory, &wanted).await?;
    let mut known = Known::default();
    for row in &rows {
        known.add_claim(row.try_get(9)?, row.try_get(10)?, claim::decode(row)?);
    }
    let messages = known.messages();
    if !messages.is_empty() {
        read_originals(link, memory, &mut known, &messages).await?;
    }
    Ok((known, now))
}

/// Everything up to the claims, in one trip.
async fn lock(
    link: &mut Link<Statements>,
    memory: &Memory,
    wanted: &Wanted,
) -> Result<(Timestamp, Vec<Row>), Fault> {
    let batch = link.next_batch();
    let begin = link.begin(batch, &memory.clock);
    if wanted.keys.is_empty() {
        return Ok((begin.await?, Vec::new()));
    }
    let statements = &link.statements;
    let (gate, locks) = if wanted.locks.len() > LOCKS_MAX {
        (&statements.gate_alone, &[][..])
    } else {
        (&statements.gate_shared, &wanted.locks[..])
    };
    let keys = array(&wanted.keys, |(key, _)| *key);
    let places = array(&wanted.keys, |(_, place)| *place);
    let claims: [&(dyn ToSql + Sync); 2] = [&*keys, &*places];
    let locks: [&(dyn ToSql + Sync); 1] = [&locks];
    let (begun, gated, locked, time, rows) = tokio::join!(
        biased;
        begin,
        link.client.execute(gate, &[&GATE]),
        link.client.execute(&statements.locks, &locks),
        link.client.query_one(&statements.time, &[]),
        link.client.query(&statements.claims, &claims),
    );
    begun?;
    gated?;
    locked?;
    Ok((memory.clock.observe(time?.try_get(0)?), rows?))
}

async fn read_originals(
    link: &Link<Statements>,
    memory: &Memory,
    known: &mut Known,
    messages: &[MessageId],
) -> Result<(), Fault> {
    link.client.batch_execute(BY_VALUE).await?;
    let numbers: Vec<i64> = messages.iter().map(|id| id.number()).collect();
    let statements = &link.statements;
    let mut rows = originals_among(link, &statements.originals, &numbers).await?;
    let missing = missing_in(&rows, &numbers);
    if !missing.is_empty() {
        let kept = partitions::kept(&link.client, &missing).await?;
        // Of a day that is still there, single messages may have been pruned.
        let forgotten = retention::forgotten_up_to(&link.client).await?;
        let gone = |number: &&i64| !kept.contains(number) || **number <= forgotten;
        let dropped = missing.iter().filter(gone);
        let dropped: Vec<_> = dropped.copied().map(MessageId::from_number).collect();
        known.add_dropped(&dropped);
        // Their day may have been attached again a moment ago. Whoever is still missing there is
        // not because of dropped history (INV-2).
        rows.extend(originals_among(link, &statements.originals, &kept).await?);
    }
    let is_routed = |row: &mut Row| row.try_get::<_, bool>(4).unwrap_or(false);
    let unrouted = rows.extract_if(.., |row| !is_routed(row));
    let unrouted: Vec<i64> = unrouted.map(|row| row.get(0)).collect();
    let locked = originals_among(link, &statements.unrouted, &unrouted).await?;
    let answered = memory.answered_at(messages);
    let mut found = Vec::with_capacity(messages.len());
    for row in &rows {
        found.push(original(row, &answered)?);
    }
    for row in &locked {
        let stored = message::decode(row)?;
        found.push(whole_original(&stored, &answered));
        // Another batch may have routed it before this one had its lock.
        if !stored.message.routed {
            known.add_unrouted(stored.message);
        }
    }
    let mut following = HashMap::new();
    for (original, follow) in found {
        if follow > 0 {
            following.insert(original.message_id.number(), follow);
        }
        known.add_original(original);
    }
    let mut found: Vec<i64> = rows.iter().chain(&locked).map(|row| row.get(0)).collect();
    found.sort_unstable();
    read_failed(link, known, &found, &following).await
}

/// The numbers that no row has.
fn missing_in(rows: &[Row], numbers: &[i64]) -> Vec<i64> {
    let found: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let missing = numbers.iter().filter(|number| !found.contains(number));
    missing.copied().collect()
}

async fn originals_among(
    link: &Link<Statements>,
    statement: &Statement,
    numbers: &[i64],
) -> Result<Vec<Row>, Fault> {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Ok(Vec::new());
    };
    let params: [&(dyn ToSql + Sync); 3] = [&numbers, first, last];
    Ok(link.client.query(statement, &params).await?)
}

fn original(row: &Row, answered: &HashMap<MessageId, Timestamp>) -> Result<(Original, i64), Fault> {
    let id = MessageId::from_number(row.try_get(0)?);
    let decided = Timestamp::from_millis(row.try_get(3)?);
    let original = Original {
        message_id: id,
        source_id: row.try_get::<_, Option<i64>>(1)?.map(SourceId::from_number),
        received_at: Timestamp::from_millis(row.try_get(2)?),
        // Another node answered right after its commit.
        answered_at: Some(answered.get(&id).copied().unwrap_or(decided)),
        routed: row.try_get(4)?,
        failed: Vec::new(),
    };
    Ok((original, row.try_get(5)?))
}

fn whole_original(
    StoredMessage { message, following }: &StoredMessage,
    answered: &HashMap<MessageId, Timestamp>,
) -> (Original, i64) {
    let original = Original {
        message_id: message.id,
        source_id: message.source_id,
        received_at: message.received_at,
        answered_at: Some(*answered.get(&message.id).unwrap_or(&message.decided_at)),
        routed: message.routed,
        failed: Vec::new(),
    };
    (original, *following)
}

async fn read_failed(
    link: &Link<Statements>,
    known: &mut Known,
    messages: &[i64],
    following: &HashMap<i64, i64>,
) -> Result<(), Fault> {
    let statements = &link.statements;
    let status = DeliveryStatus::Failed.code();
    let (Some(&first), Some(&last)) = (messages.first(), messages.last()) else {
        return Ok(());
    };
    let ids: Vec<i64> = following.keys().copied().collect();
    let counts: Vec<i64> = following.values().copied().collect();
    let end = following.iter().map(|(id, count)| id + count).max();
    let end = end.unwrap_or(last);
    let ranges: [&(dyn ToSql + Sync); 5] = [&ids, &counts, &status, &first, &end];
    let strays: [&(dyn ToSql + Sync); 4] = [&messages, &status, &first, &last];
    let (in_row, strays) = tokio::join!(
        biased;
        link.client.query(&statements.failed, &ranges),
        link.client.query(&statements.failed_strays, &strays),
    );
    for row in in_row?.iter().chain(&strays?) {
        let failed = delivery::decode(row)?;
        let original = known.original_mut(failed.message_id);
        let original = original.ok_or_else(|| Fault::unreadable("a delivery of no message"))?;
        original.failed.push(failed);
    }
    Ok(())
}
