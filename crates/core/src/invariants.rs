//! What must hold whatever happens, asserted at every transition, in production too.
//!
//! - INV-1: one live claim per (scope, key), or under `on_conflict: accept` per
//!   (scope, key, fingerprint).
//! - INV-2: a claim's message exists and was committed with it.
//! - INV-3: a delivery is unique per (message, connection).
//! - INV-4: states only move along the lifecycle's edges; a late answer never revives a finished
//!   delivery.
//! - INV-5: at most one live lease per delivery; a finish with an overtaken token changes nothing.
//! - INV-6: every delivery that is neither final nor held has a due time or a lease. The type
//!   `State` says so: no other value can be built. What waits for its turn is due never, and is
//!   reached through the one that has the turn (INV-10).
//! - INV-7: an acknowledged request is durable.
//! - INV-8: the counters of a message equal its requests. They are counted, never kept.
//! - INV-9: pruning never removes a claim inside its window.
//! - INV-10: of the deliveries of one order key that have not ended, exactly one has the turn.

use std::collections::HashSet;

use crate::claim::Claim;
use crate::delivery::{Delivery, DeliveryStatus as Status};
use crate::time::Timestamp;

/// INV-4 and INV-5: asserts that the machine, not a person, may move a delivery from `from` to
/// `to`.
///
/// # Panics
/// When it may not: a bug of ours, stopped before it is written.
pub fn moved(from: &Delivery, to: &Delivery) {
    assert!(
        follows(from.state.status(), to.state.status()),
        "INV-4: {} went from {:?} to {:?}",
        from.id,
        from.state,
        to.state
    );
    if let (Some(before), Some(after)) = (from.attempt_in_progress(), to.attempt_in_progress()) {
        assert!(
            before.id < after.id,
            "INV-5: lease {} of {} follows {}",
            after.id,
            from.id,
            before.id
        );
    }
}

/// INV-4: whether the machine may move a delivery from one state to the other.
pub const fn follows(from: Status, to: Status) -> bool {
    match from {
        Status::Pending => matches!(to, Status::Delivering),
        Status::Delivering => true,
        Status::Held | Status::Delivered | Status::Failed | Status::Cancelled => false,
    }
}

/// INV-1: whether no two of these claims, all of one scope and key, are live at once.
pub fn one_live_claim(claims: &[Claim], now: Timestamp) -> bool {
    let mut seen = HashSet::new();
    let live = claims.iter().filter(|claim| claim.protects(now));
    let mut live = live.map(|claim| (&claim.scope, claim.checksum, claim.variant));
    live.all(|identity| seen.insert(identity))
}

/// INV-3: whether no two of these deliveries, all of one message, go by one connection.
pub fn one_delivery_per_connection(deliveries: &[Delivery]) -> bool {
    let mut seen = HashSet::new();
    let mut ways = deliveries
        .iter()
        .map(|delivery| (delivery.connection_id, delivery.endpoint_id));
    ways.all(|way| seen.insert(way))
}

/// INV-10: whether of these deliveries, all of one order key, exactly one has the turn, if any of
/// them has not ended.
pub fn one_turn(deliveries: &[Delivery]) -> bool {
    let turns = deliveries.iter().filter(|delivery| delivery.has_turn());
    let waiting = deliveries.iter().any(Delivery::waits_for_turn);
    match turns.count() {
        0 => !waiting,
        1 => true,
        _ => false,
    }
}

/// INV-9: whether a claim may be removed at `now`.
pub fn may_be_pruned(claim: &Claim, now: Timestamp) -> bool {
    !claim.protects(now)
}
