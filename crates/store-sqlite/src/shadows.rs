//! What rules in shadow mode have come to: a row of sums for each, and a few samples.

use hooklatch_core::shadow::{ShadowId, ShadowReport, ShadowSums};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::shadow::{
    SampleColumns, decode_counts, decode_sample, encode_counts, encode_sample,
};
use hooklatch_store::{Answer, Shadows};
use rusqlite::{Connection, Row, params};

use crate::SqliteStore;
use crate::fault::Fault;
use crate::writer::Batch;

/// The tables.
pub(crate) const TABLES: &str = "
-- What rules in shadow mode have come to since they were set, each under a checksum of what it
-- says: sums, and samples that replace one another.
CREATE TABLE IF NOT EXISTS shadow_counts (
    shadow BLOB PRIMARY KEY, since INTEGER, until INTEGER, judged INTEGER, without_key INTEGER,
    suppressed INTEGER, differing INTEGER, newly INTEGER, no_longer INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shadow_samples (
    shadow BLOB, place INTEGER, request INTEGER, original INTEGER, accepted INTEGER, at INTEGER,
    key TEXT, PRIMARY KEY (shadow, place)
) WITHOUT ROWID;
";

impl Shadows for SqliteStore {
    fn shadow_report(&self, shadow: ShadowId) -> Answer<'_, ShadowReport> {
        self.read(move |db| report(db, shadow))
    }

    fn forget_shadows(&self, before: Timestamp) -> Answer<'_, usize> {
        Box::pin(self.write(before, 0, forget))
    }
}

/// Writes what a batch has judged, once for all of it.
pub(crate) fn write(db: &Connection, sums: &ShadowSums) -> Result<(), Fault> {
    let sql = "INSERT INTO shadow_counts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               ON CONFLICT DO UPDATE SET since = min(since, excluded.since), \
                   until = max(until, excluded.until), judged = judged + excluded.judged, \
                   without_key = without_key + excluded.without_key, \
                   suppressed = suppressed + excluded.suppressed, \
                   differing = differing + excluded.differing, newly = newly + excluded.newly, \
                   no_longer = no_longer + excluded.no_longer";
    for (shadow, counts) in &sums.counts {
        let [
            since,
            until,
            judged,
            without,
            suppressed,
            differing,
            newly,
            no_longer,
        ] = encode_counts(counts);
        let shadow = shadow.as_bytes().as_slice();
        db.prepare_cached(sql)?.execute(params![
            shadow, since, until, judged, without, suppressed, differing, newly, no_longer
        ])?;
    }
    let sql = "INSERT OR REPLACE INTO shadow_samples VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    for (at, sample) in &sums.samples {
        let row = encode_sample(at.place, sample);
        db.prepare_cached(sql)?.execute(params![
            at.shadow.as_bytes().as_slice(),
            row.place,
            row.request,
            row.original,
            row.accepted,
            row.at,
            row.key
        ])?;
    }
    Ok(())
}

fn report(db: &Connection, shadow: ShadowId) -> Result<ShadowReport, Fault> {
    let shadow = shadow.as_bytes().as_slice();
    let sql = "SELECT since, until, judged, without_key, suppressed, differing, newly, no_longer \
               FROM shadow_counts WHERE shadow = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let counts = statement.query_map([shadow], |row| {
        let mut columns = [0; 8];
        for (at, column) in columns.iter_mut().enumerate() {
            *column = row.get(at)?;
        }
        Ok(decode_counts(columns))
    })?;
    let counts = counts.collect::<Result<Vec<_>, _>>()?;
    let sql = "SELECT place, request, original, accepted, at, key FROM shadow_samples \
               WHERE shadow = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let samples = statement.query_map([shadow], sample)?;
    let samples = samples.map(|columns| columns.map(decode_sample));
    Ok(ShadowReport::of(
        &counts,
        samples.collect::<Result<_, _>>()?,
    ))
}

fn sample(row: &Row<'_>) -> rusqlite::Result<SampleColumns> {
    Ok(SampleColumns {
        place: row.get(0)?,
        request: row.get(1)?,
        original: row.get(2)?,
        accepted: row.get(3)?,
        at: row.get(4)?,
        key: row.get(5)?,
    })
}

fn forget(batch: &mut Batch<'_>, before: &Timestamp) -> Result<usize, Fault> {
    let before = [before.as_millis()];
    let sql = "DELETE FROM shadow_samples WHERE shadow IN \
               (SELECT shadow FROM shadow_counts WHERE until < ?1)";
    batch.db.prepare_cached(sql)?.execute(before)?;
    let sql = "DELETE FROM shadow_counts WHERE until < ?1";
    Ok(batch.db.prepare_cached(sql)?.execute(before)?)
}
