//! What a person should know about a source's settings that are allowed, and yet may not do what
//! was meant: a window that ends before the provider does (C4), a key that is not signed (K8), a
//! key of times (K12) or of content (K6).

use super::Source;
use crate::provider::Preset;
use crate::verify::Coverage;

/// The locations of the key that a valid signature says nothing about (K8).
pub(super) fn unsigned(source: &Source, coverage: &Coverage) -> Vec<String> {
    let locations = source
        .key
        .iter()
        .flat_map(|key| &key.locations)
        .map(ToString::to_string);
    locations
        .filter(|location| !coverage.covers(location))
        .collect()
}

/// All that is to be said of a source whose fields are set.
pub(super) fn of(source: &Source, preset: Option<&Preset>, coverage: &Coverage) -> Vec<String> {
    let mut warnings = Vec::new();
    if let (Some(preset), Some(seconds)) = (preset, source.window.seconds()) {
        warnings.extend(preset.window_warning(seconds));
    }
    if let (Some(preset), true) = (preset, source.verifier.is_none()) {
        let name = preset.display_name;
        warnings.push(format!(
            "signatures of {name} are not checked: whoever knows the ingest URL can send events, \
             and claim keys before the true events come"
        ));
    }
    let Some(key) = &source.key else {
        return warnings;
    };
    warnings.extend(key.warnings(&[]));
    // Without any signature no location is covered, and that is known already.
    if *coverage != Coverage::Nothing && !key.bind_body && !source.unsigned_locations.is_empty() {
        warnings.push(format!(
            "not signed: {}. Whoever gets hold of one signed request can send it again under \
             another key; \"bind_body\": true makes the body a part of the key",
            source.unsigned_locations.join(", ")
        ));
    }
    if key.content.is_some() {
        warnings.push(
            "the key is made of the body's content: two events that are equal there count as \
             one, and a retry that differs there counts as new"
                .to_owned(),
        );
    }
    warnings
}
