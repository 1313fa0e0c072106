//! What a provider's preset gives to a source that says nothing else.

use serde_json::{Map, Value, json};

use super::{FieldError, SourceResponse, Window};
use crate::key::KeyRule;
use crate::limits::BODY_BYTES_DEFAULT;
use crate::location::{Location, Split, WildPath};
use crate::provider::{self, Preset};

/// The fields of a source that depend on its provider.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub key: Option<KeyRule>,
    pub event_type: Option<Location>,
    pub split: Option<Split>,
    pub response: Option<SourceResponse>,
    pub fingerprint_exclude: Vec<WildPath>,
    pub window: Window,
    pub max_body_bytes: usize,
}

/// The preset with this id, or an error that names those there are.
pub(super) fn find(id: Option<&str>) -> Result<Option<&'static Preset>, FieldError> {
    let Some(id) = id else { return Ok(None) };
    provider::preset(id).map(Some).ok_or_else(|| {
        let known: Vec<_> = provider::presets().iter().map(|preset| preset.id).collect();
        let detail = format!(
            "is not known; leave it out or use one of: {}",
            known.join(", ")
        );
        FieldError::new("/provider", detail)
    })
}

impl Given {
    /// What a preset gives, or what holds without one: unkeyed, and the usual limits.
    pub fn by(preset: Option<&Preset>) -> Self {
        let Some(preset) = preset else {
            return Self {
                key: None,
                event_type: None,
                split: None,
                response: None,
                fingerprint_exclude: Vec::new(),
                window: Window::default(),
                max_body_bytes: BODY_BYTES_DEFAULT,
            };
        };
        let key = if preset.key_locations.is_empty() {
            json!({"content": true})
        } else {
            let (locations, mode) = (preset.key_locations, preset.key_mode);
            json!({"locations": locations, "mode": mode, "bind_body": preset.bind_body})
        };
        let row = "every row of the preset table is read by a test";
        Self {
            key: Some(serde_json::from_value(key).expect(row)),
            event_type: preset
                .event_type
                .map(|location| location.parse().expect(row)),
            split: preset.split.map(|path| path.parse().expect(row)),
            response: preset.answer.map(|(content_type, body)| SourceResponse {
                status: preset.success_status,
                content_type: Some(content_type.to_owned()),
                body: Some(body.to_owned()),
            }),
            fingerprint_exclude: preset
                .fingerprint_exclude
                .iter()
                .map(|path| path.parse().expect(row))
                .collect(),
            window: Window::Seconds(preset.default_window_seconds()),
            max_body_bytes: preset.max_body_bytes.unwrap_or(BODY_BYTES_DEFAULT),
        }
    }

    /// Takes from what a source shows the fields that still are as its preset gave them, so that
    /// another preset may give its own.
    pub fn withdraw(&self, shown: &mut Map<String, Value>) {
        let given = json!({
            "key": self.key,
            "event_type": self.event_type,
            "split": self.split,
            "response": self.response,
            "fingerprint_exclude": self.fingerprint_exclude,
            "window_seconds": self.window,
            "max_body_bytes": self.max_body_bytes,
        });
        shown.retain(|name, value| given.get(name) != Some(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_preset_table_is_read() {
        for preset in provider::presets() {
            let given = Given::by(Some(preset));
            let rule = given.key.expect("a preset has a key");
            assert!(rule.validate().is_ok(), "{}", preset.id);
            let shown: Vec<_> = rule.locations.iter().map(ToString::to_string).collect();
            assert_eq!(shown, preset.key_locations, "{}", preset.id);
        }
    }

    #[test]
    fn an_unknown_provider_is_answered_with_the_known_ones() {
        let error = find(Some("strype")).unwrap_err();
        assert!(
            error.detail.contains("stripe") && error.pointer == "/provider",
            "{error}"
        );
    }
}
