//! What a client writes about a source, and how it becomes one.

use serde::Deserialize;
use serde_json::Value;

use super::former::rules_of_group;
use super::merge::{self, Shape};
use super::preset::{self, Given};
use super::{
    FieldError, Group, GroupFacts, Making, OnConflict, OnFailedOriginal, SealedVerifier,
    SecretHash, ShadowKey, Source, SourceResponse, Window, check, read, rule_change,
    rules::check_shadow_window, verifier, warnings,
};
use crate::ids::SourceId;
use crate::key::KeyRule;
use crate::limits::{
    BODY_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, EXCLUDE_PATHS_MAX, SOURCE_RESPONSE_BYTES_MAX,
};
use crate::location::{Location, Split, WildPath};
use crate::provider::Preset;
use crate::time::Timestamp;
use crate::token;
use crate::verify::Verifier;

const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "GET", "DELETE"];
const SHAPE: Shape = Shape {
    read_only: &[
        "id",
        "project_id",
        "ingest_url",
        "former_ingest_urls_until",
        "unsigned_locations",
        "former_rules",
        "warnings",
        "created_at",
        "updated_at",
    ],
    whole: &["key", "shadow_key"],
    tagged: &[("verifier", "type")],
};

/// A source as a client writes it. What is left out comes from the provider's preset, else from
/// the general default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceInput {
    /// Required; unique in the project.
    pub name: Option<String>,
    /// The id of a preset.
    pub provider: Option<String>,
    /// `{type, …}`, or `{secret}` beside a provider.
    pub verifier: Option<Value>,
    /// The key rule; without one, and without a provider, the source is unkeyed.
    pub key: Option<KeyRule>,
    /// A key rule that is tried beside it, and never acts.
    pub shadow_key: Option<ShadowKey>,
    /// Seconds, or `"forever"`.
    pub window_seconds: Option<Window>,
    /// Whether every sight of a key starts the window again.
    pub sliding: Option<bool>,
    /// What happens on the same key with another payload.
    pub on_conflict: Option<OnConflict>,
    /// What a duplicate does for an original that could not be delivered.
    pub on_failed_original: Option<OnFailedOriginal>,
    /// Where the event type is.
    pub event_type: Option<Location>,
    /// The array whose elements are messages of their own.
    pub split: Option<Split>,
    /// What fingerprints and content rules leave out.
    pub fingerprint_exclude: Option<Vec<WildPath>>,
    /// The methods that may be used.
    pub methods: Option<Vec<String>>,
    /// What is answered instead of the usual outcome.
    pub response: Option<SourceResponseInput>,
    /// The largest body.
    pub max_body_bytes: Option<usize>,
    /// Whether arrivals are refused with 503 for now; left out, it stays as it is.
    pub paused: Option<bool>,
}

/// A source's own answer as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceResponseInput {
    /// A success status; 200 if left out.
    pub status: Option<u16>,
    /// The body's type.
    pub content_type: Option<String>,
    /// The body; if left out, the usual outcome.
    pub body: Option<String>,
}

/// Which source is saved, and what is there already.
#[derive(Debug, Clone, Copy)]
pub struct SourcePlace<'a> {
    /// The id for a new source.
    pub new_id: SourceId,
    /// The source that is changed.
    pub existing: Option<&'a Source>,
    /// The group that [`SourceInput::group_name`] names; needed if it names one.
    pub group: Option<GroupFacts<'a>>,
}

/// A source that can be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltSource {
    /// The source, its warnings inside.
    pub source: Source,
    /// A group to store with it: founded now, or changed by its only member.
    pub group: Option<Group>,
}

impl SourceInput {
    /// Reads the input from JSON.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        read(value)
    }

    /// What a merge patch (RFC 7396) makes of a source. Secrets that it does not name are kept.
    ///
    /// Fields that are still as the preset gave them follow a change of the provider.
    pub fn patched(existing: &Source, patch: Value) -> Result<Self, Vec<FieldError>> {
        let mut shown = match existing.public("") {
            Value::Object(shown) => shown,
            other => unreachable!("a source is shown as an object, not {other}"),
        };
        // Only the caller knows the URL; one that is sent back is taken for the right one.
        if let Some(url) = patch.get("ingest_url") {
            shown.insert("ingest_url".to_owned(), url.clone());
        }
        let provider = patch.get("provider").map(Value::as_str);
        if provider.is_some_and(|provider| provider != existing.provider.as_deref()) {
            let former = preset::find(existing.provider.as_deref()).ok().flatten();
            Given::by(former).withdraw(&mut shown);
            shown.remove("verifier");
        }
        read(merge::patched(shown, patch, &SHAPE)?)
    }

    /// The group that the source is to be in.
    pub fn group_name(&self) -> Option<&str> {
        self.key.as_ref()?.group.as_deref()
    }

    /// Checks every field and makes the source, or says everything that is wrong.
    pub fn build(
        self,
        place: SourcePlace<'_>,
        making: &mut Making<'_>,
    ) -> Result<BuiltSource, Vec<FieldError>> {
        let mut errors = Vec::new();
        let preset = preset::find(self.provider.as_deref()).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let verifier = verifier::resolve(self.verifier.clone(), preset, place.existing, making);
        let verifier = verifier.map_err(|error| errors.push(error)).ok();
        let name = check::name(self.name.clone(), &mut errors);
        let Some(verifier) = verifier else {
            self.check(preset, &mut errors);
            return Err(errors);
        };
        let mut source = self.assemble(name, preset, &verifier, place, making, &mut errors);
        let (group, overridden) = join_group(&mut source, place.group, making.now);
        if let Some(old) = place.existing {
            rule_change(old, &mut source, making.now).unwrap_or_else(|error| errors.push(error));
        }
        let joins = source.group != place.existing.and_then(|old| old.group);
        if let Some(facts) = place.group.filter(|_| joins) {
            rules_of_group(facts.others, &mut source, making.now)
                .unwrap_or_else(|error| errors.push(error));
        }
        let coverage = verifier.coverage();
        source.unsigned_locations = warnings::unsigned(&source, &coverage);
        source.warnings = warnings::of(&source, preset, &coverage);
        source.warnings.extend(overridden);
        if errors.is_empty() {
            Ok(BuiltSource { source, group })
        } else {
            Err(errors)
        }
    }

    fn assemble(
        self,
        name: String,
        preset: Option<&Preset>,
        verifier: &Verifier,
        place: SourcePlace<'_>,
        making: &mut Making<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Source {
        self.check(preset, errors);
        let given = Given::by(preset);
        let existing = place.existing;
        let id = existing.map_or(place.new_id, |source| source.id);
        let (token_hash, token_sealed) = match existing {
            Some(source) => (source.token_hash, source.token_sealed.clone()),
            None => new_token(id, making),
        };
        Source {
            id,
            project: making.project,
            name,
            verifier: SealedVerifier::seal(verifier, id, making),
            token_hash,
            token_sealed,
            former_tokens: existing.map_or_else(Vec::new, |old| old.former_tokens.clone()),
            key: key_rule(self.key, given.key),
            group: None,
            shadow_key: self.shadow_key,
            window: self.window_seconds.unwrap_or(given.window),
            sliding: self.sliding.unwrap_or(false),
            on_conflict: self.on_conflict.unwrap_or_default(),
            on_failed_original: self.on_failed_original.unwrap_or_default(),
            event_type: self.event_type.or(given.event_type),
            split: self.split.or(given.split),
            fingerprint_exclude: self
                .fingerprint_exclude
                .unwrap_or(given.fingerprint_exclude),
            methods: methods(self.methods, errors),
            response: self.response.map(response).or(given.response),
            max_body_bytes: self.max_body_bytes.unwrap_or(given.max_body_bytes),
            paused: self
                .paused
                .unwrap_or(existing.is_some_and(|source| source.paused)),
            provider: self.provider,
            former_rules: Vec::new(),
            claims_until: Timestamp::default(),
            unsigned_locations: Vec::new(),
            warnings: Vec::new(),
            created_at: existing.map_or(making.now, |source| source.created_at),
            updated_at: making.now,
            deleted_at: None,
        }
    }

    fn check(&self, preset: Option<&Preset>, errors: &mut Vec<FieldError>) {
        let given = Given::by(preset);
        if let Some(key) = key_rule(self.key.clone(), given.key)
            && let Err(found) = key.validate()
        {
            errors.extend(found.into_iter().map(|error| error.under("/key")));
        }
        self.window_seconds.unwrap_or(given.window).check(errors);
        check_shadow(self.shadow_key.as_ref(), errors);
        let bounds = (1, given.max_body_bytes, BODY_BYTES_MAX);
        check::number("/max_body_bytes", self.max_body_bytes, bounds, errors);
        if self
            .fingerprint_exclude
            .as_ref()
            .is_some_and(|paths| paths.len() > EXCLUDE_PATHS_MAX)
        {
            let detail = format!("may have at most {EXCLUDE_PATHS_MAX} paths");
            errors.push(FieldError::new("/fingerprint_exclude", detail));
        }
        if let Some(response) = &self.response {
            check_response(response, errors);
        }
    }
}

/// A rule that names neither locations nor a content takes both from the preset: it only says how
/// the preset's key is used.
fn key_rule(written: Option<KeyRule>, given: Option<KeyRule>) -> Option<KeyRule> {
    let (mut rule, given) = match (written, given) {
        (Some(rule), Some(given)) => (rule, given),
        (rule, given) => return rule.or(given),
    };
    if rule.locations.is_empty() && rule.content.is_none() {
        rule.locations = given.locations;
        rule.mode = given.mode;
    }
    Some(rule)
}

fn new_token(id: SourceId, making: &mut Making<'_>) -> (SecretHash, String) {
    let token = token::generate_token(making.draw());
    let hash = SecretHash(token::token_hash(token.expose()));
    (hash, making.seal(&id.to_string(), &token))
}

fn methods(written: Option<Vec<String>>, errors: &mut Vec<FieldError>) -> Vec<String> {
    let Some(written) = written else {
        return vec![METHODS[0].to_owned()];
    };
    let mut methods: Vec<String> = Vec::new();
    for method in written {
        let method = method.to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            let detail = format!("should be some of {}", METHODS.join(", "));
            errors.push(FieldError::new("/methods", detail));
            return methods;
        }
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.is_empty() {
        errors.push(FieldError::new(
            "/methods",
            "is empty: nothing could arrive; name one",
        ));
    }
    methods
}

fn check_shadow(shadow: Option<&ShadowKey>, errors: &mut Vec<FieldError>) {
    let Some(shadow) = shadow else { return };
    let mut found = shadow.key.validate().err().unwrap_or_default();
    if shadow.key.group.is_some() {
        let detail = "a key in shadow mode is in no group; leave it out";
        found.push(FieldError::new("/group", detail));
    }
    errors.extend(
        found
            .into_iter()
            .map(|error| error.under("/shadow_key/key")),
    );
    let mut found = Vec::new();
    shadow.window_seconds.check(&mut found);
    check_shadow_window(shadow.window_seconds, &mut found);
    errors.extend(found.into_iter().map(|error| error.under("/shadow_key")));
}

fn check_response(response: &SourceResponseInput, errors: &mut Vec<FieldError>) {
    check::number("/response/status", response.status, (200, 200, 299), errors);
    let content_type = response.content_type.as_deref();
    let fits = |text: &str| check::is_header_value(text) && text.len() <= CONTENT_TYPE_BYTES_MAX;
    if !content_type.is_none_or(fits) {
        let detail = "should be a media type, for example text/plain";
        errors.push(FieldError::new("/response/content_type", detail));
    }
    if response
        .body
        .as_ref()
        .is_some_and(|body| body.len() > SOURCE_RESPONSE_BYTES_MAX)
    {
        let detail = format!("may have at most {SOURCE_RESPONSE_BYTES_MAX} bytes");
        errors.push(FieldError::new("/response/body", detail));
    }
}

fn response(written: SourceResponseInput) -> SourceResponse {
    SourceResponse {
        status: written.status.unwrap_or(200),
        content_type: written.content_type,
        body: written.body,
    }
}

fn join_group(
    source: &mut Source,
    facts: Option<GroupFacts<'_>>,
    now: Timestamp,
) -> (Option<Group>, Vec<String>) {
    let Some(name) = source.key.as_ref().and_then(|key| key.group.clone()) else {
        return (None, Vec::new());
    };
    let facts = facts.expect("a caller looks up the group that the input names");
    if let Some(group) = facts.existing.filter(|_| facts.has_other_members()) {
        return (None, group.impose(source));
    }
    let mode = source.key.as_ref().map(|key| key.mode).unwrap_or_default();
    let id = facts.existing.map_or(facts.new_id, |group| group.id);
    let created_at = facts.existing.map_or(now, |group| group.created_at);
    let group = Group {
        created_at,
        ..Group::founded_by(source, &name, mode, id)
    };
    source.group = Some(group.id);
    (
        Some(group).filter(|group| facts.existing != Some(group)),
        Vec::new(),
    )
}
