//! A value as a filter writes it, and how it compares with what arrives.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Written;

use crate::json::{Element, Value, canonical_number, parse};

/// A value of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    /// In its canonical spelling.
    Number(String),
    Text(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
}

impl Literal {
    /// The value; none where a number of it has no canonical form.
    pub(super) fn of(written: &Written) -> Option<Self> {
        Some(match written {
            Written::Null => Self::Null,
            Written::Bool(value) => Self::Bool(*value),
            Written::Number(number) => {
                Self::Number(canonical_number(&number.to_string())?.into_owned())
            }
            Written::String(text) => Self::Text(text.clone()),
            Written::Array(values) => {
                Self::List(values.iter().map(Self::of).collect::<Option<_>>()?)
            }
            Written::Object(members) => {
                let member = |(name, value)| Some((String::clone(name), Self::of(value)?));
                Self::Object(members.iter().map(member).collect::<Option<_>>()?)
            }
        })
    }

    /// Whether a JSON value is this one.
    pub(super) fn is(&self, element: Element<'_>) -> bool {
        match (self, element.value()) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(wanted), Value::Bool(value)) => *wanted == value,
            (Self::Number(wanted), Value::Number(text)) => {
                canonical_number(text).is_some_and(|number| number == wanted.as_str())
            }
            (Self::Text(wanted), Value::String(text)) => *wanted == text,
            (Self::List(wanted), Value::Array(elements)) => {
                elements.clone().count() == wanted.len()
                    && wanted
                        .iter()
                        .zip(elements)
                        .all(|(one, other)| one.is(other))
            }
            (Self::Object(wanted), Value::Object(members)) => {
                let has = |(name, literal): &(String, Self)| {
                    element.get(name).is_some_and(|value| literal.is(value))
                };
                members.count() == wanted.len() && wanted.iter().all(has)
            }
            (
                Self::Null
                | Self::Bool(_)
                | Self::Number(_)
                | Self::Text(_)
                | Self::List(_)
                | Self::Object(_),
                _,
            ) => false,
        }
    }

    /// Whether a text is this value, or spells it.
    pub(super) fn is_text(&self, text: &str) -> bool {
        match self {
            Self::Text(wanted) => wanted == text,
            Self::Bool(wanted) => text == if *wanted { "true" } else { "false" },
            Self::Number(wanted) => number_in(text).is_some_and(|number| number == wanted.as_str()),
            Self::Null | Self::List(_) | Self::Object(_) => false,
        }
    }

    /// How a JSON value stands to this one; none where they have no order.
    pub(super) fn order_of(&self, element: Element<'_>) -> Option<Ordering> {
        match (self, element.value()) {
            (Self::Number(wanted), Value::Number(text)) => {
                Some(order(&canonical_number(text)?, wanted))
            }
            (Self::Text(wanted), Value::String(text)) => Some(text.as_ref().cmp(wanted)),
            (
                Self::Null
                | Self::Bool(_)
                | Self::Number(_)
                | Self::Text(_)
                | Self::List(_)
                | Self::Object(_),
                _,
            ) => None,
        }
    }

    /// How a text stands to this value; none where they have no order.
    pub(super) fn order_of_text(&self, text: &str) -> Option<Ordering> {
        match self {
            Self::Number(wanted) => Some(order(&number_in(text)?, wanted)),
            Self::Text(wanted) => Some(text.cmp(wanted.as_str())),
            Self::Null | Self::Bool(_) | Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// The canonical spelling of the number that a text is.
fn number_in(text: &str) -> Option<Cow<'_, str>> {
    let starts_like_one = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let ends_like_one = text.ends_with(|c: char| c.is_ascii_digit());
    if !starts_like_one || !ends_like_one {
        return None;
    }
    let document = parse(text.as_bytes()).ok()?;
    match document.root().value() {
        Value::Number(_) => canonical_number(text),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// The order of two numbers in their canonical spelling: exact, and without expanding an exponent.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    let (one, other) = (Decimal::of(one), Decimal::of(other));
    one.sign().cmp(&other.sign()).then_with(|| {
        let by_size = one
            .magnitude()
            .cmp(&other.magnitude())
            // Without zeros at either end, digits of one magnitude compare like texts.
            .then_with(|| one.digits.cmp(other.digits));
        if one.negative {
            by_size.reverse()
        } else {
            by_size
        }
    })
}

struct Decimal<'t> {
    negative: bool,
    digits: &'t str,
    exponent: i64,
}

impl<'t> Decimal<'t> {
    fn of(canonical: &'t str) -> Self {
        let negative = canonical.starts_with('-');
        let magnitude = canonical.strip_prefix('-').unwrap_or(canonical);
        let (digits, exponent) = magnitude.split_once('e').unwrap_or((magnitude, "0"));
        let exponent = exponent.parse();
        Self {
            negative,
            digits,
            exponent: exponent.expect("a canonical exponent has at most 19 digits"),
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits, self.negative) {
            ("0", _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        }
    }

    /// The power of ten just above the number.
    fn magnitude(&self) -> i128 {
        i128::from(self.exponent) + self.digits.len() as i128
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_ordered_exactly() {
        let ascending = [
            "-1e400",
            "-10",
            "-9.5",
            "-9",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.1000000000000000055511151231257827",
            "0.2",
            "1",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "1e400",
            "1e401",
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (beside, other) in ascending.iter().enumerate() {
                let (one, other) = (canonical_number(one), canonical_number(other));
                let found = order(&one.unwrap(), &other.unwrap());
                assert_eq!(found, at.cmp(&beside), "{at} {beside}");
            }
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_ordered_as_machines_order_them(one: i64, other: i64) {
            let canonical = |number: i64| canonical_number(&number.to_string()).unwrap().into_owned();
            prop_assert_eq!(order(&canonical(one), &canonical(other)), one.cmp(&other));
        }
    }
}
