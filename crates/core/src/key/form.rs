//! Pairs of names and values in `application/x-www-form-urlencoded` bodies and in queries.
//!
//! Values stay bytes: a decoder that replaces what is not UTF-8 would make different ids equal.

use std::borrow::Cow;

use crate::limits::FORM_FIELDS_MAX;

use super::Fields;
use super::body::Field;

/// The fields of a body; beyond the limit none are read.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields(pairs(bytes).take(FORM_FIELDS_MAX).collect())
}

/// The value of the first pair of this name.
pub(super) fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    pairs(query.as_bytes())
        .take(FORM_FIELDS_MAX)
        .find(|(other, _)| **other == *name.as_bytes())
        .map(|(_, value)| value)
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    bytes
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let end_of_name = pair
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(pair.len());
            let value = pair.get(end_of_name + 1..).unwrap_or_default();
            (decode(&pair[..end_of_name]), decode(value))
        })
}

/// `+` is a blank and `%41` an `A`; a `%` that starts no such pair stands for itself.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match (first, others) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                (Some(_) | None, _) => decoded.push(b'%'),
            },
            (other, _) => decoded.push(*other),
        }
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let cases = [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("a", "a", Some("")),
            ("a=b=c", "a", Some("b=c")),
            ("&&a=1&", "a", Some("1")),
            ("data%5Bid%5D=x+y%2B", "data[id]", Some("x y+")),
            ("a=%zz%4", "a", Some("%zz%4")),
            ("a=%C3%A9", "a", Some("é")),
            ("", "a", None),
            ("=1", "", Some("1")),
        ];
        for (text, name, value) in cases {
            assert_eq!(
                first(text, name).as_deref(),
                value.map(str::as_bytes),
                "{text}"
            );
            assert_eq!(
                fields(text.as_bytes()).first(name),
                value.map(str::as_bytes),
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_apart() {
        assert_ne!(first("id=%FE", "id"), first("id=%FF", "id"));
    }

    #[test]
    fn fields_beyond_the_limit_are_not_read() {
        let many = format!("{}last=1", "x=0&".repeat(FORM_FIELDS_MAX));
        assert_eq!(first(&many, "last"), None);
        assert_eq!(fields(many.as_bytes()).first("last"), None);
    }
}
