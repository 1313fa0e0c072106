//! Holds a filter against a request.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use regex::Regex;

use super::{Condition, Test, Verdict};
use crate::json::{Element, Value};
use crate::key::{Body, Fields, Request};
use crate::limits::{REGEX_BYTES_PER_REQUEST_MAX, REGEX_BYTES_PER_TEXT_MAX};

/// What a condition is held against.
#[derive(Clone)]
enum Subject<'a> {
    /// The whole request.
    Request,
    /// A value of a JSON body.
    Json(Element<'a>),
    /// A header, a parameter, a field, the path, or a body that is neither JSON nor a form.
    Text(Cow<'a, str>),
    /// Several of one name.
    Texts(Vec<Cow<'a, str>>),
    Headers,
    Query(&'a [(Cow<'a, str>, Cow<'a, str>)]),
    Form(&'a Fields<'a>),
    Absent,
}

struct Evaluation<'a> {
    request: &'a Request<'a>,
    body: &'a Body<'a>,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// How many bytes the regular expressions may still look at.
    regex_bytes_left: Cell<usize>,
}

/// Whether a request passes.
pub(super) fn check(condition: &Condition, request: &Request<'_>, body: &Body<'_>) -> Verdict {
    let query = request.query.unwrap_or_default();
    let evaluation = Evaluation {
        request,
        body,
        query: form_urlencoded::parse(query.as_bytes()).collect(),
        regex_bytes_left: Cell::new(REGEX_BYTES_PER_REQUEST_MAX),
    };
    if evaluation.holds(condition, &Subject::Request) {
        Verdict::Passed
    } else {
        let mut pointer = String::new();
        evaluation.trace(condition, &Subject::Request, &mut pointer);
        Verdict::Dropped { pointer }
    }
}

impl<'a> Evaluation<'a> {
    fn holds(&'a self, condition: &Condition, subject: &Subject<'a>) -> bool {
        match condition {
            Condition::Every(parts) => parts.iter().all(|part| self.holds(part, subject)),
            Condition::Any(parts) => parts.iter().any(|part| self.holds(part, subject)),
            Condition::Not(denied) => !self.holds(denied, subject),
            Condition::Exists(wanted) => matches!(subject, Subject::Absent) != *wanted,
            Condition::Fields { fields, beside } => {
                self.one_fits(subject, &|one| self.fits(fields, beside, one))
            }
            Condition::Tests(tests) => self.one_fits(subject, &|one| {
                tests.iter().all(|test| self.passes(test, one))
            }),
        }
    }

    /// Whether the subject fits, or, of an array, one of its elements.
    fn one_fits(&'a self, subject: &Subject<'a>, fits: &dyn Fn(&Subject<'a>) -> bool) -> bool {
        if fits(subject) {
            return true;
        }
        match subject {
            Subject::Json(element) => match element.value() {
                Value::Array(mut elements) => {
                    elements.any(|element| self.one_fits(&Subject::Json(element), fits))
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => false,
            },
            Subject::Texts(texts) => texts.iter().any(|text| fits(&Subject::Text(text.clone()))),
            Subject::Request
            | Subject::Text(_)
            | Subject::Headers
            | Subject::Query(_)
            | Subject::Form(_)
            | Subject::Absent => false,
        }
    }

    fn fits(
        &'a self,
        fields: &[(String, Condition)],
        beside: &[Condition],
        subject: &Subject<'a>,
    ) -> bool {
        let holds = |(name, condition): &(String, Condition)| {
            self.holds(condition, &self.member(subject, name))
        };
        // An array has no members of its own; its elements have.
        !is_array(subject)
            && fields.iter().all(holds)
            && beside.iter().all(|part| self.holds(part, subject))
    }

    fn member(&'a self, subject: &Subject<'a>, name: &str) -> Subject<'a> {
        match subject {
            Subject::Request => self.part(name),
            Subject::Json(element) => element.get(name).map_or(Subject::Absent, Subject::Json),
            Subject::Headers => {
                let lines = self
                    .request
                    .headers
                    .iter()
                    .filter(|(known, _)| *known == name);
                texts(lines.map(|(_, value)| String::from_utf8_lossy(value)))
            }
            Subject::Query(parameters) => {
                let named = parameters.iter().filter(|(known, _)| known == name);
                texts(named.map(|(_, value)| value.clone()))
            }
            Subject::Form(fields) => texts(fields.all(name).map(String::from_utf8_lossy)),
            Subject::Text(_) | Subject::Texts(_) | Subject::Absent => Subject::Absent,
        }
    }

    fn part(&'a self, name: &str) -> Subject<'a> {
        match name {
            "body" => match self.body {
                Body::Json(document) => Subject::Json(document.root()),
                Body::Form(fields) | Body::Multipart(fields) => Subject::Form(fields),
                Body::Opaque => Subject::Text(String::from_utf8_lossy(self.request.body)),
            },
            "headers" => Subject::Headers,
            "query" => Subject::Query(&self.query),
            "path" => Subject::Text(Cow::Borrowed(self.request.path)),
            _ => Subject::Absent,
        }
    }

    fn passes(&self, test: &Test, subject: &Subject<'_>) -> bool {
        let element = match subject {
            Subject::Json(element) => *element,
            Subject::Text(text) => return self.text_passes(test, text),
            Subject::Request
            | Subject::Texts(_)
            | Subject::Headers
            | Subject::Query(_)
            | Subject::Form(_)
            | Subject::Absent => return false,
        };
        match test {
            Test::Equals(literal) => literal.is(element),
            Test::OneOf(literals) => literals.iter().any(|literal| literal.is(element)),
            Test::After(literal)
            | Test::AfterOrEqual(literal)
            | Test::Before(literal)
            | Test::BeforeOrEqual(literal) => literal
                .order_of(element)
                .is_some_and(|order| is_wanted(test, order)),
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Matches(_) => {
                match element.value() {
                    Value::String(text) => self.text_passes(test, &text),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_) => false,
                }
            }
        }
    }

    fn text_passes(&self, test: &Test, text: &str) -> bool {
        match test {
            Test::Equals(literal) => literal.is_text(text),
            Test::OneOf(literals) => literals.iter().any(|literal| literal.is_text(text)),
            Test::After(literal)
            | Test::AfterOrEqual(literal)
            | Test::Before(literal)
            | Test::BeforeOrEqual(literal) => literal
                .order_of_text(text)
                .is_some_and(|order| is_wanted(test, order)),
            Test::Contains(part) => text.contains(part),
            Test::StartsWith(starts) => starts.iter().any(|start| text.starts_with(start)),
            Test::EndsWith(ends) => ends.iter().any(|end| text.ends_with(end)),
            Test::Matches(regex) => self.finds(regex, text),
        }
    }

    /// Whether an expression finds something in what it may look at of a text.
    fn finds(&self, regex: &Regex, text: &str) -> bool {
        let left = self.regex_bytes_left.get();
        let length = text.len().min(REGEX_BYTES_PER_TEXT_MAX).min(left);
        self.regex_bytes_left.set(left - length);
        let looked_at = &text[..text.floor_char_boundary(length)];
        (length > 0 || text.is_empty()) && regex.is_match(looked_at)
    }

    /// Follows the first field that does not hold, as far down as there is one.
    fn trace(&'a self, condition: &Condition, subject: &Subject<'a>, pointer: &mut String) {
        let Condition::Fields { fields, .. } = condition else {
            return;
        };
        if is_array(subject) {
            return;
        }
        for (name, condition) in fields {
            let member = self.member(subject, name);
            if !self.holds(condition, &member) {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                return self.trace(condition, &member, pointer);
            }
        }
    }
}

fn is_array(subject: &Subject<'_>) -> bool {
    match subject {
        Subject::Json(element) => matches!(element.value(), Value::Array(_)),
        Subject::Texts(_) => true,
        Subject::Request
        | Subject::Text(_)
        | Subject::Headers
        | Subject::Query(_)
        | Subject::Form(_)
        | Subject::Absent => false,
    }
}

fn texts<'a>(found: impl Iterator<Item = Cow<'a, str>>) -> Subject<'a> {
    let mut found: Vec<_> = found.collect();
    match found.len() {
        0 => Subject::Absent,
        1 => found.pop().map_or(Subject::Absent, Subject::Text),
        _ => Subject::Texts(found),
    }
}

fn is_wanted(test: &Test, order: Ordering) -> bool {
    match test {
        Test::After(_) => order.is_gt(),
        Test::AfterOrEqual(_) => order.is_ge(),
        Test::Before(_) => order.is_lt(),
        Test::BeforeOrEqual(_) => order.is_le(),
        Test::Equals(_)
        | Test::OneOf(_)
        | Test::Contains(_)
        | Test::StartsWith(_)
        | Test::EndsWith(_)
        | Test::Matches(_) => false,
    }
}
