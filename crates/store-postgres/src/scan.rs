//! Scans: the past of a source in the order of its numbers. A part is found by its index, weighed,
//! and only then read, so that it holds no more in memory than it may.

use std::collections::HashMap;

use bytes::Bytes;
use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{ScanOf, ScanPage, ScanStep, Scanned};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::fault::Fault;
use crate::rows::among::{Among, Param};
use crate::rows::payload;

const ARRIVALS: &str = "SELECT id, original, received FROM (\
         (SELECT m.id, m.id AS original, m.received FROM hooklatch.messages m \
          WHERE m.source = $1 AND m.project = $2 AND m.id >= $3 AND m.id < $4 \
          AND m.request IS NULL ORDER BY m.id LIMIT $5) \
         UNION ALL \
         (SELECT r.id, r.original, r.received FROM hooklatch.requests r \
          WHERE r.source = $1 AND r.project = $2 AND r.id >= $3 AND r.id < $4 \
          ORDER BY r.id LIMIT $5)) arrivals ORDER BY id LIMIT $5";

const MESSAGES: &str = "SELECT m.id, m.id, m.received FROM hooklatch.messages m \
     WHERE m.source IS NOT DISTINCT FROM $1 AND m.project = $2 AND m.id >= $3 AND m.id < $4 \
     ORDER BY m.id LIMIT $5";

/// One arrival that was found.
struct Found {
    number: i64,
    original: Option<i64>,
    received_at: Timestamp,
}

fn source_of(step: &ScanStep) -> (&'static str, Option<i64>) {
    match step.of {
        ScanOf::Source(source) => (ARRIVALS, Some(source.number())),
        ScanOf::Connection { source, .. } => (MESSAGES, source.map(|source| source.number())),
    }
}

/// Reads a part.
pub(crate) async fn scan(db: &Client, step: &ScanStep) -> Result<ScanPage, Fault> {
    let mut found = find(db, step).await?;
    let weights = weights(db, &found).await?;
    let mut next = None;
    let mut bytes = 0;
    for at in 0..found.len() {
        if at == step.rows_max || bytes >= step.bytes_max {
            next = Some(found[at].number);
            found.truncate(at);
            break;
        }
        bytes += weight(&weights, &found[at]);
    }
    let arrivals = read(db, &found).await?;
    Ok(ScanPage { arrivals, next })
}

async fn find(db: &Client, step: &ScanStep) -> Result<Vec<Found>, Fault> {
    let (sql, source) = source_of(step);
    // One more than asked for: so there is a next part.
    let limit = i64::try_from(step.rows_max).unwrap_or(i64::MAX - 1) + 1;
    let project = step.project.number();
    let params: [Param<'_>; 5] = [
        (&source, Type::INT8),
        (&project, Type::INT8),
        (&step.from, Type::INT8),
        (&step.below, Type::INT8),
        (&limit, Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let found = rows.iter().map(|row| {
        Ok(Found {
            number: row.try_get(0)?,
            original: row.try_get(1)?,
            received_at: Timestamp::from_millis(row.try_get(2)?),
        })
    });
    found.collect()
}

/// The numbers of rows that may hold the bodies.
fn holders(found: &[Found]) -> Among {
    let own = found.iter().map(|it| it.number);
    Among::of(own.chain(found.iter().filter_map(|it| it.original)))
}

async fn weights(db: &Client, found: &[Found]) -> Result<HashMap<i64, usize>, Fault> {
    payload::weights(db, &holders(found)).await
}

fn weight(weights: &HashMap<i64, usize>, found: &Found) -> usize {
    let own = weights.get(&found.number);
    let original = || found.original.and_then(|original| weights.get(&original));
    own.or_else(original).copied().unwrap_or_default()
}

async fn read(db: &Client, found: &[Found]) -> Result<Vec<Scanned>, Fault> {
    let sql = "SELECT p.id, COALESCE(p.envelope, other.envelope), p.body \
               FROM hooklatch.payloads p LEFT JOIN hooklatch.payloads other ON other.id = p.shared \
               WHERE p.id = ANY($1) AND p.id >= $2 AND p.id <= $3";
    let among = holders(found);
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db.query_typed(sql, &among.params()).await?;
    let mut payloads = HashMap::new();
    for row in &rows {
        payloads.insert(row.try_get::<_, i64>(0)?, carried(row)?);
    }
    let scanned = found.iter().map(|it| {
        let (envelope, own) = payloads.get(&it.number).cloned().unwrap_or_default();
        let original = || payloads.get(&it.original?)?.1.clone();
        Scanned {
            request_id: RequestId::from_number(it.number),
            message_id: it.original.map(MessageId::from_number),
            received_at: it.received_at,
            envelope,
            body: own.or_else(original),
        }
    });
    Ok(scanned.collect())
}

fn carried(row: &Row) -> Result<(Option<String>, Option<Bytes>), Fault> {
    let body: Option<Vec<u8>> = row.try_get(2)?;
    Ok((row.try_get(1)?, body.map(Bytes::from)))
}

/// How many arrivals a scan meets, up to `limit`.
pub(crate) async fn scan_size(db: &Client, step: &ScanStep, limit: usize) -> Result<usize, Fault> {
    let (sql, source) = source_of(step);
    let sql = format!("SELECT COUNT(*) FROM ({sql}) counted(id, original, received)");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let project = step.project.number();
    let params: [Param<'_>; 5] = [
        (&source, Type::INT8),
        (&project, Type::INT8),
        (&step.from, Type::INT8),
        (&step.below, Type::INT8),
        (&limit, Type::INT8),
    ];
    let row = db.query_typed_opt(&sql, &params).await?;
    let many: i64 = row.map_or(0, |row| row.get(0));
    Ok(usize::try_from(many).unwrap_or_default())
}
