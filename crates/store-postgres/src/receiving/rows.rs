//! The rows of claims: read one by one or many under lock, written many at a time.

use hooklatch_core::ids::ProjectId;
use hooklatch_core::receiving::call::Entry;
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::receiving::raw::RawRecord;
use hooklatch_store::record::entry::Columns;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::Place;
use crate::columns::{Arrays, array};
use crate::fault::Fault;
use crate::rows::among::Param;
use crate::text::{from_column, to_column};

/// The columns, in the order in which [`decode`] takes them.
macro_rules! select_entries {
    ($before:literal, $from:literal) => {
        concat!(
            $before,
            "SELECT c.scope, c.key, c.lease, c.retention, c.state, c.until, c.token, c.fence, \
             c.epoch, c.generation, c.origin, c.fingerprint, c.attempt, c.error, c.provider, \
             c.event_type, c.received, c.result, c.project, c.hash \
             FROM hooklatch.receiver_claims c WHERE ",
            $from
        )
    };
}

const ONE: &str = select_entries!("", "c.project = $1 AND c.hash = $2 ");

/// The entries of a batch, locked in the order in which the batch names them. Each is looked up by
/// itself, so that no plan that was made while the table was small reads all of it.
pub(super) const LOCKED: &str = select_entries!(
    "SELECT locked.* FROM unnest($1::bigint[], $2::bytea[]) wanted(project, hash) \
     CROSS JOIN LATERAL (",
    "c.project = wanted.project AND c.hash = wanted.hash FOR UPDATE) locked"
);

/// Puts rows into the table.
macro_rules! insert_entries {
    ($rest:literal) => {
        concat!(
            "INSERT INTO hooklatch.receiver_claims (project, hash, scope, key, lease, retention, \
                 state, until, token, fence, epoch, generation, origin, fingerprint, attempt, \
                 error, provider, event_type, received, result) \
             SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], \
                 $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], \
                 $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], \
                 $15::bigint[], $16::text[], $17::text[], $18::text[], $19::bigint[], \
                 $20::bytea[])",
            $rest
        )
    };
}

/// Events that nobody knew. A second row is refused, and the batch is done again.
pub(super) const NEW: &str = insert_entries!("");

/// Events whose rows were read under lock, and so are there: to be met by their key needs no plan.
pub(super) const CHANGED: &str = insert_entries!(
    " ON CONFLICT (project, hash) DO UPDATE SET scope = excluded.scope, key = excluded.key, \
         lease = excluded.lease, retention = excluded.retention, state = excluded.state, \
         until = excluded.until, token = excluded.token, fence = excluded.fence, \
         epoch = excluded.epoch, generation = excluded.generation, origin = excluded.origin, \
         fingerprint = excluded.fingerprint, attempt = excluded.attempt, \
         error = excluded.error, provider = excluded.provider, \
         event_type = excluded.event_type, received = excluded.received, \
         result = excluded.result"
);

/// The steps of a record that is no more.
pub(super) const FORGET_STEPS: &str =
    "DELETE FROM hooklatch.receiver_steps WHERE project = $1 AND hash = $2";

/// A row to be written.
pub(super) struct Written {
    place: Place,
    columns: Columns,
}

impl Written {
    /// The row of an entry.
    pub(super) fn of(place: Place, entry: &Entry) -> Self {
        Self {
            place,
            columns: Columns::of(entry),
        }
    }
}

/// The parameters of [`FORGET_STEPS`].
pub(super) fn of_place((project, key): &Place) -> Arrays<'_> {
    vec![
        Box::new(project.number()),
        Box::new(key.as_bytes().as_slice()),
    ]
}

/// The parameters of [`LOCKED`].
pub(super) fn of_places(places: &[Place]) -> Arrays<'_> {
    vec![
        array(places, |(project, _)| project.number()),
        array(places, |(_, key)| key.as_bytes().as_slice()),
    ]
}

/// The parameters of [`NEW`] and [`CHANGED`].
pub(super) fn of_entries(rows: &[Written]) -> Arrays<'_> {
    vec![
        array(rows, |row| row.place.0.number()),
        array(rows, |row| row.place.1.as_bytes().as_slice()),
        array(rows, |row| to_column(&row.columns.scope)),
        array(rows, |row| to_column(&row.columns.key)),
        array(rows, |row| row.columns.lease_ms),
        array(rows, |row| row.columns.retention_ms),
        array(rows, |row| row.columns.record.state),
        array(rows, |row| row.columns.record.until_ms),
        array(rows, |row| row.columns.record.token.as_slice()),
        array(rows, |row| row.columns.record.fence),
        array(rows, |row| row.columns.record.epoch),
        array(rows, |row| row.columns.record.generation),
        array(rows, |row| row.columns.record.origin),
        array(rows, |row| row.columns.record.fingerprint.as_slice()),
        array(rows, |row| row.columns.record.attempt),
        array(rows, |row| {
            row.columns.record.error.as_deref().map(to_column)
        }),
        array(rows, |row| to_column(&row.columns.record.provider)),
        array(rows, |row| to_column(&row.columns.record.event_type)),
        array(rows, |row| row.columns.record.received_at_ms),
        array(rows, |row| row.columns.record.result.as_deref()),
    ]
}

/// One entry.
pub(super) async fn load(
    db: &Client,
    (project, key): Place,
    lock: &'static str,
) -> Result<Option<Entry>, Fault> {
    let sql = format!("{ONE}{lock}");
    let params: [Param<'_>; 2] = [
        (&project.number(), Type::INT8),
        (&key.as_bytes().as_slice(), Type::BYTEA),
    ];
    let row = db.query_typed_opt(&sql, &params).await?;
    row.map(|row| Ok(decode(&row)?.1)).transpose()
}

/// An entry from its row, with its place.
pub(super) fn decode(row: &Row) -> Result<(Place, Entry), Fault> {
    let hash: &[u8] = row.try_get(19)?;
    let hash = hash.try_into();
    let hash = hash.map_err(|_| Fault::unreadable("the hash of a claim has another length"))?;
    let place = (
        ProjectId::from_number(row.try_get(18)?),
        ScopeKey::from_bytes(hash),
    );
    let error: Option<String> = row.try_get(13)?;
    let columns = Columns {
        scope: from_column(row.try_get(0)?),
        key: from_column(row.try_get(1)?),
        lease_ms: row.try_get(2)?,
        retention_ms: row.try_get(3)?,
        record: RawRecord {
            state: row.try_get(4)?,
            until_ms: row.try_get(5)?,
            token: row.try_get(6)?,
            fence: row.try_get(7)?,
            epoch: row.try_get(8)?,
            generation: row.try_get(9)?,
            origin: row.try_get(10)?,
            fingerprint: row.try_get(11)?,
            attempt: row.try_get(12)?,
            error: error.map(from_column),
            provider: from_column(row.try_get(14)?),
            event_type: from_column(row.try_get(15)?),
            received_at_ms: row.try_get(16)?,
            result: row.try_get(17)?,
        },
    };
    Ok((place, columns.decode()?))
}
