//! Scans: the past of a source in the order of its numbers, in parts that hold no snapshot open
//! for long.

use std::collections::HashMap;

use bytes::Bytes;
use hooklatch_core::ids::{MessageId, RequestId};
use hooklatch_core::message::Direction;
use hooklatch_core::time::Timestamp;
use hooklatch_store::{ScanOf, ScanPage, ScanStep, Scanned};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::fault::Fault;
use crate::listing;

/// Messages and requests in one order. What each carried is joined by its number: neighbours lie
/// side by side.
const ARRIVALS: &str = "SELECT m.id, m.id, m.received, p.shared, p.envelope, p.body \
     FROM messages m JOIN payloads p ON p.id = m.id \
     WHERE m.id >= ?1 AND m.id < ?2 AND m.project = ?3 AND m.source = ?4 AND m.request IS NULL \
     UNION ALL \
     SELECT r.id, r.original, r.received, p.shared, p.envelope, COALESCE(p.body, o.body) \
     FROM requests r JOIN payloads p ON p.id = r.id LEFT JOIN payloads o ON o.id = r.original \
     WHERE r.id >= ?1 AND r.id < ?2 AND r.project = ?3 AND r.source = ?4 AND r.outcome <> 3 \
     ORDER BY 1 LIMIT ?5";

/// Messages alone; of the send API where no source is named.
const MESSAGES: &str = "SELECT m.id, m.id, m.received, p.shared, p.envelope, p.body, \
         CASE WHEN m.source IS NULL THEN json_extract(m.meta, '$.direction') END \
     FROM messages m JOIN payloads p ON p.id = m.id \
     WHERE m.id >= ?1 AND m.id < ?2 AND m.project = ?3 AND m.source IS ?4 \
     ORDER BY 1 LIMIT ?5";

/// Numbers that one part looks through at most: where little of what is there is wanted, a part
/// ends after them.
const NUMBERS_MAX: i64 = 50_000;

/// Reads a part.
pub(crate) fn scan(db: &Connection, step: &ScanStep) -> Result<ScanPage, Fault> {
    let end = part_end(db, step)?;
    let (sql, source) = match step.of {
        ScanOf::Source(source) => (ARRIVALS, Some(source.number())),
        ScanOf::Connection { source, .. } => (MESSAGES, source.map(|source| source.number())),
    };
    let mut statement = db.prepare_cached(sql)?;
    // One more than asked for: so there is a next part.
    let limit = i64::try_from(step.rows_max).unwrap_or(i64::MAX - 1) + 1;
    let row = params![step.from, end, step.project.number(), source, limit];
    let mut rows = statement.query(row)?;
    let mut page = ScanPage::default();
    let mut envelopes = HashMap::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        if page.arrivals.len() == step.rows_max || bytes >= step.bytes_max {
            page.next = Some(number);
            return Ok(page);
        }
        if is_inbound_without_a_source(step, row)? {
            continue;
        }
        let scanned = scanned(db, row, &mut envelopes)?;
        bytes += scanned.body.as_ref().map_or(0, Bytes::len);
        page.arrivals.push(scanned);
    }
    page.next = (end < step.below).then_some(end);
    Ok(page)
}

/// Every message that came in has a source; this only keeps to what the contract says.
fn is_inbound_without_a_source(step: &ScanStep, row: &Row<'_>) -> Result<bool, Fault> {
    match step.of {
        ScanOf::Source(_) => Ok(false),
        ScanOf::Connection { .. } => {
            let direction: Option<i64> = row.get(6)?;
            let inbound = hooklatch_store::record::Code::code(Direction::Inbound);
            Ok(direction == Some(inbound))
        }
    }
}

/// Where a part ends: after so many numbers, whoever's they are.
fn part_end(db: &Connection, step: &ScanStep) -> Result<i64, Fault> {
    let sql = "SELECT id FROM payloads WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1 OFFSET ?3";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_row([step.from, step.below, NUMBERS_MAX], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(step.below))
}

fn scanned(
    db: &Connection,
    row: &Row<'_>,
    envelopes: &mut HashMap<i64, Option<String>>,
) -> Result<Scanned, Fault> {
    let own: Option<String> = row.get(4)?;
    let shared: Option<i64> = row.get(3)?;
    let envelope = match (own, shared) {
        (Some(own), _) => Some(own),
        (None, Some(shared)) => shared_envelope(db, shared, envelopes)?,
        (None, None) => None,
    };
    let body: Option<Vec<u8>> = row.get(5)?;
    let message: Option<i64> = row.get(1)?;
    Ok(Scanned {
        request_id: RequestId::from_number(row.get(0)?),
        message_id: message.map(MessageId::from_number),
        received_at: Timestamp::from_millis(row.get(2)?),
        envelope,
        body: body.map(Bytes::from),
    })
}

fn shared_envelope(
    db: &Connection,
    number: i64,
    known: &mut HashMap<i64, Option<String>>,
) -> Result<Option<String>, Fault> {
    if let Some(found) = known.get(&number) {
        return Ok(found.clone());
    }
    let mut statement = db.prepare_cached("SELECT envelope FROM payloads WHERE id = ?1")?;
    let found: Option<Option<String>> =
        statement.query_row([number], |row| row.get(0)).optional()?;
    let found = found.flatten();
    // The elements of a batch come one after the other.
    known.clear();
    known.insert(number, found.clone());
    Ok(found)
}

/// How many arrivals a scan meets, roughly: by what is listed, and for the rest by looking.
pub(crate) fn scan_size(db: &Connection, step: &ScanStep, limit: usize) -> Result<usize, Fault> {
    let source = match step.of {
        ScanOf::Source(source) => Some(source.number()),
        ScanOf::Connection { source, .. } => source.map(|source| source.number()),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let many: i64 = match source {
        Some(source) => {
            let mark = listing::mark(db)?;
            let sql = "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM listed WHERE kind = 1 \
                           AND value = ?1 AND id >= ?2 AND id < ?3 LIMIT ?4)) \
                       + (SELECT COUNT(*) FROM (SELECT 1 FROM payloads WHERE id > ?5 \
                           AND id >= ?2 AND id < ?3 LIMIT ?4))";
            let row = params![source, step.from, step.below, limit, mark];
            db.prepare_cached(sql)?.query_row(row, |row| row.get(0))?
        }
        None => {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM messages \
                       WHERE id >= ?1 AND id < ?2 AND source IS NULL LIMIT ?3)";
            let row = [step.from, step.below, limit];
            db.prepare_cached(sql)?.query_row(row, |row| row.get(0))?
        }
    };
    Ok(usize::try_from(many.min(limit)).unwrap_or(0))
}
