//! What the rules of a connection do with a message on its way: let it pass, drop it, delay it.
//!
//! Rules run in their order, and in two steps. What can be said of a request by itself is said
//! before the store is asked: a [`Rulebook`] gives a [`Ruling`]. What depends on the ledger, whether
//! a deduplicating rule has seen the key before, is decided in the transaction that admits the
//! message, by `pass`, so that of two at once only one passes. A rule that a message does not
//! reach does nothing: what an earlier filter drops claims no key.
//!
//! A message that was dropped counts as routed (D2). What was dropped, where and why is recorded
//! with the message, as [`Routing`]; a connection that just lets it pass leaves only its delivery.

mod pass;
#[cfg(test)]
mod tests;

pub(crate) use pass::{Passing, pass};

use std::sync::Arc;

use crate::arrive::scope_bytes;
use crate::claim::{ClaimKey, ClaimKind, OnTrial, Scope};
use crate::config::{Connection, Deduplicate, Rule};
use crate::field::FieldError;
use crate::filter::{Filter, Verdict};
use crate::fingerprint::Fingerprint;
use crate::ids::{ConnectionId, MessageId};
use crate::key::{Body, Checksum, Extracted, KeyRule, Request, extract};
use crate::shadow::{Candidate, ShadowId, ShadowRule};
use crate::time::Millis;
use crate::window::Window;

/// The rules of one connection, prepared once and used for every message.
#[derive(Debug)]
pub struct Rulebook {
    connection_id: ConnectionId,
    rules: Vec<Prepared>,
    script: Option<Arc<str>>,
}

#[derive(Debug)]
enum Prepared {
    Filter(Box<Filter>),
    Deduplicate(Box<Deduplication>),
    Shadow(Box<ShadowRule>),
    Delay(Millis),
    /// Done at the first attempt.
    Transform,
}

#[derive(Debug)]
struct Deduplication {
    key: KeyRule,
    scope: Scope,
    scope_bytes: Vec<u8>,
    window: Window,
}

/// What a connection's rules say of one message, as far as that can be said without the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The keys that the message must be the first with, in the order of the rules.
    pub checks: Vec<Check>,
    /// The filter that drops it, once it has passed those.
    pub dropped: Option<Dropped>,
    /// How much later its delivery is due.
    pub delay: Millis,
    /// The last rule that delays it.
    pub delayed_by: Option<u16>,
    /// What its rules in shadow mode read.
    pub shadows: Vec<Shadowing>,
}

/// What a rule in shadow mode reads in a message that reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowing {
    /// The position of the rule.
    pub rule: u16,
    /// How many of the `checks` come before it.
    pub after: usize,
    /// What it reads.
    pub candidate: Candidate,
}

/// A key under which a connection takes only one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The position of the rule.
    pub rule: u16,
    /// The key, in the scope of the connection.
    pub key: ClaimKey,
    /// For how long it is protected.
    pub window: Window,
}

/// A message that does not pass a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The position of the rule.
    pub rule: u16,
    /// JSON pointer, in the rule, to the first condition that does not hold.
    pub pointer: String,
}

/// What one connection did with a message.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Routing {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Whether it let it pass.
    pub outcome: RoutingOutcome,
    /// The position of the rule that decided, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The message that had the key before, where a rule deduplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<MessageId>,
    /// What its rules in shadow mode would have dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<WouldDrop>,
}

/// A rule in shadow mode that would have dropped a message.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WouldDrop {
    /// The position of the rule, from 0.
    pub rule: u16,
    /// Why, for people.
    pub detail: String,
    /// The message that had the key before.
    pub original_message_id: MessageId,
    /// Whether that one has another payload.
    pub payload_differs: bool,
}

/// Whether a connection let a message pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingOutcome {
    /// There is a delivery.
    Routed,
    /// A filter dropped it.
    Filtered,
    /// Another message with its key had passed before.
    Deduplicated,
}

impl Rulebook {
    /// Prepares the rules of a connection; none where it has none.
    ///
    /// # Errors
    /// Where a rule cannot be understood, each with its JSON pointer in the connection.
    pub fn of(connection: &Connection) -> Result<Option<Self>, Vec<FieldError>> {
        let mut rules = Vec::with_capacity(connection.rules.len());
        for (at, rule) in connection.rules.iter().enumerate() {
            rules.push(prepared(rule, at, connection.id)?);
        }
        Ok((!rules.is_empty()).then_some(Self {
            connection_id: connection.id,
            script: connection.rules.iter().find_map(script_of),
            rules,
        }))
    }

    /// Whose rules they are.
    pub fn connection_id(&self) -> ConnectionId {
        self.connection_id
    }

    /// The script that makes what is sent, if there is one.
    pub fn script(&self) -> Option<&Arc<str>> {
        self.script.as_ref()
    }

    /// What the rules say of a request.
    pub fn rule_on(
        &self,
        request: &Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Ruling {
        let mut ruling = Ruling {
            connection_id: self.connection_id,
            checks: Vec::new(),
            dropped: None,
            delay: Millis::ZERO,
            delayed_by: None,
            shadows: Vec::new(),
        };
        for (at, rule) in self.rules.iter().enumerate() {
            let position = u16::try_from(at).expect("a connection has few rules");
            match rule {
                Prepared::Filter(filter) => match filter.check(request, body) {
                    Verdict::Passed => {}
                    Verdict::Dropped { pointer } => {
                        let rule = position;
                        ruling.dropped = Some(Dropped { rule, pointer });
                        return ruling;
                    }
                },
                Prepared::Deduplicate(deduplication) => {
                    let check = deduplication.check(position, request, body, fingerprint);
                    ruling.checks.extend(check);
                }
                Prepared::Shadow(shadow) => {
                    let candidate = shadow.read(request, body, fingerprint, &[]);
                    ruling.try_out(position, candidate);
                }
                Prepared::Transform => {}
                Prepared::Delay(delay) => {
                    ruling.delay = ruling.delay + *delay;
                    ruling.delayed_by = Some(position);
                }
            }
        }
        ruling
    }
}

impl Ruling {
    /// Two rules that say the same are one trial.
    fn try_out(&mut self, rule: u16, candidate: Candidate) {
        let mut known = self.shadows.iter().map(|it| it.candidate.shadow);
        if known.any(|known| known == candidate.shadow) {
            return;
        }
        self.shadows.push(Shadowing {
            rule,
            after: self.checks.len(),
            candidate,
        });
    }
}

/// The rules of a connection that are in shadow mode, with their positions and names.
pub fn shadows_of(connection: &Connection) -> Vec<(u16, ShadowId)> {
    let rules = connection.rules.iter().enumerate();
    let shadows = rules.filter_map(|(at, rule)| match rule {
        Rule::Deduplicate(rule) if rule.shadow => {
            let position = u16::try_from(at).expect("a connection has few rules");
            Some((position, shadow_rule(connection.id, rule).id()))
        }
        Rule::Deduplicate(_) | Rule::Filter(_) | Rule::Transform { .. } | Rule::Delay { .. } => {
            None
        }
    });
    shadows.collect()
}

fn shadow_rule(connection: ConnectionId, rule: &Deduplicate) -> ShadowRule {
    let of = OnTrial::Connection(connection);
    ShadowRule::new(of, rule.key_rule(), rule.window_seconds, "")
}

fn script_of(rule: &Rule) -> Option<Arc<str>> {
    match rule {
        Rule::Transform { script } => Some(Arc::from(script.as_str())),
        Rule::Filter(_) | Rule::Deduplicate(_) | Rule::Delay { .. } => None,
    }
}

fn prepared(rule: &Rule, at: usize, connection: ConnectionId) -> Result<Prepared, Vec<FieldError>> {
    Ok(match rule {
        Rule::Filter(document) => {
            let under = |error: FieldError| error.under(&format!("/rules/{at}"));
            let filter = Filter::compile(&document.clone().into());
            let filter = filter.map_err(|errors| errors.into_iter().map(under).collect::<Vec<_>>());
            Prepared::Filter(Box::new(filter?))
        }
        Rule::Deduplicate(rule) if rule.shadow => {
            Prepared::Shadow(Box::new(shadow_rule(connection, rule)))
        }
        Rule::Deduplicate(rule) => {
            let scope = Scope::Connection(connection);
            let key = rule.key_rule();
            // What the rule reads is a part of its keys: two rules of one connection that find the
            // same value in different places must not meet.
            let reads = serde_json::to_string(&key).expect("a key rule always serialises");
            let scope_bytes = [&*scope_bytes(&scope), b" ", reads.as_bytes()].concat();
            Prepared::Deduplicate(Box::new(Deduplication {
                key,
                scope,
                scope_bytes,
                window: rule.window_seconds,
            }))
        }
        Rule::Transform { .. } => Prepared::Transform,
        Rule::Delay { seconds } => Prepared::Delay(Millis::from_seconds(*seconds)),
    })
}

impl Deduplication {
    /// The key of a message; none where the rule finds none, so that it passes.
    fn check(
        &self,
        rule: u16,
        request: &Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Option<Check> {
        match extract(&self.key, &self.scope_bytes, request, body, &[]) {
            Extracted::Missing { .. } => None,
            Extracted::Key {
                checksum, parts, ..
            } => Some(Check {
                rule,
                key: self.claim_key(checksum, fingerprint, parts.into_iter().map(|it| it.text)),
                window: self.window,
            }),
        }
    }

    fn claim_key(
        &self,
        checksum: Checksum,
        fingerprint: Fingerprint,
        parts: impl Iterator<Item = String>,
    ) -> ClaimKey {
        ClaimKey {
            scope: self.scope.clone(),
            checksum,
            fingerprint,
            parts: parts.collect(),
            kind: ClaimKind::Key,
        }
    }
}

/// The keys that rulings ask the ledger for.
pub(crate) fn keys_of(rulings: &[Ruling]) -> impl Iterator<Item = ClaimKey> {
    rulings.iter().flat_map(|ruling| {
        let checks = ruling.checks.iter().map(|check| &check.key);
        let shadows = ruling.shadows.iter();
        let shadows = shadows.filter_map(|shadow| shadow.candidate.key.as_ref());
        checks.chain(shadows).cloned()
    })
}
