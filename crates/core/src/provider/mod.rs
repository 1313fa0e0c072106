//! What is known of each provider: where its event ids are, how it signs, how long it retries. A
//! source that names a provider needs nothing but the secret.
//!
//! A row is a claim about somebody else's system, so each group of cells says what it was checked
//! against. What nobody has checked stays empty: a guess that ships as a default loses events.

mod table;

use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::{WINDOW_SECONDS_DEFAULT, WINDOW_SECONDS_MAX};
use crate::verify::{Algorithm, Encoding, FieldError, VerifierSpec};

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
    /// Where the key is (K1).
    pub key_locations: &'static [&'static str],
    /// How the locations make a key (K2).
    pub key_mode: KeyMode,
    /// Where the type of the event is.
    pub event_type: Option<&'static str>,
    /// Paths that differ between tries of one event (K11).
    pub fingerprint_exclude: &'static [&'static str],
    /// How the provider signs.
    pub verifier: Recipe,
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
        if !fields.contains_key("secret") && !fields.contains_key("secrets") {
            return Err(preset.secret_missing());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Verifier;

    fn stripe() -> &'static Preset {
        preset("stripe").unwrap()
    }

    #[test]
    fn every_row_can_be_used_as_it_stands() {
        for preset in presets() {
            assert!(super::preset(preset.id).is_some_and(|found| found.id == preset.id));
            assert!(!preset.key_locations.is_empty(), "{}", preset.id);
            let locations = preset.key_locations.iter().chain(&preset.event_type);
            for location in locations {
                let (place, name) = location.split_once(':').unwrap();
                let known = match place {
                    "header" => !name.is_empty() && name.to_lowercase() == name,
                    "body" => name.starts_with("$."),
                    _ => false,
                };
                assert!(known, "{}: {location}", preset.id);
            }
            assert!(
                preset
                    .window_warning(preset.default_window_seconds())
                    .is_none()
            );
            assert_eq!(
                preset.timeout_seconds.is_some(),
                preset.checked.timeout.is_some()
            );
        }
        assert!(preset("nobody").is_none());
    }

    #[test]
    fn k7_a_provider_needs_nothing_but_the_secret() {
        for preset in presets() {
            let secret = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
            let spec = verifier_spec(Some(preset), Some(secret.clone())).unwrap();
            Verifier::new(spec.clone()).unwrap();

            let mut named = secret;
            named["type"] = json!(preset.id);
            assert_eq!(
                verifier_spec(None, Some(named)).as_ref(),
                Ok(&spec),
                "{}",
                preset.id
            );
        }
    }

    #[test]
    fn k7_a_provider_without_a_secret_is_a_mistake_and_says_so() {
        for verifier in [None, Some(json!({})), Some(json!({"type": "stripe"}))] {
            let error = verifier_spec(Some(stripe()), verifier).unwrap_err();
            assert_eq!(error.pointer, "/verifier/secret");
            assert!(error.detail.contains("Stripe"), "{}", error.detail);
        }
        let open = verifier_spec(Some(stripe()), Some(json!({"type": "none"})));
        assert_eq!(open, Ok(VerifierSpec::None {}));
        assert_eq!(verifier_spec(None, None), Ok(VerifierSpec::None {}));
    }

    #[test]
    fn a_verifier_with_a_type_of_its_own_stands_for_itself() {
        let basic = json!({"type": "basic", "username": "u", "password": "p"});
        let spec = verifier_spec(Some(stripe()), Some(basic)).unwrap();
        assert!(matches!(spec, VerifierSpec::Basic { .. }), "{spec:?}");
    }

    #[test]
    fn c4_the_default_window_outlives_the_provider() {
        let window = |id| preset(id).unwrap().default_window_seconds();
        assert_eq!(window("stripe"), (3 + 30 + 1) * DAY);
        assert_eq!(window("github"), 7 * DAY);
        assert_eq!(window("shopify"), 7 * DAY);
        assert_eq!(window("standard_webhooks"), 7 * DAY);
    }

    #[test]
    fn c4_a_window_that_is_too_short_is_warned_about_with_both_numbers() {
        let warning = stripe().window_warning(DAY).unwrap();
        for number in [
            "86400 s (1 d)",
            "259200 s (3 d)",
            "2592000 s (30 d)",
            "2851200 s (33 d)",
        ] {
            assert!(warning.contains(number), "{warning}");
        }
        let warning = preset("shopify").unwrap().window_warning(90).unwrap();
        assert!(
            warning.contains("90 s") && warning.contains("14400 s (4 h)"),
            "{warning}"
        );

        assert_eq!(stripe().window_warning(33 * DAY), None);
        assert_eq!(stripe().window_warning(i64::MAX), None);
        assert_eq!(preset("standard_webhooks").unwrap().window_warning(1), None);
    }

    #[test]
    fn a_preset_is_shown_with_what_it_was_checked_against() {
        let shown = json!(preset("github").unwrap());
        assert_eq!(shown["key_mode"], "all");
        assert_eq!(shown["verifier"]["prefix"], "sha256=");
        assert_eq!(
            shown["checked"]["signature"]["confidence"],
            "from_library_code"
        );
    }
}
