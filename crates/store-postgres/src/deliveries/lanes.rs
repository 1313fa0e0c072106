//! What the database says of lanes: which wait, what is due in them, and what lies ahead.

use std::collections::HashMap;

use hooklatch_core::delivery::Lane;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::LaneChange;
use tokio_postgres::Row;

use super::lease::Pass;
use crate::fault::Fault;
use crate::rows::delivery::select_deliveries;
use crate::rows::parcel;

/// Lanes in which nothing is due yet that are looked at for when something will be.
const LOOKED_AHEAD: usize = 16;

/// The first of each lane in one of the indexes of what waits.
macro_rules! first_of_lanes {
    ($status:literal, $name:literal) => {
        concat!(
            "(SELECT lane, at FROM hooklatch.deliveries_live WHERE ",
            $status,
            " ORDER BY lane, at LIMIT 1) \
             UNION ALL \
             SELECT next.lane, next.at FROM ",
            $name,
            " CROSS JOIN LATERAL (\
                 SELECT lane, at FROM hooklatch.deliveries_live WHERE ",
            $status,
            " AND lane > ",
            $name,
            ".lane ORDER BY lane, at LIMIT 1) next"
        )
    };
}

/// The lanes in which anything waits, with the time of the first: two indexes that are skipped
/// through.
pub(super) const LANES: &str = concat!(
    "WITH RECURSIVE pending AS (",
    first_of_lanes!("status = 0", "pending"),
    "), leased AS (",
    first_of_lanes!("status = 1", "leased"),
    ") SELECT lane, MIN(at) FROM (\
         SELECT lane, at FROM pending UNION ALL SELECT lane, at FROM leased) waiting GROUP BY lane"
);

/// Which of these lanes are ours to count for the length of this transaction.
/// Live traffic and replays to one place share what it takes, and so a lock: the place's.
pub(super) const TRY_LANES: &str = "SELECT lane FROM unnest($1::bigint[], $2::bigint[]) turn(lane, place) \
     WHERE pg_try_advisory_xact_lock(place & 9223372036854775807)";

/// What is due: what waits, and what was leased by somebody who is gone. Each kind has an index of its
/// own, so that to lease a row adds to one of them only.
pub(super) const DUE: &str = select_deliveries!(
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) turn(lane, wanted, live_max) \
     CROSS JOIN LATERAL (\
         SELECT LEAST(turn.wanted, GREATEST(0, turn.live_max - count(*))) AS many \
         FROM hooklatch.deliveries_live \
         WHERE status = 1 AND lane = turn.lane AND at > $4) room \
     CROSS JOIN LATERAL (\
         SELECT * FROM (\
             SELECT * FROM (\
                 SELECT * FROM hooklatch.deliveries_live \
                 WHERE status = 0 AND lane = turn.lane AND at <= $4 AND NOT id = ANY($5) \
                 ORDER BY at, id LIMIT room.many FOR UPDATE SKIP LOCKED) pending \
             UNION ALL \
             SELECT * FROM (\
                 SELECT * FROM hooklatch.deliveries_live \
                 WHERE status = 1 AND lane = turn.lane AND at <= $4 AND NOT id = ANY($5) \
                 ORDER BY at LIMIT room.many FOR UPDATE SKIP LOCKED) lapsed\
         ) either ORDER BY at, id LIMIT room.many) d"
);

/// When the first thing after a time is due, and how many leases live after it, lane by lane.
pub(super) const NEXT: &str = "SELECT turn.lane, LEAST((\
         SELECT at FROM hooklatch.deliveries_live \
         WHERE status = 0 AND lane = turn.lane AND at > turn.after ORDER BY at LIMIT 1), (\
         SELECT at FROM hooklatch.deliveries_live \
         WHERE status = 1 AND lane = turn.lane AND at > turn.after ORDER BY at LIMIT 1)), (\
         SELECT count(*) FROM hooklatch.deliveries_live \
         WHERE status = 1 AND lane = turn.lane AND at > turn.after) \
     FROM unnest($1::bigint[], $2::bigint[]) turn(lane, after)";

pub(super) const PARCELS: &str = parcel::SELECT;

/// What lies ahead in a lane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ahead {
    /// When the first thing is due, or a lease ends.
    pub due: Option<Timestamp>,
    /// Leases that live.
    pub leased: usize,
}

/// The answers of [`NEXT`].
pub(super) fn next_of(rows: &[Row]) -> Result<HashMap<Lane, Ahead>, Fault> {
    let mut next = HashMap::new();
    for row in rows {
        let due: Option<i64> = row.try_get(1)?;
        let leased: i64 = row.try_get(2)?;
        let ahead = Ahead {
            due: due
                .map(Timestamp::from_millis)
                .filter(|at| *at < Timestamp::NEVER),
            leased: usize::try_from(leased).unwrap_or(usize::MAX),
        };
        next.insert(Lane(row.try_get(0)?), ahead);
    }
    Ok(next)
}

/// A time in a column.
pub(super) fn time_at(row: &Row, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

impl Pass<'_> {
    /// Finds out how long nothing is due in lanes that were not served.
    pub(super) async fn look_ahead(&mut self) -> Result<(), Fault> {
        let soonest = self.next_due_in;
        let waiting: Vec<(Timestamp, Lane)> = self.memory.lanes(|lanes| {
            let sooner = |(bound, _): &(Timestamp, Lane)| {
                soonest.is_none_or(|known| bound.since(self.now) < known)
            };
            let waiting = lanes.waiting(self.now).take_while(sooner);
            waiting.take(LOOKED_AHEAD).collect()
        });
        if waiting.is_empty() {
            return Ok(());
        }
        let lanes: Vec<i64> = waiting.iter().map(|(_, lane)| lane.0).collect();
        let after = vec![i64::MIN; lanes.len()];
        let statement = &self.link.statements.next;
        let rows = self.link.client.query(statement, &[&lanes, &after]).await?;
        let next = next_of(&rows)?;
        for (bound, lane) in waiting {
            let first = next.get(&lane).and_then(|ahead| ahead.due);
            if let Some(first) = first {
                self.soonest(first.since(self.now));
            }
            if first != Some(bound) {
                // The bound was of something that is done by now.
                self.plan.lanes.push(LaneChange::Known(lane, first));
            }
        }
        Ok(())
    }
}
