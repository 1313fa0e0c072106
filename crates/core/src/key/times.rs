//! Recognises locations that hold times (K12). A key that is a time is none: a retry carries a new
//! one, and two events may share one.

use crate::location::{Location, Segment};

/// Words that, at the end of a name, say that it holds a time.
const TIME_WORDS: [&str; 17] = [
    "time",
    "times",
    "timestamp",
    "timestamps",
    "date",
    "datetime",
    "ts",
    "epoch",
    "created",
    "updated",
    "modified",
    "sent",
    "received",
    "occurred",
    "generated",
    "expires",
    "now",
];
/// Words that follow a time's name without changing what it is.
const UNIT_WORDS: [&str; 9] = [
    "ms", "millis", "us", "ns", "seconds", "sec", "utc", "unix", "iso",
];
/// Names run together, as in `createdat`.
const TIME_ENDINGS: [&str; 5] = [
    "timestamp",
    "datetime",
    "createdat",
    "updatedat",
    "occurredat",
];
/// Digits of a time since 1970 in this century: seconds, milli-, micro- and nanoseconds.
const EPOCH_DIGITS: [usize; 4] = [10, 13, 16, 19];

/// Whether the name of a location says that it holds a time.
pub(super) fn is_named_like_a_time(location: &Location) -> bool {
    let name = match location {
        Location::Header(name) | Location::Query(name) => name,
        Location::Body(path) => {
            let last_name = path
                .segments()
                .iter()
                .rev()
                .find_map(|segment| match segment {
                    Segment::Name(name) => Some(name),
                    Segment::Index(_) => None,
                });
            match last_name {
                Some(name) => name,
                None => return false,
            }
        }
        Location::Method | Location::Path => return false,
    };
    let mut words = words(name);
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| UNIT_WORDS.contains(&word.as_str()))
    {
        words.pop();
    }
    match words.as_slice() {
        [.., _, at] if at == "at" || at == "on" => true,
        [.., last] => {
            TIME_WORDS.contains(&last.as_str())
                || TIME_ENDINGS.iter().any(|ending| last.ends_with(ending))
        }
        [] => false,
    }
}

/// Whether a value could be a time: RFC 3339 or a part of it, or a count since 1970.
pub(super) fn is_a_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(whole) {
        // From 2001 to 2033 the first digit is a 1.
        let is_epoch = EPOCH_DIGITS.contains(&whole.len()) && whole.starts_with('1');
        return is_epoch && is_digits(fraction);
    }
    text.contains('-')
        && (text.parse::<jiff::Timestamp>().is_ok()
            || text.parse::<jiff::civil::DateTime>().is_ok())
}

/// `createdAt`, `created_at` and `Created-At` are the same two words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for character in name.chars() {
        let starts_word = character.is_uppercase() && after_lower;
        if !character.is_alphanumeric() || starts_word {
            words.push(String::new());
        }
        if character.is_alphanumeric() {
            let word = words.last_mut().expect("there is always a last word");
            word.extend(character.to_lowercase());
        }
        after_lower = character.is_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k12_names_tell_a_time() {
        for text in [
            "header:x-slack-request-timestamp",
            "header:date",
            "query:ts",
            "body:$.created_at",
            "body:$.data.createdAt",
            "body:$.created",
            "body:$.event_ts",
            "body:$.occurredAt[0]",
            "body:$.eventTimeMs",
            "body:$['sent-on']",
            "body:$.generatedDateTime",
            "body:$.createdat",
            "body:$.timestamp_unix",
        ] {
            assert!(is_named_like_a_time(&text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn k12_other_names_do_not() {
        for text in [
            "header:x-github-delivery",
            "query:id",
            "body:$.update_id",
            "body:$.data.id",
            "body:$.date.id",
            "body:$.at",
            "body:$.status",
            "body:$.format",
            "body:$.runtime",
            "body:$.sequence_ms.id",
            "body:$[0]",
            "body:$",
            "method",
            "path",
        ] {
            assert!(!is_named_like_a_time(&text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn k12_values_tell_a_time() {
        for text in [
            "1700000000",
            "1700000000.123",
            "1700000000123",
            "1700000000123456",
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.000+01:00",
            "2026-01-31 12:00:00",
            "2026-01-31",
        ] {
            assert!(is_a_time(text), "{text}");
        }
        for text in [
            "",
            "evt_1700000000",
            "42",
            "9700000000",
            "20260131",
            "170000000012",
            "a-b",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "1.5",
        ] {
            assert!(!is_a_time(text), "{text}");
        }
    }
}
