//! From the parts of a key to its checksum (K4). The module's page describes the encoding; any
//! change to it needs a new version in the tag, or every key in every ledger is forgotten.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::digest::{Checksum, Fingerprint};
use crate::fingerprint::length_prefix;
use crate::json::parse;
use crate::location::Location;

use super::{Form, KeyPart, KeyRule, MissingKey, Mode, PartType};

const VERSION: &[u8] = b"hooklatch-key-v1";

/// A part, with the position of its location in the rule.
pub(super) type Placed<'a> = (usize, KeyPart<'a>);

/// How the parts make up the key.
#[derive(Clone, Copy)]
pub(super) enum KeyMode {
    Located(Mode),
    Content,
}

/// The checksum that one value alone gives, where the rule is `first`, or `all` with one location.
pub fn checksum_of_value(
    mode: Mode,
    scope: &[u8],
    position: usize,
    value: &KeyPart<'_>,
) -> Checksum {
    checksum(
        KeyMode::Located(mode),
        scope,
        &[(position, value.clone())],
        None,
    )
}

/// The checksums that a provider's raw value may have under a rule, so that people can look a key
/// up by what they see in the provider's log (L1). A text may be a string, or whatever JSON value
/// it spells. Empty where the value alone does not make the key: several locations in mode `all`,
/// or a bound body.
pub fn candidates(rule: &KeyRule, scope: &[u8], raw: &str) -> Vec<Checksum> {
    let mut found = Vec::new();
    if rule.bind_body {
        return found;
    }
    if rule.mode == Mode::First || rule.locations.len() == 1 {
        for (position, location) in rule.locations.iter().enumerate() {
            let of = |part: KeyPart<'_>| checksum_of_value(rule.mode, scope, position, &part);
            found.extend(KeyPart::from_bytes(Cow::Borrowed(raw.as_bytes())).map(of));
            if !matches!(location, Location::Body(_)) {
                continue;
            }
            if let Ok(document) = parse(raw.as_bytes()) {
                found.extend(KeyPart::from_json(document.root()).map(of));
            }
        }
    }
    let reads_content = rule.content.is_some() || rule.missing_key == MissingKey::Content;
    if let Ok(hash) = raw.parse::<Checksum>()
        && reads_content
    {
        for form in [Form::Canonical, Form::Raw] {
            let part = KeyPart::content_hash(form, *hash.as_bytes());
            found.push(checksum(KeyMode::Content, scope, &[(0, part)], None));
        }
    }
    found
}

pub(super) fn checksum(
    mode: KeyMode,
    scope: &[u8],
    parts: &[Placed<'_>],
    bound: Option<&Fingerprint>,
) -> Checksum {
    let mut hash = Sha256::new();
    encode(mode, scope, parts, bound, &mut |bytes: &[u8]| {
        hash.update(bytes)
    });
    Checksum::from_bytes(hash.finalize().into())
}

fn encode(
    mode: KeyMode,
    scope: &[u8],
    parts: &[Placed<'_>],
    bound: Option<&Fingerprint>,
    out: &mut impl FnMut(&[u8]),
) {
    out(VERSION);
    out(&length_prefix(scope.len()));
    out(scope);
    out(match mode {
        KeyMode::Located(Mode::All) => b"a",
        KeyMode::Located(Mode::First) => b"f",
        KeyMode::Content => b"c",
    });
    out(&length_prefix(parts.len()));
    for (position, part) in parts {
        out(&length_prefix(*position));
        out(&[type_byte(part)]);
        out(&length_prefix(part.bytes().len()));
        out(part.bytes());
    }
    match bound {
        Some(fingerprint) => {
            out(b"b");
            out(fingerprint.as_bytes());
        }
        None => out(b"-"),
    }
}

fn type_byte(part: &KeyPart<'_>) -> u8 {
    let letter = match part.part_type() {
        PartType::String => b's',
        PartType::Number => b'n',
        PartType::Boolean => b'b',
        PartType::Object => b'o',
        PartType::Array => b'a',
        PartType::ContentHash => b'h',
    };
    match part.form() {
        Form::Canonical => letter,
        Form::Raw => letter.to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> KeyPart<'_> {
        KeyPart::from_bytes(Cow::Borrowed(text.as_bytes())).expect("a value")
    }

    fn encoded(mode: KeyMode, scope: &[u8], parts: &[Placed<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(mode, scope, parts, None, &mut |part: &[u8]| {
            bytes.extend_from_slice(part)
        });
        bytes
    }

    fn rule(json: &str) -> KeyRule {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn l1_a_raw_value_is_found_as_whatever_it_spells() {
        let one = rule(r#"{"locations": ["body:$.id"]}"#);
        let of_json = |json: &str, position| {
            let document = parse(json.as_bytes()).unwrap();
            let part = KeyPart::from_json(document.root()).unwrap();
            checksum_of_value(one.mode, b"s", position, &part)
        };
        assert_eq!(
            candidates(&one, b"s", "12.0"),
            [of_json("\"12.0\"", 0), of_json("12", 0)]
        );
        assert_eq!(
            candidates(&one, b"s", "true"),
            [of_json("\"true\"", 0), of_json("true", 0)]
        );
        assert_eq!(candidates(&one, b"s", "evt_1"), [of_json("\"evt_1\"", 0)]);
        assert_eq!(candidates(&one, b"s", ""), []);
        let header = rule(r#"{"locations": ["header:x-id"]}"#);
        assert_eq!(candidates(&header, b"s", "12"), [of_json("\"12\"", 0)]);
    }

    #[test]
    fn l1_under_first_a_raw_value_may_be_at_any_position() {
        let first = rule(r#"{"locations": ["header:a", "query:b"], "mode": "first"}"#);
        let at = |position| checksum_of_value(Mode::First, b"s", position, &string("x"));
        assert_eq!(candidates(&first, b"s", "x"), [at(0), at(1)]);
    }

    #[test]
    fn l1_a_value_that_is_not_the_whole_key_finds_none() {
        for json in [
            r#"{"locations": ["header:a", "query:b"]}"#,
            r#"{"locations": ["header:a"], "bind_body": true}"#,
            r#"{"content": true}"#,
        ] {
            assert_eq!(candidates(&rule(json), b"s", "x"), [], "{json}");
        }
        let hash = "0".repeat(64);
        assert_eq!(
            candidates(&rule(r#"{"content": true}"#), b"s", &hash).len(),
            2
        );
    }

    proptest! {
        #[test]
        fn k4_no_two_keys_have_one_encoding(
            one in ("[ab]{0,2}", prop::collection::vec("[1a]{1,3}", 1..4)),
            other in ("[ab]{0,2}", prop::collection::vec("[1a]{1,3}", 1..4)),
        ) {
            let encoding = |(scope, texts): &(String, Vec<String>)| {
                let parts: Vec<_> = texts.iter().map(|text| string(text)).enumerate().collect();
                encoded(KeyMode::Located(Mode::All), scope.as_bytes(), &parts)
            };
            let (first, second) = (encoding(&one), encoding(&other));
            prop_assert_eq!(first == second, one == other);
            // Nor does one encoding go on as another: it could be extended otherwise.
            prop_assert!(first == second || !second.starts_with(&first));
        }
    }

    #[test]
    fn k4_the_mode_the_position_and_the_type_count() {
        let [all, first] = [Mode::All, Mode::First].map(KeyMode::Located);
        let document = parse(b"[1, \"1\", [1], true, \"true\"]").unwrap();
        let parts: Vec<_> = (0..5)
            .map(|at| KeyPart::from_json(document.root().at(at).unwrap()).unwrap())
            .collect();
        let mut encodings = Vec::new();
        for mode in [all, first, KeyMode::Content] {
            for position in 0..2 {
                for part in &parts {
                    encodings.push(encoded(mode, b"s", &[(position, part.clone())]));
                }
            }
        }
        let count = encodings.len();
        encodings.sort();
        encodings.dedup();
        assert_eq!(encodings.len(), count);
    }
}
