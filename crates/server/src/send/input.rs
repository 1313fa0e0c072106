//! Reads a call of the send API.
//!
//! Field by field, so that each mistake is named with its place, and so that the payload stays the
//! text that the caller wrote: a number that no float can hold must arrive as it is.

use std::collections::BTreeMap;

use hooklatch_core::admission::OnFailedOriginal;
use hooklatch_core::limits::{
    CUSTOM_HEADERS_MAX, EVENT_TYPE_CHARS_MAX, HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX,
    TENANT_CHARS_MAX,
};
use hooklatch_core::outgoing::check_key;
use hooklatch_core::retention::RETENTION_SECONDS_MAX;
use hooklatch_core::secret::Secret;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Millis;
use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::json::unreadable;
use crate::problem::{FieldProblem, Problem};

/// The longest delay of a send: 30 days.
const DELAY_SECONDS_MAX: i64 = 30 * 86_400;

/// A call as the caller wrote it, each field checked for itself.
#[derive(Debug, Clone)]
pub(super) struct SendInput {
    pub(super) target: TargetInput,
    pub(super) key: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) payload: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) delay: Millis,
    pub(super) payload_kept: Option<Millis>,
    pub(super) on_failed_original: OnFailedOriginal,
    pub(super) secret: Option<Secret>,
}

/// For whom it is, as the caller wrote it.
#[derive(Debug, Clone)]
pub(super) enum TargetInput {
    Endpoint(String),
    Url(String),
    Tenant(String),
    Broadcast,
}

/// The members of an object of the API, unread.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

const KNOWN: [&str; 12] = [
    "endpoint_id",
    "url",
    "tenant",
    "broadcast",
    "event_type",
    "payload",
    "idempotency_key",
    "headers",
    "delay_seconds",
    "retention_seconds",
    "secret",
    "on_failed_original",
];

impl SendInput {
    /// Reads the text of one call.
    pub(super) fn read(text: &[u8]) -> Result<Self, Problem> {
        let fields: Fields<'_> = serde_json::from_slice(text).map_err(|error| {
            if error.is_data() {
                Problem::field("", "should be a JSON object")
            } else {
                unreadable(&error)
            }
        })?;
        let mut reader = Reader {
            fields,
            errors: Vec::new(),
        };
        reader.refuse_unknown();
        let target = reader.target()?;
        let key = reader.key()?;
        let input = Self {
            target,
            key,
            event_type: reader.event_type(),
            payload: reader.payload(),
            headers: reader.headers(),
            delay: reader.delay(),
            payload_kept: reader.payload_kept(),
            on_failed_original: reader
                .optional("on_failed_original")
                .unwrap_or(OnFailedOriginal::Suppress),
            secret: reader.secret(),
        };
        reader.check_tenant(&input.target);
        if reader.errors.is_empty() {
            Ok(input)
        } else {
            Err(Problem::fields(reader.errors))
        }
    }
}

/// What is to be said of each member that is not among `known`: a misspelt one would else be ignored.
pub(super) fn unknown_among<'a>(
    fields: &'a Fields<'_>,
    known: &'a [&str],
) -> impl Iterator<Item = FieldProblem> + 'a {
    let unknown = fields.keys().filter(|name| !known.contains(&name.as_str()));
    unknown.map(|name| FieldProblem {
        pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        detail: format!("is not known; known: {}", known.join(", ")),
    })
}

struct Reader<'a> {
    fields: Fields<'a>,
    errors: Vec<FieldProblem>,
}

impl Reader<'_> {
    fn fail(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldProblem {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    fn refuse_unknown(&mut self) {
        self.errors.extend(unknown_among(&self.fields, &KNOWN));
    }

    /// A field; none where it is missing, null or of another type, which is noted.
    fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let raw = self.fields.get(name)?;
        match serde_json::from_str::<Option<T>>(raw.get()) {
            Ok(value) => value,
            Err(error) => {
                let detail = error.to_string();
                let place = detail.rfind(" at line").unwrap_or(detail.len());
                self.fail(format!("/{name}"), detail[..place].to_owned());
                None
            }
        }
    }

    fn target(&mut self) -> Result<TargetInput, Problem> {
        let targets = [
            self.optional("endpoint_id").map(TargetInput::Endpoint),
            self.optional("url").map(TargetInput::Url),
            self.optional("tenant").map(TargetInput::Tenant),
            self.optional("broadcast")
                .filter(|all| *all)
                .map(|_| TargetInput::Broadcast),
        ];
        let mut given = targets.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(target), None) => Ok(target),
            (None, _) if !self.errors.is_empty() => {
                Err(Problem::fields(std::mem::take(&mut self.errors)))
            }
            (None, _) => Err(Problem::malformed(
                "the target is missing: give one of endpoint_id, url, tenant, or broadcast: true",
            )),
            (Some(_), Some(_)) => Err(Problem::malformed(
                "several targets are given: give one of endpoint_id, url, tenant, broadcast",
            )),
        }
    }

    fn key(&mut self) -> Result<Option<String>, Problem> {
        let Some(raw) = self.fields.get("idempotency_key") else {
            return Ok(None);
        };
        let text: Option<String> = serde_json::from_str(raw.get()).map_err(|_| {
            Problem::malformed("idempotency_key should be a text of 1 to 255 visible characters")
        })?;
        if let Some(text) = &text {
            check_key(text).map_err(|refusal| Problem::malformed(refusal.to_string()))?;
        }
        Ok(text)
    }

    fn payload(&mut self) -> String {
        match self.fields.get("payload") {
            Some(raw) => raw.get().to_owned(),
            None => {
                self.fail("/payload", "is missing; give any JSON value");
                String::new()
            }
        }
    }

    fn event_type(&mut self) -> Option<String> {
        let text: String = self.optional("event_type")?;
        let spaced = text.contains(|c: char| c.is_whitespace() || c.is_control());
        if text.is_empty() || text.chars().count() > EVENT_TYPE_CHARS_MAX || spaced {
            let detail = format!("should have 1 to {EVENT_TYPE_CHARS_MAX} characters, no spaces");
            self.fail("/event_type", detail);
        }
        Some(text)
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let headers: BTreeMap<String, String> = self.optional("headers").unwrap_or_default();
        if headers.len() > CUSTOM_HEADERS_MAX {
            self.fail(
                "/headers",
                format!("may have at most {CUSTOM_HEADERS_MAX} headers"),
            );
        }
        for (name, value) in &headers {
            let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            let named = HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !named || name.len() > HEADER_NAME_BYTES_MAX {
                self.fail(
                    pointer,
                    "should be the name of a header, for example x-team",
                );
            } else if !can_be_sent(value) {
                let detail = format!("should be 1 to {HEADER_VALUE_BYTES_MAX} visible characters");
                self.fail(pointer, detail);
            }
        }
        headers.into_iter().collect()
    }

    fn delay(&mut self) -> Millis {
        let seconds: i64 = self.optional("delay_seconds").unwrap_or(0);
        if !(0..=DELAY_SECONDS_MAX).contains(&seconds) {
            self.fail(
                "/delay_seconds",
                format!("should be from 0 to {DELAY_SECONDS_MAX}"),
            );
        }
        Millis::from_seconds(seconds)
    }

    fn payload_kept(&mut self) -> Option<Millis> {
        let seconds: i64 = self.optional("retention_seconds")?;
        if !(1..=RETENTION_SECONDS_MAX).contains(&seconds) {
            let detail = format!("should be from 1 to {RETENTION_SECONDS_MAX}");
            self.fail("/retention_seconds", detail);
        }
        Some(Millis::from_seconds(seconds))
    }

    fn secret(&mut self) -> Option<Secret> {
        let secret: Secret = self.optional("secret")?;
        if let Err(error) = SigningSecret::parse(secret.expose()) {
            self.fail("/secret", error.to_string());
        }
        if !self.fields.contains_key("url") {
            self.fail(
                "/secret",
                "goes with url only: an endpoint has secrets of its own",
            );
        }
        Some(secret)
    }

    fn check_tenant(&mut self, target: &TargetInput) {
        let TargetInput::Tenant(tenant) = target else {
            return;
        };
        let length = tenant.chars().count();
        if length == 0 || length > TENANT_CHARS_MAX || tenant.contains(char::is_control) {
            self.fail(
                "/tenant",
                format!("should have 1 to {TENANT_CHARS_MAX} characters"),
            );
        }
    }
}

fn can_be_sent(value: &str) -> bool {
    let fits = !value.is_empty() && value.len() <= HEADER_VALUE_BYTES_MAX;
    fits && value.trim() == value && HeaderValue::from_str(value).is_ok() && value.is_ascii()
}
