//! Paths into JSON: the singular ones of RFC 9535, and the same with wildcards for the parts that
//! fingerprints and content rules pick or leave out.

use std::fmt;
use std::str::FromStr;

use crate::json::{Element, NodeId, Value};
use crate::limits::LOCATION_BYTES_MAX;

use super::read::read_steps;
use super::{Found, LocationError, LocationProblem};

/// A path to at most one value: names and indexes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(Vec<Segment>);

/// A path to any number of values inside the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WildPath(Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The member of this name.
    Name(String),
    /// The element at this index, from the end where negative.
    Index(i64),
}

/// One step of a path with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// One member or element.
    One(Segment),
    /// Every member of an object, or every element of an array.
    Every,
}

impl Path {
    /// The steps from the outermost value.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The value at this path.
    pub fn find<'d>(&self, root: Element<'d>) -> Option<Element<'d>> {
        let mut element = root;
        for segment in &self.0 {
            element = segment.step_from(element)?;
        }
        Some(element)
    }

    /// The one name that the path consists of, as the name of a form's field.
    pub fn field(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Segment::Name(name)] => Some(name),
            _ => None,
        }
    }

    pub(super) fn read(text: &str, offset: usize) -> Found<Self> {
        let mut segments = Vec::new();
        for (at, step) in read_steps(text, offset)? {
            match step {
                Step::One(segment) => segments.push(segment),
                Step::Every => return Err((at, LocationProblem::Wildcard)),
            }
        }
        Ok(Self(segments))
    }
}

impl WildPath {
    /// Adds every value that the path picks.
    pub fn select(&self, root: Element<'_>, picked: &mut Vec<NodeId>) {
        select(&self.0, root, &mut |element| picked.push(element.id()));
    }

    /// Calls `see` with every value that the path picks.
    pub fn for_each<'d>(&self, root: Element<'d>, mut see: impl FnMut(Element<'d>)) {
        select(&self.0, root, &mut see);
    }

    fn read(text: &str) -> Found<Self> {
        if text.len() > LOCATION_BYTES_MAX {
            return Err((0, LocationProblem::TooLong));
        }
        let path = text.strip_prefix("body:").unwrap_or(text);
        let steps = read_steps(path, text.len() - path.len())?;
        if steps.is_empty() {
            return Err((text.len() - path.len(), LocationProblem::WholeBody));
        }
        Ok(Self(steps.into_iter().map(|(_, step)| step).collect()))
    }
}

fn select<'d>(steps: &[Step], element: Element<'d>, see: &mut impl FnMut(Element<'d>)) {
    let Some((step, rest)) = steps.split_first() else {
        return see(element);
    };
    match step {
        Step::One(segment) => {
            if let Some(inner) = segment.step_from(element) {
                select(rest, inner, see);
            }
        }
        Step::Every => match element.value() {
            Value::Array(elements) => elements.for_each(|inner| select(rest, inner, see)),
            Value::Object(members) => members.for_each(|(_, inner)| select(rest, inner, see)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        },
    }
}

impl Segment {
    fn step_from<'d>(&self, element: Element<'d>) -> Option<Element<'d>> {
        match self {
            Self::Name(name) => element.get(name),
            Self::Index(index) => element.at(*index),
        }
    }
}

impl FromStr for Path {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.len() > LOCATION_BYTES_MAX {
            return Err(LocationError::at(text, (0, LocationProblem::TooLong)));
        }
        Self::read(text, 0).map_err(|found| LocationError::at(text, found))
    }
}

impl FromStr for WildPath {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        Self::read(text).map_err(|found| LocationError::at(text, found))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|segment| segment.fmt(f))
    }
}

impl fmt::Display for WildPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.0 {
            match step {
                Step::One(segment) => segment.fmt(f)?,
                Step::Every => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Name(name) if is_shorthand(name) => write!(f, ".{name}"),
            Self::Name(name) => write!(f, "['{}']", quoted(name)),
        }
    }
}

/// Whether RFC 9535 lets the name stand after a dot.
fn is_shorthand(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

/// The escapes of RFC 9535's normalized paths.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '\'' => text.push_str("\\'"),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            other if other < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::parse;

    fn find(path: &str, json: &str) -> Option<String> {
        let path: Path = path.parse().expect(path);
        let document = parse(json.as_bytes()).expect(json);
        path.find(document.root())
            .map(|element| element.raw().to_owned())
    }

    #[test]
    fn k1_singular_paths_of_rfc_9535_find_one_value() {
        let json = r#"{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}, "a": ["x", "y", [7]], "é": 5,
            "b": {"0": "name"}, "": 9, "nothing": null}"#;
        let cases = [
            ("$.o['j j']", Some(r#"{"k.k": 3}"#)),
            ("$.o['j j']['k.k']", Some("3")),
            (r#"$.o["j j"]["k.k"]"#, Some("3")),
            (r#"$["'"]["@"]"#, Some("2")),
            (r"$['\'']['@']", Some("2")),
            ("$.a[0]", Some("\"x\"")),
            ("$.a[-1][0]", Some("7")),
            ("$.a[-3]", Some("\"x\"")),
            ("$.a[3]", None),
            ("$.a[-4]", None),
            ("$.a['0']", None),
            ("$.b[0]", None),
            ("$.b['0']", Some("\"name\"")),
            ("$['']", Some("9")),
            (r"$['\u00e9']", Some("5")),
            ("$.é", Some("5")),
            ("$.nothing", Some("null")),
            ("$.nothing.more", None),
            ("$.missing", None),
            ("$ .a [ 0 ]", Some("\"x\"")),
            ("a[1]", Some("\"y\"")),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, json).as_deref(), expected, "{path}");
        }
        assert_eq!(find("$", "[1]").as_deref(), Some("[1]"));
        assert_eq!(find("$[0]", "[1]").as_deref(), Some("1"));
        assert_eq!(find("[0]", "[1]").as_deref(), Some("1"));
    }

    #[test]
    fn k1_what_rfc_9535_forbids_is_refused() {
        let cases = [
            ("", 0, LocationProblem::PathExpected),
            (" $", 0, LocationProblem::NameExpected),
            ("$ ", 1, LocationProblem::StepExpected),
            ("$.a ", 3, LocationProblem::StepExpected),
            ("$.", 2, LocationProblem::NameExpected),
            ("$. a", 2, LocationProblem::NameExpected),
            ("$a", 1, LocationProblem::StepExpected),
            ("$.1", 2, LocationProblem::NumberAfterDot),
            ("$.&", 2, LocationProblem::NameExpected),
            ("$..a", 2, LocationProblem::Descendants),
            ("$..[0]", 2, LocationProblem::Descendants),
            ("$[", 2, LocationProblem::SelectorExpected),
            ("$[]", 2, LocationProblem::EmptyBrackets),
            ("$[a]", 2, LocationProblem::SelectorExpected),
            ("$[0,1]", 3, LocationProblem::BracketExpected),
            ("$[0:2]", 3, LocationProblem::BracketExpected),
            ("$[:2]", 2, LocationProblem::SelectorExpected),
            ("$[?@.a]", 2, LocationProblem::SelectorExpected),
            ("$[01]", 2, LocationProblem::BadIndex),
            ("$[-0]", 2, LocationProblem::BadIndex),
            ("$[-]", 2, LocationProblem::BadIndex),
            ("$[+1]", 2, LocationProblem::SelectorExpected),
            ("$[1.0]", 3, LocationProblem::BracketExpected),
            ("$[9007199254740992]", 2, LocationProblem::BadIndex),
            ("$['a]", 5, LocationProblem::QuoteExpected),
            (r#"$['\"']"#, 3, LocationProblem::BadEscape),
            (r#"$["\'"]"#, 3, LocationProblem::BadEscape),
            (r"$['\ud83d']", 3, LocationProblem::BadEscape),
            ("$['\n']", 3, LocationProblem::ControlCharacter),
            ("$['a'", 5, LocationProblem::BracketExpected),
            ("$.*", 2, LocationProblem::Wildcard),
            ("$[*]", 2, LocationProblem::Wildcard),
            ("$['a']b", 6, LocationProblem::StepExpected),
        ];
        for (text, offset, expected) in cases {
            let error = text.parse::<Path>().expect_err(text);
            assert_eq!(
                (error.offset(), error.problem()),
                (offset, expected),
                "{text}"
            );
        }
    }

    #[test]
    fn k11_wildcards_pick_every_member_and_element() {
        let document = parse(br#"{"e": [{"n": 1}, {"n": 2}, 3], "o": {"n": 4}}"#).unwrap();
        let picked = |path: &str| {
            let mut found = Vec::new();
            let path: WildPath = path.parse().expect(path);
            path.for_each(document.root(), |element| {
                found.push(element.raw().to_owned())
            });
            found
        };
        assert_eq!(picked("body:$.e[*].n"), ["1", "2"]);
        assert_eq!(picked("e.*.n"), ["1", "2"]);
        assert_eq!(picked("$.*.n"), ["4"]);
        assert_eq!(picked("$.e[-1]"), ["3"]);
        assert_eq!(picked("$.attempt"), [""; 0]);
    }

    #[test]
    fn k11_the_whole_body_is_no_part_of_it() {
        for (text, offset) in [("$", 0), ("body:$", 5)] {
            let error = text.parse::<WildPath>().expect_err(text);
            assert_eq!(
                (error.offset(), error.problem()),
                (offset, LocationProblem::WholeBody)
            );
        }
    }

    #[test]
    fn k11_a_wild_path_is_stored_in_its_canonical_form() {
        for (text, canonical) in [
            ("body:attempt", "$.attempt"),
            ("$.events.*['a b']", "$.events[*]['a b']"),
            ("[*]", "$[*]"),
        ] {
            let path: WildPath = text.parse().expect(text);
            assert_eq!(path.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(path));
        }
    }

    proptest! {
        #[test]
        fn k1_a_path_survives_its_canonical_text(
            segments in prop::collection::vec(
                prop_oneof![
                    any::<String>().prop_map(Segment::Name),
                    "[a-z_'\\\\\u{0}-\u{1f}]{0,4}".prop_map(Segment::Name),
                    (-1_000..1_000i64).prop_map(Segment::Index),
                ],
                0..4,
            )
        ) {
            let path = Path(segments);
            let text = path.to_string();
            prop_assert_eq!(Path::read(&text, 0), Ok(path));
        }

        #[test]
        fn no_text_makes_the_path_reader_panic(text in r#"([$.\[\]'"*\\u0-9a-c -]|é){0,12}"#) {
            if let Ok(path) = text.parse::<Path>() {
                prop_assert_eq!(path.to_string().parse(), Ok(path));
            }
        }
    }
}
