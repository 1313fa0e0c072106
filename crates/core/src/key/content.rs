//! Content rules (K6): the body itself is the key, whole or in parts.

use sha2::{Digest, Sha256};

use crate::fingerprint::{picked_by, update_selected};
use crate::json::{Document, Element, Selection, Value};
use crate::location::WildPath;

use super::part::{Form, KeyPart};
use super::{Body, Content};

/// `{}` or `[]`: what is left of a container when everything in it is left out.
const EMPTY_CONTAINER_BYTES: usize = 2;

/// The hash of a body's content, or `None` where there is no content: nothing was sent, or nothing
/// of it is selected. Events of which nothing is compared are not copies of each other.
pub(super) fn content_part(
    content: &Content,
    body: &Body<'_>,
    raw: &[u8],
    fingerprint_exclude: &[WildPath],
) -> Option<KeyPart<'static>> {
    if let Some(document) = body.json() {
        let selection = select(content, document, fingerprint_exclude)?;
        let mut hash = Sha256::new();
        if let Ok(written) = update_selected(&mut hash, document, &selection) {
            let is_left = selection.is_everything() || written > EMPTY_CONTAINER_BYTES;
            return is_left.then(|| KeyPart::content_hash(Form::Canonical, hash.finalize().into()));
        }
    }
    (!raw.is_empty()).then(|| KeyPart::content_hash(Form::Raw, Sha256::digest(raw).into()))
}

/// What the rule selects; `None` where no value is among it.
fn select(
    content: &Content,
    document: &Document<'_>,
    fingerprint_exclude: &[WildPath],
) -> Option<Selection> {
    let root = document.root();
    let left_out = picked_by(fingerprint_exclude, document);
    match content {
        Content::Whole => is_value(root).then(|| Selection::without(left_out)),
        Content::Exclude(paths) => is_value(root)
            .then(|| Selection::without([left_out, picked_by(paths, document)].concat())),
        Content::Include(paths) => {
            let mut has_value = false;
            for path in paths {
                path.for_each(root, |element| has_value |= is_value(element));
            }
            has_value.then(|| Selection::only(picked_by(paths, document), left_out))
        }
    }
}

/// Null and the empty string are no value (K3).
fn is_value(element: Element<'_>) -> bool {
    match element.value() {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<WildPath> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn hash(content: &Content, raw: &str, fingerprint_exclude: &[&str]) -> Option<String> {
        let body = Body::understand(None, raw.as_bytes());
        content_part(content, &body, raw.as_bytes(), &paths(fingerprint_exclude))
            .map(|part| format!("{:?} {}", part.form(), part.text()))
    }

    fn sha256(form: Form, text: &str) -> Option<String> {
        let part = KeyPart::content_hash(form, Sha256::digest(text).into());
        Some(format!("{form:?} {}", part.text()))
    }

    #[test]
    fn k6_the_whole_body_is_hashed_in_its_canonical_form() {
        let whole = Content::Whole;
        assert_eq!(
            hash(&whole, r#"{"b":1.0, "a":2}"#, &[]),
            sha256(Form::Canonical, r#"{"a":2,"b":1}"#)
        );
        assert_eq!(hash(&whole, "{}", &[]), sha256(Form::Canonical, "{}"));
        assert_eq!(hash(&whole, "no json", &[]), sha256(Form::Raw, "no json"));
        assert_eq!(
            hash(&whole, r#"{"a":1,"a":1}"#, &[]),
            sha256(Form::Raw, r#"{"a":1,"a":1}"#)
        );
    }

    #[test]
    fn k6_parts_are_picked_or_left_out() {
        let body = r#"{"id":1,"at":2,"items":[{"sku":"a","seen":5},{"sku":"b","seen":6}]}"#;
        let include = Content::Include(paths(&["$.id", "$.items[*].sku"]));
        assert_eq!(
            hash(&include, body, &[]),
            sha256(
                Form::Canonical,
                r#"{"id":1,"items":[{"sku":"a"},{"sku":"b"}]}"#
            )
        );
        let exclude = Content::Exclude(paths(&["$.at", "$.items"]));
        assert_eq!(
            hash(&exclude, body, &[]),
            sha256(Form::Canonical, r#"{"id":1}"#)
        );
    }

    #[test]
    fn k11_content_rules_leave_out_what_fingerprints_do() {
        let body = r#"{"id":1,"attempt":2,"data":{"x":1,"attempt":3}}"#;
        let left = sha256(Form::Canonical, r#"{"data":{"x":1},"id":1}"#);
        let exclude = ["$.attempt", "$.data.attempt"];
        assert_eq!(hash(&Content::Whole, body, &exclude), left);
        assert_eq!(
            hash(
                &Content::Exclude(paths(&["$.attempt"])),
                body,
                &exclude[1..]
            ),
            left
        );
        assert_eq!(
            hash(
                &Content::Include(paths(&["$.id", "$.data"])),
                body,
                &exclude
            ),
            left
        );
    }

    #[test]
    fn k6_where_nothing_is_compared_there_is_no_content() {
        for raw in ["", "null", "\"\""] {
            assert_eq!(hash(&Content::Whole, raw, &[]), None, "{raw}");
        }
        let include = Content::Include(paths(&["$.id", "$.ref"]));
        for raw in ["{}", r#"{"other":1}"#, r#"{"id":null,"ref":""}"#, "[]", "7"] {
            assert_eq!(hash(&include, raw, &[]), None, "{raw}");
        }
        assert_eq!(
            hash(&Content::Exclude(paths(&["$.at"])), r#"{"at":1}"#, &[]),
            None
        );
        assert_eq!(
            hash(&Content::Whole, r#"{"attempt":1}"#, &["$.attempt"]),
            None
        );
    }
}
