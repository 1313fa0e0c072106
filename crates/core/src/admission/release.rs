//! A person's word on a request that was suppressed or held: it is no duplicate (D4), or it is to
//! be forgotten.

use std::sync::Arc;

use crate::claim::{Claim, ClaimKind};
use crate::delivery::Delivery;
use crate::delivery::lifecycle::Destination;
use crate::ids::{MessageId, Mint};
use crate::message::{Effect, Message, Origin, Request, RequestOutcome};
use crate::rules::{Passing, Ruling, pass};
use crate::time::{Millis, Timestamp};

/// What is needed to release a request.
#[derive(Debug, Clone)]
pub struct ReleaseInput {
    /// Where it goes, by the connections of today.
    pub destinations: Arc<[Destination]>,
    /// What the rules of those connections say. Deduplicating ones have no say: a person has said
    /// that it is no duplicate.
    pub rulings: Arc<[Ruling]>,
    /// When the person decided.
    pub now: Timestamp,
}

/// A released request, with all that must be written in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The request as it stands afterwards.
    pub request: Request,
    /// The message that it became.
    pub message: Message,
    /// The message's deliveries.
    pub deliveries: Vec<Delivery>,
    /// What makes later arrivals of the same payload duplicates of that message, where the key is
    /// known with another payload.
    pub claim: Option<Claim>,
}

/// Why a request was neither released nor discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseRefused {
    /// It is a message already.
    #[error("the request was accepted and is a message already")]
    Accepted,
    /// It was refused before its key was looked at, so there is no verified payload to release.
    #[error(
        "the request was refused when it arrived; only duplicates and conflicts can be released"
    )]
    Rejected,
    /// It was released before, or another one with its key and payload is a message.
    #[error("the request, or another one with its key and payload, has already been released")]
    AlreadyReleased,
    /// It was discarded before.
    #[error("the request has already been discarded")]
    AlreadyDiscarded,
    /// Only what is held waits for a decision.
    #[error(
        "only a held request can be discarded; a suppressed duplicate is already not delivered"
    )]
    NotHeld,
    /// A message without deliveries would be the end of the event.
    #[error(
        "the request would go nowhere; connect its source, restore its target, or change the rules \
         of its connections, then retry"
    )]
    NoRoute,
    /// The original or the payload is gone, so no message can be made. Only a store can know.
    #[error(
        "the payload is gone: it had been kept for as long as it should, or its history was \
         dropped; there is nothing left to send"
    )]
    HistoryDropped,
}

/// Makes a suppressed or held request a message of its own, linked, once (D4).
///
/// `claims` are those that stand under the request's key, whether or not their window is still
/// open. A payload that differs from the original's is claimed, as one that is accepted is (C6): a
/// provider that sends it again means the same event, and so do its earlier repeats that are held.
///
/// # Errors
/// Where the request is not one that can be released, or no longer.
pub fn release(
    request: &Request,
    original: &Message,
    claims: &[Claim],
    input: &ReleaseInput,
    mint: &mut Mint,
) -> Result<Released, ReleaseRefused> {
    releasable(request)?;
    if request.payload_differs && has_variant(request, claims, input.now) {
        return Err(ReleaseRefused::AlreadyReleased);
    }
    let mut message = message_of(request, original, input, mint);
    let unchecked = |ruling: &Ruling| Ruling {
        checks: Vec::new(),
        shadows: Vec::new(),
        ..ruling.clone()
    };
    let rulings: Vec<Ruling> = input.rulings.iter().map(unchecked).collect();
    let passing = Passing {
        message_id: message.id,
        request_id: request.id,
        project_id: request.project_id,
        destinations: &input.destinations,
        rulings: &rulings,
        priors: &[],
        delay: Millis::ZERO,
        now: input.now,
    };
    let passed = pass(&passing, mint);
    if passed.deliveries.is_empty() {
        return Err(ReleaseRefused::NoRoute);
    }
    message.routing = passed.routing;
    let deliveries = passed.deliveries;
    let claim = variant(request, claims, message.id, input.now);
    let request = Request {
        effect: Effect::Released,
        released_message_id: Some(message.id),
        ..request.clone()
    };
    Ok(Released {
        request,
        message,
        deliveries,
        claim,
    })
}

fn has_variant(request: &Request, claims: &[Claim], now: Timestamp) -> bool {
    let live = claims.iter().filter(|claim| claim.protects(now));
    let mut variants = live.filter_map(|claim| claim.variant);
    variants.any(|variant| Some(variant) == request.fingerprint)
}

fn message_of(
    request: &Request,
    original: &Message,
    input: &ReleaseInput,
    mint: &mut Mint,
) -> Message {
    // What a caller added to another payload need not be true of this one.
    let extra_headers = if request.payload_differs {
        Vec::new()
    } else {
        original.extra_headers.clone()
    };
    Message {
        id: MessageId::from_number(mint.next(input.now)),
        project_id: request.project_id,
        request_id: request.id,
        direction: request.direction,
        source_id: request.source_id,
        tenant: original.tenant.clone(),
        event_type: request.event_type.clone(),
        key: request.key.clone(),
        fingerprint: request.fingerprint.unwrap_or(original.fingerprint),
        origin: Origin::Released,
        received_at: request.received_at,
        decided_at: input.now,
        routed: true,
        routing: Vec::new(),
        suspected_duplicate_of: None,
        original_message_id: request.original_message_id,
        response_status: request.response_status,
        target: original.target.clone(),
        extra_headers,
        warnings: Vec::new(),
        payload_until: original.payload_until,
        payload_pruned_at: None,
    }
}

/// The claim of a released payload, for as long as the original's protects the key. A payload that
/// is the original's has none: the next one like it is a duplicate of the original still.
fn variant(request: &Request, claims: &[Claim], id: MessageId, now: Timestamp) -> Option<Claim> {
    let fingerprint = request.fingerprint.filter(|_| request.payload_differs)?;
    let of_original = |claim: &&Claim| {
        Some(claim.message_id) == request.original_message_id
            && claim.kind == ClaimKind::Key
            && claim.protects(now)
    };
    let original = claims.iter().find(of_original)?;
    Some(Claim {
        variant: Some(fingerprint),
        message_id: id,
        fingerprint,
        first_seen_at: now,
        ..original.clone()
    })
}

/// Discards a held request.
///
/// # Errors
/// Where the request is not held.
pub fn discard(request: &Request) -> Result<Request, ReleaseRefused> {
    releasable(request)?;
    if request.effect != Effect::Held {
        return Err(ReleaseRefused::NotHeld);
    }
    Ok(Request {
        effect: Effect::Discarded,
        ..request.clone()
    })
}

fn releasable(request: &Request) -> Result<(), ReleaseRefused> {
    match request.outcome {
        RequestOutcome::Accepted => return Err(ReleaseRefused::Accepted),
        RequestOutcome::Rejected => return Err(ReleaseRefused::Rejected),
        RequestOutcome::Duplicate | RequestOutcome::Conflict => {}
    }
    match request.effect {
        Effect::Released => Err(ReleaseRefused::AlreadyReleased),
        Effect::Discarded => Err(ReleaseRefused::AlreadyDiscarded),
        Effect::Routed
        | Effect::NoRoute
        | Effect::Suppressed
        | Effect::Redriven
        | Effect::Rerouted
        | Effect::Held
        | Effect::None => Ok(()),
    }
}
