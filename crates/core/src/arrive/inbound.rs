//! What came to a source: who sent it, before anything else, and then what it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::reading::Reading;
use super::rule::Rule;
use crate::admission::{Arrival, Policy};
use crate::cause::Hints;
use crate::config::Source;
use crate::delivery::lifecycle::Destination;
use crate::delivery::order::Ordered;
use crate::fingerprint::Fingerprint;
use crate::ids::{EndpointId, ProjectId, SourceId};
use crate::key::{self, SplitError};
use crate::message::Envelope;
use crate::provider::{Answer, Handshake, Preset, RetryAt, preset};
use crate::rules::Rulebook;
use crate::secret::MASK;
use crate::shadow::{Candidate, ShadowRule};
use crate::time::{Millis, Timestamp};
use crate::verify::{Credential, Presented, Refusal, SignedRequest, Verifier, Wanted};

/// A source, ready to take requests in: made once from its settings, used for every arrival.
#[derive(Debug)]
pub struct Intake {
    pub(super) project_id: ProjectId,
    pub(super) source_id: SourceId,
    pub(super) verifier: Verifier,
    pub(super) rule: Rule,
    pub(super) former: Vec<Rule>,
    pub(super) shadow: Option<ShadowRule>,
    pub(super) policy: Policy,
    pub(super) response_status: u16,
    pub(super) retry_headers: &'static [&'static str],
    pub(super) resend_headers: &'static [&'static str],
    pub(super) hints: Arc<Hints>,
    pub(super) handshake: Option<Handshake>,
    pub(super) token_hash: [u8; 32],
}

/// Where the messages of a source go, by the connections of the moment.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// Every delivery that a message leads to.
    pub destinations: Vec<Destination>,
    /// The rules of those connections, where they have some.
    pub rulebooks: Vec<Arc<Rulebook>>,
    /// Which of the endpoints are ordered, and by what.
    pub ordered: Vec<Ordered>,
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
    /// It is a batch of events (K10), of one at least.
    Batch(Vec<Arrival>),
    /// It is a question of the provider's and no event: this is the answer, and nothing is recorded.
    Handshake(Answer),
    /// The provider asks for a URL of its own to be called; nothing is recorded.
    Confirm {
        /// The URL.
        url: String,
    },
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
            shadow: source.shadow(),
            policy: policy_of(source),
            response_status: source
                .response
                .as_ref()
                .map_or(200, |response| response.status),
            retry_headers: profile.map_or(&[], |preset| preset.retry_headers),
            resend_headers: profile.map_or(&[], |preset| preset.resend_headers),
            hints: Arc::new(profile.map_or_else(Hints::default, hints_of)),
            handshake: profile.and_then(|preset| preset.handshake),
            token_hash: source.token_hash.0,
        }
    }

    /// What the source's key rule in shadow mode reads in a request.
    pub(super) fn shadow(
        &self,
        request: &key::Request<'_>,
        body: &key::Body<'_>,
        fingerprint: Fingerprint,
    ) -> Option<Box<Candidate>> {
        let shadow = self.shadow.as_ref()?;
        let candidate = self.rule.try_out(shadow, request, body, fingerprint);
        Some(Box::new(candidate))
    }

    /// What a valid signature vouches for (K8).
    pub fn coverage(&self) -> crate::verify::Coverage {
        self.verifier.coverage()
    }

    /// The answer to a question that the provider asks without a signature.
    pub fn unsigned_handshake(&self, envelope: &Envelope) -> Option<Answer> {
        let query = envelope.query.as_deref().unwrap_or_default();
        self.handshake?
            .unsigned(&envelope.method, query, &self.token_hash)
    }

    /// Whether the provider wants a refusal without a body.
    pub fn refuses_silently(&self) -> bool {
        self.handshake.is_some_and(Handshake::refuses_silently)
    }

    /// Whether a certificate has to be fetched before a request can be looked at.
    pub fn fetches(&self) -> bool {
        self.verifier.fetches()
    }

    /// The certificate that has to be fetched before the request can be looked at, if one has to.
    pub fn wanted(
        &self,
        envelope: &Envelope,
        url: &str,
        body: &[u8],
    ) -> Result<Option<Wanted>, Refused> {
        let request = signed_request(envelope, url, body);
        Ok(self.verifier.wanted(&request)?)
    }

    /// Looks at a request: who sent it, before anything else (K7), then what it is. `url` is the
    /// one that the sender called, which some signatures cover.
    pub fn receive(
        &self,
        envelope: Envelope,
        url: &str,
        body: Bytes,
        received_at: Timestamp,
        routes: &Routes,
    ) -> Received {
        self.receive_certified(envelope, url, body, received_at, routes, None)
    }

    /// The same with the certificate that [`Intake::wanted`] named.
    pub fn receive_certified(
        &self,
        envelope: Envelope,
        url: &str,
        body: Bytes,
        received_at: Timestamp,
        routes: &Routes,
        presented: Option<Presented<'_>>,
    ) -> Received {
        let request = signed_request(&envelope, url, &body);
        let verified = self
            .verifier
            .verify_certified(&request, presented, received_at)
            .and_then(|()| self.asked_by_provider(&request, received_at));
        let envelope = Arc::new(self.concealed(envelope));
        let outcome = verified.map_err(Refused::from).and_then(|asked| {
            if let Some(asked) = asked {
                return Ok(asked);
            }
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

    /// What a verified request asks for itself, where it is no event.
    fn asked_by_provider(
        &self,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<Option<Asked>, Refusal> {
        if let Some(url) = self.verifier.confirmation(request)? {
            return Ok(Some(Asked::Confirm { url }));
        }
        let proof = |text: &str| self.verifier.proof(request, now, text);
        let answer = self
            .handshake
            .and_then(|handshake| handshake.signed(request.body, proof));
        Ok(answer.map(Asked::Handshake))
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

    /// What the headers and the provider's profile say about retries (D3).
    pub(super) fn hints_for(&self, envelope: &Envelope) -> Arc<Hints> {
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

fn signed_request<'r>(envelope: &'r Envelope, url: &'r str, body: &'r [u8]) -> SignedRequest<'r> {
    SignedRequest {
        method: &envelope.method,
        url,
        headers: &envelope.headers,
        query: envelope.query.as_deref().unwrap_or_default(),
        body,
    }
}

fn policy_of(source: &Source) -> Policy {
    Policy {
        window: source.window,
        sliding: source.sliding,
        on_conflict: source.on_conflict,
        on_failed_original: source.on_failed_original,
    }
}

fn hints_of(preset: &Preset) -> Hints {
    let offset = |retry: &RetryAt| Millis::from_seconds(retry.offset_seconds);
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
