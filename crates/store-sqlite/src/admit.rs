//! Admits arrivals: looks their keys up, has core decide, writes what it says.

use std::sync::Arc;

use hooklatch_core::admission::{
    Accepted, Admission, Arrival, Decision, Original, Prior, Repeat, decide,
};
use hooklatch_core::claim::{Claim, ClaimKey};
use hooklatch_core::delivery::{Delivery, DeliveryStatus};
use hooklatch_core::ids::ProjectId;
use hooklatch_core::invariants;
use hooklatch_core::message::{Message, Parcel};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::record::claim::encode_parts;
use hooklatch_store::record::delivery::following;
use hooklatch_store::record::envelope;
use rusqlite::params;

use crate::fault::Fault;
use crate::generations::Found;
use crate::listing::{self, Kind};
use crate::order;
use crate::retention;
use crate::rows::claim::{ClaimTexts, Place};
use crate::rows::payload::{self, EnvelopeAt};
use crate::rows::{delivery, message, request};
use crate::writer::Batch;

/// What is due later than this is not worth its place among the parcels in memory.
const DELAY_CACHED_MAX: Millis = Millis::from_seconds(60);

/// Arrivals with all that can be made of them before the writer's turn.
pub(crate) struct Prepared {
    arrivals: Vec<PreparedArrival>,
    /// The envelopes as they are stored, each once.
    envelopes: Vec<String>,
}

struct PreparedArrival {
    arrival: Arrival,
    /// Which of the envelopes is its own.
    envelope: usize,
    keys: Vec<PreparedKey>,
}

struct PreparedKey {
    scope: String,
    parts: String,
    place: Place,
}

impl Prepared {
    /// Makes what does not depend on the decision.
    pub(crate) fn new(arrivals: Vec<Arrival>, secret: &[u8; 32]) -> Self {
        let mut envelopes: Vec<String> = Vec::new();
        let mut prepared: Vec<PreparedArrival> = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            // The elements of a split request share one envelope, and come one after the other.
            let before = prepared.last().map(|it| &it.arrival.envelope);
            if !before.is_some_and(|before| Arc::ptr_eq(before, &arrival.envelope)) {
                envelopes.push(envelope::encode(&arrival.envelope));
            }
            let keys = arrival.keys.iter().map(|key| prepare_key(key, secret));
            prepared.push(PreparedArrival {
                envelope: envelopes.len() - 1,
                keys: keys.collect(),
                arrival,
            });
        }
        Self {
            arrivals: prepared,
            envelopes,
        }
    }

    /// Roughly how many bytes this keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        let bodies = self.arrivals.iter().map(|it| it.arrival.body.len());
        bodies.sum::<usize>() + self.envelopes.iter().map(String::len).sum::<usize>()
    }
}

fn prepare_key(key: &ClaimKey, secret: &[u8; 32]) -> PreparedKey {
    let scope = key.scope.to_string();
    PreparedKey {
        place: Place::of(secret, &key.checksum, &scope),
        parts: encode_parts(&key.parts),
        scope,
    }
}

/// Admits arrivals, in order and as if one had come after the other.
pub(crate) fn admit(batch: &mut Batch<'_>, prepared: &Prepared) -> Result<Vec<Admission>, Fault> {
    let mut admissions = Vec::with_capacity(prepared.arrivals.len());
    let mut envelopes = Envelopes {
        texts: &prepared.envelopes,
        written_at: vec![None; prepared.envelopes.len()],
    };
    for arrival in &prepared.arrivals {
        admissions.push(admit_one(batch, arrival, &mut envelopes)?);
    }
    Ok(admissions)
}

/// The envelopes of one call, and which rows hold them already.
struct Envelopes<'a> {
    texts: &'a [String],
    written_at: Vec<Option<i64>>,
}

impl Envelopes<'_> {
    fn place(&mut self, envelope: usize, row: i64) -> EnvelopeAt<'_> {
        match self.written_at[envelope] {
            Some(other) => EnvelopeAt::SharedWith(other),
            None => {
                self.written_at[envelope] = Some(row);
                EnvelopeAt::Here(&self.texts[envelope])
            }
        }
    }
}

fn admit_one(
    batch: &mut Batch<'_>,
    prepared: &PreparedArrival,
    envelopes: &mut Envelopes<'_>,
) -> Result<Admission, Fault> {
    let arrival = &prepared.arrival;
    let mut known = Vec::new();
    let mut priors: Vec<Prior> = Vec::new();
    for (key, (wanted, texts)) in arrival.keys.iter().zip(&prepared.keys).enumerate() {
        let generations = &batch.memory.generations;
        let found = generations.find(batch, texts.place, &wanted.checksum, &wanted.scope)?;
        assert_one_live(batch, &found);
        for Found { claim, .. } in &found {
            // Several keys often lead to one original.
            let same = |prior: &&Prior| prior.claim.message_id == claim.message_id;
            let original = match priors.iter().find(same) {
                Some(prior) => prior.original.clone(),
                None => original(batch, claim)?,
            };
            priors.push(Prior {
                key,
                claim: claim.clone(),
                original,
            });
        }
        known.extend(found);
    }
    let decision = decide(arrival, &priors, batch.mint, batch.now);
    match &decision {
        Decision::Accept(accepted) => {
            write_accepted(batch, prepared, envelopes, accepted)?;
            write_claims(batch, prepared, &known, &accepted.claims)?;
            batch.shadows.note(&accepted.shadows);
        }
        Decision::Repeat(repeat) => {
            write_repeat(batch, prepared, envelopes, repeat)?;
            write_claims(batch, prepared, &known, &repeat.claims)?;
            batch.shadows.note(&repeat.shadows);
        }
    }
    Ok(decision.into_admission())
}

fn assert_one_live(batch: &Batch<'_>, found: &[Found]) {
    if found.len() > 1 {
        let claims: Vec<Claim> = found.iter().map(|found| found.claim.clone()).collect();
        let one = invariants::one_live_claim(&claims, batch.now);
        assert!(one, "INV-1: {claims:?}");
    }
}

/// The facts about the message of a claim.
fn original(batch: &Batch<'_>, claim: &Claim) -> Result<Original, Fault> {
    let id = claim.message_id;
    let Some(stored) = message::load(batch.db, id)? else {
        let pruned = id.number() <= retention::forgotten_up_to(batch.db)?;
        assert!(pruned, "INV-2: {id} has a claim and does not exist");
        return Ok(Original::remembered_by(claim));
    };
    let failed = Some(DeliveryStatus::Failed);
    let failed = delivery::of_message(batch.db, id, stored.following, failed)?;
    let message = stored.message;
    Ok(Original {
        message_id: id,
        source_id: message.source_id,
        received_at: message.received_at,
        answered_at: batch.answered_at(id, message.decided_at),
        routed: message.routed,
        failed,
    })
}

fn write_accepted(
    batch: &mut Batch<'_>,
    prepared: &PreparedArrival,
    envelopes: &mut Envelopes<'_>,
    accepted: &Accepted,
) -> Result<(), Fault> {
    let arrival = &prepared.arrival;
    let message = &accepted.message;
    write_message(batch, message, &accepted.deliveries)?;
    let row = message.id.number();
    let place = envelopes.place(prepared.envelope, row);
    payload::insert(batch.db, row, place, Some(&arrival.body))?;
    let due_soon = due_soon(&accepted.deliveries, batch.now);
    if due_soon > 0 {
        let parcel = Parcel {
            message: message.clone(),
            envelope: Arc::clone(&arrival.envelope),
            body: arrival.body.clone(),
        };
        batch.effects.admitted.push((Arc::new(parcel), due_soon));
    }
    Ok(())
}

/// How many deliveries will soon ask for their parcel.
fn due_soon(deliveries: &[Delivery], now: Timestamp) -> usize {
    let soon = |delivery: &&Delivery| {
        let due = delivery.next_attempt_at();
        due.is_some_and(|due| due <= now + DELAY_CACHED_MAX)
    };
    deliveries.iter().filter(soon).count()
}

/// Writes a message with its deliveries.
pub(crate) fn write_message(
    batch: &mut Batch<'_>,
    message: &Message,
    deliveries: &[Delivery],
) -> Result<(), Fault> {
    let following = following(message.id, deliveries);
    message::insert(batch.db, message, following)?;
    if let Some(until) = message.payload_until {
        retention::note_end(batch.db, until, message.id.number())?;
    }
    batch.effects.added += 1;
    if following == deliveries.len() {
        insert_deliveries(batch, deliveries)
    } else {
        insert_strays(batch, deliveries)
    }
}

fn insert_strays(batch: &mut Batch<'_>, deliveries: &[Delivery]) -> Result<(), Fault> {
    for delivery in deliveries {
        let sql = "INSERT INTO strays VALUES (?1, ?2)";
        let row = params![delivery.message_id.number(), delivery.id.number()];
        batch.db.prepare_cached(sql)?.execute(row)?;
    }
    insert_deliveries(batch, deliveries)
}

fn insert_deliveries(batch: &mut Batch<'_>, deliveries: &[Delivery]) -> Result<(), Fault> {
    if deliveries.len() > 1 {
        let unique = invariants::one_delivery_per_connection(deliveries);
        assert!(unique, "INV-3: {deliveries:?}");
    }
    for delivery in deliveries {
        let placed = order::placed(batch.db, delivery)?;
        let delivery = placed.as_ref().unwrap_or(delivery);
        delivery::insert(batch.db, delivery)?;
        if let Some(due) = delivery.next_attempt_at() {
            batch.due(delivery.lane(), due);
        }
    }
    Ok(())
}

fn write_repeat(
    batch: &mut Batch<'_>,
    prepared: &PreparedArrival,
    envelopes: &mut Envelopes<'_>,
    repeat: &Repeat,
) -> Result<(), Fault> {
    request::insert(batch.db, &repeat.request)?;
    batch.effects.added += 1;
    let row = repeat.request.id.number();
    let body = repeat.keep_body.then_some(prepared.arrival.body.as_ref());
    let place = envelopes.place(prepared.envelope, row);
    payload::insert(batch.db, row, place, body)?;
    if let (Some(original), false) = (
        repeat.request.original_message_id,
        repeat.redriven.is_empty() && repeat.rerouted.is_empty(),
    ) {
        retention::restore_payload(batch.db, original, &prepared.arrival.body)?;
    }
    for delivery in &repeat.redriven {
        let placed = order::placed(batch.db, delivery)?;
        let delivery = placed.as_ref().unwrap_or(delivery);
        delivery::update(batch.db, delivery)?;
        if let Some(due) = delivery.next_attempt_at() {
            batch.due(delivery.lane(), due);
        }
    }
    if let Some(routing) = &repeat.routing {
        let original = repeat.request.original_message_id;
        let original = original.expect("a repetition has an original");
        message::set_routed(batch.db, original, routing)?;
    }
    for delivery in &repeat.rerouted {
        // The message itself may be listed already.
        if let Some(endpoint) = delivery.endpoint_id {
            let message = delivery.message_id.number();
            listing::list_now(batch.db, Kind::Endpoint, endpoint.number(), message)?;
        }
    }
    insert_strays(batch, &repeat.rerouted)
}

fn write_claims(
    batch: &mut Batch<'_>,
    prepared: &PreparedArrival,
    known: &[Found],
    claims: &[Claim],
) -> Result<(), Fault> {
    for (index, claim) in claims.iter().enumerate() {
        let same = |other: &Claim| {
            (other.checksum, &other.scope, other.variant)
                == (claim.checksum, &claim.scope, claim.variant)
        };
        if claims[..index].iter().any(same) {
            // Two rules made one key of the arrival.
            continue;
        }
        write_claim(batch, prepared, known, claim)?;
    }
    Ok(())
}

fn write_claim(
    batch: &mut Batch<'_>,
    prepared: &PreparedArrival,
    known: &[Found],
    claim: &Claim,
) -> Result<(), Fault> {
    let arrival = &prepared.arrival;
    let of_claim = |key: &&ClaimKey| key.checksum == claim.checksum && key.scope == claim.scope;
    let mut keys = arrival.keys.iter().zip(&prepared.keys);
    let key = keys.find(|(key, _)| of_claim(key));
    let (key, texts) = key.expect("core claims the keys of the arrival and no other");
    let own_parts;
    let parts = if key.parts == claim.parts {
        &texts.parts
    } else {
        own_parts = encode_parts(&claim.parts);
        &own_parts
    };
    let texts_of_claim = ClaimTexts {
        place: texts.place,
        scope: &texts.scope,
        parts,
    };
    let project: ProjectId = arrival.project_id;
    let generations = &batch.memory.generations;
    generations.write(batch, project, known, claim, texts_of_claim)?;
    batch.claimed(texts.place.key, claim.expires_at);
    Ok(())
}
