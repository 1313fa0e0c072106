//! A source's key rule: what it says, and what is wrong with it when it is saved.

use crate::field::FieldError;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{EXCLUDE_PATHS_MAX, KEY_LOCATIONS_MAX};
use crate::location::{Location, WildPath};

use super::times::{is_a_time, is_named_like_a_time};

/// Characters of a group's name.
const GROUP_CHARS_MAX: usize = 100;

/// Where requests carry their identity (K1, K2, K5, K6, K8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRule {
    /// The places to look at, in order.
    #[serde(default)]
    pub locations: Vec<Location>,
    /// How the places make up the key.
    #[serde(default)]
    pub mode: Mode,
    /// What follows where the places hold no key.
    #[serde(default)]
    pub missing_key: MissingKey,
    /// Instead of places: the body itself.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "content_or_none"
    )]
    pub content: Option<Content>,
    /// Whether the body's fingerprint is a part of the key.
    #[serde(default)]
    pub bind_body: bool,
    /// The sources that share their keys with this one have the same group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// How the locations of a rule make up the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The value of every location, in order; where one has none, there is no key.
    #[default]
    All,
    /// The first location that has a value.
    First,
}

/// What follows where a request has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingKey {
    /// It is accepted without one, flagged and counted.
    #[default]
    Accept,
    /// Its whole body is the key.
    Content,
    /// It is refused.
    Reject,
}

/// Which part of the body is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it; in JSON `true` or `"whole"`.
    Whole,
    /// Only these parts; in JSON `{"include": [...]}`.
    Include(Vec<WildPath>),
    /// All but these parts; in JSON `{"exclude": [...]}`.
    Exclude(Vec<WildPath>),
}

impl KeyRule {
    /// The rule that reads these locations and has the defaults for everything else.
    pub fn new(locations: Vec<Location>) -> Self {
        Self {
            locations,
            mode: Mode::All,
            missing_key: MissingKey::Accept,
            content: None,
            bind_body: false,
            group: None,
        }
    }

    /// Checks what the types cannot: everything that is wrong is named at once.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        self.check_locations(&mut errors);
        self.check_content(&mut errors);
        self.check_group(&mut errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// Warns of a rule whose every location looks like a time (K12), by its name or by `samples`:
    /// for each of some earlier requests, the text that each location held.
    pub fn warnings(&self, samples: &[Vec<Option<String>>]) -> Vec<String> {
        let looks_like_a_time = |position: usize, location: &Location| {
            let held: Vec<&String> = samples
                .iter()
                .filter_map(|sample| sample.get(position)?.as_ref())
                .collect();
            is_named_like_a_time(location)
                || (!held.is_empty() && held.iter().all(|text| is_a_time(text)))
        };
        let mut locations = self.locations.iter().enumerate();
        if self.locations.is_empty() || !locations.all(|(at, found)| looks_like_a_time(at, found)) {
            return self.sending_time().into_iter().collect();
        }
        let places: Vec<String> = self.locations.iter().map(ToString::to_string).collect();
        vec![format!(
            "the key is only a time ({}): a retry carries a new time and would be taken for a new \
             event, and two events at one time for one; add a location that holds an id",
            places.join(", ")
        )]
    }

    /// A header with a time says when a request was sent, not when an event happened: as one part of
    /// a key it changes with every retry.
    fn sending_time(&self) -> Option<String> {
        let is_header = |it: &&Location| matches!(it, Location::Header(_));
        let mut headers = self.locations.iter().filter(is_header);
        let found = headers.find(|location| is_named_like_a_time(location))?;
        (self.mode == Mode::All).then(|| {
            format!(
                "{found} looks like the time of sending: a retry carries a new one, so that its \
                 key differs and it counts as new; leave it out of the key"
            )
        })
    }

    fn check_locations(&self, errors: &mut Vec<FieldError>) {
        if self.locations.is_empty() && self.content.is_none() {
            errors.push(FieldError::new(
                "/locations",
                "name at least one location, or set content",
            ));
        }
        if !self.locations.is_empty() && self.content.is_some() {
            errors.push(FieldError::new(
                "/content",
                "set either locations or content; to use the content where the locations hold no \
                 key, set missing_key to \"content\"",
            ));
        }
        if self.locations.len() > KEY_LOCATIONS_MAX {
            let detail =
                format!("at most {KEY_LOCATIONS_MAX} locations make up a key; remove some");
            errors.push(FieldError::new("/locations", detail));
        }
        for (at, location) in self.locations.iter().enumerate() {
            if let Some(first) = self.locations[..at]
                .iter()
                .position(|other| other == location)
            {
                let detail = format!("this is location {first} once more; remove one of them");
                errors.push(FieldError::new(format!("/locations/{at}"), detail));
            }
        }
    }

    fn check_content(&self, errors: &mut Vec<FieldError>) {
        let (pointer, paths) = match &self.content {
            None | Some(Content::Whole) => return,
            Some(Content::Include(paths)) => ("/content/include", paths),
            Some(Content::Exclude(paths)) => ("/content/exclude", paths),
        };
        if paths.is_empty() {
            let detail = "name at least one path, or set content to true for the whole body";
            errors.push(FieldError::new(pointer, detail));
        }
        if paths.len() > EXCLUDE_PATHS_MAX {
            let detail = format!("at most {EXCLUDE_PATHS_MAX} paths; remove some or use wildcards");
            errors.push(FieldError::new(pointer, detail));
        }
    }

    fn check_group(&self, errors: &mut Vec<FieldError>) {
        let Some(group) = &self.group else { return };
        let length = group.chars().count();
        if length == 0 || length > GROUP_CHARS_MAX || group.contains(char::is_control) {
            let detail = format!("a group's name is 1 to {GROUP_CHARS_MAX} characters on one line");
            errors.push(FieldError::new("/group", detail));
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole => to.serialize_bool(true),
            Self::Include(paths) => to.collect_map([("include", paths)]),
            Self::Exclude(paths) => to.collect_map([("exclude", paths)]),
        }
    }
}

/// `false` and `null` mean that there is no content rule.
fn content_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Content>, D::Error> {
    from.deserialize_any(ContentVisitor)
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Option<Content>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, {\"include\": [paths]} or {\"exclude\": [paths]}")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: serde::de::Error>(self, whole: bool) -> Result<Self::Value, E> {
        Ok(whole.then_some(Content::Whole))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "whole" => Ok(Some(Content::Whole)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let content = match map.next_key::<Side>()? {
            Some(Side::Include) => Content::Include(map.next_value()?),
            Some(Side::Exclude) => Content::Exclude(map.next_value()?),
            None => return Err(serde::de::Error::invalid_length(0, &self)),
        };
        if map.next_key::<Side>()?.is_some() {
            return Err(serde::de::Error::custom(
                "set either include or exclude, not both",
            ));
        }
        Ok(Some(content))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Include,
    Exclude,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> KeyRule {
        serde_json::from_str(json).expect(json)
    }

    fn refused(json: &str) -> Vec<String> {
        let errors = rule(json).validate().expect_err(json);
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn k1_a_rule_is_stored_in_its_canonical_form() {
        let full = rule(
            r#"{"locations": ["request.header.X-Id", "body.id"], "mode": "first",
                "missing_key": "reject", "bind_body": true, "group": "shop"}"#,
        );
        assert_eq!(
            serde_json::to_string(&full).unwrap(),
            r#"{"locations":["header:x-id","body:$.id"],"mode":"first","missing_key":"reject","bind_body":true,"group":"shop"}"#
        );
        assert_eq!(
            rule(r#"{"locations": ["method"]}"#),
            KeyRule::new(vec![Location::Method])
        );
    }

    #[test]
    fn k6_content_is_written_in_four_ways() {
        for (json, canonical) in [
            ("true", "true"),
            ("\"whole\"", "true"),
            (r#"{"include": ["body:id"]}"#, r#"{"include":["$.id"]}"#),
            (r#"{"exclude": ["$.a.*"]}"#, r#"{"exclude":["$.a[*]"]}"#),
        ] {
            let rule = rule(&format!(r#"{{"content": {json}}}"#));
            assert_eq!(rule.validate(), Ok(()));
            assert_eq!(serde_json::to_string(&rule.content).unwrap(), canonical);
        }
        for none in ["false", "null"] {
            assert_eq!(rule(&format!(r#"{{"content": {none}}}"#)).content, None);
        }
    }

    #[test]
    fn k1_a_mistake_in_a_rule_is_explained() {
        let cases = [
            (
                r#"{"locations": ["body:$.a[]"]}"#,
                "write [*] for every element",
            ),
            (r#"{"locations": [], "windw": 1}"#, "unknown field `windw`"),
            (
                r#"{"content": "part"}"#,
                "expected true, {\"include\": [paths]}",
            ),
            (
                r#"{"content": {}}"#,
                "expected true, {\"include\": [paths]}",
            ),
            (
                r#"{"content": {"include": ["$.a"], "exclude": ["$.b"]}}"#,
                "not both",
            ),
            (
                r#"{"content": {"exclude": ["$"]}}"#,
                "name a part of the body",
            ),
            (
                r#"{"content": {"only": ["$.a"]}}"#,
                "unknown variant `only`",
            ),
            (r#"{"mode": "any"}"#, "expected `all` or `first`"),
        ];
        for (json, explanation) in cases {
            let error = serde_json::from_str::<KeyRule>(json)
                .expect_err(json)
                .to_string();
            assert!(error.contains(explanation), "{error}");
        }
    }

    #[test]
    fn k1_what_the_types_cannot_say_is_checked_when_the_rule_is_saved() {
        assert_eq!(refused("{}"), ["/locations"]);
        assert_eq!(
            refused(r#"{"locations": ["path"], "content": true}"#),
            ["/content"]
        );
        assert_eq!(
            refused(r#"{"locations": ["body:id", "path", "body.id"]}"#),
            ["/locations/2"]
        );
        assert_eq!(
            refused(r#"{"content": {"include": []}}"#),
            ["/content/include"]
        );
        assert_eq!(
            refused(r#"{"locations": ["path"], "group": "a\nb"}"#),
            ["/group"]
        );
        assert_eq!(refused(r#"{"group": ""}"#), ["/locations", "/group"]);
        let many: Vec<String> = (0..=KEY_LOCATIONS_MAX)
            .map(|at| format!("\"query:{at}\""))
            .collect();
        assert_eq!(
            refused(&format!(r#"{{"locations": [{}]}}"#, many.join(","))),
            ["/locations"]
        );
        let many: Vec<String> = (0..=EXCLUDE_PATHS_MAX)
            .map(|at| format!("\"$[{at}]\""))
            .collect();
        let rule = format!(r#"{{"content": {{"exclude": [{}]}}}}"#, many.join(","));
        assert_eq!(refused(&rule), ["/content/exclude"]);
    }

    #[test]
    fn k12_a_key_of_times_alone_is_warned_of() {
        let sample = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect();
        let times = rule(r#"{"locations": ["body:$.created_at", "header:x-timestamp"]}"#);
        assert_eq!(times.warnings(&[]).len(), 1);
        let mixed = rule(r#"{"locations": ["body:$.created_at", "body:$.id"]}"#);
        assert!(mixed.warnings(&[]).is_empty());
        assert!(mixed.warnings(&[sample(&["x", "42"])]).is_empty());
        let by_samples = [sample(&["x", "1700000000"]), vec![None, None], vec![]];
        assert_eq!(mixed.warnings(&by_samples).len(), 1);
        let refuted = [sample(&["x", "1700000000"]), sample(&["x", "evt_1"])];
        assert!(mixed.warnings(&refuted).is_empty());
        assert!(rule(r#"{"content": true}"#).warnings(&[]).is_empty());
    }
}
