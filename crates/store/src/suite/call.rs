//! An arrival in the making, put together word by word.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooklatch_core::admission::{Arrival, OnConflict, OnFailedOriginal};
use hooklatch_core::claim::{ClaimKey, ClaimKind, OnTrial, Scope};
use hooklatch_core::delivery::order::OrderKey;
use hooklatch_core::rules::{Check, Dropped, Ruling, Shadowing};
use hooklatch_core::shadow::{Candidate, ShadowId};
use hooklatch_core::time::Millis;
use hooklatch_core::window::Window;

use super::world::{SOURCE, checksum, connection, destination, endpoint};

/// An arrival in the making.
#[derive(Clone)]
pub struct Call {
    /// What will arrive.
    pub arrival: Arrival,
}

impl Call {
    /// Sets the policy for conflicts.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.arrival.policy.on_conflict = on_conflict;
        self
    }

    /// Sets what happens for failed originals.
    pub fn on_failed(mut self, on_failed_original: OnFailedOriginal) -> Self {
        self.arrival.policy.on_failed_original = on_failed_original;
        self
    }

    /// Sets the window.
    pub fn window(mut self, window: Window) -> Self {
        self.arrival.policy.window = window;
        self
    }

    /// Lets the window slide.
    pub fn sliding(mut self) -> Self {
        self.arrival.policy.sliding = true;
        self
    }

    /// Sends it to these endpoints.
    pub fn to(mut self, endpoints: &[i64]) -> Self {
        self.arrival.destinations = endpoints
            .iter()
            .map(|number| destination(*number))
            .collect();
        self
    }

    /// Lets the connection to an endpoint take only one message with a key.
    pub fn once(mut self, number: i64, key: &str, window: Window) -> Self {
        let scope = Scope::Connection(connection(number));
        let key = ClaimKey {
            checksum: checksum(&scope, key),
            scope,
            fingerprint: self.arrival.fingerprint,
            parts: vec![key.to_owned()],
            kind: ClaimKind::Key,
        };
        self.arrival.keys.push(key.clone());
        let rule = 0;
        self.ruling(number).checks.push(Check { rule, key, window });
        self
    }

    /// Lets a rule of the connection to an endpoint judge it in shadow mode.
    pub fn shadowed(
        mut self,
        number: i64,
        shadow: ShadowId,
        key: Option<&str>,
        window: Window,
    ) -> Self {
        let of = OnTrial::Connection(connection(number));
        let candidate = self.candidate(of, shadow, key, window);
        let ruling = self.ruling(number);
        let after = ruling.checks.len();
        ruling.shadows.push(Shadowing {
            rule: 3,
            after,
            candidate,
        });
        self
    }

    /// Lets a key rule of its source judge it in shadow mode.
    pub fn tried_under(mut self, shadow: ShadowId, key: Option<&str>, window: Window) -> Self {
        let of = OnTrial::Source(SOURCE);
        self.arrival.shadow = Some(Box::new(self.candidate(of, shadow, key, window)));
        self
    }

    fn candidate(
        &mut self,
        of: OnTrial,
        shadow: ShadowId,
        key: Option<&str>,
        window: Window,
    ) -> Candidate {
        let scope = Scope::Shadow(of);
        let fingerprint = self.arrival.fingerprint;
        let claimed = key.map(|key| ClaimKey {
            checksum: checksum(&scope, key),
            scope,
            fingerprint,
            parts: Vec::new(),
            kind: ClaimKind::Key,
        });
        self.arrival.keys.extend(claimed.clone());
        Candidate {
            shadow,
            key: claimed,
            shown: key.unwrap_or_default().to_owned(),
            window,
        }
    }

    /// Lets the connection to an endpoint drop it by a filter.
    pub fn filtered(mut self, number: i64) -> Self {
        let pointer = "/body/type".to_owned();
        self.ruling(number).dropped = Some(Dropped { rule: 1, pointer });
        self
    }

    /// Lets the connection to an endpoint delay it.
    pub fn delayed(mut self, number: i64, span: Millis) -> Self {
        let ruling = self.ruling(number);
        ruling.delay = span;
        ruling.delayed_by = Some(2);
        self
    }

    fn ruling(&mut self, number: i64) -> &mut Ruling {
        let connection_id = connection(number);
        let rulings = &mut self.arrival.rulings;
        let known = rulings
            .iter()
            .position(|it| it.connection_id == connection_id);
        let at = known.unwrap_or(rulings.len());
        if known.is_none() {
            rulings.push(Ruling {
                connection_id,
                checks: Vec::new(),
                dropped: None,
                delay: Millis::ZERO,
                delayed_by: None,
                shadows: Vec::new(),
            });
        }
        &mut rulings[at]
    }

    /// Adds a key, as of a former rule.
    pub fn also_under(mut self, key: &str) -> Self {
        let first = self.arrival.keys[0].clone();
        let checksum = checksum(&first.scope, key);
        self.arrival.keys.push(ClaimKey {
            checksum,
            parts: vec![key.to_owned()],
            ..first
        });
        self
    }

    /// Replaces the parts of the key.
    pub fn parts(mut self, parts: &[&str]) -> Self {
        self.arrival.keys[0].parts = parts.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Marks endpoints as taking nothing.
    pub fn disabled(mut self, endpoints: &[i64]) -> Self {
        let disabled: BTreeSet<_> = endpoints.iter().map(|number| endpoint(*number)).collect();
        self.arrival.disabled = Arc::new(disabled);
        self
    }

    /// Delivers it one after the other with others of this order key.
    pub fn in_order(mut self, key: i64) -> Self {
        for destination in &mut self.arrival.destinations {
            destination.order_key = Some(OrderKey::from_number(key));
        }
        self
    }

    /// Sets the type.
    pub fn event_type(mut self, event_type: &str) -> Self {
        self.arrival.event_type = Some(event_type.to_owned());
        self
    }
}
