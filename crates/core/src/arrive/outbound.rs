//! What a caller of the send API wants sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::scope_bytes;
use crate::admission::{Arrival, OnConflict, OnFailedOriginal, Policy};
use crate::cause::Hints;
use crate::claim::{ClaimKey, ClaimKind, Scope, SendTarget};
use crate::delivery::lifecycle::Destination;
use crate::delivery::order::{self, Ordered};
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::ids::{EndpointId, ProjectId};
use crate::key::{self, Body, Checksum, KeyPart, Mode, checksum_of_value};
use crate::message::{DirectTarget, Direction, Envelope};
use crate::rules::{Rulebook, Ruling, keys_of};
use crate::time::{Millis, Timestamp};
use crate::window::Window;

/// A checked call of the send API.
#[derive(Debug, Clone)]
pub struct Call {
    /// The project of the caller.
    pub project_id: ProjectId,
    /// When it arrived.
    pub received_at: Timestamp,
    /// For whom the message is; with the project the scope of its key (C1).
    pub target: SendTarget,
    /// The caller's key (S5).
    pub key: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The payload, as the caller wrote it.
    pub payload: Bytes,
    /// Headers that the caller adds.
    pub extra_headers: Vec<(String, String)>,
    /// Headers about the trace that the call belongs to; the message keeps them.
    pub trace: Vec<(String, String)>,
    /// What the caller should know about what was left out.
    pub warnings: Vec<String>,
    /// How long the first attempts wait.
    pub delay: Millis,
    /// For how long the payload is kept at most.
    pub payload_kept: Option<Millis>,
    /// What a repetition does for failed deliveries (D2).
    pub on_failed_original: OnFailedOriginal,
    /// The secret that signs a send to a bare URL, sealed.
    pub sealed_secret: Option<String>,
    /// Where it goes now (S6).
    pub destinations: Vec<Destination>,
    /// The rules of the connections that lead there, where they have some.
    pub rulebooks: Vec<Arc<Rulebook>>,
    /// Which of the endpoints are ordered, and by what.
    pub ordered: Vec<Ordered>,
    /// The project's endpoints that take nothing now.
    pub disabled: Arc<BTreeSet<EndpointId>>,
}

const JSON: &str = "application/json";

/// The status of a new message's answer (S1).
const ACCEPTED: u16 = 202;

/// The arrival that a call asks for. Headers, delay and the rest play no part in what is "the
/// same" (S2): only the key, the target, the event's type and the payload do.
pub fn outbound(mut call: Call) -> Arrival {
    let body = Body::understand(Some(JSON), &call.payload);
    let fingerprint = fingerprint(call.event_type.as_deref(), &body, &call.payload, &[]);
    let rulings = sent_through(
        &call.rulebooks,
        &call.extra_headers,
        (&call.payload, &body),
        fingerprint,
    );
    sent_in_order(
        &mut call.destinations,
        &call.ordered,
        &call.extra_headers,
        (&call.payload, &body),
    );
    drop(body);
    let scope = Scope::Send(call.project_id, call.target.clone());
    let claim_key = |text: String| ClaimKey {
        checksum: send_checksum(&scope, &text),
        scope: scope.clone(),
        fingerprint,
        parts: vec![text],
        kind: ClaimKind::Key,
    };
    Arrival {
        project_id: call.project_id,
        direction: Direction::Outbound,
        source_id: None,
        received_at: call.received_at,
        envelope: Arc::new(envelope(call.trace)),
        body: call.payload,
        event_type: call.event_type,
        tenant: tenant(&call.target),
        fingerprint,
        keys: call
            .key
            .map(claim_key)
            .into_iter()
            .chain(keys_of(&rulings))
            .collect(),
        policy: Policy {
            window: Window::default(),
            sliding: false,
            on_conflict: OnConflict::Reject,
            on_failed_original: call.on_failed_original,
        },
        destinations: call.destinations,
        rulings,
        shadow: None,
        disabled: call.disabled,
        hints: Arc::new(Hints::default()),
        delay: call.delay,
        target: direct_target(call.target, call.sealed_secret),
        extra_headers: call.extra_headers,
        warnings: call.warnings,
        response_status: ACCEPTED,
        payload_kept: call.payload_kept,
    }
}

/// What the rules of the connections say of a send. It has the caller's own headers, and neither a
/// path nor a query.
pub fn sent_through(
    rulebooks: &[Arc<Rulebook>],
    headers: &[(String, String)],
    (payload, body): (&[u8], &Body<'_>),
    fingerprint: Fingerprint,
) -> Vec<Ruling> {
    as_request(headers, payload, |request| {
        let rulebooks = rulebooks.iter();
        rulebooks
            .map(|rulebook| rulebook.rule_on(request, body, fingerprint))
            .collect()
    })
}

/// Gives the ordered ones among the destinations of a send their keys.
pub fn sent_in_order(
    destinations: &mut [Destination],
    ordered: &[Ordered],
    headers: &[(String, String)],
    (payload, body): (&[u8], &Body<'_>),
) {
    if ordered.is_empty() {
        return;
    }
    as_request(headers, payload, |request| {
        order::assign(destinations, ordered, request, body);
    });
}

/// A send as locations read it.
fn as_request<T>(
    headers: &[(String, String)],
    payload: &[u8],
    read: impl FnOnce(&key::Request<'_>) -> T,
) -> T {
    let names: Vec<String> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let values = headers.iter().map(|(_, value)| value.as_bytes());
    let headers: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(values).collect();
    read(&key::Request {
        method: "POST",
        path: "",
        query: None,
        headers: &headers,
        content_type: Some(JSON),
        body: payload,
    })
}

/// What the ledger knows a caller's key by. For look-ups as well: there is no other form (L1).
pub fn send_checksum(scope: &Scope, key: &str) -> Checksum {
    let value = KeyPart::from_bytes(key.as_bytes().into()).expect("a caller's key is not empty");
    checksum_of_value(Mode::All, &scope_bytes(scope), 0, &value)
}

/// The call to us is no part of the message: receivers see none of its headers but of its trace.
fn envelope(trace: Vec<(String, String)>) -> Envelope {
    let mut headers = vec![("content-type".to_owned(), JSON.to_owned())];
    headers.extend(trace);
    Envelope {
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers,
    }
}

fn tenant(target: &SendTarget) -> Option<String> {
    match target {
        SendTarget::Tenant(tenant) => Some(tenant.clone()),
        SendTarget::Endpoint(_) | SendTarget::Url(_) | SendTarget::Broadcast => None,
    }
}

fn direct_target(target: SendTarget, sealed_secret: Option<String>) -> Option<DirectTarget> {
    match target {
        SendTarget::Url(url) => Some(DirectTarget { url, sealed_secret }),
        SendTarget::Endpoint(_) | SendTarget::Tenant(_) | SendTarget::Broadcast => None,
    }
}
