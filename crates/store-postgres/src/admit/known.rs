//! What is known while a batch is decided: what was read under lock, and on top of it what the
//! batch itself came to so far.

use std::collections::HashMap;

use hooklatch_core::admission::{Original, Prior, Repeat};
use hooklatch_core::claim::Claim;
use hooklatch_core::ids::MessageId;
use hooklatch_core::invariants;
use hooklatch_core::message::Message;
use hooklatch_core::rules::Routing;
use hooklatch_core::time::Timestamp;

use super::{PreparedArrival, PreparedKey};
use crate::key::Key;

/// The facts.
#[derive(Default)]
pub(super) struct Known {
    claims: HashMap<(Key, i32), Vec<Claim>>,
    originals: HashMap<MessageId, Original>,
    /// Those of them that have matched nothing so far.
    unrouted: HashMap<MessageId, Message>,
}

/// How a claim gets into the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// There is none under its key, scope and variant.
    New,
    /// In place of the one there is.
    Replacing,
}

impl Known {
    /// Adds a claim that was read.
    pub(super) fn add_claim(&mut self, key: Key, place: i32, claim: Claim) {
        self.claims.entry((key, place)).or_default().push(claim);
    }

    /// Adds an original that was read.
    pub(super) fn add_original(&mut self, original: Original) {
        self.originals.insert(original.message_id, original);
    }

    /// Adds originals whose history was dropped, as their claims remember them: a claim outlives
    /// its message (C4). What is gone can be neither routed nor sent again.
    pub(super) fn add_dropped(&mut self, ids: &[MessageId]) {
        for claim in self.claims.values().flatten() {
            if ids.binary_search(&claim.message_id).is_err() {
                continue;
            }
            let seen = claim.first_seen_at;
            let original = Original {
                message_id: claim.message_id,
                source_id: None,
                received_at: seen,
                answered_at: Some(seen),
                routed: true,
                failed: Vec::new(),
            };
            // Of several claims, the first that was made knows best.
            let known = self.originals.entry(claim.message_id).or_insert(original);
            known.received_at = known.received_at.min(seen);
            known.answered_at = known.answered_at.min(Some(seen));
        }
    }

    /// Adds the message of an original that had matched nothing when it was locked.
    pub(super) fn add_unrouted(&mut self, message: Message) {
        self.unrouted.insert(message.id, message);
    }

    /// An original that was read, to complete it.
    pub(super) fn original_mut(&mut self, id: MessageId) -> Option<&mut Original> {
        self.originals.get_mut(&id)
    }

    /// The messages that claims name.
    pub(super) fn messages(&self) -> Vec<MessageId> {
        let claims = self.claims.values().flatten();
        let mut messages: Vec<_> = claims.map(|claim| claim.message_id).collect();
        messages.sort_unstable();
        messages.dedup();
        messages
    }

    /// What the ledger knows under an arrival's keys.
    pub(super) fn priors(&self, arrival: &PreparedArrival, now: Timestamp) -> Vec<Prior> {
        let mut priors = Vec::new();
        for (index, texts) in arrival.keys.iter().enumerate() {
            let wanted = &arrival.arrival.keys[index];
            let Some(claims) = self.claims.get(&(texts.key, texts.place)) else {
                continue;
            };
            let same =
                |claim: &&Claim| claim.checksum == wanted.checksum && claim.scope == wanted.scope;
            let found: Vec<&Claim> = claims.iter().filter(same).collect();
            if found.len() > 1 {
                let all: Vec<Claim> = found.iter().map(|claim| (*claim).clone()).collect();
                assert!(invariants::one_live_claim(&all, now), "INV-1: {all:?}");
            }
            priors.extend(found.into_iter().map(|claim| Prior {
                key: index,
                original: self.original(claim.message_id),
                claim: claim.clone(),
            }));
        }
        priors
    }

    fn original(&self, id: MessageId) -> Original {
        let original = self.originals.get(&id);
        original
            .unwrap_or_else(|| panic!("INV-2: {id} has a claim and does not exist"))
            .clone()
    }

    /// Takes over a message of this batch.
    pub(super) fn accepted(&mut self, message: &Message) {
        self.add_original(Original {
            message_id: message.id,
            source_id: message.source_id,
            received_at: message.received_at,
            // Its batch is under way.
            answered_at: None,
            routed: message.routed,
            failed: Vec::new(),
        });
        if !message.routed {
            self.add_unrouted(message.clone());
        }
    }

    /// An original that has matched now, as it is from here on.
    pub(super) fn routed(&mut self, id: MessageId, routing: &[Routing]) -> Message {
        let message = self.unrouted.remove(&id);
        let message = message.unwrap_or_else(|| panic!("INV-2: {id} was not locked unrouted"));
        Message {
            routed: true,
            routing: routing.to_vec(),
            ..message
        }
    }

    /// Takes over what a repetition set in motion.
    pub(super) fn repeated(&mut self, repeat: &Repeat) {
        let original = repeat.request.original_message_id;
        let original = original.and_then(|id| self.originals.get_mut(&id));
        let original = original.expect("a repetition has an original, which was read");
        let started = |id| repeat.redriven.iter().any(|delivery| delivery.id == id);
        original.failed.retain(|delivery| !started(delivery.id));
        original.routed |= repeat.routing.is_some();
    }

    /// Takes over a claim, and says how it gets into the ledger.
    pub(super) fn claim(&mut self, texts: &PreparedKey, claim: &Claim) -> How {
        let claims = self.claims.entry((texts.key, texts.place)).or_default();
        let same = |other: &&mut Claim| {
            (other.checksum, &other.scope, other.variant)
                == (claim.checksum, &claim.scope, claim.variant)
        };
        match claims.iter_mut().find(same) {
            Some(other) => {
                *other = claim.clone();
                How::Replacing
            }
            None => {
                claims.push(claim.clone());
                How::New
            }
        }
    }
}
