//! What is known of each provider: where its event ids are, how it signs, how long it retries. A
//! source that names a provider needs nothing but the secret.
//!
//! A row is a claim about somebody else's system, so each group of cells says what it was checked
//! against. What nobody has checked stays empty: a guess that ships as a default loses events.

mod handshake;
mod table;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::limits::{WINDOW_SECONDS_DEFAULT, WINDOW_SECONDS_MAX};
use crate::verify::{Algorithm, Coverage, Encoding, FieldError, Scheme, VerifierSpec};

pub use handshake::{Answer, Handshake};

const DAY: i64 = 86_400;

/// What the default window adds to a provider's own windows, for clocks and queues.
pub const WINDOW_MARGIN_SECONDS: i64 = DAY;

/// One provider.
#[derive(Debug, Clone, Serialize)]
pub struct Preset {
    /// What a source's `provider` says.
    pub id: &'static str,
    /// The provider's name as it writes it.
    pub display_name: &'static str,
    /// Which of the provider's secrets the verifier needs.
    pub secret: &'static str,
    /// Where the key is (K1); without a location the body itself is the key (K6).
    pub key_locations: &'static [&'static str],
    /// How the locations make a key (K2).
    pub key_mode: KeyMode,
    /// Whether the body's fingerprint is a part of the key, where the locations alone name too
    /// many events.
    pub bind_body: bool,
    /// Where the type of the event is.
    pub event_type: Option<&'static str>,
    /// The array whose elements are events of their own (K10). Locations look into an element.
    pub split: Option<&'static str>,
    /// Paths that differ between tries of one event (K11).
    pub fingerprint_exclude: &'static [&'static str],
    /// How the provider signs.
    pub verifier: Recipe,
    /// How the provider asks whether somebody wants its events.
    pub handshake: Option<Handshake>,
    /// Content type and body of an answer, where the usual one would be misread.
    pub answer: Option<(&'static str, &'static str)>,
    /// Headers that only a retry by the provider has (D3).
    pub retry_headers: &'static [&'static str],
    /// Headers that only a resend by a person has (D3).
    pub resend_headers: &'static [&'static str],
    /// When the provider tries again, where it says so.
    pub retry_schedule: &'static [RetryAt],
    /// From the first try to the last that the provider makes by itself; none if unknown.
    pub automatic_retry_window_seconds: Option<i64>,
    /// How long after the event a person can have it sent again; none if unknown.
    pub manual_resend_window_seconds: Option<i64>,
    /// How long the provider waits for an answer; none if unknown.
    pub timeout_seconds: Option<u32>,
    /// The largest body that the provider sends, where the usual limit is too small.
    pub max_body_bytes: Option<usize>,
    /// The status that the provider takes for success.
    pub success_status: u16,
    /// What else one has to know.
    pub notes: &'static str,
    /// What the cells were checked against.
    pub checked: Checked,
}

/// How the locations of a rule make a key (K2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyMode {
    /// Every location's value, in order.
    All,
    /// The first location that has a value.
    First,
}

/// One try of a provider's schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryAt {
    /// After the first try.
    pub offset_seconds: i64,
    /// How far from that it may come.
    pub tolerance_seconds: i64,
}

/// How a provider signs: all of a verifier but its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Recipe {
    /// An HMAC of the body in a header.
    Hmac {
        /// The header.
        header: &'static str,
        /// The hash.
        algorithm: Algorithm,
        /// How the signature is written.
        encoding: Encoding,
        /// What stands before the signature.
        prefix: &'static str,
    },
    /// Standard Webhooks.
    StandardWebhooks,
    /// Stripe's own scheme.
    Stripe,
    /// PayPal's, by a certificate that has to be fetched.
    Paypal,
    /// Amazon SNS's, by a certificate that has to be fetched.
    AwsSns,
    /// A scheme of its own.
    #[serde(untagged)]
    Scheme {
        /// Which.
        #[serde(rename = "type")]
        scheme: Scheme,
    },
}

/// What each group of cells was checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Locations and mode of the key.
    pub key: Evidence,
    /// The location of the event type.
    pub event_type: Evidence,
    /// The verifier.
    pub signature: Evidence,
    /// The windows and the schedule.
    pub retry: Evidence,
    /// The timeout, if there is one.
    pub timeout: Option<Evidence>,
    /// What differs between tries, if anything does.
    pub volatile: Option<Evidence>,
    /// The handshake, if there is one.
    pub handshake: Option<Evidence>,
}

/// Where a claim comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// How good the source is.
    pub confidence: Confidence,
    /// The source.
    pub checked_against: &'static str,
}

/// How good a source is. Memory is none, so there is no word for it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The provider's own documentation was read.
    VerifiedInDocs,
    /// The code of a library, or a text that quotes the documentation.
    FromLibraryCode,
    /// Nobody could check it, and nothing is claimed: the cell is empty.
    Unchecked,
}

/// Every provider, by id.
pub fn presets() -> &'static [Preset] {
    table::PRESETS
}

/// The provider with this id.
pub fn preset(id: &str) -> Option<&'static Preset> {
    table::PRESETS.iter().find(|preset| preset.id == id)
}

/// Reads a source's `verifier` beside its `provider`, which gives all but the secret. A verifier
/// with a type of its own stands for itself; the id of a provider serves as a type as well.
pub fn verifier_spec(
    provider: Option<&Preset>,
    verifier: Option<Value>,
) -> Result<VerifierSpec, FieldError> {
    let mut fields = match (provider, verifier) {
        (None, None) => return Ok(VerifierSpec::None {}),
        (Some(preset), None) => return Err(preset.secret_missing()),
        (_, Some(Value::Object(fields))) => fields,
        (_, Some(other)) => return VerifierSpec::from_json(other),
    };
    let named = match fields.get("type") {
        None => provider,
        Some(kind) => kind.as_str().and_then(preset),
    };
    if let Some(preset) = named {
        match preset.verifier.identifier() {
            Some(name) => preset.name_identifier(&mut fields, name)?,
            None if fields.contains_key("secret") || fields.contains_key("secrets") => {}
            None => return Err(preset.secret_missing()),
        }
        let Value::Object(recipe) = json!(preset.verifier) else {
            unreachable!("a recipe serialises to an object");
        };
        fields.remove("type");
        for (name, value) in recipe {
            fields.entry(name).or_insert(value);
        }
    }
    VerifierSpec::from_json(Value::Object(fields))
}

impl Recipe {
    /// What a signature of this kind covers (K8). GitLab's depends on the secret: this is what a
    /// signing token covers, for its secret token covers nothing.
    pub fn coverage(&self) -> Coverage {
        match self {
            Self::Hmac { .. } | Self::Stripe | Self::Paypal => Coverage::Body,
            Self::AwsSns => Coverage::sns(),
            Self::StandardWebhooks => Coverage::standard_webhooks(),
            Self::Scheme { scheme } => scheme.coverage(),
        }
    }
}

impl Recipe {
    /// Whether a certificate has to be fetched to check a signature.
    pub fn fetches(&self) -> bool {
        self.identifier().is_some()
    }

    /// The field in which a verifier says what it takes, where there is no secret but a public key.
    fn identifier(&self) -> Option<&'static str> {
        match self {
            Self::Paypal => Some("webhook_id"),
            Self::AwsSns => Some("topic_arn"),
            Self::Hmac { .. } | Self::StandardWebhooks | Self::Stripe | Self::Scheme { .. } => None,
        }
    }
}

impl Preset {
    /// How long after its first try an event can still come again, as far as is known.
    pub fn window_floor_seconds(&self) -> i64 {
        // The sum, because a person may press the button at the end of the one, which starts the
        // other.
        self.automatic_retry_window_seconds.unwrap_or(0)
            + self.manual_resend_window_seconds.unwrap_or(0)
    }

    /// The window of a source that says nothing else (C4).
    pub fn default_window_seconds(&self) -> i64 {
        let needed = self.window_floor_seconds() + WINDOW_MARGIN_SECONDS;
        needed.clamp(WINDOW_SECONDS_DEFAULT, WINDOW_SECONDS_MAX)
    }

    /// What to say of a window that ends before the provider does (C4).
    pub fn window_warning(&self, window_seconds: i64) -> Option<String> {
        let floor = self.window_floor_seconds();
        if window_seconds >= floor {
            return None;
        }
        let name = self.display_name;
        let automatic = self
            .automatic_retry_window_seconds
            .map(|seconds| format!("retries by itself for {}", length(seconds)));
        let manual = self
            .manual_resend_window_seconds
            .map(|seconds| format!("lets a person resend for {}", length(seconds)));
        let windows: Vec<_> = automatic.into_iter().chain(manual).collect();
        Some(format!(
            "the window is {}, but {name} {}: the same event can come again for {}, and counts \
             as new once the window has ended",
            length(window_seconds),
            windows.join(" and "),
            length(floor),
        ))
    }

    /// Takes an identifier that was given as the secret, as with every other provider, under its
    /// own name.
    fn name_identifier(
        &self,
        fields: &mut Map<String, Value>,
        name: &'static str,
    ) -> Result<(), FieldError> {
        if let Some(given) = fields.remove("secret") {
            // What a patch brings stands beside what is known.
            fields.insert(name.to_owned(), given);
        }
        if fields.get(name).is_some_and(Value::is_string) {
            return Ok(());
        }
        let detail = format!("is missing: give {}", self.secret);
        Err(FieldError::new(format!("/verifier/{name}"), detail))
    }

    fn secret_missing(&self) -> FieldError {
        let detail = format!(
            "is missing: copy the webhook secret from {}, or set \"type\": \"none\" to let \
             everything in",
            self.display_name,
        );
        FieldError::new("/verifier/secret", detail)
    }
}

/// A span in seconds, and in days or hours where that is a whole number.
fn length(seconds: i64) -> String {
    match (seconds % DAY, seconds % 3_600) {
        (0, _) if seconds > 0 => format!("{seconds} s ({} d)", seconds / DAY),
        (_, 0) if seconds > 0 => format!("{seconds} s ({} h)", seconds / 3_600),
        _ => format!("{seconds} s"),
    }
}
