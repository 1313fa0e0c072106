//! Where two payloads differ (C6), for the person who must judge a conflict.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::limits::DIFF_POINTERS_MAX;

use super::{Element, Elements, Members, Value, canonical_number};

/// JSON pointers (RFC 6901) to the outermost values that differ or that only one side has, at most
/// [`DIFF_POINTERS_MAX`](crate::limits::DIFF_POINTERS_MAX). Numbers are compared by value and
/// members without regard to order; what has no canonical form is compared as it was written. The
/// empty pointer is the whole document.
pub fn differing_pointers(one: Element<'_>, other: Element<'_>) -> Vec<String> {
    let mut comparison = Comparison {
        pointer: String::new(),
        found: Vec::new(),
    };
    comparison.values(one, other);
    comparison.found
}

struct Comparison {
    pointer: String,
    found: Vec<String>,
}

impl Comparison {
    fn values(&mut self, one: Element<'_>, other: Element<'_>) {
        if one.raw() == other.raw() {
            return;
        }
        match (one.value(), other.value()) {
            (Value::Array(ones), Value::Array(others)) => self.arrays(ones, others),
            (Value::Object(ones), Value::Object(others)) => {
                match (sorted(one, ones), sorted(other, others)) {
                    (Some(ones), Some(others)) => self.objects(&ones, &others),
                    (Some(_) | None, _) => self.report(),
                }
            }
            (Value::Number(one), Value::Number(other)) => {
                let canonical = canonical_number(one);
                if canonical.is_none() || canonical != canonical_number(other) {
                    self.report();
                }
            }
            (Value::String(text), Value::String(other_text)) => {
                let comparable = one.is_well_formed() && other.is_well_formed();
                if !comparable || text != other_text {
                    self.report();
                }
            }
            // Two equal words were written alike, and types never agree across each other.
            (
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
                _,
            ) => self.report(),
        }
    }

    fn arrays(&mut self, mut ones: Elements<'_>, mut others: Elements<'_>) {
        let mut index = 0;
        while !self.is_full() {
            match (ones.next(), others.next()) {
                (Some(one), Some(other)) => {
                    self.below(&index.to_string(), |inner| inner.values(one, other));
                }
                (Some(_), None) | (None, Some(_)) => {
                    self.below(&index.to_string(), Self::report);
                }
                (None, None) => return,
            }
            index += 1;
        }
    }

    fn objects(&mut self, ones: &[Member<'_>], others: &[Member<'_>]) {
        let (mut ones, mut others) = (ones.iter().peekable(), others.iter().peekable());
        while !self.is_full() {
            let order = match (ones.peek(), others.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let one = if order.is_le() { ones.next() } else { None };
            let other = if order.is_ge() { others.next() } else { None };
            match (one, other) {
                (Some((name, one)), Some((_, other))) => {
                    self.below(name, |inner| inner.values(*one, *other));
                }
                (Some((name, _)), None) | (None, Some((name, _))) => {
                    self.below(name, Self::report);
                }
                (None, None) => return,
            }
        }
    }

    fn below(&mut self, name: &str, compare: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer
            .push_str(&name.replace('~', "~0").replace('/', "~1"));
        compare(self);
        self.pointer.truncate(length);
    }

    fn report(&mut self) {
        if !self.is_full() {
            self.found.push(self.pointer.clone());
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= DIFF_POINTERS_MAX
    }
}

type Member<'d> = (Cow<'d, str>, Element<'d>);

/// The members in the order of their names; `None` where a name is repeated, or may be, because
/// U+FFFD stands for some part of it.
fn sorted<'d>(object: Element<'d>, members: Members<'d>) -> Option<Vec<Member<'d>>> {
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    let repeated = members.windows(2).any(|pair| pair[0].0 == pair[1].0);
    let unclear = !object.is_well_formed()
        && members
            .iter()
            .any(|(name, _)| name.contains(char::REPLACEMENT_CHARACTER));
    (!repeated && !unclear).then_some(members)
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, parse};
    use super::*;

    fn pointers(one: &str, other: &str) -> Vec<String> {
        let one = parse(one.as_bytes()).expect(one);
        let other = parse(other.as_bytes()).expect(other);
        let found = differing_pointers(one.root(), other.root());
        if let (Some(one), Some(other)) = (canonical(one.root()), canonical(other.root())) {
            assert_eq!(
                found.is_empty(),
                one == other,
                "the diff and the canonical form disagree"
            );
        }
        found
    }

    #[test]
    fn c6_the_differing_pointers_are_named() {
        let cases: [(&str, &str, &[&str]); 14] = [
            ("{}", " { } ", &[]),
            ("1", "2", &[""]),
            ("[1, 2.0]", "[1.0, 2]", &[]),
            (r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,3],"a":1}"#, &["/b/1"]),
            (r#"{"a":1}"#, r#"{"b":1}"#, &["/a", "/b"]),
            (r#"{"a":{"x":1},"c":0}"#, r#"{"a":[],"c":0}"#, &["/a"]),
            ("[1]", "[1,2,3]", &["/1", "/2"]),
            (
                r#"{"a/b":1,"m~n":1,"":1}"#,
                r#"{"a/b":2,"m~n":2,"":2}"#,
                &["/", "/a~1b", "/m~0n"],
            ),
            (r#"{"a":"\u0041"}"#, r#"{"a":"A"}"#, &[]),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, &["/a"]),
            (r#"{"a":null}"#, "{}", &["/a"]),
            (r#"[{"a":1,"a":2}]"#, r#"[{"a":2,"a":2}]"#, &["/0"]),
            (r#"["\ud83d"]"#, r#"["\ud83e"]"#, &["/0"]),
            (r#"[{"\ud83d":1}]"#, r#"[{"\ud83e":1}]"#, &["/0"]),
        ];
        for (one, other, expected) in cases {
            assert_eq!(pointers(one, other), expected, "{one} {other}");
            assert_eq!(pointers(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn c6_a_long_difference_is_cut() {
        let long = format!("[{}]", vec!["0"; 5_000].join(","));
        assert_eq!(pointers("[]", &long).len(), DIFF_POINTERS_MAX);
        assert_eq!(
            pointers(&long, &long.replace('0', "1")).len(),
            DIFF_POINTERS_MAX
        );
    }
}
