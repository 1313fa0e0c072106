//! What is new, by the numbers of rows.

use std::collections::BTreeSet;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{AttemptId, MessageId, ProjectId, RequestId};
use hooklatch_store::{Arrived, NEWS_SCANNED_MAX, News, Seen, UNDER_WAY_MAX};
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::rows::{attempt, delivery, message, request};

/// The present.
pub(crate) fn present(db: &Connection) -> Result<Seen, Fault> {
    let sql = "SELECT MAX(COALESCE((SELECT MAX(id) FROM messages), 0), \
                          COALESCE((SELECT MAX(id) FROM requests), 0)), \
                      COALESCE((SELECT MAX(id) FROM attempts), 0)";
    let (requests, attempts) = db
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Seen {
        requests,
        attempts,
        under_way: under_way(db)?,
        recent: BTreeSet::new(),
    })
}

fn under_way(db: &Connection) -> Result<BTreeSet<AttemptId>, Fault> {
    let sql = "SELECT token FROM deliveries INDEXED BY deliveries_live \
               WHERE status = 1 ORDER BY lane, at LIMIT ?1";
    let mut statement = db.prepare_cached(sql)?;
    let tokens = statement.query_map([limit(UNDER_WAY_MAX)], |row| row.get(0))?;
    let tokens = tokens.map(|token| Ok(AttemptId::from_number(token?)));
    tokens.collect()
}

/// What was recorded since.
pub(crate) fn news(
    db: &Connection,
    project: Option<ProjectId>,
    since: &Seen,
    many: usize,
) -> Result<News, Fault> {
    let seen = present(db)?;
    let (requests, more_requests) = requests_since(db, project, since.requests, many)?;
    let (attempts, more_attempts) = attempts_since(db, project, since, many)?;
    let mut deliveries = Vec::new();
    for attempt in &attempts {
        deliveries.extend(delivery::load(db, attempt.delivery_id)?);
    }
    Ok(News {
        requests,
        attempts,
        deliveries,
        left_out: more_requests || more_attempts,
        seen,
    })
}

fn requests_since(
    db: &Connection,
    project: Option<ProjectId>,
    after: i64,
    many: usize,
) -> Result<(Vec<Arrived>, bool), Fault> {
    let messages = "SELECT id, 1 FROM (SELECT id, project, request FROM messages \
                    WHERE id > ?1 ORDER BY id DESC LIMIT ?3) \
                    WHERE request IS NULL AND (?2 IS NULL OR project = ?2) LIMIT ?4";
    let requests = "SELECT id, 0 FROM (SELECT id, project FROM requests \
                    WHERE id > ?1 ORDER BY id DESC LIMIT ?3) \
                    WHERE ?2 IS NULL OR project = ?2 LIMIT ?4";
    let mut found: Vec<(i64, bool)> = Vec::new();
    for sql in [messages, requests] {
        let mut statement = db.prepare_cached(sql)?;
        let row = params![
            after,
            project.map(ProjectId::number),
            limit(NEWS_SCANNED_MAX),
            limit(many + 1),
        ];
        let rows = statement.query_map(row, |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable();
    let left_out = found.len() > many;
    found.drain(..found.len().saturating_sub(many));
    let mut arrived = Vec::with_capacity(found.len());
    for (number, accepted) in found {
        arrived.extend(load(db, number, accepted)?);
    }
    Ok((arrived, left_out))
}

fn load(db: &Connection, number: i64, accepted: bool) -> Result<Option<Arrived>, Fault> {
    if accepted {
        let stored = message::load(db, MessageId::from_number(number))?;
        return Ok(stored.map(|stored| Arrived::Accepted(Box::new(stored.message))));
    }
    let request = request::load(db, RequestId::from_number(number))?;
    Ok(request.map(|request| Arrived::Other(Box::new(request))))
}

fn attempts_since(
    db: &Connection,
    project: Option<ProjectId>,
    since: &Seen,
    many: usize,
) -> Result<(Vec<Attempt>, bool), Fault> {
    let sql = "SELECT id FROM (SELECT id, project FROM attempts \
               WHERE id > ?1 ORDER BY id DESC LIMIT ?3) \
               WHERE ?2 IS NULL OR project = ?2 LIMIT ?4";
    let mut statement = db.prepare_cached(sql)?;
    let row = params![
        since.attempts,
        project.map(ProjectId::number),
        limit(NEWS_SCANNED_MAX),
        limit(many + 1),
    ];
    let begun = statement.query_map(row, |row| row.get(0))?;
    let mut ended: Vec<i64> = begun.collect::<Result<_, _>>()?;
    let early = since.under_way.iter().map(|id| id.number());
    ended.extend(early.filter(|number| *number <= since.attempts));
    ended.sort_unstable();
    let mut attempts = Vec::new();
    for number in ended.into_iter().rev() {
        let found = attempt::load_light(db, AttemptId::from_number(number))?;
        attempts.extend(found.filter(|it| project.is_none_or(|own| it.project_id == own)));
        if attempts.len() > many {
            break;
        }
    }
    let left_out = attempts.len() > many;
    attempts.truncate(many);
    attempts.reverse();
    Ok((attempts, left_out))
}

fn limit(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
