//! Understands a filter as it was written, and names everything that is wrong with it.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::literal::Literal;
use super::{Condition, Test};
use crate::field::FieldError;
use crate::limits::{
    FILTER_BYTES_MAX, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_REGEXES_MAX,
    REGEX_PATTERN_BYTES_MAX, REGEX_PROGRAM_BYTES_MAX,
};

const PARTS: &str = "body, headers, query and path";
const OPERATORS: &str = "$eq $neq $in $nin $gt $gte $lt $lte $startsWith $endsWith $exist $regex \
                         $and $or $not";

/// What kind of value a condition is about, as far as that is known beforehand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// The whole request.
    Request,
    /// Anything that JSON can be.
    Json,
    /// Texts by their names: headers, or the parameters of a query.
    Names(Case),
    /// One text.
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Names are the same in any case.
    Any,
    Told,
}

/// Where in the filter the compiler is, and what stands there.
struct Place {
    pointer: String,
    about: About,
    depth: usize,
}

#[derive(Default)]
struct Compiler {
    errors: Vec<FieldError>,
    conditions: usize,
    regexes: usize,
}

/// The condition that a filter's document states.
pub(super) fn compile(document: &Value) -> Result<Condition, Vec<FieldError>> {
    if document.to_string().len() > FILTER_BYTES_MAX {
        let detail = format!("is longer than {FILTER_BYTES_MAX} bytes; use several connections");
        return Err(vec![FieldError::new("", detail)]);
    }
    let mut compiler = Compiler::default();
    let root = Place {
        pointer: String::new(),
        about: About::Request,
        depth: 0,
    };
    let condition = compiler.condition(document, &root);
    match condition {
        Some(condition) if compiler.errors.is_empty() => Ok(condition),
        Some(_) | None => Err(compiler.errors),
    }
}

impl Place {
    fn below(&self, name: &str, about: About) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: format!("{}/{escaped}", self.pointer),
            about,
            depth: self.depth + 1,
        }
    }

    fn same(&self, pointer: String) -> Self {
        Self {
            pointer,
            about: self.about,
            depth: self.depth + 1,
        }
    }
}

impl Compiler {
    fn refuse<T>(&mut self, place: &Place, detail: impl Into<String>) -> Option<T> {
        self.errors
            .push(FieldError::new(place.pointer.as_str(), detail));
        None
    }

    fn condition(&mut self, written: &Value, place: &Place) -> Option<Condition> {
        self.conditions += 1;
        if place.depth > FILTER_DEPTH_MAX {
            return self.refuse(
                place,
                format!("is more than {FILTER_DEPTH_MAX} levels deep"),
            );
        }
        if self.conditions == FILTER_CONDITIONS_MAX + 1 {
            let detail = format!("there are more than {FILTER_CONDITIONS_MAX} conditions");
            return self.refuse(place, detail);
        }
        if self.conditions > FILTER_CONDITIONS_MAX {
            return None;
        }
        match written {
            Value::Object(members) => self.object(members, place),
            Value::Array(values) => self.all_of(values, place),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                let test = self.test("$eq", written, place)?;
                Some(Condition::Tests(vec![test]))
            }
        }
    }

    fn object(&mut self, members: &Map<String, Value>, place: &Place) -> Option<Condition> {
        if members.is_empty() {
            let detail = match place.about {
                About::Request => format!("names nothing; name some of {PARTS}"),
                About::Json | About::Names(_) | About::Text => {
                    "is empty and would always hold; write {\"$exist\": true}".to_owned()
                }
            };
            return self.refuse(place, detail);
        }
        let mut fields = Vec::new();
        let mut tests = Vec::new();
        let mut others = Vec::new();
        let mut complete = true;
        for (name, written) in members {
            let part = if name.starts_with('$') {
                self.operator(name, written, place)
            } else {
                self.field(name, written, place).map(Part::Field)
            };
            match part {
                Some(Part::Field(field)) => fields.push(field),
                Some(Part::Test(test)) => tests.push(test),
                Some(Part::Other(condition)) => others.push(condition),
                None => complete = false,
            }
        }
        complete.then(|| together(fields, tests, others))
    }

    fn field(&mut self, name: &str, written: &Value, place: &Place) -> Option<(String, Condition)> {
        let (known_as, about) = match (place.about, name) {
            (About::Request, "body") => (name.to_owned(), About::Json),
            (About::Request, "headers") => (name.to_owned(), About::Names(Case::Any)),
            (About::Request, "query") => (name.to_owned(), About::Names(Case::Told)),
            (About::Request, "path") => (name.to_owned(), About::Text),
            (About::Request, _) => {
                let below = place.below(name, place.about);
                let detail = format!("is no part of a request; a filter is about {PARTS}");
                return self.refuse(&below, detail);
            }
            (About::Json, _) => (name.to_owned(), About::Json),
            (About::Names(Case::Any), _) => (name.to_ascii_lowercase(), About::Text),
            (About::Names(Case::Told), _) => (name.to_owned(), About::Text),
            (About::Text, _) => {
                let below = place.below(name, place.about);
                return self.refuse(
                    &below,
                    "is a field of a text, which has none; use operators",
                );
            }
        };
        let condition = self.condition(written, &place.below(name, about))?;
        Some((known_as, condition))
    }

    /// A list of values, all of which must be there.
    fn all_of(&mut self, values: &[Value], place: &Place) -> Option<Condition> {
        let conditions = self.list(values, place)?;
        Some(Condition::Every(conditions))
    }

    fn list(&mut self, values: &[Value], place: &Place) -> Option<Vec<Condition>> {
        if values.is_empty() {
            return self.refuse(place, "is empty; give at least one value or condition");
        }
        let mut conditions = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let place = place.same(format!("{}/{at}", place.pointer));
            conditions.extend(self.condition(value, &place));
        }
        (conditions.len() == values.len()).then_some(conditions)
    }

    fn operator(&mut self, name: &str, written: &Value, parent: &Place) -> Option<Part> {
        let place = parent.below(name, parent.about);
        let denied = |test| Condition::Not(Box::new(Condition::Tests(vec![test])));
        Some(match name {
            "$and" | "$or" => {
                let Value::Array(values) = written else {
                    return self.refuse(&place, "should be a list of conditions");
                };
                let conditions = self.list(values, &place)?;
                Part::Other(if name == "$and" {
                    Condition::Every(conditions)
                } else {
                    Condition::Any(conditions)
                })
            }
            "$not" => {
                let denied = self.condition(written, &place)?;
                Part::Other(Condition::Not(Box::new(denied)))
            }
            "$exist" => match (place.about, written) {
                (About::Json | About::Text, Value::Bool(wanted)) => {
                    Part::Other(Condition::Exists(*wanted))
                }
                (About::Json | About::Text, _) => {
                    return self.refuse(&place, "should be true or false");
                }
                (About::Request | About::Names(_), _) => return self.misplaced(&place),
            },
            "$neq" => Part::Other(denied(self.test("$eq", written, &place)?)),
            "$nin" => Part::Other(denied(self.test("$in", written, &place)?)),
            "$eq" | "$in" | "$gt" | "$gte" | "$lt" | "$lte" | "$startsWith" | "$endsWith"
            | "$regex" => Part::Test(self.test(name, written, &place)?),
            _ => {
                let detail = format!("is no operator; the operators are {OPERATORS}");
                return self.refuse(&place, detail);
            }
        })
    }

    fn misplaced<T>(&mut self, place: &Place) -> Option<T> {
        let detail = match place.about {
            About::Request => format!("is about one value; name some of {PARTS} first"),
            About::Names(_) | About::Json | About::Text => {
                "is about one value; name a header or a parameter first".to_owned()
            }
        };
        self.refuse(place, detail)
    }

    fn test(&mut self, operator: &str, written: &Value, place: &Place) -> Option<Test> {
        if matches!(place.about, About::Request | About::Names(_)) {
            return self.misplaced(place);
        }
        match operator {
            "$in" => self.membership(written, place),
            "$startsWith" => Some(Test::StartsWith(self.texts(written, place)?)),
            "$endsWith" => Some(Test::EndsWith(self.texts(written, place)?)),
            "$regex" => self.regex(written, place).map(Test::Matches),
            "$gt" => self.bound(written, place).map(Test::After),
            "$gte" => self.bound(written, place).map(Test::AfterOrEqual),
            "$lt" => self.bound(written, place).map(Test::Before),
            "$lte" => self.bound(written, place).map(Test::BeforeOrEqual),
            _ => self.literal(written, place).map(Test::Equals),
        }
    }

    fn literal(&mut self, written: &Value, place: &Place) -> Option<Literal> {
        let structured = matches!(written, Value::Null | Value::Array(_) | Value::Object(_));
        if place.about == About::Text && structured {
            return self.refuse(
                place,
                "a header, a parameter and the path are texts; write one",
            );
        }
        match Literal::of(written) {
            Some(literal) => Some(literal),
            None => self.refuse(place, "holds a number of too many digits"),
        }
    }

    fn membership(&mut self, written: &Value, place: &Place) -> Option<Test> {
        match written {
            Value::String(part) if !part.is_empty() => Some(Test::Contains(part.clone())),
            Value::Array(values) if !values.is_empty() => {
                let literals: Vec<Literal> = values
                    .iter()
                    .filter_map(|value| self.literal(value, place))
                    .collect();
                (literals.len() == values.len()).then_some(Test::OneOf(literals))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                let detail = "should be a list of values, or a text that is to be contained; \
                              neither may be empty";
                self.refuse(place, detail)
            }
        }
    }

    fn bound(&mut self, written: &Value, place: &Place) -> Option<Literal> {
        match written {
            Value::Number(_) | Value::String(_) => self.literal(written, place),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.refuse(place, "should be a number or a text")
            }
        }
    }

    fn texts(&mut self, written: &Value, place: &Place) -> Option<Vec<String>> {
        let one = |value: &Value| {
            value
                .as_str()
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
        };
        let texts = match written {
            Value::Array(values) => values.iter().map(one).collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => one(written).map(|text| vec![text]),
        };
        match texts {
            Some(texts) if !texts.is_empty() => Some(texts),
            Some(_) | None => self.refuse(
                place,
                "should be a text, or a list of texts; none may be empty",
            ),
        }
    }

    fn regex(&mut self, written: &Value, place: &Place) -> Option<Regex> {
        let Value::String(pattern) = written else {
            return self.refuse(place, "should be a regular expression, as a text");
        };
        if pattern.len() > REGEX_PATTERN_BYTES_MAX {
            let detail = format!("is longer than {REGEX_PATTERN_BYTES_MAX} bytes");
            return self.refuse(place, detail);
        }
        self.regexes += 1;
        if self.regexes > FILTER_REGEXES_MAX {
            let detail = format!("there are more than {FILTER_REGEXES_MAX} regular expressions");
            return self.refuse(place, detail);
        }
        let built = RegexBuilder::new(pattern)
            .size_limit(REGEX_PROGRAM_BYTES_MAX)
            .dfa_size_limit(REGEX_PROGRAM_BYTES_MAX)
            .nest_limit(64)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(regex::Error::CompiledTooBig(_)) => {
                let detail = "becomes too large; repeat less, or write (?-u) where bytes will do";
                self.refuse(place, detail)
            }
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                self.refuse(place, format!("is no regular expression: {reason}"))
            }
        }
    }
}

/// One member of an object of conditions.
enum Part {
    Field((String, Condition)),
    Test(Test),
    Other(Condition),
}

/// What stands in one object must hold together; tests beside each other, of one element.
fn together(
    fields: Vec<(String, Condition)>,
    tests: Vec<Test>,
    mut others: Vec<Condition>,
) -> Condition {
    if !tests.is_empty() {
        others.push(Condition::Tests(tests));
    }
    if !fields.is_empty() {
        return Condition::Fields {
            fields,
            beside: others,
        };
    }
    if others.len() == 1 {
        others.remove(0)
    } else {
        Condition::Every(others)
    }
}
