//! A person's word on a request that was suppressed or held: it is no duplicate (D4), or it is to
//! be forgotten.

use std::sync::Arc;

use crate::delivery::Delivery;
use crate::delivery::lifecycle::Destination;
use crate::ids::{DeliveryId, MessageId, Mint};
use crate::message::{Effect, Message, Origin, Request, RequestOutcome};
use crate::time::Timestamp;

/// What is needed to release a request.
#[derive(Debug, Clone)]
pub struct ReleaseInput {
    /// Where it goes, by the connections of today.
    pub destinations: Arc<[Destination]>,
    /// When the person decided.
    pub now: Timestamp,
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
    /// It was released before.
    #[error("the request has already been released")]
    AlreadyReleased,
    /// It was discarded before.
    #[error("the request has already been discarded")]
    AlreadyDiscarded,
    /// Only what is held waits for a decision.
    #[error(
        "only a held request can be discarded; a suppressed duplicate is already not delivered"
    )]
    NotHeld,
}

/// Makes a suppressed or held request a message of its own, linked, once (D4).
///
/// # Errors
/// Where the request is not one that can be released, or no longer.
pub fn release(
    request: &Request,
    original: &Message,
    input: &ReleaseInput,
    mint: &mut Mint,
) -> Result<(Request, Message, Vec<Delivery>), ReleaseRefused> {
    releasable(request)?;
    let id = MessageId::from_number(mint.next(input.now));
    let message = Message {
        id,
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
        routed: !input.destinations.is_empty(),
        suspected_duplicate_of: None,
        original_message_id: request.original_message_id,
        response_status: request.response_status,
        target: original.target.clone(),
        extra_headers: original.extra_headers.clone(),
        warnings: Vec::new(),
    };
    let open = |destination| {
        let delivery = DeliveryId::from_number(mint.next(input.now));
        Delivery::opened(
            delivery,
            id,
            request.project_id,
            destination,
            input.now,
            input.now,
        )
    };
    let deliveries = input.destinations.iter().map(open).collect();
    let released = Request {
        effect: Effect::Released,
        released_message_id: Some(id),
        ..request.clone()
    };
    Ok((released, message, deliveries))
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
