//! Deliveries that go one after the other: who has the turn, and who is given it. The writer is
//! alone, so that nobody else asks meanwhile.

use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::order::{OrderKey, Turns, turn_left, turn_wanted};
use hooklatch_core::time::Timestamp;
use rusqlite::Connection;

use crate::fault::Fault;
use crate::rows::delivery::{self, select};
use crate::writer::Batch;

/// A new delivery, or one that starts again, in its place.
pub(crate) fn placed(db: &Connection, delivery: &Delivery) -> Result<Option<Delivery>, Fault> {
    let Some(key) = delivery.order_key.filter(|_| delivery.wants_turn()) else {
        return Ok(None);
    };
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_ordered \
               WHERE order_key = ?1 AND status IN (0, 1, 4))";
    let mut statement = db.prepare_cached(sql)?;
    let taken: bool = statement.query_row([key.number()], |row| row.get(0))?;
    let mut turns = Turns::taken(taken.then_some(key));
    Ok(Some(turns.place(delivery.clone())))
}

/// Writes a delivery that has moved, and gives its turn on where it has left it. Answers the
/// delivery as it stands then.
pub(crate) fn moved(
    batch: &mut Batch<'_>,
    before: &Delivery,
    after: Delivery,
) -> Result<Delivery, Fault> {
    let after = match turn_wanted(before, &after) {
        Some(_) => placed(batch.db, &after)?.unwrap_or(after),
        None => after,
    };
    delivery::update(batch.db, &after)?;
    if let Some(due) = after.next_attempt_at() {
        batch.due(after.lane(), due);
    }
    if let Some(key) = turn_left(before, &after) {
        give_on(batch, key)?;
    }
    Ok(after)
}

fn give_on(batch: &mut Batch<'_>, key: OrderKey) -> Result<(), Fault> {
    let Some(next) = oldest_waiting(batch.db, key)? else {
        return Ok(());
    };
    let next = next.given_turn(batch.now);
    delivery::update(batch.db, &next)?;
    if let Some(due) = next.next_attempt_at() {
        batch.due(next.lane(), due);
    }
    Ok(())
}

fn oldest_waiting(db: &Connection, key: OrderKey) -> Result<Option<Delivery>, Fault> {
    let sql = select!(
        "INDEXED BY deliveries_ordered \
         WHERE order_key = ?1 AND status IN (0, 1, 4) AND status = 0 AND at = ?2 \
         ORDER BY id LIMIT 1"
    );
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([key.number(), Timestamp::NEVER.as_millis()])?;
    rows.next()?.map(delivery::decode).transpose()
}
