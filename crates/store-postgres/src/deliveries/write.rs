//! The second half of a batch of deliveries: everything it came to, and the commit, in one trip.

use hooklatch_core::ids::DeliveryId;
use hooklatch_store::record::attempt::Columns as AttemptColumns;
use tokio_postgres::types::ToSql;

use super::limits::of_places;
use super::{AttemptRow, Plan, Statements};
use crate::columns::{Arrays, of_deliveries, of_moves};
use crate::fault::Fault;
use crate::sent::{Sent, commit};
use crate::stats::of_late;
use crate::worker::Link;

/// Puts attempts on record.
macro_rules! insert_attempts {
    ($rest:literal) => {
        concat!(
            "INSERT INTO hooklatch.attempts (id, delivery, message, project, endpoint, number, \
                 trigger, outcome, status_code, started, duration_ms, fenced, meta, body) \
             SELECT id, delivery, message, project, endpoint, number, trigger, outcome, \
                 status_code, started, duration_ms, fenced, meta, body \
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
                 $11::bigint[], $12::boolean[], $13::text[], $14::bytea[]) \
                 new(id, delivery, message, project, endpoint, number, trigger, outcome, \
                     status_code, started, duration_ms, fenced, meta, body)",
            $rest
        )
    };
}

/// Records attempts.
pub(crate) const INSERT_ATTEMPTS: &str = insert_attempts!("");

/// Records attempts over the record of their being lost (2 is `uncertain`), and over no other: an
/// end that is reported twice has been applied the first time.
pub(super) const REPLACE_ATTEMPTS: &str = insert_attempts!(
    " ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, \
         status_code = excluded.status_code, duration_ms = excluded.duration_ms, \
         fenced = excluded.fenced, meta = excluded.meta, body = excluded.body \
         WHERE attempts.outcome = 2"
);

pub(super) const END: &str = "DELETE FROM hooklatch.deliveries_live WHERE id = ANY($1)";

/// The columns of [`INSERT_ATTEMPTS`].
pub(crate) fn of_attempts(rows: &[AttemptRow], fenced: bool) -> Arrays<'_> {
    let columns = rows.iter();
    let columns: Vec<_> = columns
        .map(|row| AttemptColumns::of(&row.attempt, &row.meta))
        .collect();
    let many = columns.len();
    vec![
        of(&columns, |row| row.id),
        of(&columns, |row| row.delivery),
        of(&columns, |row| row.message),
        of(&columns, |row| row.project),
        of(&columns, |row| row.endpoint),
        of(&columns, |row| row.number),
        of(&columns, |row| row.trigger),
        of(&columns, |row| row.outcome),
        of(&columns, |row| row.status_code),
        of(&columns, |row| row.started),
        of(&columns, |row| row.duration_ms),
        Box::new(vec![fenced; many]),
        of(&columns, |row| row.meta),
        of(&columns, |row| row.body.as_ref().map(|body| body.to_vec())),
    ]
}

fn of<'a, R, V>(rows: &[R], field: impl Fn(&R) -> V) -> Box<dyn ToSql + Sync + Send + 'a>
where
    V: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(field).collect::<Vec<V>>())
}

/// Writes and commits.
pub(super) async fn write(link: &Link<Statements>, plan: &Plan) -> Result<(), Fault> {
    let statements = &link.statements;
    let live = |id: &i64| !plan.taken.contains(&DeliveryId::from_number(*id));
    let ended: Vec<i64> = plan.done.iter().map(|row| row.id).filter(live).collect();
    let mut sent: Vec<Sent<'_>> = Vec::new();
    let mut send = |statement, arrays| sent.push(Sent::new(statement, arrays));
    if !plan.attempts.is_empty() {
        send(&statements.attempts, of_attempts(&plan.attempts, false));
    }
    if let Some(late) = of_late(plan.attempts.iter().map(|row| &row.attempt), plan.now) {
        send(&statements.late, late);
    }
    if let Some(late) = of_late(plan.fenced.iter().map(|row| &row.attempt), plan.now) {
        send(&statements.late_replaced, late);
    }
    if !plan.fenced.is_empty() {
        send(&statements.fenced, of_attempts(&plan.fenced, true));
    }
    if !ended.is_empty() {
        send(&statements.ended, vec![Box::new(ended)]);
    }
    if !plan.done.is_empty() {
        send(&statements.done, of_deliveries(&plan.done));
    }
    if !plan.moved.is_empty() {
        send(&statements.moved, of_moves(&plan.moved));
    }
    let notes = &plan.notes;
    let rare = [
        (&statements.placed, of_places(plan)),
        (&statements.put_buckets, notes.buckets()),
        (&statements.put_health, notes.changed()),
        (&statements.audit, notes.audit()),
    ];
    for (statement, arrays) in rare {
        if let Some(arrays) = arrays {
            send(statement, arrays);
        }
    }
    commit(&link.client, &sent).await
}
