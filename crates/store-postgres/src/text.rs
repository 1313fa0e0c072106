//! Texts in columns. PostgreSQL's `text` holds everything but U+0000, which strangers may send
//! inside an event type or a tenant; so it is escaped, and what escapes it as well.
//!
//! Texts that are JSON need none of this: there U+0000 is always written as an escape.

use std::borrow::Cow;

const ESCAPE: char = '\u{1}';

/// A text as its column keeps it.
pub(crate) fn to_column(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', ESCAPE]) {
        let escaped = text.replace(ESCAPE, "\u{1}1").replace('\0', "\u{1}0");
        Cow::Owned(escaped)
    } else {
        Cow::Borrowed(text)
    }
}

/// A text from its column.
pub(crate) fn from_column(text: String) -> String {
    if text.contains(ESCAPE) {
        text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_its_column() {
        for text in [
            "",
            "order.paid",
            "a\0b",
            "\u{1}",
            "\u{1}0",
            "\u{1}\0",
            "\0\u{1}1\0",
        ] {
            let column = to_column(text);
            assert!(!column.contains('\0'), "{text:?}");
            assert_eq!(from_column(column.into_owned()), text, "{text:?}");
        }
    }
}
