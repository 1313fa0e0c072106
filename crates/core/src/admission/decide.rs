//! The decision itself.

use super::arrived::{Arrived, is_of_another};
use super::{Accepted, Arrival, Decision, OnConflict, OnFailedOriginal, Prior, Repeat};
use crate::cause::{self, CauseFacts};
use crate::claim::{Claim, ClaimKey, ClaimKind};
use crate::delivery::Delivery;
use crate::ids::{MessageId, Mint, RequestId};
use crate::message::{Direction, Effect, KeyRecord, Message, Origin, Request, RequestOutcome};
use crate::rules::pass;
use crate::shadow::Reality;
use crate::time::Timestamp;

/// What a prior claim makes of an arrival.
enum Match<'a> {
    /// The key is free.
    New,
    /// The same payload is known.
    Same(&'a Prior),
    /// The key is known with another payload.
    Differs(&'a Prior),
}

/// Decides what `arrival` means, given what the ledger knows under its keys.
///
/// `priors` are the claims that stand under any of the arrival's keys, whether or not their window
/// is still open; `mint` numbers what is made.
pub fn decide(arrival: &Arrival, priors: &[Prior], mint: &mut Mint, now: Timestamp) -> Decision {
    let live = priors.iter().filter(|prior| prior.claim.protects(now));
    // What a connection has seen only concerns its deliveries, and what a rule in shadow mode has
    // seen concerns nothing; neither says what the arrival is.
    let (of_others, own): (Vec<&Prior>, Vec<&Prior>) =
        live.partition(|prior| is_of_another(&prior.claim.scope));
    let (look_alikes, known): (Vec<&Prior>, Vec<&Prior>) = own
        .into_iter()
        .partition(|prior| prior.claim.kind == ClaimKind::LookAlike);
    let arrived = Arrived {
        arrival,
        of_others: &of_others,
        now,
    };
    match find(arrival, &known) {
        Match::New => {
            let suspected = look_alikes.first().map(|prior| prior.original.message_id);
            let novelty = Novelty {
                suspected,
                ..Novelty::default()
            };
            Decision::Accept(Box::new(accept(&arrived, &novelty, mint)))
        }
        Match::Same(prior) => repeat(&arrived, prior, &known, Payload::Same, mint),
        Match::Differs(prior) => match (arrival.direction, arrival.policy.on_conflict) {
            (Direction::Inbound, OnConflict::Accept) => {
                let differs_from = Some(prior.original.message_id);
                let novelty = Novelty {
                    differs_from,
                    ..Novelty::default()
                };
                Decision::Accept(Box::new(accept(&arrived, &novelty, mint)))
            }
            (Direction::Inbound, OnConflict::Suppress) => {
                repeat(&arrived, prior, &known, Payload::Differs, mint)
            }
            (Direction::Inbound, OnConflict::Quarantine) => {
                let status = arrival.response_status;
                conflict(&arrived, prior, Effect::Held, status, mint)
            }
            (Direction::Inbound, OnConflict::Reject) | (Direction::Outbound, _) => {
                conflict(&arrived, prior, Effect::None, 409, mint)
            }
        },
    }
}

/// The earliest sight wins (C7), but a claim with the same payload before all others, since under
/// `on_conflict: accept` the fingerprint is part of the claim (C6). A claim that several rules find
/// has the same payload if it has under any of them: a rule that reads the same key may read
/// another fingerprint.
fn find<'a>(arrival: &Arrival, known: &[&'a Prior]) -> Match<'a> {
    let earliest = |prior: &&&Prior| prior.claim.first_seen_at;
    let same = |prior: &&&Prior| arrival.keys[prior.key].fingerprint == prior.claim.fingerprint;
    let variants = known.iter().filter(|prior| prior.claim.variant.is_some());
    if let Some(prior) = variants.filter(same).min_by_key(earliest) {
        return Match::Same(prior);
    }
    match known
        .iter()
        .min_by_key(|prior| (earliest(prior), !same(prior)))
    {
        None => Match::New,
        Some(prior) if same(&prior) => Match::Same(prior),
        Some(prior) => Match::Differs(prior),
    }
}

/// How a new message stands to others.
#[derive(Default)]
struct Novelty {
    suspected: Option<MessageId>,
    differs_from: Option<MessageId>,
}

fn accept(arrived: &Arrived<'_>, novelty: &Novelty, mint: &mut Mint) -> Accepted {
    let (arrival, now) = (arrived.arrival, arrived.now);
    let id = MessageId::from_number(mint.next(now));
    let mut passed = pass(&arrived.passing(id, id.as_request()), mint);
    if let Some((judgement, claim)) = arrived.try_out(id.as_request(), id, Reality::Accepted) {
        passed.shadows.push(judgement);
        passed.claims.extend(claim);
    }
    let origin = match novelty.differs_from {
        Some(_) => Origin::Conflicting,
        None => Origin::Accepted,
    };
    let message = Message {
        id,
        project_id: arrival.project_id,
        request_id: id.as_request(),
        direction: arrival.direction,
        source_id: arrival.source_id,
        tenant: arrival.tenant.clone(),
        event_type: arrival.event_type.clone(),
        key: first_key(arrival).map(record_of),
        fingerprint: arrival.fingerprint,
        origin,
        received_at: arrival.received_at,
        decided_at: now,
        routed: !arrival.destinations.is_empty(),
        routing: passed.routing,
        suspected_duplicate_of: novelty.suspected,
        original_message_id: novelty.differs_from,
        response_status: arrival.response_status,
        target: arrival.target.clone(),
        extra_headers: arrival.extra_headers.clone(),
        warnings: arrival.warnings.clone(),
        payload_until: arrival.payload_kept.map(|kept| now + kept),
        payload_pruned_at: None,
    };
    let own_claims = distinct_keys(arrival).map(|key| claim(arrival, key, id, origin, now));
    Accepted {
        message,
        deliveries: passed.deliveries,
        claims: own_claims.chain(passed.claims).collect(),
        shadows: passed.shadows,
    }
}

/// Each key of the arrival itself once, as the first rule reads it: a former rule may read the same
/// one with another fingerprint, and one key has one claim (INV-1).
fn distinct_keys(arrival: &Arrival) -> impl Iterator<Item = &ClaimKey> {
    let before = |index: usize| &arrival.keys[..index];
    let keys = arrival.keys.iter().enumerate();
    let keys = keys.filter(|(_, key)| !is_of_another(&key.scope));
    let distinct = keys.filter(move |(index, key)| {
        let same = |other: &ClaimKey| (&other.scope, other.checksum) == (&key.scope, key.checksum);
        !before(*index).iter().any(same)
    });
    distinct.map(|(_, key)| key)
}

fn first_key(arrival: &Arrival) -> Option<&ClaimKey> {
    let own = |key: &&ClaimKey| key.kind == ClaimKind::Key && !is_of_another(&key.scope);
    arrival.keys.iter().find(own)
}

fn record_of(key: &ClaimKey) -> KeyRecord {
    KeyRecord {
        text: key.parts.join(" + "),
        checksum: key.checksum,
        scope: key.scope.clone(),
    }
}

fn claim(
    arrival: &Arrival,
    key: &ClaimKey,
    message_id: MessageId,
    origin: Origin,
    now: Timestamp,
) -> Claim {
    let window = match key.kind {
        ClaimKind::Key => arrival.policy.window,
        ClaimKind::LookAlike => super::LOOK_ALIKE_WINDOW,
    };
    Claim {
        scope: key.scope.clone(),
        checksum: key.checksum,
        parts: key.parts.clone(),
        kind: key.kind,
        variant: (origin == Origin::Conflicting).then_some(key.fingerprint),
        message_id,
        fingerprint: key.fingerprint,
        first_seen_at: now,
        expires_at: window.end_from(now),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    Same,
    Differs,
}

fn repeat(
    arrived: &Arrived<'_>,
    prior: &Prior,
    known: &[&Prior],
    payload: Payload,
    mint: &mut Mint,
) -> Decision {
    let (arrival, now) = (arrived.arrival, arrived.now);
    let request_id = RequestId::from_number(mint.next(now));
    let mut redriven = Vec::new();
    let mut rerouted = None;
    if payload == Payload::Same && arrival.policy.on_failed_original == OnFailedOriginal::Redrive {
        if !prior.original.routed && !arrival.destinations.is_empty() {
            let passing = arrived.passing(prior.original.message_id, request_id);
            rerouted = Some(pass(&passing, mint));
        }
        redriven = redrive(arrival, prior, now);
    }
    let is_routed = rerouted.is_some();
    let mut rerouted = rerouted.unwrap_or_default();
    let original = prior.original.message_id;
    if let Some((judgement, claim)) = arrived.try_out(request_id, original, Reality::Repeated) {
        rerouted.shadows.push(judgement);
        rerouted.claims.extend(claim);
    }
    let effect = match (redriven.is_empty(), rerouted.deliveries.is_empty()) {
        (false, _) => Effect::Redriven,
        (true, false) => Effect::Rerouted,
        (true, true) => Effect::Suppressed,
    };
    let status = match arrival.direction {
        Direction::Inbound => arrival.response_status,
        Direction::Outbound => 200,
    };
    let mut request = record(arrival, prior, request_id, effect, status);
    request.payload_differs = payload == Payload::Differs;
    Decision::Repeat(Box::new(Repeat {
        request,
        keep_body: payload == Payload::Differs,
        claims: claims_after_repeat(arrival, prior, known, now)
            .into_iter()
            .chain(rerouted.claims)
            .collect(),
        redriven,
        rerouted: rerouted.deliveries,
        routing: is_routed.then_some(rerouted.routing),
        shadows: rerouted.shadows,
    }))
}

fn redrive(arrival: &Arrival, prior: &Prior, now: Timestamp) -> Vec<Delivery> {
    let open = |delivery: &&Delivery| {
        delivery
            .endpoint_id
            .is_none_or(|endpoint| !arrival.disabled.contains(&endpoint))
    };
    let failed = prior.original.failed.iter().filter(open);
    failed
        .filter_map(|delivery| delivery.redriven(now))
        .collect()
}

/// The matched claim with a later end where its window slides, and a claim of the original for
/// every key of the arrival that has none yet: a rule that changed opens no gap (C7).
fn claims_after_repeat(
    arrival: &Arrival,
    prior: &Prior,
    known: &[&Prior],
    now: Timestamp,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    let slides = arrival.policy.sliding;
    let end = arrival
        .policy
        .window
        .end_from(now)
        .max(prior.claim.expires_at);
    if slides && end > prior.claim.expires_at {
        claims.push(Claim {
            expires_at: end,
            ..prior.claim.clone()
        });
    }
    for key in distinct_keys(arrival) {
        let own = |prior: &&Prior| {
            (&prior.claim.scope, prior.claim.checksum) == (&key.scope, key.checksum)
        };
        if known.iter().any(own) || key.kind != ClaimKind::Key {
            continue;
        }
        claims.push(Claim {
            scope: key.scope.clone(),
            checksum: key.checksum,
            parts: key.parts.clone(),
            kind: key.kind,
            variant: None,
            message_id: prior.claim.message_id,
            fingerprint: key.fingerprint,
            first_seen_at: prior.claim.first_seen_at,
            expires_at: if slides { end } else { prior.claim.expires_at },
        });
    }
    claims
}

fn conflict(
    arrived: &Arrived<'_>,
    prior: &Prior,
    effect: Effect,
    status: u16,
    mint: &mut Mint,
) -> Decision {
    let request_id = RequestId::from_number(mint.next(arrived.now));
    let mut request = record(arrived.arrival, prior, request_id, effect, status);
    request.outcome = RequestOutcome::Conflict;
    request.payload_differs = true;
    let tried = arrived.try_out(request_id, prior.original.message_id, Reality::Repeated);
    let (judgement, claim) = tried.unzip();
    Decision::Repeat(Box::new(Repeat {
        request,
        keep_body: true,
        claims: claim.flatten().into_iter().collect(),
        redriven: Vec::new(),
        rerouted: Vec::new(),
        routing: None,
        shadows: judgement.into_iter().collect(),
    }))
}

fn record(
    arrival: &Arrival,
    prior: &Prior,
    id: RequestId,
    effect: Effect,
    response_status: u16,
) -> Request {
    let (cause, evidence) = cause::explain(&CauseFacts {
        outbound: arrival.direction == Direction::Outbound,
        received_at: arrival.received_at,
        original_received_at: prior.original.received_at,
        original_answered_at: prior.original.answered_at,
        same_source: arrival.source_id == prior.original.source_id,
        hints: &arrival.hints,
    });
    let key = &arrival.keys[prior.key];
    Request {
        id,
        project_id: arrival.project_id,
        direction: arrival.direction,
        source_id: arrival.source_id,
        outcome: RequestOutcome::Duplicate,
        effect,
        cause: Some(cause),
        evidence: Some(evidence),
        original_message_id: Some(prior.original.message_id),
        released_message_id: None,
        payload_differs: false,
        diff: None,
        event_type: arrival.event_type.clone(),
        key: Some(record_of(key)),
        fingerprint: Some(arrival.fingerprint),
        reason: None,
        received_at: arrival.received_at,
        response_status,
        payload_pruned_at: None,
    }
}
