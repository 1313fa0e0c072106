//! A request as the rules see it, and its body, understood once.

use std::borrow::Cow;

use crate::json::{Document, parse};

use super::{form, multipart};

/// A borrowed view of an arrival.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// The path that a `path` location reads.
    pub path: &'a str,
    /// The query, still encoded.
    pub query: Option<&'a str>,
    /// Header lines in their order; names in lower case, values as they came.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body's media type.
    pub content_type: Option<&'a str>,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// What was understood of a body (K3).
#[derive(Debug)]
pub enum Body<'a> {
    /// JSON.
    Json(Document<'a>),
    /// `application/x-www-form-urlencoded`
    Form(Fields<'a>),
    /// `multipart/form-data`; files are left out.
    Multipart(Fields<'a>),
    /// Anything else, and what is not what its type says: bytes without values.
    Opaque,
}

/// The fields of a form, decoded, in their order.
#[derive(Clone, Default)]
pub struct Fields<'a>(pub(super) Vec<Field<'a>>);

/// The name and the value of a field.
pub(super) type Field<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Body<'a> {
    /// Understands a body by its media type; where that is missing, by trying to read it as JSON.
    ///
    /// What cannot be read is no error: a provider's mistake must not lose the event (K5).
    pub fn understand(content_type: Option<&str>, bytes: &'a [u8]) -> Self {
        let full = content_type.unwrap_or_default();
        let essence = full
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/json" => Self::json_or_opaque(bytes),
            json if json.ends_with("+json") => Self::json_or_opaque(bytes),
            "application/x-www-form-urlencoded" => Self::Form(form::fields(bytes)),
            "multipart/form-data" => {
                multipart::fields(full, bytes).map_or(Self::Opaque, Self::Multipart)
            }
            _ => Self::Opaque,
        }
    }

    /// The document, where the body is JSON.
    pub fn json(&self) -> Option<&Document<'a>> {
        match self {
            Self::Json(document) => Some(document),
            Self::Form(_) | Self::Multipart(_) | Self::Opaque => None,
        }
    }

    fn json_or_opaque(bytes: &'a [u8]) -> Self {
        parse(bytes).map_or(Self::Opaque, Self::Json)
    }
}

impl Fields<'_> {
    /// The first field of this name.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(other, _)| **other == *name.as_bytes())
            .map(|(_, value)| &**value)
    }

    /// Every field of this name, in their order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self
            .0
            .iter()
            .filter(move |(other, _)| **other == *name.as_bytes());
        named.map(|(_, value)| &**value)
    }
}

// Fields may hold secrets.
impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fields({})", self.0.len())
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} with {} bytes)", self.method, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k3_the_media_type_decides_and_without_one_the_bytes_do() {
        let kind = |content_type: Option<&str>, bytes: &[u8]| match Body::understand(
            content_type,
            bytes,
        ) {
            Body::Json(_) => "json",
            Body::Form(_) => "form",
            Body::Multipart(_) => "multipart",
            Body::Opaque => "opaque",
        };
        let cases: [(Option<&str>, &[u8], &str); 14] = [
            (Some("application/json"), b"{}", "json"),
            (Some("Application/JSON; charset=utf-8"), b"{}", "json"),
            (Some("application/cloudevents+json"), b"{}", "json"),
            (Some("application/vnd.api+json;x=y"), b"[]", "json"),
            (Some("application/json"), b"{", "opaque"),
            (Some("application/json"), b"", "opaque"),
            (Some("text/plain"), b"{}", "opaque"),
            (
                Some("application/x-www-form-urlencoded; charset=utf-8"),
                b"a=1",
                "form",
            ),
            (
                Some("multipart/form-data; boundary=x"),
                b"--x--",
                "multipart",
            ),
            (Some("multipart/form-data"), b"--x--", "opaque"),
            (None, b" {} ", "json"),
            (Some(""), b"7", "json"),
            (None, b"a=1", "opaque"),
            (None, b"", "opaque"),
        ];
        for (content_type, bytes, expected) in cases {
            assert_eq!(
                kind(content_type, bytes),
                expected,
                "{content_type:?} {bytes:?}"
            );
        }
    }
}
