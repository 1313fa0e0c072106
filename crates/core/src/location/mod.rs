//! Where in a request something is found: a key's part, an event type, the events of a batch.
//!
//! Locations are written by people and checked when they are saved, never first when a request
//! arrives (K1); so a refusal names the place in the text and what may stand there. Whatever
//! spelling came in, the canonical one is stored and shown.
//!
//! ```text
//! header:x-github-delivery    header.X-GitHub-Delivery    request.header.X-GitHub-Delivery
//! query:id                    query.id                    request.query.id
//! body:$.data.id              body:data.id    body.data.id    request.body.data.id
//! method                      path
//! ```

mod path;
mod read;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::limits::LOCATION_BYTES_MAX;

pub use path::{Path, Segment, Step, WildPath};

/// A place in a request that holds at most one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A header, by its name in lower case.
    Header(String),
    /// A parameter of the query, by its decoded name.
    Query(String),
    /// A value in a JSON body, or a field of a form.
    Body(Path),
    /// The request's method.
    Method,
    /// The request's path.
    Path,
}

/// The array in a JSON body whose elements are messages of their own (K10).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Split(Path);

/// Why a text is not a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at character {} of \"{text}\")", .text[..*.offset].chars().count() + 1)]
pub struct LocationError {
    text: String,
    offset: usize,
    problem: LocationProblem,
}

/// What is wrong with a location, and what may stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocationProblem {
    /// None of the kinds.
    #[error("a location is header:NAME, query:NAME, body:PATH, method or path")]
    UnknownKind,
    /// Longer than any location needs to be.
    #[error("a location has at most {LOCATION_BYTES_MAX} bytes")]
    TooLong,
    /// A header's name has other characters.
    #[error("a header's name is one or more letters, digits and !#$%&'*+-.^_`|~")]
    HeaderName,
    /// No query parameter has this name.
    #[error("a query parameter's name is one or more characters, none of them a control character")]
    QueryName,
    /// There is no path.
    #[error("a path is $, .name, ['name'] and [index], for example $.data.id; the whole body is $")]
    PathExpected,
    /// A path goes on in another way.
    #[error("a path goes on with .name, ['name'] or [index]")]
    StepExpected,
    /// No bare name starts like this.
    #[error("a name after a dot starts with a letter or _; write any other as ['name']")]
    NameExpected,
    /// An index after a dot.
    #[error("a number after a dot is unclear; write [0] for an index or ['0'] for a name")]
    NumberAfterDot,
    /// `..`
    #[error("two dots pick many values; name each step of the path")]
    Descendants,
    /// Something other than one name or index between brackets.
    #[error(
        "in brackets stands one quoted name or one index; lists, slices and filters pick many values"
    )]
    SelectorExpected,
    /// `[1` or `['a'`
    #[error("expected ]")]
    BracketExpected,
    /// A quoted name without its end.
    #[error("a quoted name ends with the quote that it starts with")]
    QuoteExpected,
    /// No such escape.
    #[error(
        "a backslash in a quoted name starts \\b \\f \\n \\r \\t \\/ \\\\ \\uXXXX or the quote"
    )]
    BadEscape,
    /// A raw control character in a quoted name.
    #[error("a control character in a quoted name is written as an escape, \\u0000")]
    ControlCharacter,
    /// An index that is none.
    #[error("an index is a whole number without leading zeros, negative to count from the end")]
    BadIndex,
    /// `[*]` or `.*` where one value is wanted.
    #[error(
        "a wildcard picks many values, here one is wanted; name an element, or split the batch"
    )]
    Wildcard,
    /// `[]`
    #[error("write [*] for every element where wildcards are allowed, or split the batch")]
    EmptyBrackets,
    /// `$` as a part to be left out or picked.
    #[error("name a part of the body; this is the whole")]
    WholeBody,
    /// Something that is not in the body.
    #[error("only a place in the body can stand here: body:PATH, for example body:$.events")]
    BodyExpected,
}

impl LocationError {
    /// What is wrong.
    pub fn problem(&self) -> LocationProblem {
        self.problem
    }

    /// The byte at which it goes wrong.
    pub fn offset(&self) -> usize {
        self.offset
    }

    fn at(text: &str, (offset, problem): (usize, LocationProblem)) -> Self {
        // What is too long to be read is too long to be repeated.
        let end = text.floor_char_boundary(LOCATION_BYTES_MAX);
        Self {
            text: text[..end].to_owned(),
            offset,
            problem,
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        read_location(text).map_err(|found| LocationError::at(text, found))
    }
}

impl FromStr for Split {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.parse()? {
            Location::Body(path) => Ok(Self(path)),
            Location::Header(_) | Location::Query(_) | Location::Method | Location::Path => {
                Err(LocationError::at(text, (0, LocationProblem::BodyExpected)))
            }
        }
    }
}

impl Split {
    /// The path to the array.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What is wrong, and at which byte of the text that was given.
type Found<T> = Result<T, (usize, LocationProblem)>;

fn read_location(text: &str) -> Found<Location> {
    if text.len() > LOCATION_BYTES_MAX {
        return Err((0, LocationProblem::TooLong));
    }
    let bare = text
        .strip_prefix("request.")
        .or_else(|| text.strip_prefix("req."))
        .unwrap_or(text);
    let start = text.len() - bare.len();
    let (kind, rest) = bare.split_at(bare.find([':', '.', '[']).unwrap_or(bare.len()));
    let name = rest.strip_prefix([':', '.']);
    let name_start = text.len() - name.unwrap_or(rest).len();
    // The capitals are other spellings of Convoy's.
    match (kind, name) {
        ("method", None) if rest.is_empty() => Ok(Location::Method),
        ("path", None) if rest.is_empty() => Ok(Location::Path),
        ("body" | "Body", _) if !rest.is_empty() => {
            Path::read(name.unwrap_or(rest), name_start).map(Location::Body)
        }
        ("header" | "Header", Some(name)) => {
            header(name).map_err(|at| (name_start + at, LocationProblem::HeaderName))
        }
        ("query" | "QueryParam", Some(name)) => {
            query(name).map_err(|at| (name_start + at, LocationProblem::QueryName))
        }
        _ => Err((start, LocationProblem::UnknownKind)),
    }
}

fn header(name: &str) -> Result<Location, usize> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match name.bytes().position(|byte| !is_token(byte)) {
        Some(at) => Err(name.floor_char_boundary(at)),
        None if name.is_empty() => Err(0),
        None => Ok(Location::Header(name.to_ascii_lowercase())),
    }
}

fn query(name: &str) -> Result<Location, usize> {
    match name.find(char::is_control) {
        Some(at) => Err(at),
        None if name.is_empty() => Err(0),
        None => Ok(Location::Query(name.to_owned())),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Body(path) => write!(f, "body:{path}"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "body:{}", self.0)
    }
}

macro_rules! serde_as_text {
    ($($name:ident)*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text! { Location Split Path WildPath }

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (usize, LocationProblem) {
        let error = text.parse::<Location>().expect_err(text);
        (error.offset(), error.problem())
    }

    #[test]
    fn k1_every_spelling_has_one_canonical_form() {
        let cases = [
            ("header:X-GitHub-Delivery", "header:x-github-delivery"),
            ("header.X-Id", "header:x-id"),
            ("request.header.X-Id", "header:x-id"),
            ("req.header.X-Id", "header:x-id"),
            ("query:id", "query:id"),
            ("query.page[id]", "query:page[id]"),
            ("request.query.id", "query:id"),
            ("body:$.data.id", "body:$.data.id"),
            ("body:data.id", "body:$.data.id"),
            ("body.data.id", "body:$.data.id"),
            ("body.$.data.id", "body:$.data.id"),
            ("request.body.data.id", "body:$.data.id"),
            ("body[0].id", "body:$[0].id"),
            ("body:$", "body:$"),
            ("body:$.event-data.id", "body:$['event-data'].id"),
            ("method", "method"),
            ("request.path", "path"),
            ("req.Header.X-Id", "header:x-id"),
            ("request.QueryParam.id", "query:id"),
            ("request.Body.id", "body:$.id"),
        ];
        for (text, canonical) in cases {
            let location: Location = text.parse().expect(text);
            assert_eq!(location.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(location.clone()));
            let json = serde_json::to_string(&location).unwrap();
            assert_eq!(serde_json::from_str::<Location>(&json).unwrap(), location);
        }
    }

    #[test]
    fn k1_a_refusal_names_the_place() {
        let cases = [
            ("", 0, LocationProblem::UnknownKind),
            ("id", 0, LocationProblem::UnknownKind),
            ("$.id", 0, LocationProblem::UnknownKind),
            ("body", 0, LocationProblem::UnknownKind),
            ("bodyid", 0, LocationProblem::UnknownKind),
            ("method.x", 0, LocationProblem::UnknownKind),
            ("header[x]", 0, LocationProblem::UnknownKind),
            ("request.cookie.a", 8, LocationProblem::UnknownKind),
            ("header:", 7, LocationProblem::HeaderName),
            ("header:x y", 8, LocationProblem::HeaderName),
            ("header:é", 7, LocationProblem::HeaderName),
            ("query:", 6, LocationProblem::QueryName),
            ("query:a\n", 7, LocationProblem::QueryName),
            ("body:", 5, LocationProblem::PathExpected),
            ("body:$.events[*].id", 14, LocationProblem::Wildcard),
            ("body:$.events[].id", 14, LocationProblem::EmptyBrackets),
            ("request.body.a..b", 15, LocationProblem::Descendants),
        ];
        for (text, offset, expected) in cases {
            assert_eq!(problem(text), (offset, expected), "{text}");
        }
        assert_eq!(
            problem(&format!("header:{}", "x".repeat(600))).1,
            LocationProblem::TooLong
        );
    }

    #[test]
    fn k1_a_refusal_says_what_is_allowed() {
        let error = "body:$.é.0"
            .parse::<Location>()
            .expect_err("an index after a dot");
        assert_eq!(
            error.to_string(),
            "a number after a dot is unclear; write [0] for an index or ['0'] for a name \
             (at character 10 of \"body:$.é.0\")"
        );
    }

    #[test]
    fn k10_a_split_is_a_place_in_the_body() {
        for (text, canonical) in [
            ("body:$", "body:$"),
            ("body.data.events", "body:$.data.events"),
        ] {
            assert_eq!(text.parse::<Split>().unwrap().to_string(), canonical);
        }
        let error = "header:x".parse::<Split>().expect_err("no body");
        assert_eq!(error.problem(), LocationProblem::BodyExpected);
    }
}
