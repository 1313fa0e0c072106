//! A body as JSON can show it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

/// The largest payload that a list carries; the record of its own has any.
pub const PAYLOAD_LISTED_BYTES_MAX: usize = 64 * 1024;

/// A body: its own JSON text where it is JSON, else a text, else `{"base64": …}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Payload<'a> {
    /// JSON, character for character as it was written.
    Json(&'a RawValue),
    /// Any other text.
    Text(&'a str),
    /// What is no text.
    Binary {
        /// The bytes.
        base64: String,
    },
    /// It is not shown here; `null`.
    LeftOut,
}

/// How much of a record is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// What a list has room for.
    Listed,
}

impl<'a> Payload<'a> {
    /// A body, whole or left out.
    pub fn of(body: &'a [u8], shown: Shown) -> Self {
        match shown {
            Shown::Listed if body.len() > PAYLOAD_LISTED_BYTES_MAX => Self::LeftOut,
            Shown::Listed | Shown::Whole => match serde_json::from_slice(body) {
                Ok(json) => Self::Json(json),
                Err(_) => Self::text(body),
            },
        }
    }

    /// A body that nobody takes apart.
    pub fn text(body: &'a [u8]) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Binary {
                base64: STANDARD.encode(body),
            },
        }
    }

    /// The beginning of a body, which may end within a character.
    pub fn beginning(body: &'a [u8]) -> Self {
        match std::str::from_utf8(body) {
            Err(error) if error.error_len().is_none() => Self::text(&body[..error.valid_up_to()]),
            Ok(_) | Err(_) => Self::text(body),
        }
    }

    /// How it is shown: `json`, `text` or `base64`; none if it is not.
    pub const fn encoding(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => Some("json"),
            Self::Text(_) => Some("text"),
            Self::Binary { .. } => Some("base64"),
            Self::LeftOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &[u8]) -> String {
        serde_json::to_string(&Payload::of(body, Shown::Whole)).unwrap()
    }

    #[test]
    fn json_is_shown_as_it_was_written() {
        for json in [
            r#"{"n": 9007199254740993, "x": 1.10, "n": 1e400}"#,
            "[1,\n 2]",
            "12345678901234567890.50",
            r#""\u00e9""#,
        ] {
            assert_eq!(shown(json.as_bytes()), json);
        }
        assert_eq!(shown(b" {} "), "{}");
    }

    #[test]
    fn what_is_no_json_is_shown_as_text_or_in_base64() {
        assert_eq!(shown(b"a=1&b=\"2\""), r#""a=1&b=\"2\"""#);
        assert_eq!(shown(b""), r#""""#);
        assert_eq!(shown(&[0xff, 0x00]), r#"{"base64":"/wA="}"#);
    }

    #[test]
    fn a_list_leaves_out_what_is_too_large_for_it() {
        let large = vec![b' '; PAYLOAD_LISTED_BYTES_MAX + 1];
        let left_out = Payload::of(&large, Shown::Listed);
        assert_eq!(serde_json::to_string(&left_out).unwrap(), "null");
        assert_eq!(left_out.encoding(), None);
        assert_eq!(Payload::of(&large, Shown::Whole).encoding(), Some("text"));
        assert_eq!(
            Payload::of(&large[1..], Shown::Listed).encoding(),
            Some("text")
        );
    }

    #[test]
    fn a_beginning_that_ends_within_a_character_is_a_text() {
        let text = "né".as_bytes();
        let shown = |body| serde_json::to_string(&Payload::beginning(body)).unwrap();
        assert_eq!(shown(&text[..2]), "\"n\"");
        assert_eq!(shown(text), "\"né\"");
        assert_eq!(shown(&[0xff, b'a']), r#"{"base64":"/2E="}"#);
    }
}
