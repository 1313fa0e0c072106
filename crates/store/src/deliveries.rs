//! Deliveries: leased, finished, commanded.

use std::sync::Arc;

use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::control::{LaneControl, Passage};
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused, Next};
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{AttemptId, DeliveryId, ProjectId};
use hooklatch_core::message::Parcel;
use hooklatch_core::time::Millis;
use hooklatch_core::transform::Transformed;

use crate::{Answer, LaneReporting, Reported};

/// What a lane may have now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many more of its deliveries whoever asks has room for.
    pub capacity: usize,
    /// At most so many live leases in the lane, those of every node counted (the endpoint's
    /// concurrency). [`usize::MAX`] where nothing limits it.
    pub live_max: usize,
    /// For how long: the endpoint's timeout and a margin (O4).
    pub span: Millis,
}

/// Says what a lane may have. Called by the store for every lane in which something is due, so it
/// answers at once.
pub trait LeaseTerms: Send + Sync {
    /// The terms of `lane`.
    fn terms(&self, lane: Lane) -> Terms;

    /// What limits `lane` beyond that; none for most, and then nothing is read of it.
    fn control(&self, lane: Lane) -> Option<LaneControl> {
        let _ = lane;
        None
    }
}

/// A wish for due deliveries.
#[derive(Clone)]
pub struct LeaseRequest {
    /// At most so many in all.
    pub limit: usize,
    /// At most so many per lane.
    pub terms: Arc<dyn LeaseTerms>,
}

/// A leased delivery with what is needed to send it.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The delivery under its lease.
    pub delivery: Delivery,
    /// Whether the attempt before was lost with its node; its record says `uncertain`.
    pub lost_before: bool,
    /// For what it was leased.
    pub passage: Passage,
    /// The message.
    pub parcel: Arc<Parcel>,
}

/// What was due.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// The deliveries, each leased durably.
    pub leased: Vec<Lease>,
    /// How long until the next one is due in a lane that was not at its capacity, or until one that
    /// is filled up to its [`Terms::live_max`] is worth another look, because others may have ended
    /// their leases there. None: nothing is waiting there.
    pub next_due_in: Option<Millis>,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct FinishAttempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The fencing token: the attempt that the lease was given for.
    pub token: AttemptId,
    /// The record of the attempt; none where the lease is given back before anything was sent.
    pub attempt: Option<Attempt>,
    /// What it means for the delivery.
    pub next: Next,
}

/// What a finish did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// The delivery moved; so it stands now.
    Applied(Delivery),
    /// The lease had been overtaken, or the delivery had ended: the attempt is recorded as fenced,
    /// and nothing else changed.
    Fenced,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commanded {
    /// It was carried out; so the delivery stands now.
    Done(Delivery),
    /// It was not.
    Refused(CommandRefused),
    /// The project has no such delivery.
    NotFound,
}

/// Called, from any thread, when something may have become due. It must return at once.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Deliveries.
pub trait Deliveries: Send + Sync {
    /// Leases due deliveries, durably, with [`Delivery::lease`]; the oldest due first within a
    /// lane, and no lane before another for ever. A delivery whose last lease has run out is due
    /// at once, and its lost attempt is recorded. The live leases of a lane are counted in the
    /// transaction that adds to them, so that two nodes that ask at once stay within
    /// [`Terms::live_max`] together. Where a lane has a [`LaneControl`], its bucket is read, asked
    /// with [`LaneControl::grant`] and written in that transaction too, so that a rate and an open
    /// circuit hold over all nodes.
    ///
    /// Opening an embedded store voids all leases: they run out at that moment (O4). In a store
    /// that nodes share they outlive the process, and run out by the store's clock.
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Leases>;

    /// Records an attempt and moves its delivery, with [`Delivery::finish`].
    fn finish(&self, finish: FinishAttempt) -> Answer<'_, Finished>;

    /// The same, and tells what the attempt says of its endpoint, in the same transaction.
    fn finish_and_report(
        &self,
        finish: FinishAttempt,
        report: LaneReporting,
    ) -> Answer<'_, Reported>;

    /// Carries out what a person asks of a delivery, with [`Delivery::command`].
    fn command(
        &self,
        project: ProjectId,
        delivery: DeliveryId,
        command: Command,
    ) -> Answer<'_, Commanded>;

    /// Keeps what a delivery is sent as, durably: the first one counts. Answers with what is kept,
    /// so that every attempt sends the same bytes.
    fn keep_transformed(
        &self,
        delivery: DeliveryId,
        transformed: Transformed,
    ) -> Answer<'_, Transformed>;

    /// What a delivery is sent as, where a script made it.
    fn transformed(&self, delivery: DeliveryId) -> Answer<'_, Option<Transformed>>;

    /// Makes what waits in a lane due now: its endpoint was deleted, disabled, or enabled, and
    /// each delivery shall learn of it.
    fn hasten(&self, lane: Lane) -> Answer<'_, ()>;

    /// Has `wake` called when something may have become due by a write of this or another node.
    fn on_work(&self, wake: Wake);
}
