//! Attempts that are recorded, or recorded otherwise, long after they began.

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::EndpointId;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::sums::{Slot, is_late};
use hooklatch_store::record::Code;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::columns::Arrays;
use crate::fault::Fault;

/// Notes attempts that began long ago and are recorded by the same batch.
pub(crate) const LATE: &str = "INSERT INTO hooklatch.stats_late \
        (attempt, project, endpoint, outcome, trigger, millis, sign) \
    SELECT attempt, project, endpoint, outcome, trigger, millis, 1 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
        $6::bigint[]) new(attempt, project, endpoint, outcome, trigger, millis)";

/// Notes attempts whose records the same batch replaces afterwards, where it does: what is lost (2)
/// is replaced, and what is missing is added.
pub(crate) const LATE_REPLACED: &str = "WITH new AS (\
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], \
            $5::bigint[], $6::bigint[]) new(attempt, project, endpoint, outcome, trigger, millis)\
    ), known AS (\
        SELECT id, project, endpoint, outcome, trigger, duration_ms FROM hooklatch.attempts \
        WHERE id = ANY($1)\
    ) \
    INSERT INTO hooklatch.stats_late \
        (attempt, project, endpoint, outcome, trigger, millis, sign) \
    SELECT id, project, endpoint, outcome, trigger, duration_ms, -1 FROM known WHERE outcome = 2 \
    UNION ALL \
    SELECT new.attempt, new.project, new.endpoint, new.outcome, new.trigger, new.millis, 1 \
    FROM new LEFT JOIN known ON known.id = new.attempt \
    WHERE known.id IS NULL OR known.outcome = 2";

/// What is to be added to the sums, or taken from them.
pub(crate) struct Late {
    pub(super) place: i64,
    /// The attempt's number.
    pub attempt: i64,
    /// Where it counts.
    pub slot: Slot,
    /// How long it took.
    pub millis: i64,
    /// 1 to add, -1 to take.
    pub sign: i64,
}

/// The columns of [`LATE`] of those attempts that began long ago; none where none did.
pub(crate) fn of_late<'a>(
    attempts: impl Iterator<Item = &'a Attempt>,
    now: Timestamp,
) -> Option<Arrays<'static>> {
    let late: Vec<&Attempt> = attempts.filter(|it| is_late(it.id, now)).collect();
    if late.is_empty() {
        return None;
    }
    let column = |field: fn(&Attempt) -> i64| -> Vec<i64> {
        late.iter().map(|attempt| field(attempt)).collect()
    };
    let endpoints = late.iter().map(|it| it.endpoint_id.map(EndpointId::number));
    let endpoints: Vec<Option<i64>> = endpoints.collect();
    Some(vec![
        Box::new(column(|it| it.id.number())),
        Box::new(column(|it| it.project_id.number())),
        Box::new(endpoints),
        Box::new(column(|it| it.outcome.code())),
        Box::new(column(|it| it.trigger.code())),
        Box::new(column(|it| {
            i64::try_from(it.duration_ms).unwrap_or(i64::MAX)
        })),
    ])
}

/// What is noted and not added yet; a bounded part of it.
pub(super) async fn all(db: &Client) -> Result<Vec<Late>, Fault> {
    let sql = "SELECT id, attempt, project, endpoint, outcome, trigger, millis, sign \
               FROM hooklatch.stats_late ORDER BY id LIMIT 10000";
    let rows = db.query_typed(sql, &[]).await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &Row) -> Result<Late, Fault> {
    let attempt = row.try_get(1)?;
    let (project, endpoint) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Late {
        place: row.try_get(0)?,
        attempt,
        slot: Slot::attempt(attempt, project, endpoint, row.try_get(4)?, row.try_get(5)?),
        millis: row.try_get(6)?,
        sign: row.try_get(7)?,
    })
}

/// Forgets what was added.
pub(super) async fn forget(db: &Client, late: &[Late]) -> Result<(), Fault> {
    let places: Vec<i64> = late.iter().map(|one| one.place).collect();
    let sql = "DELETE FROM hooklatch.stats_late WHERE id = ANY($1)";
    db.execute_typed(sql, &[(&places, Type::INT8_ARRAY)])
        .await?;
    Ok(())
}
