//! Bodies that go, while the record that they were there stays.

use hooklatch_core::message::{Message, Request};
use hooklatch_core::retention::Wrapping;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::record::{message as message_record, request as request_record};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{Row, begin, finished, forget};
use crate::fault::Fault;
use crate::rows::among::{Among, Param};
use crate::rows::{message, request};
use deadpool_postgres::Transaction;
use hooklatch_core::ids::ProjectId;

/// An unfinished message whose payload should go is looked at again after this.
const LOOKED_AGAIN: Millis = Millis::from_seconds(600);

/// Removes bodies that are locked and that nobody needs; answers how many.
pub(super) async fn prune(db: &Client, locked: &[Row], now: Timestamp) -> Result<u64, Fault> {
    if locked.is_empty() {
        return Ok(0);
    }
    let (ended, _) = finished(db, locked).await?;
    let among = Among::of(ended);
    if among.is_empty() {
        return Ok(0);
    }
    forget::transformed(db, &among).await?;
    note_in_messages(db, &among, now).await?;
    note_in_requests(db, &among, now).await?;
    let sql = "UPDATE hooklatch.payloads SET body = NULL \
               WHERE id = ANY($1) AND id >= $2 AND id <= $3 AND body IS NOT NULL";
    Ok(db.execute_typed(sql, &among.params()).await?)
}

/// Their texts are locked first: a message may be routed at this moment.
async fn note_in_messages(db: &Client, among: &Among, now: Timestamp) -> Result<(), Fault> {
    let sql = "SELECT FROM hooklatch.messages WHERE id = ANY($1) AND id >= $2 AND id <= $3 \
               FOR UPDATE";
    db.query_typed(sql, &among.params()).await?;
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for (number, stored) in message::load_all(db, among).await? {
        let message = Message {
            payload_pruned_at: Some(now),
            ..stored.message
        };
        numbers.push(number);
        texts.push(message_record::encode_meta(&message));
    }
    set_meta(db, "messages", &numbers, &texts).await
}

async fn note_in_requests(db: &Client, among: &Among, now: Timestamp) -> Result<(), Fault> {
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for (number, request) in request::load_all(db, among).await? {
        let request = Request {
            payload_pruned_at: Some(now),
            ..request
        };
        numbers.push(number);
        texts.push(request_record::encode_meta(&request));
    }
    set_meta(db, "requests", &numbers, &texts).await
}

async fn set_meta(
    db: &Client,
    table: &str,
    numbers: &[i64],
    texts: &[String],
) -> Result<(), Fault> {
    if numbers.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE hooklatch.{table} t SET meta = new.meta \
         FROM unnest($1::bigint[], $2::text[]) new(id, meta) \
         WHERE t.id = new.id AND t.id >= $3 AND t.id <= $4"
    );
    let first = numbers.iter().min().copied().unwrap_or_default();
    let last = numbers.iter().max().copied().unwrap_or_default();
    let params: [Param<'_>; 4] = [
        (&numbers, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
        (&first, Type::INT8),
        (&last, Type::INT8),
    ];
    db.execute_typed(&sql, &params).await?;
    Ok(())
}

/// Prunes payloads whose sender let them be kept no longer; answers how many were looked at.
pub(crate) async fn prune_ended(
    transaction: &Transaction<'_>,
    now: Timestamp,
    rows_max: usize,
) -> Result<usize, Fault> {
    let db = transaction.client();
    if !begin(db).await? {
        return Ok(0);
    }
    let sql = "DELETE FROM hooklatch.payload_ends e USING (\
                   SELECT at, message FROM hooklatch.payload_ends WHERE at <= $1 \
                   ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) due \
               WHERE e.at = due.at AND e.message = due.message RETURNING e.message";
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let params: [Param<'_>; 2] = [(&now.as_millis(), Type::INT8), (&limit, Type::INT8)];
    let due = db.query_typed(sql, &params).await?;
    let rows: Vec<Row> = due.iter().map(|row| of_message(row.get(0))).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let held = super::lock(db, &rows).await?;
    let (locked, busy): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| held.contains(&row.number));
    let (_, unfinished) = finished(db, &locked).await?;
    prune(db, &locked, now).await?;
    let again: Vec<i64> = busy
        .iter()
        .map(|row| row.number)
        .chain(unfinished)
        .collect();
    look_again(db, now + LOOKED_AGAIN, &again).await?;
    Ok(due.len())
}

/// The row of a message's payload; nothing else of it counts here.
fn of_message(number: i64) -> Row {
    Row {
        number,
        wrapping: Wrapping::Own,
        has_body: true,
        project: ProjectId::from_number(0),
        effect: None,
    }
}

/// What was dropped with its day is not looked for again.
async fn look_again(db: &Client, at: Timestamp, messages: &[i64]) -> Result<(), Fault> {
    if messages.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO hooklatch.payload_ends (at, message) \
               SELECT $1, m.id FROM hooklatch.messages m WHERE m.id = ANY($2) \
               ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 2] = [(&at.as_millis(), Type::INT8), (&messages, Type::INT8_ARRAY)];
    db.execute_typed(sql, &params).await?;
    Ok(())
}
