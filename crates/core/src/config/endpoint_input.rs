//! What a client writes about an endpoint, and how it becomes one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::endpoint_control::{self, CircuitBreakerInput, RateLimitInput, Written};
use super::merge::{self, Shape};
use super::{
    AuthInput, Endpoint, EndpointControl, EventPattern, FieldError, Making, OnUncertain, Rotation,
    SECRET_OVERLAP_SECONDS, check, endpoint_auth, endpoint_headers, read,
};
use crate::address::check_url;
use crate::ids::EndpointId;
use crate::limits::{
    ENVIRONMENT_CHARS_MAX, TENANT_CHARS_MAX, TIMEOUT_SECONDS_DEFAULT, TIMEOUT_SECONDS_MAX,
    TIMEOUT_SECONDS_MIN,
};
use crate::location::Location;
use crate::outgoing::dropped_reserved;
use crate::retry::RetryPolicy;
use crate::seal::SealingKey;
use crate::secret::Secret;
use crate::signature::SigningSecret;
use crate::time::Millis;

const METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
const SHAPE: Shape = Shape {
    read_only: &[
        "id",
        "project_id",
        "disabled",
        "resumed_at",
        "circuit",
        "health",
        "warnings",
        "created_at",
        "updated_at",
    ],
    whole: &[],
    tagged: &[("auth", "type")],
};

/// An endpoint as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointInput {
    /// Required; unique in the project.
    pub name: Option<String>,
    /// Required: where requests go.
    pub url: Option<String>,
    /// The id of the customer that owns it.
    pub tenant: Option<String>,
    /// Which events a send to a tenant or to all brings here.
    pub event_types: Option<Vec<EventPattern>>,
    /// Custom headers. The value `***`, which `GET` shows for a secret, keeps what is there.
    pub headers: Option<BTreeMap<String, String>>,
    /// Total time of one attempt.
    pub timeout_seconds: Option<u32>,
    /// When a failed attempt is repeated.
    pub retry: Option<RetryPolicy>,
    /// How fast attempts may come.
    pub rate_limit: Option<RateLimitInput>,
    /// What an attempt with an unknown outcome leads to.
    pub on_uncertain: Option<OnUncertain>,
    /// What it is part of.
    pub environment: Option<String>,
    /// The method of an attempt.
    pub method: Option<String>,
    /// Whether the rest of the ingest path and the query go on to the URL.
    pub forward_path: Option<bool>,
    /// How the endpoint lets us in.
    pub auth: Option<AuthInput>,
    /// Where a request says which others it is delivered in order with.
    pub ordered_by: Option<Location>,
    /// Whether deliveries wait; left out, it stays as it is.
    pub paused: Option<bool>,
    /// When its circuit opens.
    pub circuit_breaker: Option<CircuitBreakerInput>,
    /// After so long without a success it is disabled; 0: never.
    pub disable_after_seconds: Option<u32>,
    /// What takes its deliveries while it cannot.
    pub failover_endpoint_id: Option<EndpointId>,
    /// A signing secret of the client's own; left out, one is made. Another one than before
    /// rotates.
    pub secret: Option<Secret>,
}

/// Which endpoint is saved, and what is there already.
#[derive(Debug, Clone, Copy)]
pub struct EndpointPlace<'a> {
    /// The id for a new endpoint.
    pub new_id: EndpointId,
    /// The endpoint that is changed.
    pub existing: Option<&'a Endpoint>,
}

/// An endpoint that can be stored.
#[derive(Debug, Clone)]
pub struct BuiltEndpoint {
    /// The endpoint, its warnings inside.
    pub endpoint: Endpoint,
    /// A secret that was made or taken over now, to be shown this once.
    pub secret: Option<Secret>,
}

impl EndpointInput {
    /// Reads the input from JSON.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        read(value)
    }

    /// What a merge patch (RFC 7396) makes of an endpoint. Its secrets are kept.
    pub fn patched(
        existing: &Endpoint,
        patch: Value,
        sealing_key: &SealingKey,
    ) -> Result<Self, Vec<FieldError>> {
        let mut shown = match existing.public(sealing_key) {
            Value::Object(shown) => shown,
            other => unreachable!("an endpoint is shown as an object, not {other}"),
        };
        if let (Some(Value::Object(retry)), Some(wanted)) =
            (shown.get_mut("retry"), patch.get("retry"))
        {
            forget_other_strategy(retry, wanted);
        }
        read(merge::patched(shown, patch, &SHAPE)?)
    }

    /// Checks every field and makes the endpoint, or says everything that is wrong.
    pub fn build(
        self,
        place: EndpointPlace<'_>,
        making: &mut Making<'_>,
    ) -> Result<BuiltEndpoint, Vec<FieldError>> {
        let mut errors = Vec::new();
        let secret = signing_secret(self.secret.as_ref(), place.existing, making, &mut errors);
        let mut endpoint = self.assemble(place, making, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        if let Some(secret) = &secret {
            let rotation = Rotation {
                secret: secret.clone(),
                overlap: Millis::from_seconds(SECRET_OVERLAP_SECONDS),
            };
            endpoint.rotate_secret(&rotation, making);
        }
        assert!(
            !endpoint.secrets.is_empty(),
            "an endpoint always signs: {}",
            endpoint.id
        );
        Ok(BuiltEndpoint {
            endpoint,
            secret: secret.map(|secret| secret.to_text()),
        })
    }

    fn assemble(
        self,
        place: EndpointPlace<'_>,
        making: &mut Making<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Endpoint {
        let existing = place.existing;
        let id = existing.map_or(place.new_id, |endpoint| endpoint.id);
        let headers: Vec<_> = self.headers.unwrap_or_default().into_iter().collect();
        let event_types = self.event_types.unwrap_or_default();
        let retry = self.retry.unwrap_or_default();
        let warnings = warnings(&headers);
        let known = existing.map_or(&[][..], |endpoint| &endpoint.headers);
        let headers = endpoint_headers::sealed(headers, &id.to_string(), known, making, errors);
        check::patterns(&event_types, errors);
        if let Err(found) = retry.validate() {
            errors.extend(found.into_iter().map(|error| error.under("/retry")));
        }
        let written = Written {
            circuit_breaker: self.circuit_breaker,
            disable_after_seconds: self.disable_after_seconds,
            failover: self.failover_endpoint_id,
        };
        let was_paused = existing.is_some_and(|endpoint| endpoint.paused);
        let paused = self.paused.unwrap_or(was_paused);
        let timeout = (
            TIMEOUT_SECONDS_MIN,
            TIMEOUT_SECONDS_DEFAULT,
            TIMEOUT_SECONDS_MAX,
        );
        let most = ENVIRONMENT_CHARS_MAX;
        let environment = check::label("/environment", self.environment, most, errors);
        let name = check::name(self.name, errors);
        let url = url(self.url, making, errors);
        let auth = self.auth.map(|auth| {
            let before = existing.and_then(|endpoint| endpoint.auth.as_ref());
            let auth = endpoint_auth::sealed(auth, &id.to_string(), before, making, errors);
            endpoint_auth::fits(&auth, &url, &headers, errors);
            auth
        });
        let before = existing.and_then(|endpoint| endpoint.control.resumed_at);
        let resumes = was_paused && !paused;
        Endpoint {
            id,
            project: making.project,
            name,
            url,
            tenant: check::label("/tenant", self.tenant, TENANT_CHARS_MAX, errors),
            event_types,
            warnings,
            headers,
            timeout_seconds: check::number(
                "/timeout_seconds",
                self.timeout_seconds,
                timeout,
                errors,
            ),
            retry,
            rate_limit: endpoint_control::rate_limit(&self.rate_limit.unwrap_or_default(), errors),
            on_uncertain: self.on_uncertain.unwrap_or_default(),
            environment,
            method: method(self.method, errors),
            forward_path: self.forward_path.unwrap_or(false),
            auth,
            ordered_by: self.ordered_by,
            disabled: existing.and_then(|endpoint| endpoint.disabled.clone()),
            paused,
            control: EndpointControl {
                resumed_at: if resumes { Some(making.now) } else { before },
                ..endpoint_control::control(written, errors)
            },
            secrets: existing.map_or_else(Vec::new, |endpoint| endpoint.secrets.clone()),
            created_at: existing.map_or(making.now, |endpoint| endpoint.created_at),
            updated_at: making.now,
            deleted_at: None,
        }
    }
}

/// A policy that changes its strategy leaves the other strategy's numbers behind.
fn forget_other_strategy(retry: &mut Map<String, Value>, wanted: &Value) {
    let changes = |name: &str| {
        wanted
            .get(name)
            .is_some_and(|value| retry.get(name) != Some(value))
    };
    if changes("strategy") {
        retry.remove("base_seconds");
        retry.remove("schedule_seconds");
    }
}

fn signing_secret(
    written: Option<&Secret>,
    existing: Option<&Endpoint>,
    making: &mut Making<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<SigningSecret> {
    let Some(written) = written else {
        return existing
            .is_none()
            .then(|| SigningSecret::generate_hmac(making.draw()));
    };
    let secret = SigningSecret::parse(written.expose());
    let secret = secret.map_err(|error| errors.push(FieldError::new("/secret", error.to_string())));
    let secret = secret.ok()?;
    let live = existing.map(|endpoint| endpoint.signing_secrets(making.sealing_key, making.now));
    let newest = live
        .and_then(Result::ok)
        .and_then(|secrets| secrets.into_iter().next());
    (newest.map(|newest| newest.to_text()) != Some(secret.to_text())).then_some(secret)
}

fn url(written: Option<String>, making: &Making<'_>, errors: &mut Vec<FieldError>) -> String {
    let Some(written) = written else {
        errors.push(FieldError::new(
            "/url",
            "is missing; write it as https://host/path",
        ));
        return String::new();
    };
    match check_url(&written, making.reach) {
        Ok(url) => url.into(),
        Err(refusal) => {
            errors.push(FieldError::new("/url", refusal.to_string()));
            written
        }
    }
}

fn method(written: Option<String>, errors: &mut Vec<FieldError>) -> String {
    let method = written.map_or_else(|| METHODS[0].to_owned(), |text| text.to_ascii_uppercase());
    if !METHODS.contains(&method.as_str()) {
        let detail = format!("should be one of {}", METHODS.join(", "));
        errors.push(FieldError::new("/method", detail));
    }
    method
}

fn warnings(headers: &[(String, String)]) -> Vec<String> {
    let dropped = dropped_reserved(headers);
    let sentence = |name: String| format!("the header {name} is reserved and will not be sent");
    dropped.into_iter().map(sentence).collect()
}
