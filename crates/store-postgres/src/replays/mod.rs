//! Replays: made, commanded, planned page by page, and run step by step, each in a transaction of
//! its own. Whichever node holds one takes it forward; a row lock makes each step one after the
//! other, and the lease only saves nodes from doing the same work twice.

mod contract;
mod running;
mod writing;

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::ids::{DeliveryId, ProjectId, ReplayId};
use hooklatch_core::replay::{Replay, ReplayCommand, ReplayStatus};
use hooklatch_core::time::Millis;
use hooklatch_store::record::{Code, replay as record};
use hooklatch_store::{
    AuditEntry, NewReplay, Opened, Page, PageRequest, REPLAYS_MOVING_MAX, ReplayCommanded,
    ReplayHolder,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::commands::now;
use crate::config;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::rows::among::Param;
use crate::rows::wide_at;
use crate::text::to_column;

/// Items of cancelled replays that are removed in one transaction.
const REST_PER_STEP: i64 = 1_000;

/// A replay with who holds it.
struct Held {
    replay: Replay,
    holder: i64,
}

macro_rules! select_replays {
    ($rest:literal) => {
        concat!(
            "SELECT head, progress, holder FROM hooklatch.replays ",
            $rest
        )
    };
}

fn decode(row: &Row) -> Result<Held, Fault> {
    Ok(Held {
        replay: record::decode(row.try_get(0)?, row.try_get(1)?)?,
        holder: row.try_get(2)?,
    })
}

/// Reads a replay under lock.
async fn lock(db: &Client, id: ReplayId) -> Result<Option<Held>, Fault> {
    let sql = select_replays!("WHERE id = $1 FOR UPDATE");
    let row = db
        .query_typed_opt(sql, &[(&id.number(), Type::INT8)])
        .await?;
    row.as_ref().map(decode).transpose()
}

/// Makes a replay, unless it is known.
async fn open(of: &Transaction<'_>, memory: &Memory, new: &NewReplay) -> Result<Opened, Fault> {
    let db = of.client();
    // One wish at a time: what the last one made is seen by the next.
    let sql = "SELECT 1 FROM hooklatch.meta WHERE name = 'config_version' FOR UPDATE";
    db.query_typed_one(sql, &[]).await?;
    let digest = new.plan.digest(new.project);
    let (by_key, by_plan) = (by_key(db, new).await?, by_plan(db, new, &digest).await?);
    if let Some(opened) = Opened::of(new, by_key, by_plan) {
        return Ok(opened);
    }
    let now = now(of, &memory.clock).await?;
    let id = ReplayId::from_number(memory.numbers.with(|mint| mint.next(now))?);
    let replay = new.replay(id, now);
    let sql = "INSERT INTO hooklatch.replays (id, project, status, digest, request_key, head, \
                   progress, holder, held_until, rest) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, false)";
    let request_key = new.request_key.as_deref().map(to_column);
    let params: [Param<'_>; 7] = [
        (&id.number(), Type::INT8),
        (&new.project.number(), Type::INT8),
        (&replay.status().code(), Type::INT8),
        (&digest, Type::TEXT),
        (&request_key.as_deref(), Type::TEXT),
        (&record::encode_head(&replay.head), Type::TEXT),
        (&record::encode_progress(&replay.progress), Type::TEXT),
    ];
    db.execute_typed(sql, &params).await?;
    config::audit(db, &memory.numbers, new.project, &new.entry(id)).await?;
    Ok(Opened::New(replay))
}

async fn by_key(db: &Client, new: &NewReplay) -> Result<Option<Replay>, Fault> {
    let Some(key) = &new.request_key else {
        return Ok(None);
    };
    let sql = select_replays!("WHERE project = $1 AND request_key = $2");
    let key = to_column(key);
    let params: [Param<'_>; 2] = [
        (&new.project.number(), Type::INT8),
        (&key.as_ref(), Type::TEXT),
    ];
    let row = db.query_typed_opt(sql, &params).await?;
    Ok(row
        .as_ref()
        .map(decode)
        .transpose()?
        .map(|held| held.replay))
}

async fn by_plan(db: &Client, new: &NewReplay, digest: &str) -> Result<Option<Replay>, Fault> {
    let sql = select_replays!("WHERE status <= 3 AND project = $1 AND digest = $2");
    let params: [Param<'_>; 2] = [(&new.project.number(), Type::INT8), (&digest, Type::TEXT)];
    let row = db.query_typed_opt(sql, &params).await?;
    let found = row
        .as_ref()
        .map(decode)
        .transpose()?
        .map(|held| held.replay);
    Ok(found.filter(|known| known.is_the_same(digest)))
}

/// One replay of a project.
async fn load(db: &Client, project: ProjectId, id: ReplayId) -> Result<Option<Replay>, Fault> {
    let sql = select_replays!("WHERE id = $1");
    let row = db
        .query_typed_opt(sql, &[(&id.number(), Type::INT8)])
        .await?;
    let found = row
        .as_ref()
        .map(decode)
        .transpose()?
        .map(|held| held.replay);
    Ok(found.filter(|replay| replay.head.project_id == project))
}

/// Replays of a project, newest first.
async fn page(db: &Client, project: ProjectId, page: PageRequest) -> Result<Page<Replay>, Fault> {
    let sql = select_replays!("WHERE project = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let below = page.below.unwrap_or(i64::MAX);
    let many = i64::try_from(page.limit).unwrap_or(i64::MAX - 1) + 1;
    let params: [Param<'_>; 3] = [
        (&project.number(), Type::INT8),
        (&below, Type::INT8),
        (&many, Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let more = rows.len() > page.limit;
    let mut items = Vec::new();
    for row in rows.iter().take(page.limit) {
        items.push(decode(row)?.replay);
    }
    let next = items.last().filter(|_| more).map(|it| it.id().number());
    Ok(Page { items, next })
}

/// Carries out what a person asks.
async fn command(
    of: &Transaction<'_>,
    memory: &Memory,
    (project, id, command): (ProjectId, ReplayId, ReplayCommand),
    audit: &AuditEntry,
) -> Result<ReplayCommanded, Fault> {
    let db = of.client();
    let found = lock(db, id).await?.map(|held| held.replay);
    let Some(replay) = found.filter(|replay| replay.head.project_id == project) else {
        return Ok(ReplayCommanded::NotFound);
    };
    match replay.command(command, now(of, &memory.clock).await?) {
        Err(refused) => Ok(ReplayCommanded::Refused(refused)),
        Ok(moved) => {
            if moved != replay {
                write(db, &moved).await?;
                config::audit(db, &memory.numbers, project, audit).await?;
            }
            Ok(ReplayCommanded::Done(Box::new(moved)))
        }
    }
}

/// Writes how far a replay has come.
async fn write(db: &Client, replay: &Replay) -> Result<(), Fault> {
    let sql = "UPDATE hooklatch.replays SET status = $2, progress = $3, rest = $4 WHERE id = $1";
    let cancelled = replay.status() == ReplayStatus::Cancelled;
    let params: [Param<'_>; 4] = [
        (&replay.id().number(), Type::INT8),
        (&replay.status().code(), Type::INT8),
        (&record::encode_progress(&replay.progress), Type::TEXT),
        (&cancelled, Type::BOOL),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(())
}

/// Whether there is anything to hold or to remove: what does not move costs no write.
async fn anything_moves(db: &Client) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM hooklatch.replays WHERE status <= 1) \
               OR EXISTS (SELECT FROM hooklatch.replays WHERE rest)";
    Ok(db.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// The replays that move and are the holder's now. One that another node is taking forward at this
/// moment is passed over.
async fn hold(
    of: &Transaction<'_>,
    memory: &Memory,
    holder: ReplayHolder,
    span: Millis,
) -> Result<Vec<Replay>, Fault> {
    let db = of.client();
    remove_rest(db).await?;
    let now = now(of, &memory.clock).await?;
    let sql = select_replays!(
        "WHERE status <= 1 AND (holder = $1 OR held_until <= $2) \
         ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED"
    );
    let many = REPLAYS_MOVING_MAX as i64;
    let params: [Param<'_>; 3] = [
        (&holder.0, Type::INT8),
        (&now.as_millis(), Type::INT8),
        (&many, Type::INT8),
    ];
    let rows = db.query_typed(sql, &params).await?;
    let mut held = Vec::new();
    for row in &rows {
        held.push(decode(row)?.replay);
    }
    let ids: Vec<i64> = held.iter().map(|replay| replay.id().number()).collect();
    let sql = "UPDATE hooklatch.replays SET holder = $2, held_until = $3 WHERE id = ANY($1)";
    let params: [Param<'_>; 3] = [
        (&ids, Type::INT8_ARRAY),
        (&holder.0, Type::INT8),
        (&(now + span).as_millis(), Type::INT8),
    ];
    db.execute_typed(sql, &params).await?;
    Ok(held)
}

/// Removes some of what cancelled replays have left.
async fn remove_rest(db: &Client) -> Result<(), Fault> {
    let sql = "SELECT id FROM hooklatch.replays WHERE rest LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = db.query_typed_opt(sql, &[]).await? else {
        return Ok(());
    };
    let id: i64 = row.try_get(0)?;
    let sql = "DELETE FROM hooklatch.replay_items WHERE replay = $1 AND (message, delivery) IN (\
                   SELECT message, delivery FROM hooklatch.replay_items WHERE replay = $1 LIMIT $2)";
    let params: [Param<'_>; 2] = [(&id, Type::INT8), (&REST_PER_STEP, Type::INT8)];
    if db.execute_typed(sql, &params).await? < REST_PER_STEP.unsigned_abs() {
        let sql = "UPDATE hooklatch.replays SET rest = false WHERE id = $1";
        db.execute_typed(sql, &[(&id, Type::INT8)]).await?;
    }
    Ok(())
}

/// How the last attempt of each delivery ended.
async fn last_outcomes(
    db: &Client,
    deliveries: &[DeliveryId],
) -> Result<HashMap<DeliveryId, AttemptOutcome>, Fault> {
    let sql = "SELECT asked.id, last.outcome FROM unnest($1::bigint[]) asked(id) \
               CROSS JOIN LATERAL (SELECT outcome FROM hooklatch.attempts \
                   WHERE delivery = asked.id ORDER BY id DESC LIMIT 1) last";
    let ids: Vec<i64> = deliveries.iter().map(|id| id.number()).collect();
    let rows = db.query_typed(sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    let mut outcomes = HashMap::new();
    for row in &rows {
        let id = DeliveryId::from_number(row.try_get(0)?);
        outcomes.insert(id, Code::of_code(wide_at(row, 1)?)?);
    }
    Ok(outcomes)
}
