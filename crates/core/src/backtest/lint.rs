//! What speaks against a rule, by what it says and by what it found.

use std::collections::HashSet;

use super::Report;
use crate::key::{KeyRule, unsigned_locations};
use crate::provider::Preset;
use crate::verify::Coverage;
use crate::window::Window;

/// Fewer samples than this say nothing about values.
const SAMPLES_MIN: usize = 20;
/// A larger share of suppressed events with another payload is more than a provider's slips.
const DIFFERING_PERCENT: u64 = 5;

/// What the linter looks at.
#[derive(Debug, Clone, Copy)]
pub struct Linted<'a> {
    /// The rule.
    pub rule: &'a KeyRule,
    /// For how long a key is protected.
    pub window: Window,
    /// What the source's verifier vouches for; none where no source is concerned.
    pub coverage: Option<&'a Coverage>,
    /// The source's provider.
    pub preset: Option<&'a Preset>,
    /// What each location held in some requests.
    pub held: &'a [Vec<Option<String>>],
    /// What was counted.
    pub report: &'a Report,
}

/// All that is to be said.
pub fn lint(linted: &Linted<'_>) -> Vec<String> {
    let mut warnings = linted.rule.warnings(linted.held);
    if let (Some(preset), Some(seconds)) = (linted.preset, linted.window.seconds()) {
        warnings.extend(preset.window_warning(seconds));
    }
    warnings.extend(linted.coverage.and_then(|it| unsigned(linted.rule, it)));
    warnings.extend(constant(linted));
    warnings.extend(differing(linted.report));
    warnings.extend(uncovered(linted.report));
    warnings
}

fn unsigned(rule: &KeyRule, coverage: &Coverage) -> Option<String> {
    let unsigned = unsigned_locations(rule, coverage);
    // Without any signature no location is covered, and the source says so.
    if unsigned.is_empty() || rule.bind_body || *coverage == Coverage::Nothing {
        return None;
    }
    Some(format!(
        "not signed: {}. Whoever gets hold of one signed request can send it again under another \
         key; \"bind_body\": true makes the body a part of the key",
        unsigned.join(", ")
    ))
}

/// A key that never changes suppresses everything after the first.
fn constant(linted: &Linted<'_>) -> Option<String> {
    let keys: HashSet<&Vec<Option<String>>> = linted.held.iter().collect();
    let many = linted.held.len();
    let located = !linted.rule.locations.is_empty();
    let held = linted.held.iter().flatten().any(Option::is_some);
    (located && held && many >= SAMPLES_MIN && keys.len() == 1).then(|| {
        format!(
            "the key was the same in all of {many} requests: it does not tell events apart, and \
             everything after the first would be suppressed"
        )
    })
}

/// The same key with other payloads: it names a thing, not what happened to it.
fn differing(report: &Report) -> Option<String> {
    let (differs, all) = (report.payload_differs, report.would_be_suppressed);
    (differs > 0 && differs * 100 >= all * DIFFERING_PERCENT).then(|| {
        format!(
            "{differs} of {all} suppressed events carry another payload than the first under \
             their key: it may name a thing and not an event; add a location that tells them \
             apart, or leave out by fingerprint_exclude what only differs between retries"
        )
    })
}

fn uncovered(report: &Report) -> Option<String> {
    let asked = report.events - report.filtered;
    (report.without_key > 0).then(|| {
        format!(
            "{} of {asked} events have no key and would be taken in without one; missing_key says \
             what happens to them",
            report.without_key
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(locations: &[&str], held: &[&[&str]], report: &Report) -> Vec<String> {
        let locations = locations.iter().map(|text| text.parse().unwrap()).collect();
        let texts = |row: &&[&str]| row.iter().map(|it| Some((*it).to_owned())).collect();
        let held: Vec<Vec<Option<String>>> = held.iter().map(texts).collect();
        lint(&Linted {
            rule: &KeyRule::new(locations),
            window: Window::Seconds(60),
            coverage: Some(&Coverage::Body),
            preset: None,
            held: &held,
            report,
        })
    }

    #[test]
    fn k12_samples_show_a_key_of_times() {
        let held: &[&[&str]] = &[&["1700000000"], &["1700000007"]];
        let found = warnings(&["body:$.stamp"], held, &Report::default());
        assert!(found[0].contains("only a time"), "{found:?}");
        let held: &[&[&str]] = &[&["evt_1"], &["evt_2"]];
        assert!(warnings(&["body:$.stamp"], held, &Report::default()).is_empty());
    }

    #[test]
    fn k8_a_location_outside_the_signature_is_named() {
        let found = warnings(&["header:x-id"], &[], &Report::default());
        assert!(found[0].starts_with("not signed: header:x-id"), "{found:?}");
    }

    #[test]
    fn a_key_that_never_changes_is_found() {
        let held = vec![&["same"][..]; SAMPLES_MIN];
        let found = warnings(&["body:$.account"], &held, &Report::default());
        assert!(found[0].contains("the same in all of 20"), "{found:?}");
        assert!(warnings(&["body:$.account"], &held[1..], &Report::default()).is_empty());
    }

    #[test]
    fn other_payloads_and_missing_keys_are_told_with_their_numbers() {
        let report = Report {
            events: 100,
            without_key: 3,
            would_be_suppressed: 40,
            payload_differs: 2,
            ..Report::default()
        };
        let found = warnings(&["body:$.id"], &[], &report);
        assert!(found[0].starts_with("2 of 40 suppressed"), "{found:?}");
        assert!(found[1].starts_with("3 of 100 events"), "{found:?}");
        let few = Report {
            payload_differs: 1,
            without_key: 0,
            ..report
        };
        assert!(warnings(&["body:$.id"], &[], &few).is_empty());
    }
}
