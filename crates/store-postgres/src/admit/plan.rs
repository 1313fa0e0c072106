//! What a batch writes, put together decision by decision.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::admission::{Accepted, Refused, Repeat, refused};
use hooklatch_core::claim::Claim;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::ids::{NodeSlot, ProjectId, RequestId};
use hooklatch_core::invariants;
use hooklatch_core::message::{Message, Parcel, Request};
use hooklatch_core::shadow::ShadowSums;
use hooklatch_core::time::Millis;
use hooklatch_store::node::LaneChange;
use hooklatch_store::record::delivery::{Columns, following};
use hooklatch_store::record::{claim as claims, envelope, message, request};

use super::known::How;
use super::{PreparedArrival, PreparedKey, due};
use crate::key::{Key, part_hash};

/// What is due later than this is not worth its place among the parcels in memory.
const DELAY_CACHED_MAX: Millis = Millis::from_seconds(60);

/// Everything that a batch writes.
#[derive(Default)]
pub(super) struct Plan {
    pub messages: Vec<MessageRow>,
    pub payloads: Vec<PayloadRow>,
    pub requests: Vec<RequestRow>,
    pub refused: Vec<RefusedRow>,
    /// New deliveries, and ended ones that start again.
    pub live: Vec<Columns>,
    /// Deliveries whose number does not follow their message's.
    pub strays: Vec<(i64, i64)>,
    /// Ended deliveries that start again.
    pub restarted: Vec<i64>,
    /// Originals whose deliveries start, each with the body of the duplicate that starts them: it
    /// stands in for one that was pruned (D2).
    pub restored: Vec<(i64, Bytes)>,
    /// Messages whose payloads go at a time that their senders named.
    pub ends: Vec<(i64, i64)>,
    /// Originals that had matched nothing and have now, each with its new text.
    pub routed: Vec<(i64, String)>,
    pub claims: Vec<ClaimRow>,
    /// What rules in shadow mode have said, for this node's rows.
    pub shadows: ShadowSums,
    pub slot: i64,
    /// Where a claim is among them.
    claimed: HashMap<(Key, i32, Vec<u8>), usize>,
    /// For this node's memory: what was made, and what is due.
    pub parcels: Vec<(Arc<Parcel>, usize)>,
    pub due: Vec<LaneChange>,
}

pub(super) struct MessageRow {
    pub message: Message,
    pub meta: String,
    pub following: i64,
}

pub(super) struct PayloadRow {
    pub id: i64,
    pub shared: Option<i64>,
    pub envelope: Option<String>,
    pub body: Option<Bytes>,
}

pub(super) struct RequestRow {
    pub request: Request,
    pub meta: String,
}

pub(super) struct RefusedRow {
    pub request: Request,
    pub meta: String,
    pub envelope: String,
}

pub(crate) struct ClaimRow {
    pub key: Key,
    pub place: i32,
    pub project: ProjectId,
    pub scope: String,
    pub parts: String,
    pub part_hashes: Option<String>,
    pub claim: Claim,
    pub how: How,
}

/// The envelope of an arrival, and whether a row of this call holds it already.
pub(super) struct Wrapping<'a> {
    pub text: &'a str,
    pub written_at: &'a mut Option<i64>,
}

impl Plan {
    /// An empty one of a batch of this node.
    pub(super) fn of_node(slot: NodeSlot) -> Self {
        Self {
            slot: i64::from(slot.0),
            ..Self::default()
        }
    }

    /// A new message.
    pub(super) fn accept(
        &mut self,
        arrival: &PreparedArrival,
        accepted: &Accepted,
        envelope: Wrapping<'_>,
    ) {
        let arrival = &arrival.arrival;
        let message = &accepted.message;
        self.message(message, &accepted.deliveries);
        self.shadows.note(&accepted.shadows);
        if let Some(until) = message.payload_until {
            self.ends.push((until.as_millis(), message.id.number()));
        }
        self.payload(message.id.number(), envelope, Some(arrival.body.clone()));
        let due_soon = due_soon(message, &accepted.deliveries);
        if due_soon > 0 {
            let parcel = Parcel {
                message: message.clone(),
                envelope: Arc::clone(&arrival.envelope),
                body: arrival.body.clone(),
            };
            self.parcels.push((Arc::new(parcel), due_soon));
        }
    }

    fn message(&mut self, message: &Message, deliveries: &[Delivery]) {
        let following = following(message.id, deliveries);
        self.messages.push(MessageRow {
            message: message.clone(),
            meta: message::encode_meta(message),
            following: i64::try_from(following).expect("a fan-out is bounded"),
        });
        if following < deliveries.len() {
            self.stray(deliveries);
        }
        self.open(deliveries);
    }

    fn stray(&mut self, deliveries: &[Delivery]) {
        self.strays.extend(deliveries.iter().map(stray_of));
    }

    fn open(&mut self, deliveries: &[Delivery]) {
        if deliveries.len() > 1 {
            let unique = invariants::one_delivery_per_connection(deliveries);
            assert!(unique, "INV-3: {deliveries:?}");
        }
        for delivery in deliveries {
            self.live.push(Columns::of_new(delivery));
            self.note_due(delivery);
        }
    }

    fn note_due(&mut self, delivery: &Delivery) {
        if let Some(at) = delivery.next_attempt_at() {
            self.due.push(due(delivery.lane(), at));
        }
    }

    fn payload(&mut self, id: i64, envelope: Wrapping<'_>, body: Option<Bytes>) {
        let shared = *envelope.written_at;
        if shared.is_none() {
            *envelope.written_at = Some(id);
        }
        self.payloads.push(PayloadRow {
            id,
            shared,
            envelope: shared.is_none().then(|| envelope.text.to_owned()),
            body,
        });
    }

    /// A repetition.
    pub(super) fn repeat(
        &mut self,
        arrival: &PreparedArrival,
        repeat: &Repeat,
        envelope: Wrapping<'_>,
    ) {
        self.shadows.note(&repeat.shadows);
        let body = repeat.keep_body.then(|| arrival.arrival.body.clone());
        self.payload(repeat.request.id.number(), envelope, body);
        self.requests.push(RequestRow {
            meta: request::encode_meta(&repeat.request),
            request: repeat.request.clone(),
        });
        let started = !(repeat.redriven.is_empty() && repeat.rerouted.is_empty());
        if let (Some(original), true) = (repeat.request.original_message_id, started) {
            let body = arrival.arrival.body.clone();
            self.restored.push((original.number(), body));
        }
        for delivery in &repeat.redriven {
            self.restarted.push(delivery.id.number());
            self.live.push(Columns::of_new(delivery));
            self.note_due(delivery);
        }
        self.stray(&repeat.rerouted);
        self.open(&repeat.rerouted);
    }

    /// An original that has matched now.
    pub(super) fn route(&mut self, message: &Message) {
        let meta = message::encode_meta(message);
        self.routed.push((message.id.number(), meta));
    }

    /// A refusal.
    pub(super) fn refuse(&mut self, id: RequestId, asked: &Refused) {
        let request = refused(asked, id);
        self.refused.push(RefusedRow {
            meta: request::encode_meta(&request),
            envelope: envelope::encode(&asked.envelope),
            request,
        });
    }

    /// A claim; the last word of the batch on it is what is written.
    pub(super) fn claim(
        &mut self,
        project: ProjectId,
        texts: &PreparedKey,
        claim: &Claim,
        how: How,
    ) {
        let variant = claims::variant(claim).to_vec();
        let place = (texts.key, texts.place, variant);
        if let Some(at) = self.claimed.get(&place) {
            self.claims[*at].claim = claim.clone();
            return;
        }
        self.claimed.insert(place, self.claims.len());
        let scope = texts.scope.clone();
        let row = ClaimRow::of((texts.key, texts.place), project, scope, claim, how);
        self.claims.push(row);
    }
}

impl ClaimRow {
    /// The row of a claim under its key and place.
    pub(crate) fn of(
        (key, place): (Key, i32),
        project: ProjectId,
        scope: String,
        claim: &Claim,
        how: How,
    ) -> Self {
        let hashes = claim.parts_to_index().iter();
        let hashes: Vec<String> = hashes
            .map(|part| part_hash(project, part).to_string())
            .collect();
        Self {
            key,
            place,
            project,
            scope,
            parts: claims::encode_parts(&claim.parts),
            part_hashes: (!hashes.is_empty()).then(|| format!("{{{}}}", hashes.join(","))),
            claim: claim.clone(),
            how,
        }
    }
}

/// A delivery whose number does not follow its message's.
pub(crate) fn stray_of(delivery: &Delivery) -> (i64, i64) {
    (delivery.message_id.number(), delivery.id.number())
}

/// How many deliveries of a new message will soon ask for their parcel.
fn due_soon(message: &Message, deliveries: &[Delivery]) -> usize {
    let soon = |delivery: &&Delivery| {
        let due = delivery.next_attempt_at();
        due.is_some_and(|due| due <= message.decided_at + DELAY_CACHED_MAX)
    };
    deliveries.iter().filter(soon).count()
}
