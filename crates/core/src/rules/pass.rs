//! Lets a message through its connections, with what the ledger knows of their keys.

use std::collections::BTreeMap;

use super::{Check, Routing, RoutingOutcome, Ruling, Shadowing, WouldDrop};
use crate::admission::Prior;
use crate::claim::{Claim, ClaimKey};
use crate::delivery::lifecycle::Destination;
use crate::delivery::{Delivery, State};
use crate::ids::{ConnectionId, DeliveryId, MessageId, Mint, ProjectId, RequestId};
use crate::shadow::{Judged, Judgement, Reality, Verdict, judge};
use crate::time::{Millis, Timestamp};

/// A message on its way through its connections.
pub(crate) struct Passing<'a> {
    pub message_id: MessageId,
    /// The arrival that sets it on its way.
    pub request_id: RequestId,
    pub project_id: ProjectId,
    /// Where it would go.
    pub destinations: &'a [Destination],
    /// What the rules of some of those connections say.
    pub rulings: &'a [Ruling],
    /// The live claims under the keys of the rulings.
    pub priors: &'a [&'a Prior],
    /// How long the message itself waits.
    pub delay: Millis,
    pub now: Timestamp,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub deliveries: Vec<Delivery>,
    /// Of the connections where a rule did something.
    pub routing: Vec<Routing>,
    pub claims: Vec<Claim>,
    /// What rules in shadow mode say.
    pub shadows: Vec<Judgement>,
}

/// Lets a message through its connections.
pub(crate) fn pass(passing: &Passing<'_>, mint: &mut Mint) -> Passed {
    let rulings: BTreeMap<ConnectionId, &Ruling> = passing
        .rulings
        .iter()
        .map(|ruling| (ruling.connection_id, ruling))
        .collect();
    let mut passed = Passed::default();
    for destination in passing.destinations {
        let ruling = destination.connection_id.and_then(|id| rulings.get(&id));
        let mut delay = passing.delay;
        if let Some(ruling) = ruling {
            let routing = passing.through(ruling, &mut passed);
            let lets_pass = routing
                .as_ref()
                .is_none_or(|routing| routing.outcome == RoutingOutcome::Routed);
            passed.routing.extend(routing);
            if !lets_pass {
                continue;
            }
            delay = delay + ruling.delay;
        }
        let id = DeliveryId::from_number(mint.next(passing.now));
        passed
            .deliveries
            .push(passing.delivery(id, destination, delay));
    }
    passed
}

impl Passing<'_> {
    fn delivery(&self, id: DeliveryId, destination: &Destination, delay: Millis) -> Delivery {
        Delivery::opened(
            id,
            self.message_id,
            self.project_id,
            destination,
            self.now + delay,
            self.now,
        )
    }

    /// What one connection does with the message; none where no rule did anything. The keys that
    /// it reached are claimed, also where a later rule drops it.
    fn through(&self, ruling: &Ruling, passed: &mut Passed) -> Option<Routing> {
        let mut reached = 0;
        let mut deduplicated = None;
        for check in &ruling.checks {
            if let Some(prior) = self.prior(ruling.connection_id, &check.key) {
                deduplicated = Some(by_ledger(ruling, check, prior));
                break;
            }
            self.claim(check, &mut passed.claims);
            reached += 1;
        }
        let decided = deduplicated.or_else(|| by_itself(ruling));
        let shadows = ruling.shadows.iter().filter(|it| it.after <= reached);
        let shadows: Vec<WouldDrop> = shadows
            .filter_map(|shadowing| self.try_out(ruling, shadowing, passed))
            .collect();
        if shadows.is_empty() {
            return decided;
        }
        let routing = decided.unwrap_or_else(|| routed(ruling, None, None));
        Some(Routing { shadows, ..routing })
    }

    /// What a rule in shadow mode would have dropped.
    fn try_out(
        &self,
        ruling: &Ruling,
        shadowing: &Shadowing,
        passed: &mut Passed,
    ) -> Option<WouldDrop> {
        let candidate = &shadowing.candidate;
        let key = candidate.key.as_ref();
        let prior = key.and_then(|key| self.prior(ruling.connection_id, key));
        let (judgement, claim) = judge(&Judged {
            candidate,
            prior: prior.map(|prior| &prior.claim),
            request_id: self.request_id,
            message_id: self.message_id,
            reality: Reality::Accepted,
            now: self.now,
        });
        passed.claims.extend(claim);
        let verdict = judgement.verdict;
        passed.shadows.push(judgement);
        match verdict {
            Verdict::WithoutKey | Verdict::New => None,
            Verdict::Suppress {
                original,
                payload_differs,
            } => Some(would_drop(shadowing.rule, original, payload_differs)),
        }
    }

    /// The message that has the key. One whose delivery by this connection has failed stands in
    /// nobody's way: a key must not be burnt by what never arrived.
    fn prior(&self, connection: ConnectionId, key: &ClaimKey) -> Option<&Prior> {
        let failed_here = |delivery: &Delivery| {
            delivery.connection_id == Some(connection)
                && match delivery.state {
                    State::Failed { reason, .. } => reason.may_be_redriven(),
                    State::Pending { .. }
                    | State::Delivering { .. }
                    | State::Held { .. }
                    | State::Delivered { .. }
                    | State::Cancelled { .. } => false,
                }
        };
        let mut priors = self.priors.iter().filter(|prior| {
            (&prior.claim.scope, prior.claim.checksum) == (&key.scope, key.checksum)
        });
        let prior = priors.next()?;
        let failed = prior.original.failed.iter().any(failed_here);
        (!failed).then_some(*prior)
    }

    fn claim(&self, check: &Check, claims: &mut Vec<Claim>) {
        let key = &check.key;
        let same = |claim: &Claim| (&claim.scope, claim.checksum) == (&key.scope, key.checksum);
        if claims.iter().any(same) {
            return;
        }
        claims.push(Claim {
            scope: key.scope.clone(),
            checksum: key.checksum,
            parts: key.parts.clone(),
            kind: key.kind,
            variant: None,
            message_id: self.message_id,
            fingerprint: key.fingerprint,
            first_seen_at: self.now,
            expires_at: check.window.end_from(self.now),
        });
    }
}

fn by_ledger(ruling: &Ruling, check: &Check, prior: &Prior) -> Routing {
    let original = prior.original.message_id;
    Routing {
        connection_id: ruling.connection_id,
        outcome: RoutingOutcome::Deduplicated,
        rule: Some(check.rule),
        detail: Some(format!("{original} had this key before")),
        original_message_id: Some(original),
        shadows: Vec::new(),
    }
}

/// What the rules do that need no ledger.
fn by_itself(ruling: &Ruling) -> Option<Routing> {
    if let Some(dropped) = &ruling.dropped {
        let detail = match dropped.pointer.as_str() {
            "" => "the filter does not hold".to_owned(),
            pointer => format!("the filter does not hold at {pointer}"),
        };
        return Some(Routing {
            outcome: RoutingOutcome::Filtered,
            ..routed(ruling, Some(dropped.rule), Some(detail))
        });
    }
    let rule = ruling.delayed_by?;
    let seconds = ruling.delay.get() / 1_000;
    Some(routed(
        ruling,
        Some(rule),
        Some(format!("delayed by {seconds} s")),
    ))
}

fn routed(ruling: &Ruling, rule: Option<u16>, detail: Option<String>) -> Routing {
    Routing {
        connection_id: ruling.connection_id,
        outcome: RoutingOutcome::Routed,
        rule,
        detail,
        original_message_id: None,
        shadows: Vec::new(),
    }
}

fn would_drop(rule: u16, original: MessageId, payload_differs: bool) -> WouldDrop {
    let payload = if payload_differs {
        "another payload"
    } else {
        "the same payload"
    };
    WouldDrop {
        rule,
        detail: format!("would have been suppressed as a duplicate of {original}, with {payload}"),
        original_message_id: original,
        payload_differs,
    }
}
