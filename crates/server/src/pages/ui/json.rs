//! Looks into JSON without changing a character of it: numbers stay texts, repeated members stay
//! two.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// One value, opened by one level.
pub(in crate::pages) enum Node<'a> {
    /// The members, in their order.
    Object(Vec<(String, &'a RawValue)>),
    /// The elements.
    Array(Vec<&'a RawValue>),
    /// A text, without its quotes.
    Text(String),
    /// A number, `true`, `false` or `null`, as it was written.
    Plain(&'a str),
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        from.deserialize_map(Read).map(Self)
    }
}

/// Opens a value by one level.
pub(in crate::pages) fn open(value: &RawValue) -> Node<'_> {
    let text = value.get();
    let opened = match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str(text).map(|Members(members)| Node::Object(members)),
        Some(b'[') => serde_json::from_str(text).map(Node::Array),
        Some(b'"') => serde_json::from_str(text).map(Node::Text),
        Some(_) | None => Ok(Node::Plain(text)),
    };
    opened.unwrap_or(Node::Plain(text))
}

/// The value at a JSON pointer (RFC 6901).
pub(in crate::pages) fn at<'a>(value: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut value = value;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        value = match open(value) {
            Node::Object(members) => {
                members
                    .into_iter()
                    .rev()
                    .find(|(known, _)| *known == name)?
                    .1
            }
            Node::Array(elements) => *elements.get(name.parse::<usize>().ok()?)?,
            Node::Text(_) | Node::Plain(_) => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_pointer_leads_to_the_value_as_it_was_written() {
        let value = raw(r#"{"a/b": [1, {"~": 12345678901234567890.10}], "c": "x"}"#);
        let found = |pointer| at(&value, pointer).map(RawValue::get);
        assert_eq!(found("/a~1b/1/~0"), Some("12345678901234567890.10"));
        assert_eq!(found("/c"), Some("\"x\""));
        assert_eq!(found(""), Some(value.get()));
        assert_eq!(
            (found("/d"), found("/a~1b/7"), found("/c/d")),
            (None, None, None)
        );
    }
}
