//! Decides what an arrival means: a new event, a duplicate, or a conflict.
//!
//! The caller holds the keys' locks and has loaded what the ledger knows of them; nothing here
//! reads a clock or a store. The answer holds everything that must be written, in one commit.

mod arrived;
mod decide;
mod refuse;
mod release;

pub use decide::decide;
pub use refuse::{Refused, refused};
pub use release::{ReleaseInput, ReleaseRefused, Released, discard, release};

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::cause::Hints;
use crate::claim::{Claim, ClaimKey};
use crate::delivery::Delivery;
use crate::delivery::lifecycle::Destination;
use crate::fingerprint::Fingerprint;
use crate::ids::{EndpointId, MessageId, ProjectId, RequestId, SourceId};
use crate::message::{DirectTarget, Direction, Envelope, Message, Request};
use crate::rules::{Routing, Ruling};
use crate::shadow::{Candidate, Judgement};
use crate::time::{Millis, Timestamp};
use crate::window::Window;

/// For how long a keyless message lets its look-alikes be flagged (D5).
pub const LOOK_ALIKE_WINDOW: Window = Window::Seconds(60);

/// What a source does with another payload under a known key (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// A duplicate, flagged.
    #[default]
    Suppress,
    /// A new message, flagged.
    Accept,
    /// Refused with 409.
    Reject,
    /// Answered and stored, until a person decides.
    Quarantine,
}

/// What a duplicate does for an original whose deliveries failed (D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailedOriginal {
    /// Starts them again.
    #[default]
    Redrive,
    /// Nothing.
    Suppress,
}

/// The settings that the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a new claim protects its key.
    pub window: Window,
    /// Whether the window begins anew with every sight.
    pub sliding: bool,
    /// What another payload under a known key means.
    pub on_conflict: OnConflict,
    /// What a duplicate does for failed deliveries.
    pub on_failed_original: OnFailedOriginal,
}

/// One arrival, verified and understood, as plain data.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The project that owns it.
    pub project_id: ProjectId,
    /// Which way it came.
    pub direction: Direction,
    /// The source it came through; none for the send API.
    pub source_id: Option<SourceId>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What surrounded its body.
    pub envelope: Arc<Envelope>,
    /// Its body, or its element of a split body, as raw bytes.
    pub body: Bytes,
    /// Its type, where one is known.
    pub event_type: Option<String>,
    /// The customer that the caller named.
    pub tenant: Option<String>,
    /// What its payload looks like (C5).
    pub fingerprint: Fingerprint,
    /// Its key under the current rule, then under former ones (C7), or its look-alike key (D5);
    /// nothing of these where nothing is to be recognised (S4). Then the keys that its `rulings`
    /// ask for, each in the scope of its connection, and those of rules in shadow mode: they say
    /// nothing about the arrival itself.
    pub keys: Vec<ClaimKey>,
    /// The settings.
    pub policy: Policy,
    /// Where it would go.
    pub destinations: Vec<Destination>,
    /// What the rules of those connections say.
    pub rulings: Vec<Ruling>,
    /// What a key rule in shadow mode reads beside the source's own.
    pub shadow: Option<Box<Candidate>>,
    /// Endpoints that take nothing now: their failed deliveries are not started again.
    pub disabled: Arc<BTreeSet<EndpointId>>,
    /// What headers and the provider's profile say about retries.
    pub hints: Arc<Hints>,
    /// How long after the commit its deliveries are first due.
    pub delay: Millis,
    /// Where it goes if that is no endpoint.
    pub target: Option<DirectTarget>,
    /// Headers that the caller adds.
    pub extra_headers: Vec<(String, String)>,
    /// What the caller should know about what was left out.
    pub warnings: Vec<String>,
    /// The status with which it is answered if it is accepted.
    pub response_status: u16,
    /// For how long the caller lets its payload be kept at most, from the commit on.
    pub payload_kept: Option<Millis>,
}

/// What the ledger knows under one of an arrival's keys.
#[derive(Debug, Clone)]
pub struct Prior {
    /// Which of the arrival's keys found it.
    pub key: usize,
    /// The claim.
    pub claim: Claim,
    /// Its original.
    pub original: Original,
}

/// The facts about an original.
#[derive(Debug, Clone)]
pub struct Original {
    /// The message.
    pub message_id: MessageId,
    /// The source it came through.
    pub source_id: Option<SourceId>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it was answered; none if it has not been.
    pub answered_at: Option<Timestamp>,
    /// Whether any connection or endpoint has matched.
    pub routed: bool,
    /// Its failed deliveries.
    pub failed: Vec<Delivery>,
}

impl Original {
    /// What a claim remembers of an original whose history is gone: a claim outlives its message
    /// (C4). What is gone can be neither routed nor sent again.
    pub fn remembered_by(claim: &Claim) -> Self {
        Self {
            message_id: claim.message_id,
            source_id: None,
            received_at: claim.first_seen_at,
            answered_at: Some(claim.first_seen_at),
            routed: true,
            failed: Vec::new(),
        }
    }
}

/// What an arrival means, with all that must be written, in one commit, before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new event.
    Accept(Box<Accepted>),
    /// A repetition, or another payload under a known key.
    Repeat(Box<Repeat>),
}

/// A new event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The message.
    pub message: Message,
    /// Its deliveries.
    pub deliveries: Vec<Delivery>,
    /// The claims to write, over any that they replace.
    pub claims: Vec<Claim>,
    /// What rules in shadow mode say.
    pub shadows: Vec<Judgement>,
}

/// A repetition, or another payload under a known key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The record of the request.
    pub request: Request,
    /// Whether the request's body is kept: where it differs from the original's (D1).
    pub keep_body: bool,
    /// Claims to write: of the current key where a former one matched (C7), or with a later end
    /// where the window slides (C4).
    pub claims: Vec<Claim>,
    /// The original's deliveries that start again, as they stand afterwards (D2).
    pub redriven: Vec<Delivery>,
    /// New deliveries of an original that had matched nothing (D2).
    pub rerouted: Vec<Delivery>,
    /// Where such an original has matched now: that it is routed is to be written, and this as its
    /// `routing`. There need be no delivery: what a rule drops counts as routed.
    pub routing: Option<Vec<Routing>>,
    /// What rules in shadow mode say.
    pub shadows: Vec<Judgement>,
}

/// What the caller of a store learns about an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The record of the arrival.
    pub request_id: RequestId,
    /// The message it became; for a repetition, the original.
    pub message_id: MessageId,
    /// What it means.
    pub decision: Decision,
}

impl Decision {
    /// What the caller is told.
    pub fn into_admission(self) -> Admission {
        let (request_id, message_id) = match &self {
            Self::Accept(accepted) => (accepted.message.request_id, accepted.message.id),
            Self::Repeat(repeat) => {
                let original = repeat.request.original_message_id;
                (
                    repeat.request.id,
                    original.expect("a repetition has an original"),
                )
            }
        };
        Admission {
            request_id,
            message_id,
            decision: self,
        }
    }
}
