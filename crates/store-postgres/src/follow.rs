//! What is new, by the numbers of rows.
//!
//! Nodes number at once, so a row may be committed a little after one with a larger number. Whoever
//! follows looks again at the numbers just below the largest, and leaves out what it has seen.

use std::collections::BTreeSet;

use hooklatch_core::ids::MessageId;
use hooklatch_core::ids::{AttemptId, ProjectId, first_number_at};
use hooklatch_core::time::Millis;
use hooklatch_store::{Arrived, NEWS_SCANNED_MAX, News, Seen, UNDER_WAY_MAX};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::Fault;
use crate::rows::among::{Among, Param};
use crate::rows::{attempt, delivery, message, request};

/// How long after a row another one may appear whose number is smaller.
const BEHIND: Millis = Millis::from_seconds(3);

/// The numbers that are looked at again.
fn again_from(number: i64) -> i64 {
    first_number_at(MessageId::from_number(number).minted_at() - BEHIND)
}

/// The present.
pub(crate) async fn present(db: &Client) -> Result<Seen, Fault> {
    let sql = "SELECT GREATEST(\
                   COALESCE((SELECT MAX(id) FROM hooklatch.messages), 0), \
                   COALESCE((SELECT MAX(id) FROM hooklatch.requests), 0), \
                   COALESCE((SELECT MAX(id) FROM hooklatch.refused), 0)), \
                   COALESCE((SELECT MAX(id) FROM hooklatch.attempts), 0)";
    let rows = db.query_typed(sql, &[]).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| Fault::unreadable("a statement without an answer"))?;
    let (requests, attempts) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Seen {
        requests,
        attempts,
        under_way: under_way(db).await?,
        recent: recent(db, again_from(requests), again_from(attempts)).await?,
    })
}

async fn under_way(db: &Client) -> Result<BTreeSet<AttemptId>, Fault> {
    let sql = "SELECT token FROM hooklatch.deliveries_live WHERE status = 1 LIMIT $1";
    let rows = db
        .query_typed(sql, &[(&limit(UNDER_WAY_MAX), Type::INT8)])
        .await?;
    let tokens = rows
        .iter()
        .map(|row| Ok(AttemptId::from_number(row.try_get(0)?)));
    tokens.collect()
}

async fn recent(db: &Client, requests: i64, attempts: i64) -> Result<BTreeSet<i64>, Fault> {
    let sql = "(SELECT id FROM hooklatch.messages WHERE id >= $1 ORDER BY id DESC LIMIT $3) \
         UNION ALL (SELECT id FROM hooklatch.requests WHERE id >= $1 ORDER BY id DESC LIMIT $3) \
         UNION ALL (SELECT id FROM hooklatch.refused WHERE id >= $1 ORDER BY id DESC LIMIT $3) \
         UNION ALL (SELECT id FROM hooklatch.attempts WHERE id >= $2 ORDER BY id DESC LIMIT $3)";
    let params: [Param<'_>; 3] = [
        (&requests, Type::INT8),
        (&attempts, Type::INT8),
        (&limit(NEWS_SCANNED_MAX), Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What was recorded since.
pub(crate) async fn news(
    db: &Client,
    project: Option<ProjectId>,
    since: &Seen,
    many: usize,
) -> Result<News, Fault> {
    let seen = present(db).await?;
    let (requests, more_requests) = requests_since(db, project, since, many).await?;
    let (attempts, more_attempts) = attempts_since(db, project, since, many).await?;
    let moved = Among::of(attempts.iter().map(|it| it.delivery_id.number()));
    Ok(News {
        requests,
        attempts,
        deliveries: delivery::all(db, &moved).await?,
        left_out: more_requests || more_attempts,
        seen,
    })
}

/// What a question for new numbers names.
struct Asked<'a> {
    project: Option<i64>,
    after: i64,
    known: &'a [i64],
    many: usize,
}

/// New numbers, the newest first, and whether there are more than asked for.
async fn numbers(db: &Client, sql: &str, asked: &Asked<'_>) -> Result<(Vec<i64>, bool), Fault> {
    let params: [Param<'_>; 5] = [
        (&asked.after, Type::INT8),
        (&asked.project, Type::INT8),
        (&limit(NEWS_SCANNED_MAX), Type::INT8),
        (&limit(asked.many + 1), Type::INT8),
        (&asked.known, Type::INT8_ARRAY),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let found: Result<Vec<i64>, Fault> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect();
    let mut found = found?;
    let left_out = found.len() > asked.many;
    found.truncate(asked.many);
    Ok((found, left_out))
}

async fn requests_since(
    db: &Client,
    project: Option<ProjectId>,
    since: &Seen,
    many: usize,
) -> Result<(Vec<Arrived>, bool), Fault> {
    let sql = "SELECT id FROM (\
            (SELECT id, project FROM hooklatch.messages WHERE id >= $1 AND request IS NULL \
             ORDER BY id DESC LIMIT $3) \
            UNION ALL (SELECT id, project FROM hooklatch.requests WHERE id >= $1 \
             ORDER BY id DESC LIMIT $3) \
            UNION ALL (SELECT id, project FROM hooklatch.refused WHERE id >= $1 \
             ORDER BY id DESC LIMIT $3)) new \
        WHERE ($2::bigint IS NULL OR project = $2) AND NOT id = ANY($5) \
        ORDER BY id DESC LIMIT $4";
    let known = known(since);
    let asked = Asked {
        project: project.map(ProjectId::number),
        after: first_unseen(since.requests, since),
        known: &known,
        many,
    };
    let (found, left_out) = numbers(db, sql, &asked).await?;
    let among = Among::of(found.iter().copied());
    let mut refused = request::refused(db, &among).await?;
    let mut others = request::load_all(db, &among).await?;
    let mut messages = message::load_all(db, &among).await?;
    let mut arrived = Vec::with_capacity(found.len());
    for number in found.into_iter().rev() {
        if let Some((request, _)) = refused.remove(&number) {
            arrived.push(Arrived::Other(Box::new(request)));
        } else if let Some(request) = others.remove(&number) {
            arrived.push(Arrived::Other(Box::new(request)));
        } else if let Some(stored) = messages.remove(&number) {
            arrived.push(Arrived::Accepted(Box::new(stored.message)));
        }
    }
    Ok((arrived, left_out))
}

fn known(since: &Seen) -> Vec<i64> {
    since.recent.iter().copied().collect()
}

/// Where looking begins: a little before the largest number, if it is known what was seen there.
fn first_unseen(number: i64, since: &Seen) -> i64 {
    if since.recent.is_empty() {
        number + 1
    } else {
        again_from(number)
    }
}

async fn attempts_since(
    db: &Client,
    project: Option<ProjectId>,
    since: &Seen,
    many: usize,
) -> Result<(Vec<hooklatch_core::delivery::attempt::Attempt>, bool), Fault> {
    let sql = "SELECT id FROM (SELECT id, project FROM hooklatch.attempts WHERE id >= $1 \
                   ORDER BY id DESC LIMIT $3) new \
               WHERE ($2::bigint IS NULL OR project = $2) AND NOT id = ANY($5) \
               ORDER BY id DESC LIMIT $4";
    let known = known(since);
    let asked = Asked {
        project: project.map(ProjectId::number),
        after: first_unseen(since.attempts, since),
        known: &known,
        many,
    };
    let (mut found, left_out) = numbers(db, sql, &asked).await?;
    found.extend(since.under_way.iter().map(|id| id.number()));
    let mut attempts = attempt::load_light(db, &Among::of(found)).await?;
    attempts.retain(|it| project.is_none_or(|own| it.project_id == own));
    let left_out = left_out || attempts.len() > many;
    attempts.truncate(many);
    attempts.reverse();
    Ok((attempts, left_out))
}

fn limit(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
