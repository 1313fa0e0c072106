//! What rules in shadow mode have come to: for each rule and node a row of sums, and a few samples.
//!
//! A batch writes them last, each rule's sums before its samples and the rules in one order: so two
//! batches of a node at most wait for each other's commit, and never for each other.

use hooklatch_core::shadow::{ShadowId, ShadowReport, ShadowSums};
use hooklatch_core::time::Timestamp;
use hooklatch_store::record::shadow::{
    CountColumns, SampleColumns, decode_counts, decode_sample, encode_counts, encode_sample,
};
use hooklatch_store::{Answer, Shadows};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::columns::Arrays;
use crate::fault::Fault;
use crate::pool::transact;
use crate::rows::among::Param;
use crate::store::PostgresStore;
use crate::text::{from_column, to_column};

/// Adds sums of this node; the parameters are [`counts`].
pub(crate) const COUNTS: &str = "INSERT INTO hooklatch.shadow_counts AS known (shadow, slot, since, \
         until, judged, without_key, suppressed, differing, newly, no_longer) \
     SELECT shadow, $1::bigint, since, until, judged, without_key, suppressed, differing, newly, no_longer \
     FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], \
         $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) \
         new(shadow, since, until, judged, without_key, suppressed, differing, newly, no_longer) \
     ON CONFLICT (shadow, slot) DO UPDATE SET since = LEAST(known.since, excluded.since), \
         until = GREATEST(known.until, excluded.until), \
         judged = known.judged + excluded.judged, \
         without_key = known.without_key + excluded.without_key, \
         suppressed = known.suppressed + excluded.suppressed, \
         differing = known.differing + excluded.differing, newly = known.newly + excluded.newly, \
         no_longer = known.no_longer + excluded.no_longer";

/// Puts samples of this node into their places; the parameters are [`samples`].
pub(crate) const SAMPLES: &str = "INSERT INTO hooklatch.shadow_samples (shadow, slot, place, \
         request, original, accepted, at, key) \
     SELECT shadow, $1::bigint, place, request, original, accepted, at, key \
     FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], \
         $7::bigint[], $8::text[]) new(shadow, place, request, original, accepted, at, key) \
     ON CONFLICT (shadow, slot, place) DO UPDATE SET request = excluded.request, \
         original = excluded.original, accepted = excluded.accepted, at = excluded.at, \
         key = excluded.key";

/// The parameters of [`COUNTS`].
pub(crate) fn counts(slot: i64, sums: &ShadowSums) -> Arrays<'_> {
    let shadows = sums
        .counts
        .keys()
        .map(|shadow| shadow.as_bytes().as_slice());
    let rows: Vec<CountColumns> = sums.counts.values().map(encode_counts).collect();
    let mut arrays: Arrays<'_> = vec![Box::new(slot), Box::new(shadows.collect::<Vec<_>>())];
    for column in 0..rows.first().map_or(0, |row| row.len()) {
        let values = rows.iter().map(|row| row[column]);
        arrays.push(Box::new(values.collect::<Vec<i64>>()));
    }
    arrays
}

/// The parameters of [`SAMPLES`].
pub(crate) fn samples(slot: i64, sums: &ShadowSums) -> Arrays<'_> {
    let shadows = sums
        .samples
        .keys()
        .map(|at| at.shadow.as_bytes().as_slice());
    let rows = sums.samples.iter();
    let rows: Vec<SampleColumns> = rows
        .map(|(at, sample)| encode_sample(at.place, sample))
        .collect();
    let texts = rows.iter().map(|row| to_column(&row.key).into_owned());
    vec![
        Box::new(slot),
        Box::new(shadows.collect::<Vec<_>>()),
        of(&rows, |row| row.place),
        of(&rows, |row| row.request),
        of(&rows, |row| row.original),
        of(&rows, |row| row.accepted),
        of(&rows, |row| row.at),
        Box::new(texts.collect::<Vec<String>>()),
    ]
}

impl Shadows for PostgresStore {
    fn shadow_report(&self, shadow: ShadowId) -> Answer<'_, ShadowReport> {
        self.read(move |db| Box::pin(report(db, shadow)))
    }

    fn forget_shadows(&self, before: Timestamp) -> Answer<'_, usize> {
        let pool = self.pool.clone();
        self.run(async move {
            transact(&pool, |transaction| {
                Box::pin(async move { forget(transaction.client(), before).await })
            })
            .await
        })
    }
}

async fn report(db: &Client, shadow: ShadowId) -> Result<ShadowReport, Fault> {
    let shadow = shadow.as_bytes().as_slice();
    let param: [Param<'_>; 1] = [(&shadow, Type::BYTEA)];
    let sql = "SELECT since, until, judged, without_key, suppressed, differing, newly, no_longer \
               FROM hooklatch.shadow_counts WHERE shadow = $1";
    let rows = db.query_typed(sql, &param).await?;
    let mut counts = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns: CountColumns = [0; 8];
        for (at, column) in columns.iter_mut().enumerate() {
            *column = row.try_get(at)?;
        }
        counts.push(decode_counts(columns));
    }
    let sql = "SELECT place, request, original, accepted, at, key FROM hooklatch.shadow_samples \
               WHERE shadow = $1";
    let rows = db.query_typed(sql, &param).await?;
    let samples = rows.iter().map(|row| Ok(decode_sample(sample(row)?)));
    Ok(ShadowReport::of(
        &counts,
        samples.collect::<Result<_, Fault>>()?,
    ))
}

fn sample(row: &Row) -> Result<SampleColumns, Fault> {
    Ok(SampleColumns {
        place: row.try_get(0)?,
        request: row.try_get(1)?,
        original: row.try_get(2)?,
        accepted: row.try_get(3)?,
        at: row.try_get(4)?,
        key: from_column(row.try_get(5)?),
    })
}

async fn forget(db: &Client, before: Timestamp) -> Result<usize, Fault> {
    let before = before.as_millis();
    let param: [Param<'_>; 1] = [(&before, Type::INT8)];
    let old = "SELECT shadow FROM hooklatch.shadow_counts GROUP BY shadow HAVING max(until) < $1";
    let sql = format!("DELETE FROM hooklatch.shadow_samples WHERE shadow IN ({old})");
    db.execute_typed(&sql, &param).await?;
    let sql = format!(
        "WITH gone AS (DELETE FROM hooklatch.shadow_counts WHERE shadow IN ({old}) \
             RETURNING shadow) \
         SELECT count(DISTINCT shadow) FROM gone"
    );
    let row = db.query_typed(&sql, &param).await?;
    let many: i64 = row.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(usize::try_from(many).unwrap_or(0))
}

/// One array out of columns that are put together here.
fn of<'a, V>(
    rows: &[SampleColumns],
    field: impl Fn(&SampleColumns) -> V,
) -> Box<dyn tokio_postgres::types::ToSql + Sync + Send + 'a>
where
    V: tokio_postgres::types::ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(field).collect::<Vec<V>>())
}
