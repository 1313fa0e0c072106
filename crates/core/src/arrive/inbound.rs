//! What came to a source.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{look_alike, scope_bytes};
use crate::admission::{Arrival, Policy};
use crate::cause::Hints;
use crate::claim::{ClaimKey, ClaimKind, Scope, Window};
use crate::config::{self, FormerRule, Source};
use crate::delivery::lifecycle::Destination;
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::ids::{EndpointId, ProjectId, SourceId};
use crate::key::{self, Body, Extracted, KeyRule, MissingKey, SplitError, extract, value_text_at};
use crate::limits::EVENT_TYPE_CHARS_MAX;
use crate::location::{Location, Split, WildPath};
use crate::message::{Direction, Envelope};
use crate::provider::{Preset, preset};
use crate::secret::MASK;
use crate::time::{Millis, Timestamp};
use crate::verify::{Credential, Refusal, SignedRequest, Verifier};

/// A source, ready to take requests in: made once from its settings, used for every arrival.
#[derive(Debug)]
pub struct Intake {
    project_id: ProjectId,
    source_id: SourceId,
    verifier: Verifier,
    rule: Rule,
    former: Vec<Rule>,
    policy: Policy,
    response_status: u16,
    retry_headers: &'static [&'static str],
    resend_headers: &'static [&'static str],
    hints: Arc<Hints>,
}

/// How a source reads a request, now or formerly.
#[derive(Debug)]
struct Rule {
    key: Option<KeyRule>,
    scope: Scope,
    scope_bytes: Vec<u8>,
    split: Option<Split>,
    event_type: Option<Location>,
    exclude: Vec<WildPath>,
    /// When the last claim made under it has run out.
    until: Timestamp,
}

/// Where the messages of a source go, by the connections of the moment.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// Every delivery that a message leads to.
    pub destinations: Vec<Destination>,
    /// The project's endpoints that take nothing now.
    pub disabled: Arc<BTreeSet<EndpointId>>,
}

/// A request that was looked at.
#[derive(Debug)]
pub struct Received {
    /// What surrounded its body, with the credential that came with it masked.
    pub envelope: Arc<Envelope>,
    /// What it asks for: one arrival, or one per element of a batch.
    pub outcome: Result<Asked, Refused>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// It is one event.
    One(Box<Arrival>),
    /// It is a batch of events (K10), perhaps an empty one.
    Batch(Vec<Arrival>),
}

/// Why a request was not let in. In none of these cases was a key looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not from whom it says it is.
    #[error(transparent)]
    Unverified(#[from] Refusal),
    /// It has no key, and its source wants one.
    #[error(
        "the request has no key, and its source refuses what has none; looked at: {}",
        looked_at.join(", ")
    )]
    KeyMissing {
        /// The places that were looked at.
        looked_at: Vec<String>,
        /// Which element of a batch it is, from 0.
        element: Option<usize>,
    },
    /// The batch is too large.
    #[error(transparent)]
    Batch(SplitError),
}

impl Intake {
    /// Prepares a source, whose verifier has been opened.
    pub fn new(source: &Source, verifier: Verifier) -> Self {
        let profile = source.provider.as_deref().and_then(preset);
        Self {
            project_id: source.project,
            source_id: source.id,
            verifier,
            rule: Rule::of(source),
            former: source
                .former_rules
                .iter()
                .map(|rule| Rule::before(source.id, rule))
                .collect(),
            policy: policy_of(source),
            response_status: source
                .response
                .as_ref()
                .map_or(200, |response| response.status),
            retry_headers: profile.map_or(&[], |preset| preset.retry_headers),
            resend_headers: profile.map_or(&[], |preset| preset.resend_headers),
            hints: Arc::new(profile.map_or_else(Hints::default, hints_of)),
        }
    }

    /// Looks at a request: who sent it, before anything else (K7), then what it is.
    pub fn receive(
        &self,
        envelope: Envelope,
        body: Bytes,
        received_at: Timestamp,
        routes: &Routes,
    ) -> Received {
        let request = SignedRequest {
            headers: &envelope.headers,
            query: envelope.query.as_deref().unwrap_or_default(),
            body: &body,
        };
        let verified = self.verifier.verify(&request, received_at);
        let envelope = Arc::new(self.concealed(envelope));
        let outcome = verified.map_err(Refused::from).and_then(|()| {
            let reading = Reading {
                intake: self,
                envelope: &envelope,
                received_at,
                routes,
            };
            reading.asked(&body)
        });
        Received { envelope, outcome }
    }

    /// The envelope as it may be recorded: a credential that comes with each request would
    /// otherwise lie in the history for all who may read it.
    pub fn concealed(&self, mut envelope: Envelope) -> Envelope {
        match self.verifier.credential() {
            None => {}
            Some(Credential::Header(name)) => {
                for (_, value) in envelope
                    .headers
                    .iter_mut()
                    .filter(|(known, _)| known == name)
                {
                    MASK.clone_into(value);
                }
            }
            Some(Credential::Query(name)) => {
                envelope.query = envelope.query.map(|query| without_value(&query, name));
            }
        }
        envelope
    }

    fn hints_for(&self, envelope: &Envelope) -> Arc<Hints> {
        let present = |names: &[&str]| {
            names
                .iter()
                .find(|name| envelope.header(name).is_some())
                .map(|name| (*name).to_owned())
        };
        let (retry_header, resend_header) =
            (present(self.retry_headers), present(self.resend_headers));
        if retry_header.is_none() && resend_header.is_none() {
            return Arc::clone(&self.hints);
        }
        Arc::new(Hints {
            retry_header,
            resend_header,
            ..Hints::clone(&self.hints)
        })
    }
}

impl Rule {
    fn of(source: &Source) -> Self {
        let scope = scope_of(source.id, source.group);
        Self {
            key: source.key.clone(),
            scope_bytes: scope_bytes(&scope),
            scope,
            split: source.split.clone(),
            event_type: source.event_type.clone(),
            exclude: source.fingerprint_exclude.clone(),
            until: Timestamp::NEVER,
        }
    }

    fn before(source: SourceId, former: &FormerRule) -> Self {
        let scope = scope_of(source, former.group);
        Self {
            key: Some(former.key.clone()),
            scope_bytes: scope_bytes(&scope),
            scope,
            split: former.split.clone(),
            event_type: former.event_type.clone(),
            exclude: former.fingerprint_exclude.clone(),
            until: former.until,
        }
    }

    /// The type of the event; a text that is longer than any type is none.
    fn event_type(&self, request: &key::Request<'_>, body: &Body<'_>) -> Option<String> {
        let text = value_text_at(self.event_type.as_ref()?, request, body)?;
        (text.chars().count() <= EVENT_TYPE_CHARS_MAX).then_some(text)
    }

    /// The key that this rule finds, or the places that it looked at.
    fn claim_key(
        &self,
        request: &key::Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Result<ClaimKey, Vec<String>> {
        let Some(rule) = &self.key else {
            return Err(Vec::new());
        };
        match extract(rule, &self.scope_bytes, request, body, &self.exclude) {
            Extracted::Missing { looked_at } => Err(looked_at),
            Extracted::Key { checksum, parts } => Ok(ClaimKey {
                scope: self.scope.clone(),
                checksum,
                fingerprint,
                parts: parts.into_iter().map(|part| part.text).collect(),
                kind: ClaimKind::Key,
            }),
        }
    }

    fn wants_a_key(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|rule| rule.missing_key == MissingKey::Reject)
    }
}

fn policy_of(source: &Source) -> Policy {
    Policy {
        window: match source.window {
            config::Window::Seconds(seconds) => Window::For(Millis::from_seconds(seconds)),
            config::Window::Forever => Window::Forever,
        },
        sliding: source.sliding,
        on_conflict: source.on_conflict,
        on_failed_original: source.on_failed_original,
    }
}

fn scope_of(source: SourceId, group: Option<crate::ids::GroupId>) -> Scope {
    group.map_or(Scope::Source(source), Scope::Group)
}

fn hints_of(preset: &Preset) -> Hints {
    let offset = |retry: &crate::provider::RetryAt| Millis::from_seconds(retry.offset_seconds);
    Hints {
        retry_header: None,
        resend_header: None,
        retry_offsets: preset.retry_schedule.iter().map(offset).collect(),
        retry_window: preset
            .automatic_retry_window_seconds
            .map(Millis::from_seconds),
        timeout: preset
            .timeout_seconds
            .map(|seconds| Millis::from_seconds(i64::from(seconds))),
    }
}

/// The query with the value of every parameter of this name masked.
fn without_value(query: &str, name: &str) -> String {
    let masked = |pair: &str| {
        let named = form_urlencoded::parse(pair.as_bytes()).any(|(known, _)| known == name);
        if named {
            format!("{name}={MASK}")
        } else {
            pair.to_owned()
        }
    };
    query.split('&').map(masked).collect::<Vec<_>>().join("&")
}

/// A verified request on its way to becoming arrivals.
struct Reading<'a> {
    intake: &'a Intake,
    envelope: &'a Arc<Envelope>,
    received_at: Timestamp,
    routes: &'a Routes,
}

impl Reading<'_> {
    fn asked(&self, bytes: &Bytes) -> Result<Asked, Refused> {
        let hints = self.intake.hints_for(self.envelope);
        let body = Body::understand(self.envelope.header("content-type"), bytes);
        let Some(elements) = self.elements(&body)? else {
            let arrival = self.arrival(bytes.clone(), &body, &hints, None)?;
            return Ok(Asked::One(Box::new(arrival)));
        };
        let mut arrivals = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let body = Body::understand(Some("application/json"), element);
            arrivals.push(self.arrival(bytes.slice_ref(element), &body, &hints, Some(index))?);
        }
        Ok(Asked::Batch(arrivals))
    }

    /// The elements of a batch (K10); none where the source does not split. A body in which there
    /// is nothing to split is kept whole: an event must not be lost because it came in another
    /// shape (K5).
    fn elements<'b>(&self, body: &Body<'b>) -> Result<Option<Vec<&'b [u8]>>, Refused> {
        let Some(split) = &self.intake.rule.split else {
            return Ok(None);
        };
        match key::split(split, body) {
            Ok(elements) => Ok(Some(elements)),
            Err(SplitError::NotJson | SplitError::NoArray) => Ok(None),
            Err(error @ SplitError::TooMany { .. }) => Err(Refused::Batch(error)),
        }
    }

    fn arrival(
        &self,
        bytes: Bytes,
        body: &Body<'_>,
        hints: &Arc<Hints>,
        element: Option<usize>,
    ) -> Result<Arrival, Refused> {
        let intake = self.intake;
        let headers: Vec<(&str, &[u8])> = self
            .envelope
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = key::Request {
            method: &self.envelope.method,
            path: &self.envelope.path,
            query: self.envelope.query.as_deref(),
            headers: &headers,
            content_type: self.envelope.header("content-type"),
            body: &bytes,
        };
        let event_type = intake.rule.event_type(&request, body);
        let fingerprint = fingerprint(event_type.as_deref(), body, &bytes, &intake.rule.exclude);
        let keys = self
            .keys(&request, body, fingerprint)
            .map_err(|looked_at| Refused::KeyMissing { looked_at, element })?;
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
            destinations: self.routes.destinations.clone(),
            disabled: Arc::clone(&self.routes.disabled),
            hints: Arc::clone(hints),
            delay: Millis::ZERO,
            target: None,
            extra_headers: Vec::new(),
            warnings: Vec::new(),
            response_status: intake.response_status,
        })
    }

    /// The key of today, those of the former rules (C7), or else the look-alike's (D5). Fails with
    /// the places that were looked at where the source wants a key and there is none.
    fn keys(
        &self,
        request: &key::Request<'_>,
        body: &Body<'_>,
        fingerprint: Fingerprint,
    ) -> Result<Vec<ClaimKey>, Vec<String>> {
        let rule = &self.intake.rule;
        let mut keys = Vec::with_capacity(1);
        match rule.claim_key(request, body, fingerprint) {
            Ok(key) => keys.push(key),
            Err(looked_at) if rule.wants_a_key() => return Err(looked_at),
            Err(_) => {}
        }
        for former in self
            .intake
            .former
            .iter()
            .filter(|former| self.still_counts(former))
        {
            let event_type = former.event_type(request, body);
            let seen_then = fingerprint_under(former, event_type.as_deref(), request, body);
            keys.extend(former.claim_key(request, body, seen_then));
        }
        if keys.is_empty() {
            keys.push(look_alike(&rule.scope, fingerprint));
        }
        Ok(keys)
    }

    /// A rule that took requests apart in another way made keys of other things.
    fn still_counts(&self, former: &Rule) -> bool {
        former.until > self.received_at && former.split == self.intake.rule.split
    }
}

fn fingerprint_under(
    rule: &Rule,
    event_type: Option<&str>,
    request: &key::Request<'_>,
    body: &Body<'_>,
) -> Fingerprint {
    fingerprint(event_type, body, request.body, &rule.exclude)
}
