//! Replays: made, commanded, planned page by page, and run step by step, each in a transaction
//! that is shared with whatever else is written.

mod contract;
mod running;

use hooklatch_core::ids::{ProjectId, ReplayId};
use hooklatch_core::replay::{Replay, ReplayCommand, ReplayStatus};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::record::replay as record;
use hooklatch_store::{
    AuditEntry, NewReplay, Opened, Page, PageRequest, REPLAYS_MOVING_MAX, ReplayCommanded,
    ReplayHolder,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::config;
use crate::fault::Fault;
use crate::writer::Batch;

/// Items of cancelled replays that are removed in one operation.
const REST_PER_STEP: usize = 1_000;

/// A replay with who holds it.
struct Held {
    replay: Replay,
    holder: i64,
    until: Timestamp,
}

macro_rules! select_replays {
    ($rest:literal) => {
        concat!(
            "SELECT head, progress, holder, held_until FROM replays ",
            $rest
        )
    };
}

fn decode(row: &Row<'_>) -> Result<Held, Fault> {
    let (head, progress): (String, String) = (row.get(0)?, row.get(1)?);
    Ok(Held {
        replay: record::decode(&head, &progress)?,
        holder: row.get(2)?,
        until: Timestamp::from_millis(row.get(3)?),
    })
}

fn find(db: &Connection, id: ReplayId) -> Result<Option<Held>, Fault> {
    let mut statement = db.prepare_cached(select_replays!("WHERE id = ?1"))?;
    let mut rows = statement.query([id.number()])?;
    rows.next()?.map(decode).transpose()
}

/// Makes a replay, unless it is known.
fn open(batch: &mut Batch<'_>, new: &NewReplay) -> Result<Opened, Fault> {
    let digest = new.plan.digest(new.project);
    let (by_key, by_plan) = (by_key(batch.db, new)?, by_plan(batch.db, new, &digest)?);
    if let Some(opened) = Opened::of(new, by_key, by_plan) {
        return Ok(opened);
    }
    let id = ReplayId::from_number(batch.mint.next(batch.now));
    let replay = new.replay(id, batch.now);
    let sql = "INSERT INTO replays VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0)";
    batch.db.prepare_cached(sql)?.execute(params![
        id.number(),
        new.project.number(),
        replay.status().code(),
        digest,
        new.request_key,
        record::encode_head(&replay.head),
        record::encode_progress(&replay.progress),
    ])?;
    config::audit(batch, new.project, &new.entry(id))?;
    Ok(Opened::New(replay))
}

fn by_key(db: &Connection, new: &NewReplay) -> Result<Option<Replay>, Fault> {
    let Some(key) = &new.request_key else {
        return Ok(None);
    };
    let sql = select_replays!("WHERE project = ?1 AND request_key = ?2");
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![new.project.number(), key])?;
    Ok(rows
        .next()?
        .map(decode)
        .transpose()?
        .map(|held| held.replay))
}

fn by_plan(db: &Connection, new: &NewReplay, digest: &str) -> Result<Option<Replay>, Fault> {
    let sql = select_replays!("WHERE status <= 3 AND project = ?1 AND digest = ?2 LIMIT 1");
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![new.project.number(), digest])?;
    let found = rows.next()?.map(decode).transpose()?;
    let found = found.map(|held| held.replay);
    Ok(found.filter(|known| known.is_the_same(digest)))
}

/// One replay of a project.
fn load(db: &Connection, project: ProjectId, id: ReplayId) -> Result<Option<Replay>, Fault> {
    let found = find(db, id)?.map(|held| held.replay);
    Ok(found.filter(|replay| replay.head.project_id == project))
}

/// Replays of a project, newest first.
fn page(db: &Connection, project: ProjectId, page: PageRequest) -> Result<Page<Replay>, Fault> {
    let sql = select_replays!(
        "INDEXED BY replays_project WHERE project = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    );
    let below = page.below.unwrap_or(i64::MAX);
    let many = i64::try_from(page.limit).unwrap_or(i64::MAX - 1);
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([project.number(), below, many + 1])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode(row)?.replay);
    }
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().filter(|_| more).map(|it| it.id().number());
    Ok(Page { items, next })
}

/// Carries out what a person asks.
fn command(
    batch: &mut Batch<'_>,
    (project, id, command, audit): &(ProjectId, ReplayId, ReplayCommand, AuditEntry),
) -> Result<ReplayCommanded, Fault> {
    let Some(replay) = load(batch.db, *project, *id)? else {
        return Ok(ReplayCommanded::NotFound);
    };
    match replay.command(*command, batch.now) {
        Err(refused) => Ok(ReplayCommanded::Refused(refused)),
        Ok(moved) => {
            if moved != replay {
                write(batch.db, &moved)?;
                config::audit(batch, *project, audit)?;
            }
            Ok(ReplayCommanded::Done(Box::new(moved)))
        }
    }
}

/// Writes how far a replay has come.
fn write(db: &Connection, replay: &Replay) -> Result<(), Fault> {
    let sql = "UPDATE replays SET status = ?2, progress = ?3, rest = ?4 WHERE id = ?1";
    let cancelled = replay.status() == ReplayStatus::Cancelled;
    db.prepare_cached(sql)?.execute(params![
        replay.id().number(),
        replay.status().code(),
        record::encode_progress(&replay.progress),
        cancelled,
    ])?;
    Ok(())
}

/// Whether there is anything to hold or to remove: what does not move costs no write.
fn anything_moves(db: &Connection) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM replays INDEXED BY replays_moving WHERE status <= 1) \
               OR EXISTS (SELECT 1 FROM replays INDEXED BY replays_rest WHERE rest = 1)";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// The replays that move and are the holder's now.
fn hold(
    batch: &mut Batch<'_>,
    (holder, span): &(ReplayHolder, Millis),
) -> Result<Vec<Replay>, Fault> {
    remove_rest(batch.db)?;
    let sql = select_replays!("INDEXED BY replays_moving WHERE status <= 1 ORDER BY id");
    let mut statement = batch.db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let found = decode(row)?;
        if held.len() == REPLAYS_MOVING_MAX {
            break;
        }
        if found.holder == holder.0 || found.until <= batch.now {
            held.push(found.replay);
        }
    }
    let sql = "UPDATE replays SET holder = ?2, held_until = ?3 WHERE id = ?1";
    let mut statement = batch.db.prepare_cached(sql)?;
    let until = batch.now + *span;
    for replay in &held {
        statement.execute([replay.id().number(), holder.0, until.as_millis()])?;
    }
    Ok(held)
}

/// Removes some of what cancelled replays have left.
fn remove_rest(db: &Connection) -> Result<(), Fault> {
    let sql = "SELECT id FROM replays INDEXED BY replays_rest WHERE rest = 1 LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let id: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    let Some(id) = id else {
        return Ok(());
    };
    let sql = "DELETE FROM replay_items WHERE replay = ?1 AND (message, delivery) IN (\
                   SELECT message, delivery FROM replay_items WHERE replay = ?1 LIMIT ?2)";
    let many = REST_PER_STEP as i64;
    if db.prepare_cached(sql)?.execute([id, many])? < REST_PER_STEP {
        let sql = "UPDATE replays SET rest = 0 WHERE id = ?1";
        db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// The leases ended with the process that held them.
pub(crate) fn void_leases(db: &Connection) -> Result<(), Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM replays INDEXED BY replays_moving WHERE status <= 1)";
    if db.query_row(sql, [], |row| row.get(0))? {
        db.execute("UPDATE replays SET held_until = 0 WHERE status <= 1", [])?;
    }
    Ok(())
}

/// Notes who did what, and why.
fn audit(batch: &mut Batch<'_>, (project, entry): &(ProjectId, AuditEntry)) -> Result<(), Fault> {
    config::audit(batch, *project, entry)
}
