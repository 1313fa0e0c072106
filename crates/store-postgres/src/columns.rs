//! Many rows in one statement: columns as arrays, put side by side again by `unnest`.

use hooklatch_store::record::delivery::Columns as Delivery;
use tokio_postgres::types::ToSql;

/// Arrays of one statement, in the order of its parameters.
pub(crate) type Arrays<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// The arrays as the driver takes them.
pub(crate) fn params<'a>(arrays: &'a Arrays<'_>) -> Vec<&'a (dyn ToSql + Sync)> {
    arrays
        .iter()
        .map(|array| &**array as &(dyn ToSql + Sync))
        .collect()
}

/// One array out of one field of every row.
pub(crate) fn array<'a, R, V>(
    rows: &'a [R],
    field: impl Fn(&'a R) -> V,
) -> Box<dyn ToSql + Sync + Send + 'a>
where
    V: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(field).collect::<Vec<V>>())
}

/// Puts deliveries into one of their two tables.
macro_rules! insert_deliveries {
    ($table:literal) => {
        concat!(
            "INSERT INTO hooklatch.",
            $table,
            " (id, message, project, endpoint, connection, lane, status, at, attempts, trigger, \
             token, started, reason, free_attempts, since, created, suffix, order_key) \
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], \
             $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
             $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], \
             $16::bigint[], $17::boolean[], $18::bigint[])"
        )
    };
}

/// Puts new deliveries, or such as start again, among the live ones.
pub(crate) const INSERT_LIVE: &str = insert_deliveries!("deliveries_live");
/// Puts deliveries that have ended among those.
pub(crate) const INSERT_DONE: &str = insert_deliveries!("deliveries_done");

/// The columns of [`INSERT_LIVE`] and [`INSERT_DONE`].
pub(crate) fn of_deliveries(rows: &[Delivery]) -> Arrays<'_> {
    vec![
        array(rows, |row| row.id),
        array(rows, |row| row.message),
        array(rows, |row| row.project),
        array(rows, |row| row.endpoint),
        array(rows, |row| row.connection),
        array(rows, |row| row.lane),
        array(rows, |row| row.status),
        array(rows, |row| row.at),
        array(rows, |row| row.attempts),
        array(rows, |row| row.trigger),
        array(rows, |row| row.token),
        array(rows, |row| row.started),
        array(rows, |row| row.reason),
        array(rows, |row| row.free_attempts),
        array(rows, |row| row.since),
        array(rows, |row| row.created),
        array(rows, |row| row.suffix),
        array(rows, |row| row.order_key),
    ]
}

/// Moves live deliveries where they are.
pub(crate) const UPDATE_LIVE: &str = "UPDATE hooklatch.deliveries_live live \
     SET status = moved.status, at = moved.at, attempts = moved.attempts, \
         trigger = moved.trigger, token = moved.token, started = moved.started, \
         reason = moved.reason, free_attempts = moved.free_attempts, since = moved.since \
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) \
         moved(id, status, at, attempts, trigger, token, started, reason, free_attempts, since) \
     WHERE live.id = moved.id";

/// The columns of [`UPDATE_LIVE`].
pub(crate) fn of_moves(rows: &[Delivery]) -> Arrays<'_> {
    vec![
        array(rows, |row| row.id),
        array(rows, |row| row.status),
        array(rows, |row| row.at),
        array(rows, |row| row.attempts),
        array(rows, |row| row.trigger),
        array(rows, |row| row.token),
        array(rows, |row| row.started),
        array(rows, |row| row.reason),
        array(rows, |row| row.free_attempts),
        array(rows, |row| row.since),
    ]
}
