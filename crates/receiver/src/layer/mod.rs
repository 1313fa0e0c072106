//! A tower layer for receivers on axum, or whatever else speaks `http` and `tower`: it verifies the
//! signature, derives the key, runs the handler once, and answers.
//!
//! Nothing is asked of the store for a request whose signature fails: otherwise a stranger could
//! claim the id of an event that is still to come.
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # fn build() -> Result<(), Box<dyn std::error::Error>> {
//! use hooklatch_receiver::kit::Receiver;
//! use hooklatch_receiver::layer::{ReceiverLayer, Rules};
//! use hooklatch_receiver::memory::MemoryStore;
//! use hooklatch_receiver::run::Settings;
//!
//! let kit = Receiver::new(MemoryStore::new(), Settings::default());
//! let rules = Rules::for_provider("stripe", &["whsec_from_the_dashboard"])?;
//! let layer = ReceiverLayer::new(kit, rules.with_consumer("billing"));
//! // Router::new().route("/hooks/stripe", post(charge)).layer(layer)
//! # let _ = layer;
//! # Ok(())
//! # }
//! # #[cfg(feature = "memory")]
//! # build().unwrap();
//! ```
//!
//! The handler finds a [`Work`](crate::once::Work) in the request's extensions, for its steps.

pub mod answer;
mod intake;
pub mod response;
mod service;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooklatch_core::field::FieldError;
use hooklatch_core::key::{KeyRule, MissingKey, Mode};
use hooklatch_core::limits::BODY_BYTES_DEFAULT;
use hooklatch_core::location::{Location, WildPath};
use hooklatch_core::provider::{self, KeyMode, Preset};
use hooklatch_core::verify::{Verifier, VerifierSpec};
use http::request::Parts;
use serde_json::{Value, json};

use crate::kit::{Delivery, Receiver};
use crate::run::Settings;
use answer::{Policy, Settled};
use intake::Arrived;

pub use service::ReceiverService;

/// How requests are read, and what is answered.
pub struct Rules {
    verifier: Verifier,
    key: KeyRule,
    event_type: Option<Location>,
    fingerprint_exclude: Vec<WildPath>,
    preset: Option<&'static Preset>,
    source: String,
    tenant: String,
    consumer: String,
    body_bytes_max: usize,
    policy: Policy,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// No provider is known by this id.
    #[error("no provider is known as {0:?}")]
    UnknownProvider(String),
    /// A field is not what it should be; it is named, and its value is not shown.
    #[error("{} {}", .0.pointer, .0.detail)]
    Field(FieldError),
    /// A rule names no place for its key, or a wrong one.
    #[error("the key's locations are wrong: {0}")]
    Locations(String),
    /// Its signature needs a certificate that has to be fetched.
    #[error(
        "signatures that need a certificate are checked by the gateway only: let it receive them, \
             and verify its own signature here"
    )]
    Fetches,
}

impl Rules {
    /// Which delivery a request is, or how it is refused: for a handler that runs the event in its
    /// own transaction (`begin_in`), where the layer cannot. Verifies the signature first.
    ///
    /// # Errors
    /// What to [`answer`](answer::answer) where it is not from whom it says, or cannot be told
    /// apart from others. Under [`Keyless::Unprotected`](answer::Keyless::Unprotected) such a
    /// request is refused too: there is no key to claim.
    pub fn delivery(
        &self,
        parts: &Parts,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Delivery, Settled> {
        match self.read(parts, body, now) {
            Arrived::Keyed(delivery) => Ok(delivery),
            Arrived::Unverified(_) => Err(Settled::Unverified),
            Arrived::Unprotected | Arrived::NoKey => Err(Settled::NoKey),
            Arrived::BadKey(_) => Err(Settled::BadKey),
        }
    }

    /// The rules of a known provider, with the secrets that are live at present.
    ///
    /// # Errors
    /// The provider is not known, or a secret is none.
    pub fn for_provider(id: &str, secrets: &[&str]) -> Result<Self, RulesError> {
        let preset = provider::preset(id);
        let preset = preset.ok_or_else(|| RulesError::UnknownProvider(id.to_owned()))?;
        if preset.verifier.fetches() {
            return Err(RulesError::Fetches);
        }
        let verifier = json!({ "secrets": secrets });
        let spec = provider::verifier_spec(Some(preset), Some(verifier));
        let mut rules = Self::new(id, spec.map_err(RulesError::Field)?, preset.key_locations)?;
        rules.key.mode = match preset.key_mode {
            KeyMode::All => Mode::All,
            KeyMode::First => Mode::First,
        };
        rules.event_type = preset.event_type.map(location).transpose()?;
        let exclude = preset
            .fingerprint_exclude
            .iter()
            .map(|path| wild_path(path));
        rules.fingerprint_exclude = exclude.collect::<Result<_, _>>()?;
        rules.body_bytes_max = preset.max_body_bytes.unwrap_or(BODY_BYTES_DEFAULT);
        rules.preset = Some(preset);
        Ok(rules)
    }

    /// The rules of a source of your own: how it signs, as the gateway's API has it
    /// (`{"type": "hmac", "header": …, "secret": …}`), and where its keys are (`header:X-Id`,
    /// `body:$.id`).
    ///
    /// # Errors
    /// The verifier or a location is not what it should be.
    pub fn custom(source: &str, verifier: Value, locations: &[&str]) -> Result<Self, RulesError> {
        let spec = provider::verifier_spec(None, Some(verifier)).map_err(RulesError::Field)?;
        Self::new(source, spec, locations)
    }

    fn new(source: &str, spec: VerifierSpec, locations: &[&str]) -> Result<Self, RulesError> {
        let locations = locations.iter().map(|text| location(text));
        let mut key = KeyRule::new(locations.collect::<Result<_, _>>()?);
        // What a webhook's receiver cannot tell apart, it must not run: the safe choice.
        key.missing_key = MissingKey::Reject;
        let checked = key.validate();
        checked.map_err(|errors| match errors.into_iter().next() {
            Some(error) => RulesError::Field(error),
            None => RulesError::Locations("the key has none".to_owned()),
        })?;
        let verifier = Verifier::new(spec).map_err(RulesError::Field)?;
        if verifier.fetches() {
            return Err(RulesError::Fetches);
        }
        Ok(Self {
            verifier,
            key,
            event_type: None,
            fingerprint_exclude: Vec::new(),
            preset: None,
            source: source.to_owned(),
            tenant: String::new(),
            consumer: String::new(),
            body_bytes_max: BODY_BYTES_DEFAULT,
            policy: Policy::default(),
        })
    }

    /// The same rules for one of several customers, whose keys never meet.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.tenant);
        self
    }

    /// The same rules for one of several that do different work for one event.
    #[must_use]
    pub fn with_consumer(mut self, consumer: &str) -> Self {
        consumer.clone_into(&mut self.consumer);
        self
    }

    /// The same rules, with another way to answer.
    #[must_use]
    pub const fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same rules for bodies of up to so many bytes.
    #[must_use]
    pub const fn with_body_bytes_max(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }
}

fn location(text: &str) -> Result<Location, RulesError> {
    let parsed = text.parse::<Location>();
    parsed.map_err(|error| RulesError::Locations(format!("{text}: {error}")))
}

fn wild_path(text: &str) -> Result<WildPath, RulesError> {
    let parsed = text.parse::<WildPath>();
    parsed.map_err(|error| RulesError::Locations(format!("{text}: {error}")))
}

/// Makes a service idempotent. One layer per source.
pub struct ReceiverLayer<S> {
    kit: Receiver<S>,
    rules: Arc<Rules>,
}

impl<S> ReceiverLayer<S> {
    /// A layer for what comes in under these rules. A provider's retry and resend windows have to
    /// fit in the time for which events are known, so that it is raised to them.
    pub fn new(mut kit: Receiver<S>, rules: Rules) -> Self {
        let window = rules.preset.map(Preset::default_window_seconds);
        let window = window.and_then(|seconds| u64::try_from(seconds).ok());
        let needed = Duration::from_secs(window.unwrap_or(0));
        kit.settings.retention = kit.settings.retention.max(needed);
        Self {
            kit,
            rules: Arc::new(rules),
        }
    }

    /// How events are run under this layer.
    pub const fn settings(&self) -> &Settings {
        &self.kit.settings
    }
}

impl<S> Clone for ReceiverLayer<S> {
    fn clone(&self) -> Self {
        Self {
            kit: self.kit.clone(),
            rules: Arc::clone(&self.rules),
        }
    }
}

impl<S, I> tower_layer::Layer<I> for ReceiverLayer<S> {
    type Service = ReceiverService<S, I>;

    fn layer(&self, inner: I) -> Self::Service {
        ReceiverService::new(self.clone(), inner)
    }
}
