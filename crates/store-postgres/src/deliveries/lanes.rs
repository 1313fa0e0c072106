//! What the database says of lanes: which wait, what is due in them, and what lies ahead.

use std::collections::HashMap;

use hooklatch_core::delivery::Lane;
use hooklatch_core::time::Timestamp;
use tokio_postgres::Row;

use crate::fault::Fault;
use crate::rows::delivery::select_deliveries;
use crate::rows::parcel;

/// The lanes in which anything waits, with the time of the first: an index that is skipped through.
pub(super) const LANES: &str = "WITH RECURSIVE lanes AS (\
         (SELECT lane, at FROM hooklatch.deliveries_live WHERE status <= 1 \
          ORDER BY lane, at LIMIT 1) \
         UNION ALL \
         SELECT next.lane, next.at FROM lanes CROSS JOIN LATERAL (\
             SELECT lane, at FROM hooklatch.deliveries_live \
             WHERE status <= 1 AND lane > lanes.lane ORDER BY lane, at LIMIT 1) next\
     ) SELECT lane, at FROM lanes";

/// Which of these lanes are ours to count for the length of this transaction.
pub(super) const TRY_LANES: &str = "SELECT lane FROM unnest($1::bigint[]) lane \
     WHERE pg_try_advisory_xact_lock(lane & 9223372036854775807)";

pub(super) const DUE: &str = select_deliveries!(
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) turn(lane, wanted, live_max) \
     CROSS JOIN LATERAL (\
         SELECT * FROM hooklatch.deliveries_live \
         WHERE status <= 1 AND lane = turn.lane AND at <= $4 AND NOT id = ANY($5) \
         ORDER BY at, id \
         LIMIT LEAST(turn.wanted, GREATEST(0, turn.live_max - (\
             SELECT count(*) FROM hooklatch.deliveries_live \
             WHERE status = 1 AND lane = turn.lane AND at > $4))) \
         FOR UPDATE SKIP LOCKED) d"
);

/// When the first thing after a time is due, and how many leases live after it, lane by lane.
pub(super) const NEXT: &str = "SELECT turn.lane, (\
         SELECT at FROM hooklatch.deliveries_live \
         WHERE status <= 1 AND lane = turn.lane AND at > turn.after ORDER BY at LIMIT 1), (\
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
