//! What limits lanes beyond their concurrency, on every node together.
//!
//! A bucket is read and moved under the lock by which a pass has its lane for itself, so that no two
//! nodes take the same token. A lane's health is only read there: it is moved by those who finish,
//! under the lock of its row.

use std::collections::{BTreeMap, HashMap};

use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::{Bucket, Grant, LaneControl, LaneHealth, Passage};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{LaneReporting, decode_health, encode_health};
use tokio_postgres::{Client, Row, Statement};

use super::{Delivering, Plan};
use crate::audits::{Noted, of_notes};
use crate::columns::{Arrays, array};
use crate::fault::Fault;

/// The health of lanes, under lock and always in the same order.
pub(super) const HEALTH: &str =
    "SELECT lane, health FROM hooklatch.lane_health WHERE lane = ANY($1) ORDER BY lane FOR UPDATE";

/// What limits lanes.
pub(super) const LIMITS: &str = "SELECT turn.lane, COALESCE(bucket.full_at_us, 0), health.health \
     FROM unnest($1::bigint[]) turn(lane) \
     LEFT JOIN hooklatch.lane_buckets bucket ON bucket.lane = turn.lane \
     LEFT JOIN hooklatch.lane_health health ON health.lane = turn.lane";

pub(super) const PUT_BUCKETS: &str = "INSERT INTO hooklatch.lane_buckets (lane, full_at_us) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[]) \
     ON CONFLICT (lane) DO UPDATE SET full_at_us = excluded.full_at_us";

pub(super) const PUT_HEALTH: &str = "INSERT INTO hooklatch.lane_health (lane, health) \
     SELECT * FROM unnest($1::bigint[], $2::text[]) \
     ON CONFLICT (lane) DO UPDATE SET health = excluded.health";

pub(super) const PLACE: &str = "UPDATE hooklatch.deliveries_live live \
     SET endpoint = placed.endpoint, lane = placed.lane \
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) placed(id, endpoint, lane) \
     WHERE live.id = placed.id";

/// What limits one lane in one pass.
pub(super) struct Held {
    /// What is set.
    pub control: LaneControl,
    /// What is left of its rate.
    pub bucket: Bucket,
    /// How it fares.
    pub health: LaneHealth,
    /// What that comes to.
    pub grant: Grant,
}

/// What a batch knows of lanes, and has changed of them: it is not written yet.
#[derive(Default)]
pub(super) struct LaneNotes {
    health: HashMap<Lane, LaneHealth>,
    changed: BTreeMap<Lane, String>,
    buckets: BTreeMap<Lane, Bucket>,
    audit: Vec<Noted>,
}

impl LaneNotes {
    /// Takes over what was read under lock.
    pub(super) fn read(&mut self, rows: &[Row]) -> Result<(), Fault> {
        for row in rows {
            let health = decode_health(row.try_get(1)?);
            self.health.insert(Lane(row.try_get(0)?), health);
        }
        Ok(())
    }

    /// Takes over what an attempt says of its lane, and answers what people shall hear. `number`
    /// numbers what is noted for them.
    pub(super) fn report(
        &mut self,
        reporting: &LaneReporting,
        now: Timestamp,
        mut number: impl FnMut() -> i64,
    ) -> Vec<hooklatch_core::delivery::control::LaneEvent> {
        let health = self.health.entry(reporting.lane).or_default();
        let (next, events, entries) = reporting.apply(health, now);
        if next != *health {
            self.changed.insert(reporting.lane, encode_health(&next));
            *health = next;
        }
        self.audit.extend(entries.into_iter().map(|entry| Noted {
            id: number(),
            project: reporting.project,
            entry,
        }));
        events
    }

    /// Whether a lane's circuit is open or being probed, as far as this batch knows.
    pub(super) fn is_open(&self, lane: Lane) -> bool {
        self.health.get(&lane).is_some_and(LaneHealth::is_open)
    }

    /// Moves a bucket.
    pub(super) fn put(&mut self, lane: Lane, bucket: Bucket) {
        self.buckets.insert(lane.for_live(), bucket);
    }

    /// What limits these lanes now.
    pub(super) async fn held(
        &self,
        client: &Client,
        statement: &Statement,
        controls: &HashMap<Lane, LaneControl>,
        now: Timestamp,
    ) -> Result<HashMap<Lane, Held>, Fault> {
        // A rate and a circuit are a place's, for live traffic and replays together.
        let places = controls
            .iter()
            .map(|(lane, control)| (lane.for_live(), (*lane, *control)));
        let places: HashMap<Lane, (Lane, LaneControl)> = places.collect();
        let lanes: Vec<i64> = places.keys().map(|place| place.0).collect();
        let mut held = HashMap::new();
        for row in client.query(statement, &[&lanes]).await? {
            let place = Lane(row.try_get(0)?);
            let full_at_us = row.try_get(1)?;
            let health: Option<&str> = row.try_get(2)?;
            // What this batch has come to is not written yet.
            let bucket = self.buckets.get(&place).copied();
            let bucket = bucket.unwrap_or(Bucket { full_at_us });
            let known = self.health.get(&place).copied();
            let health = known.unwrap_or_else(|| health.map(decode_health).unwrap_or_default());
            let (lane, control) = places[&place];
            let grant = control.grant(bucket, &health, now);
            let limits = Held {
                control,
                bucket,
                health,
                grant,
            };
            held.insert(lane, limits);
        }
        Ok(held)
    }

    /// The columns of [`PUT_BUCKETS`].
    pub(super) fn buckets(&self) -> Option<Arrays<'static>> {
        let lanes: Vec<i64> = self.buckets.keys().map(|lane| lane.0).collect();
        let times: Vec<i64> = self.buckets.values().map(|it| it.full_at_us).collect();
        (!lanes.is_empty()).then(|| vec![Box::new(lanes) as _, Box::new(times) as _])
    }

    /// The columns of [`PUT_HEALTH`].
    pub(super) fn changed(&self) -> Option<Arrays<'_>> {
        let lanes: Vec<i64> = self.changed.keys().map(|lane| lane.0).collect();
        let texts: Vec<&str> = self.changed.values().map(String::as_str).collect();
        (!lanes.is_empty()).then(|| vec![Box::new(lanes) as _, Box::new(texts) as _])
    }

    /// What is to be audited.
    pub(super) fn audit(&self) -> Option<Arrays<'_>> {
        (!self.audit.is_empty()).then(|| of_notes(&self.audit))
    }
}

impl Held {
    /// Takes from the bucket what was leased.
    pub(super) fn take(
        &self,
        many: usize,
        now: Timestamp,
    ) -> Option<(Bucket, Option<hooklatch_core::time::Millis>)> {
        if many == 0 || self.grant.passage == Passage::Around {
            return None;
        }
        self.control.take(self.bucket, &self.health, many, now)
    }
}

/// The columns of [`PLACE`].
pub(super) fn of_places(plan: &Plan) -> Option<Arrays<'_>> {
    let placed = &plan.placed;
    (!placed.is_empty()).then(|| {
        vec![
            array(placed, |row| row.id),
            array(placed, |row| row.endpoint),
            array(placed, |row| row.lane),
        ]
    })
}

/// The lanes that tasks report of, each once and in order.
pub(super) fn reported(tasks: &[Delivering]) -> Vec<i64> {
    let mut lanes = Vec::new();
    for task in tasks {
        if let Delivering::Report(task) = task {
            lanes.push(task.input.1.lane.0);
        }
    }
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}
