//! From a request to what it asks of the ledger, as plain data: the step before the decision.
//!
//! Everything that can be known of an arrival without asking a store is worked out here: whether
//! it is from whom it says it is (K7), its key under the rule of today and those of before (C7),
//! what its payload looks like, where it would go. What is left to the store is one call.

mod inbound;
mod outbound;
mod reading;
mod rule;
#[cfg(test)]
mod tests;

pub use inbound::{Asked, Intake, Received, Refused, Routes};
pub use outbound::{Call, outbound, send_checksum, sent_in_order, sent_through};

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::claim::{ClaimKey, ClaimKind, Scope};
use crate::delivery::lifecycle::Destination;
use crate::delivery::order::{self, Ordered};
use crate::fingerprint::Fingerprint;
use crate::key::{self, Body, Checksum};
use crate::message::Envelope;
use crate::rules::{Rulebook, Ruling};

/// The bytes by which a scope enters the checksums of its keys (K4). Its ids count; names, which
/// may change, are no part of it.
pub fn scope_bytes(scope: &Scope) -> Vec<u8> {
    scope.to_string().into_bytes()
}

/// The key by which keyless look-alikes are noticed (D5): it says the same as the fingerprint, and
/// can equal no key that a rule makes.
fn look_alike(scope: &Scope, fingerprint: Fingerprint) -> ClaimKey {
    let scope_bytes = scope_bytes(scope);
    let mut hash = Sha256::new_with_prefix(b"hooklatch-look-alike-v1");
    hash.update(crate::fingerprint::length_prefix(scope_bytes.len()));
    hash.update(&scope_bytes);
    hash.update(fingerprint.as_bytes());
    ClaimKey {
        scope: scope.clone(),
        checksum: Checksum::from_bytes(hash.finalize().into()),
        fingerprint,
        parts: Vec::new(),
        kind: ClaimKind::LookAlike,
    }
}

/// What the rules of its connections say of a request that came through a source some time ago.
pub fn came_through(
    rulebooks: &[Arc<Rulebook>],
    envelope: &Envelope,
    bytes: &[u8],
    fingerprint: Fingerprint,
) -> Vec<Ruling> {
    let headers = header_lines(envelope);
    let request = request_of(envelope, &headers, bytes);
    let body = Body::understand(request.content_type, bytes);
    let rulebooks = rulebooks.iter();
    rulebooks
        .map(|rulebook| rulebook.rule_on(&request, &body, fingerprint))
        .collect()
}

/// Gives the ordered ones among the destinations of a request that came through a source some time
/// ago their keys.
pub fn came_in_order(
    destinations: &mut [Destination],
    ordered: &[Ordered],
    envelope: &Envelope,
    bytes: &[u8],
) {
    let headers = header_lines(envelope);
    let request = request_of(envelope, &headers, bytes);
    let body = Body::understand(request.content_type, bytes);
    order::assign(destinations, ordered, &request, &body);
}

pub(crate) fn header_lines(envelope: &Envelope) -> Vec<(&str, &[u8])> {
    let lines = envelope.headers.iter();
    lines
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

pub(crate) fn request_of<'r>(
    envelope: &'r Envelope,
    headers: &'r [(&'r str, &'r [u8])],
    body: &'r [u8],
) -> key::Request<'r> {
    key::Request {
        method: &envelope.method,
        path: &envelope.path,
        query: envelope.query.as_deref(),
        headers,
        content_type: envelope.payload_type(),
        body,
    }
}
