//! Takes a verified request apart into arrivals.

use std::sync::Arc;

use bytes::Bytes;

use super::inbound::{Asked, Intake, Refused, Routes};
use super::rule::Rule;
use super::{header_lines, look_alike, request_of};
use crate::admission::Arrival;
use crate::cause::Hints;
use crate::claim::ClaimKey;
use crate::delivery::order;
use crate::fingerprint::Fingerprint;
use crate::key::{self, Body, SplitError};
use crate::location::Split;
use crate::message::{Direction, Envelope};
use crate::rules::keys_of;
use crate::time::{Millis, Timestamp};

/// A verified request on its way to becoming arrivals.
pub(super) struct Reading<'a> {
    pub(super) intake: &'a Intake,
    pub(super) envelope: &'a Arc<Envelope>,
    pub(super) received_at: Timestamp,
    pub(super) routes: &'a Routes,
}

/// What all the arrivals of one request have in common.
struct Shared<'a> {
    hints: Arc<Hints>,
    former: Vec<&'a Rule>,
}

impl Reading<'_> {
    /// What the request asks for.
    pub(super) fn asked(&self, bytes: &Bytes) -> Result<Asked, Refused> {
        let body = Body::understand(self.envelope.payload_type(), bytes);
        let elements = elements(self.intake.rule.split.as_ref(), &body).map_err(Refused::Batch)?;
        let shared = Shared {
            hints: self.intake.hints_for(self.envelope),
            former: self.former_rules(&body, elements.as_deref()),
        };
        let Some(elements) = elements else {
            let arrival = self.arrival(bytes.clone(), &body, &shared, None)?;
            return Ok(Asked::One(Box::new(arrival)));
        };
        let mut arrivals = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let body = Body::understand(Some("application/json"), element);
            // A copy: one element that waits must not keep the whole batch in memory.
            let own = Bytes::copy_from_slice(element);
            arrivals.push(self.arrival(own, &body, &shared, Some(index))?);
        }
        Ok(Asked::Batch(arrivals))
    }

    /// The former rules under which claims may still live (C7), and which take this very body
    /// apart as it is taken apart today: any other made keys of other things. What their splits
    /// look like does not matter: a single event is whole under every split that finds no array.
    fn former_rules(&self, body: &Body<'_>, today: Option<&[&[u8]]>) -> Vec<&Rule> {
        let intake = self.intake;
        let alike = |former: &&Rule| {
            former.split == intake.rule.split
                || elements(former.split.as_ref(), body).is_ok_and(|then| then.as_deref() == today)
        };
        let live = intake
            .former
            .iter()
            .filter(|former| former.until > self.received_at);
        live.filter(alike).collect()
    }

    fn arrival(
        &self,
        bytes: Bytes,
        body: &Body<'_>,
        shared: &Shared<'_>,
        element: Option<usize>,
    ) -> Result<Arrival, Refused> {
        let intake = self.intake;
        let headers = header_lines(self.envelope);
        let request = request_of(self.envelope, &headers, &bytes);
        let event_type = intake.rule.event_type(&request, body);
        let fingerprint = intake
            .rule
            .fingerprint(event_type.as_deref(), &request, body);
        let mut keys = self
            .keys(&request, body, fingerprint, &shared.former)
            .map_err(|looked_at| Refused::KeyMissing { looked_at, element })?;
        let rulebooks = self.routes.rulebooks.iter();
        let rulings: Vec<_> = rulebooks
            .map(|rulebook| rulebook.rule_on(&request, body, fingerprint))
            .collect();
        keys.extend(keys_of(&rulings));
        let shadow = intake.shadow(&request, body, fingerprint);
        keys.extend(shadow.iter().filter_map(|it| it.key.clone()));
        let mut destinations = self.routes.destinations.clone();
        order::assign(&mut destinations, &self.routes.ordered, &request, body);
        Ok(Arrival {
            project_id: intake.project_id,
            direction: Direction::Inbound,
            source_id: Some(intake.source_id),
            received_at: self.received_at,
            envelope: Arc::clone(self.envelope),
            body: bytes.clone(),
            event_type,
            tenant: None,
            fingerprint,
            keys,
            policy: intake.policy,
            destinations,
            rulings,
            shadow,
            disabled: Arc::clone(&self.routes.disabled),
            hints: Arc::clone(&shared.hints),
            delay: Millis::ZERO,
            target: None,
            extra_headers: Vec::new(),
            warnings: Vec::new(),
            response_status: intake.response_status,
            payload_kept: None,
        })
    }

    /// The key of today, those of the former rules (C7), or else the look-alike's (D5). Fails with
    /// the places that were looked at where the source wants a key and there is none.
    fn keys(
        &self,
        request: &key::Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
        former: &[&Rule],
    ) -> Result<Vec<ClaimKey>, Vec<String>> {
        let rule = &self.intake.rule;
        let mut keys = Vec::with_capacity(1);
        match rule.claim_key(request, body, fingerprint) {
            Ok(key) => keys.push(key),
            Err(looked_at) if rule.wants_a_key() => return Err(looked_at),
            Err(_) => {}
        }
        for former in former {
            let seen_then = if former.sees_payloads_like(rule) {
                fingerprint
            } else {
                let event_type = former.event_type(request, body);
                former.fingerprint(event_type.as_deref(), request, body)
            };
            keys.extend(former.claim_key(request, body, seen_then));
        }
        if keys.is_empty() {
            keys.push(look_alike(&rule.scope, fingerprint));
        }
        Ok(keys)
    }
}

/// The elements of a batch (K10); none where there is no split. A body in which there is nothing
/// to split is kept whole: an event must not be lost because it came in another shape (K5), and an
/// empty batch must not leave its arrival without a record.
fn elements<'b>(
    split: Option<&Split>,
    body: &Body<'b>,
) -> Result<Option<Vec<&'b [u8]>>, SplitError> {
    let Some(split) = split else {
        return Ok(None);
    };
    match key::split(split, body) {
        Ok(elements) if elements.is_empty() => Ok(None),
        Ok(elements) => Ok(Some(elements)),
        Err(SplitError::NotJson | SplitError::NoArray) => Ok(None),
        Err(error @ SplitError::TooMany { .. }) => Err(error),
    }
}
