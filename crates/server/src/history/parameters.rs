//! Reads the parameters of a query, and says everything that is wrong with them at once.
//!
//! A filter that is misspelt and then ignored shows a person the wrong list, so a parameter that
//! does not exist is refused, with the names of those that do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use hooklatch_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{PageRequest, TimeRange};
use http::request::Parts;

use super::listing::{Listed, below};
use crate::app::App;
use crate::problem::{FieldProblem, Problem};

/// The parameters of a query that nobody has asked for yet.
pub struct Parameters {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
    errors: Vec<FieldProblem>,
}

/// Characters of the text of any parameter that is shown in a refusal.
const SHOWN_CHARS_MAX: usize = 100;

impl FromRequestParts<App> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::malformed("the query is not UTF-8 once it is decoded"))?;
        Ok(Self::of(pairs.0))
    }
}

impl Parameters {
    /// An empty value says nothing, as forms send it for a field that was left empty.
    fn of(pairs: Vec<(String, String)>) -> Self {
        let mut parameters = Self {
            given: BTreeMap::new(),
            known: Vec::new(),
            errors: Vec::new(),
        };
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            if parameters.given.contains_key(&name) {
                parameters.refuse(&name, "is given twice; give it once");
            }
            parameters.given.insert(name, value);
        }
        parameters
    }

    /// A text of any kind.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name)
    }

    /// What `read` makes of a text; it says what may be written instead.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let read = read(&text).map_err(|should| self.refuse(name, &should));
        read.ok()
    }

    /// A value that is written in one way only.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        self.read(name, |text| {
            text.parse()
                .map_err(|error: T::Err| format!("cannot be used: {error}"))
        })
    }

    /// One of several names.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        all: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        self.read(name, |text| {
            let found = all.iter().find(|one| as_str(**one) == text);
            let names: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
            found
                .copied()
                .ok_or_else(|| format!("should be one of {}", names.join(", ")))
        })
    }

    /// `after` and `before`.
    pub fn time_range(&mut self) -> TimeRange {
        TimeRange {
            after: self.read("after", time),
            before: self.read("before", time),
        }
    }

    /// `limit` and `cursor` of a list.
    pub(crate) fn page(&mut self, listed: Listed) -> PageRequest {
        let limit = self.limit();
        let below = self.read("cursor", |text| below(listed, text));
        PageRequest { limit, below }
    }

    /// `limit`.
    pub fn limit(&mut self) -> usize {
        let limit = self.read("limit", |text| {
            let number = text.parse().ok();
            let allowed = number.filter(|number| (1..=PAGE_MAX).contains(number));
            allowed.ok_or_else(|| format!("should be a whole number from 1 to {PAGE_MAX}"))
        });
        limit.unwrap_or(PAGE_DEFAULT)
    }

    /// Refuses a parameter that was read.
    pub fn refuse(&mut self, name: &str, detail: &str) {
        self.errors.push(FieldProblem {
            pointer: format!("/{name}"),
            detail: detail.to_owned(),
        });
    }

    /// Once every parameter is asked for: refuses what is left, and what was wrong.
    ///
    /// # Errors
    /// Where a parameter does not exist or its value cannot be used.
    pub fn finish(mut self) -> Result<(), Problem> {
        let unknown = std::mem::take(&mut self.given);
        for name in unknown.into_keys() {
            let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
            let detail = match self.known.as_slice() {
                [] => "is no parameter here; there are none".to_owned(),
                known => format!("is no parameter here; there are {}", known.join(", ")),
            };
            self.refuse(&name, &detail);
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(self.errors))
        }
    }
}

/// A `+` in a query stands for a space, so the offset of a time that was not encoded has lost it.
fn time(text: &str) -> Result<Timestamp, String> {
    let time = text.parse().or_else(|_| text.replace(' ', "+").parse());
    time.map_err(|error: hooklatch_core::time::TimeError| error.to_string())
}

#[cfg(test)]
mod tests {
    use hooklatch_core::cause::Cause;
    use hooklatch_core::ids::SourceId;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Parameters {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Parameters::of(pairs.iter().map(owned).collect())
    }

    fn refusal(parameters: Parameters) -> String {
        let problem = parameters.finish().unwrap_err();
        assert_eq!(problem.status(), 422);
        problem.detail().to_owned()
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_names_of_the_known_ones() {
        let mut parameters = given(&[("sources", "a"), ("tenant", "")]);
        assert_eq!(parameters.text("tenant"), None);
        assert_eq!(parameters.text("key"), None);
        assert_eq!(
            refusal(parameters),
            "/sources is no parameter here; there are tenant, key"
        );
        assert_eq!(
            refusal(given(&[("x", "1")])),
            "/x is no parameter here; there are none"
        );
    }

    #[test]
    fn every_wrong_value_is_named_at_once() {
        let mut parameters = given(&[
            ("source_id", "src_1"),
            ("cause", "retry"),
            ("after", "yesterday"),
            ("limit", "251"),
            ("cursor", "next"),
            ("key", "a"),
            ("key", "b"),
        ]);
        let _: Option<SourceId> = parameters.parsed("source_id");
        parameters.one_of("cause", &Cause::ALL, Cause::as_str);
        parameters.time_range();
        parameters.page(Listed::Messages);
        parameters.text("key");
        let detail = refusal(parameters);
        for part in [
            "/source_id cannot be used: ",
            "/cause should be one of concurrent, producer_retry,",
            "/after a time is written as RFC 3339",
            "/limit should be a whole number from 1 to 250",
            "/cursor is not a cursor of this list",
            "/key is given twice",
        ] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
    }

    #[test]
    fn an_offset_survives_a_query_that_was_not_encoded() {
        let mut parameters = given(&[
            ("after", "2026-01-31T12:00:00 01:00"),
            ("before", "2026-01-31T12:00:00.5Z"),
        ]);
        let range = parameters.time_range();
        assert_eq!(range.after, "2026-01-31T11:00:00Z".parse().ok());
        assert_eq!(range.before, "2026-01-31T12:00:00.500Z".parse().ok());
        assert!(parameters.finish().is_ok());
    }
}
