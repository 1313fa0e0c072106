//! One value that may be a part of a key: its type, its canonical bytes, and what people see.

use std::borrow::Cow;

use crate::json::{Element, Value, canonical, canonical_number};
use crate::limits::KEY_PART_BYTES_MAX;
use crate::location::{Location, Path};

use super::{Body, Request, form};

/// A value that was found where a rule looked (K3).
#[derive(Clone)]
pub struct KeyPart<'a> {
    part_type: PartType,
    form: Form,
    bytes: Cow<'a, [u8]>,
    text: Cow<'a, str>,
}

/// The type of a part. Values of different types never agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartType {
    /// A JSON string, a header, a query parameter, a form field, the method, the path.
    String,
    /// A JSON number.
    Number,
    /// A JSON boolean.
    Boolean,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// The hash of a body, for content rules.
    ContentHash,
}

/// Which bytes stand for the value (K9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The canonical form.
    Canonical,
    /// The bytes as they came, because there is no canonical form.
    Raw,
}

impl<'a> KeyPart<'a> {
    /// The string value of a header, a query parameter or a form field.
    pub fn from_bytes(bytes: Cow<'a, [u8]>) -> Option<Self> {
        let text = match &bytes {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
        };
        Self {
            part_type: PartType::String,
            form: Form::Canonical,
            bytes,
            text,
        }
        .if_value()
    }

    /// The value of a JSON element.
    pub fn from_json(element: Element<'a>) -> Option<Self> {
        let raw = element.raw();
        let (part_type, canonical_bytes) = match element.value() {
            Value::Null => return None,
            Value::String(text) if element.is_well_formed() => {
                let bytes = match &text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.clone().into_bytes()),
                };
                return Self {
                    part_type: PartType::String,
                    form: Form::Canonical,
                    bytes,
                    text,
                }
                .if_value();
            }
            Value::String(_) => (PartType::String, None),
            Value::Number(number) => (
                PartType::Number,
                canonical_number(number).map(|number| match number {
                    Cow::Borrowed(number) => Cow::Borrowed(number.as_bytes()),
                    Cow::Owned(number) => Cow::Owned(number.into_bytes()),
                }),
            ),
            Value::Bool(_) => (PartType::Boolean, Some(Cow::Borrowed(raw.as_bytes()))),
            Value::Object(_) => (PartType::Object, canonical(element).map(Cow::Owned)),
            Value::Array(_) => (PartType::Array, canonical(element).map(Cow::Owned)),
        };
        let (form, bytes) = match canonical_bytes {
            Some(bytes) => (Form::Canonical, bytes),
            None => (Form::Raw, Cow::Borrowed(raw.as_bytes())),
        };
        Self {
            part_type,
            form,
            bytes,
            text: Cow::Borrowed(raw),
        }
        .if_value()
    }

    pub(super) fn content_hash(form: Form, hash: [u8; 32]) -> Self {
        let text = crate::digest::Fingerprint::from_bytes(hash)
            .to_string()
            .into();
        let bytes = Cow::Owned(hash.to_vec());
        Self {
            part_type: PartType::ContentHash,
            form,
            bytes,
            text,
        }
    }

    /// The type of the value.
    pub fn part_type(&self) -> PartType {
        self.part_type
    }

    /// Which bytes stand for it.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The bytes that stand for it in a key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value as the provider wrote it; a string without its quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The empty string is no value, nor is anything over the limit (K3, K5).
    fn if_value(self) -> Option<Self> {
        (1..=KEY_PART_BYTES_MAX)
            .contains(&self.bytes.len())
            .then_some(self)
    }
}

/// The value at a location of a request.
pub(crate) fn part_at<'r>(
    location: &Location,
    request: &Request<'r>,
    body: &'r Body<'_>,
) -> Option<KeyPart<'r>> {
    match location {
        Location::Header(name) => {
            let (_, value) = request.headers.iter().find(|(other, _)| other == name)?;
            KeyPart::from_bytes(Cow::Borrowed(value.trim_ascii()))
        }
        Location::Query(name) => KeyPart::from_bytes(form::first(request.query?, name)?),
        Location::Body(path) => part_in_body(path, body),
        Location::Method => KeyPart::from_bytes(Cow::Borrowed(request.method.as_bytes())),
        Location::Path => KeyPart::from_bytes(Cow::Borrowed(request.path.as_bytes())),
    }
}

fn part_in_body<'r>(path: &Path, body: &'r Body<'_>) -> Option<KeyPart<'r>> {
    match body {
        Body::Json(document) => KeyPart::from_json(path.find(document.root())?),
        Body::Form(fields) | Body::Multipart(fields) => {
            KeyPart::from_bytes(Cow::Borrowed(fields.first(path.field()?)?))
        }
        Body::Opaque => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_json(json: &str) -> Option<(PartType, Form, Vec<u8>, String)> {
        let document = crate::json::parse(json.as_bytes()).expect(json);
        let part = KeyPart::from_json(document.root())?;
        Some((
            part.part_type(),
            part.form(),
            part.bytes().to_vec(),
            part.text().to_owned(),
        ))
    }

    #[test]
    fn k3_a_value_has_a_type_and_canonical_bytes() {
        let cases = [
            (r#""a\/\u0062""#, PartType::String, "a/b", "a/b"),
            ("10.0", PartType::Number, "1e1", "10.0"),
            ("true", PartType::Boolean, "true", "true"),
            ("false", PartType::Boolean, "false", "false"),
            ("0", PartType::Number, "0", "0"),
            (
                r#"{"b": 1, "a": []}"#,
                PartType::Object,
                r#"{"a":[],"b":1}"#,
                r#"{"b": 1, "a": []}"#,
            ),
            ("[ ]", PartType::Array, "[]", "[ ]"),
        ];
        for (json, part_type, bytes, text) in cases {
            let expected = (part_type, Form::Canonical, bytes.into(), text.to_owned());
            assert_eq!(in_json(json), Some(expected));
        }
    }

    #[test]
    fn k3_absent_null_and_empty_are_no_value() {
        assert_eq!(in_json("null"), None);
        assert_eq!(in_json("\"\""), None);
        assert!(KeyPart::from_bytes(Cow::Borrowed(b"")).is_none());
    }

    #[test]
    fn k5_a_part_has_up_to_64_kib() {
        let text = "x".repeat(KEY_PART_BYTES_MAX);
        assert!(in_json(&format!("\"{text}\"")).is_some());
        assert_eq!(in_json(&format!("\"{text}x\"")), None);
        assert!(KeyPart::from_bytes(Cow::Owned(vec![b'x'; KEY_PART_BYTES_MAX + 1])).is_none());
        // White space does not count.
        assert!(in_json(&format!("[1{}]", " ".repeat(KEY_PART_BYTES_MAX))).is_some());
    }

    #[test]
    fn k9_without_a_canonical_form_the_raw_bytes_stand_for_a_value() {
        for (json, part_type) in [
            (r#"{"a": 1, "a": 2}"#, PartType::Object),
            (r#"[{"a":1,"a":2}]"#, PartType::Array),
            (r#""\ud83d""#, PartType::String),
            (&"9".repeat(1_001), PartType::Number),
        ] {
            let expected = (part_type, Form::Raw, json.into(), json.to_owned());
            assert_eq!(in_json(json), Some(expected));
        }
    }
}
