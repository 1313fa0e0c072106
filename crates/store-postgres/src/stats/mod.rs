//! Figures: sums of what is settled, and the tail after them counted when it is asked for.
//!
//! Two marks in `meta` say up to which number requests and attempts are in the sums. Nodes number
//! at once and commit in any order, so a mark stays behind the present by more than a commit takes.
//! An attempt is numbered when it begins and recorded when it ends; one that ends so late that its
//! minute may be summed already is noted in `stats_late` in the transaction that records it.

mod late;
mod roll;

pub(crate) use late::{LATE, LATE_REPLACED, of_late};
pub(crate) use roll::roll_up;

use std::collections::HashMap;

use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::{EndpointId, MessageId, ProjectId, SourceId, first_number_at};
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::sums::{Level, Slot, Sums, minute_at};
use hooklatch_store::stats::WAITING_COUNTED_MAX;
use hooklatch_store::{Counts, CountsQuery, Waiting};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::Fault;
use crate::rows::among::Param;

/// Up to which numbers requests and attempts are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    arrivals: i64,
    attempts: i64,
}

async fn marks(db: &Client) -> Result<Marks, Fault> {
    let sql = "SELECT (SELECT value FROM hooklatch.meta WHERE name = 'summed_arrivals'), \
                      (SELECT value FROM hooklatch.meta WHERE name = 'summed_attempts')";
    let rows = db.query_typed(sql, &[]).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| Fault::unreadable("a statement without an answer"))?;
    Ok(Marks {
        arrivals: row.try_get(0)?,
        attempts: row.try_get(1)?,
    })
}

/// Numbers: after the first, up to the second.
#[derive(Debug, Clone, Copy)]
struct Range {
    after: i64,
    up_to: i64,
}

/// Counts what happened in a project.
pub(crate) async fn counts(
    db: &Client,
    project: ProjectId,
    query: CountsQuery,
) -> Result<Counts, Fault> {
    let marks = marks(db).await?;
    let mut sums = summed(db, project, query).await?;
    let tail = |mark: i64| Range {
        after: mark.max(first_number_at(query.from) - 1),
        up_to: first_number_at(query.to) - 1,
    };
    let own = Some(project);
    add_arrivals(db, own, tail(marks.arrivals), &mut sums).await?;
    add_attempts(db, own, tail(marks.attempts), &mut sums).await?;
    let asked = minute_at(query.from)..minute_at(query.to);
    for late in late::all(db).await? {
        let own = late.slot.project == project.number();
        if own && late.attempt <= marks.attempts && asked.contains(&late.slot.at) {
            sums.add(late.slot, late.sign, late.sign * late.millis);
        }
    }
    Ok(sums.counts(query.step)?)
}

/// What is summed already.
async fn summed(db: &Client, project: ProjectId, query: CountsQuery) -> Result<Sums, Fault> {
    let sql = "SELECT at, kind, subject, outcome, why, many, millis FROM hooklatch.stats \
               WHERE project = $1 AND level = $2 AND at >= $3 AND at < $4";
    let level = Level::for_step(query.step) as i64;
    let (from, to) = (minute_at(query.from), minute_at(query.to));
    let params: [Param<'_>; 4] = [
        (&project.number(), Type::INT8),
        (&level, Type::INT8),
        (&from, Type::INT8),
        (&to, Type::INT8),
    ];
    let mut sums = Sums::default();
    for row in db.query_typed(sql, &params).await? {
        let slot = Slot {
            at: row.try_get(0)?,
            project: project.number(),
            kind: row.try_get(1)?,
            subject: row.try_get(2)?,
            outcome: row.try_get(3)?,
            why: row.try_get(4)?,
        };
        sums.add(slot, row.try_get(5)?, row.try_get(6)?);
    }
    Ok(sums)
}

/// Every arm of a question about requests: `$1` to `$3` are the range and the project.
const IN_RANGE: &str = "WHERE id > $1 AND id <= $2 AND ($3::bigint IS NULL OR project = $3)";

/// Adds requests: one project's, or all.
async fn add_arrivals(
    db: &Client,
    project: Option<ProjectId>,
    range: Range,
    sums: &mut Sums,
) -> Result<(), Fault> {
    // A released message is no arrival; every other one was accepted (0). What is refused (3) has a
    // table of its own.
    let minute = "(id >> 20) / 60000";
    let sql = format!(
        "SELECT MIN(id), project, source, 0::bigint, NULL::bigint, COUNT(*), \
             COUNT(*) FILTER (WHERE checksum IS NULL) \
         FROM hooklatch.messages {IN_RANGE} AND request IS NULL \
         GROUP BY {minute}, project, source \
         UNION ALL SELECT MIN(id), project, source, outcome, cause, COUNT(*), 0::bigint \
         FROM hooklatch.requests {IN_RANGE} GROUP BY {minute}, project, source, outcome, cause \
         UNION ALL SELECT MIN(id), project, source, 3::bigint, NULL::bigint, COUNT(*), 0::bigint \
         FROM hooklatch.refused {IN_RANGE} GROUP BY {minute}, project, source"
    );
    let project = project.map(ProjectId::number);
    for row in db.query_typed(&sql, &range.params(&project)).await? {
        let number = row.try_get(0)?;
        let (owner, source) = (row.try_get(1)?, row.try_get(2)?);
        let slot = Slot::arrival(number, owner, source, row.try_get(3)?, row.try_get(4)?);
        sums.add(slot, row.try_get(5)?, row.try_get(6)?);
    }
    Ok(())
}

/// Adds attempts: one project's, or all.
async fn add_attempts(
    db: &Client,
    project: Option<ProjectId>,
    range: Range,
    sums: &mut Sums,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT MIN(id), project, endpoint, outcome, trigger, COUNT(*), \
             SUM(duration_ms)::bigint FROM hooklatch.attempts {IN_RANGE} \
         GROUP BY (id >> 20) / 60000, project, endpoint, outcome, trigger"
    );
    let project = project.map(ProjectId::number);
    for row in db.query_typed(&sql, &range.params(&project)).await? {
        let number = row.try_get(0)?;
        let (owner, endpoint) = (row.try_get(1)?, row.try_get(2)?);
        let slot = Slot::attempt(number, owner, endpoint, row.try_get(3)?, row.try_get(4)?);
        sums.add(slot, row.try_get(5)?, row.try_get(6)?);
    }
    Ok(())
}

impl Range {
    fn params<'a>(&'a self, project: &'a Option<i64>) -> [Param<'a>; 3] {
        [
            (&self.after, Type::INT8),
            (&self.up_to, Type::INT8),
            (project, Type::INT8),
        ]
    }
}

/// What waits for each endpoint.
pub(crate) async fn waiting(
    db: &Client,
    project: ProjectId,
    endpoints: Vec<EndpointId>,
) -> Result<Vec<Waiting>, Fault> {
    let sql = "SELECT counted.many, counted.oldest \
               FROM unnest($1::bigint[]) WITH ORDINALITY asked(lane, place) \
               CROSS JOIN LATERAL (SELECT COUNT(*), MIN(id) FROM (\
                   (SELECT id FROM hooklatch.deliveries_live \
                    WHERE lane = asked.lane AND status = 0 AND project = $2 LIMIT $3) \
                   UNION ALL \
                   (SELECT id FROM hooklatch.deliveries_live \
                    WHERE lane = asked.lane AND status = 1 AND project = $2 LIMIT $3) \
                   LIMIT $3) waits\
               ) counted(many, oldest) ORDER BY asked.place";
    let lanes: Vec<i64> = endpoints
        .iter()
        .map(|endpoint| Lane::of_endpoint(*endpoint).0)
        .collect();
    let most = i64::try_from(WAITING_COUNTED_MAX).unwrap_or(i64::MAX);
    let params: [Param<'_>; 3] = [
        (&lanes, Type::INT8_ARRAY),
        (&project.number(), Type::INT8),
        (&most, Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let counted = endpoints.into_iter().zip(&rows).map(|(endpoint_id, row)| {
        let count: i64 = row.try_get(0)?;
        let oldest: Option<i64> = row.try_get(1)?;
        Ok(Waiting {
            endpoint_id,
            count: count.unsigned_abs(),
            oldest: oldest.map(minted_at),
        })
    });
    counted.collect()
}

fn minted_at(number: i64) -> Timestamp {
    MessageId::from_number(number).minted_at()
}

/// When something last came through each source.
pub(crate) async fn last_arrivals(
    db: &Client,
    project: ProjectId,
    sources: &[SourceId],
) -> Result<Vec<Option<Timestamp>>, Fault> {
    let range = Range {
        after: marks(db).await?.arrivals,
        up_to: i64::MAX,
    };
    let mut last: HashMap<i64, i64> = HashMap::new();
    for (source, _, id) in roll::last_of(db, Some(project), range).await? {
        last.insert(source, id);
    }
    let sql = "SELECT source, id FROM hooklatch.stats_last WHERE source = ANY($1) AND project = $2";
    let asked: Vec<i64> = sources.iter().map(|source| source.number()).collect();
    let params: [Param<'_>; 2] = [(&asked, Type::INT8_ARRAY), (&project.number(), Type::INT8)];
    for row in db.query_typed(sql, &params).await? {
        // What came after the mark is newer.
        last.entry(row.try_get(0)?).or_insert(row.try_get(1)?);
    }
    let newest = asked.iter().map(|source| last.get(source).copied());
    Ok(newest.map(|id| id.map(minted_at)).collect())
}
