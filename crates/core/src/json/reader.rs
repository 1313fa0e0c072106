//! Reads a JSON text in one pass. Strict, because a reader that is more generous than the
//! receiver's would find keys in what the receiver refuses.

use crate::limits::JSON_DEPTH_MAX;

use super::text::read_escape;
use super::{Document, Kind, Node};

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at byte {offset})")]
pub struct JsonError {
    /// The first byte that cannot stand where it stands.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: JsonProblem,
}

/// What is wrong with a text that should be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// Bytes that are no UTF-8.
    #[error("the text is not UTF-8; encode it as UTF-8")]
    NotUtf8,
    /// Positions would not fit.
    #[error("the text is longer than 4 GiB; send less at a time")]
    TooLong,
    /// The text stops inside a value.
    #[error("the text ends too early; send the whole document")]
    EndsTooEarly,
    /// No value starts like this.
    #[error(
        "expected a value; a value starts with {{, [, a double quote, a digit or -, or is true, false or null"
    )]
    ValueExpected,
    /// A member must start with its name.
    #[error("expected a member's name in double quotes; remove a trailing comma")]
    NameExpected,
    /// Name and value are not parted.
    #[error("expected a colon after the member's name")]
    ColonExpected,
    /// The container neither goes on nor ends.
    #[error("expected a comma or the end of the array or object")]
    CommaExpected,
    /// Something follows the document.
    #[error("there is text after the end of the document; send one document only")]
    TextAfterEnd,
    /// A raw control character in a string.
    #[error("a control character in a string must be escaped, as in \\n or \\u0000")]
    ControlCharacter,
    /// A backslash that starts no escape.
    #[error("a backslash must start one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")]
    BadEscape,
    /// A number that RFC 8259 does not know.
    #[error("a number is digits without leading zeros, with an optional fraction and exponent")]
    BadNumber,
    /// Too many levels.
    #[error("the document is nested more than {JSON_DEPTH_MAX} levels deep; flatten it")]
    TooDeep,
}

/// Reads one JSON text.
pub fn parse(bytes: &[u8]) -> Result<Document<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        problem: JsonProblem::NotUtf8,
    })?;
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError {
            offset: 0,
            problem: JsonProblem::TooLong,
        });
    }
    // Real payloads have a value or a name about every 16 bytes.
    let nodes = Vec::with_capacity(text.len() / 16 + 4);
    let mut reader = Reader {
        bytes,
        at: 0,
        nodes,
        lone_surrogates: 0,
    };
    reader.skip_blanks();
    reader.value(0)?;
    reader.skip_blanks();
    if reader.at < bytes.len() {
        return Err(reader.fail(JsonProblem::TextAfterEnd));
    }
    Ok(Document {
        text,
        nodes: reader.nodes,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    lone_surrogates: usize,
}

/// A value whose end is not yet known.
struct Opened {
    node: usize,
    lone_surrogates: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Kind::True),
            Some(b'f') => self.word(b"false", Kind::False),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(_) | None => Err(self.fail(JsonProblem::ValueExpected)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let opened = self.enter(Kind::Object, depth)?;
        self.skip_blanks();
        if !self.eat(b'}') {
            loop {
                self.skip_blanks();
                if self.peek() != Some(b'"') {
                    return Err(self.fail(JsonProblem::NameExpected));
                }
                self.string()?;
                self.skip_blanks();
                self.expect(b':', JsonProblem::ColonExpected)?;
                self.skip_blanks();
                self.value(depth + 1)?;
                self.skip_blanks();
                if self.eat(b'}') {
                    break;
                }
                self.expect(b',', JsonProblem::CommaExpected)?;
            }
        }
        self.close(&opened);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        let opened = self.enter(Kind::Array, depth)?;
        self.skip_blanks();
        if !self.eat(b']') {
            loop {
                self.skip_blanks();
                self.value(depth + 1)?;
                self.skip_blanks();
                if self.eat(b']') {
                    break;
                }
                self.expect(b',', JsonProblem::CommaExpected)?;
            }
        }
        self.close(&opened);
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        let opened = self.open(Kind::PlainString);
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at += plain.unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.nodes[opened.node].kind = Kind::EscapedString;
                    self.escape()?;
                }
                Some(_) => return Err(self.fail(JsonProblem::ControlCharacter)),
                None => return Err(self.fail(JsonProblem::EndsTooEarly)),
            }
        }
        self.at += 1;
        self.close(&opened);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let (character, length) = read_escape(&self.bytes[self.at + 1..])
            .ok_or_else(|| self.fail(JsonProblem::BadEscape))?;
        self.lone_surrogates += usize::from(character.is_none());
        self.at += 1 + length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let opened = self.open(Kind::Number);
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fail(JsonProblem::BadNumber));
        }
        self.close(&opened);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.fail(JsonProblem::BadNumber));
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), JsonError> {
        let opened = self.open(kind);
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.fail(JsonProblem::ValueExpected));
        }
        self.at += word.len();
        self.close(&opened);
        Ok(())
    }

    fn enter(&mut self, kind: Kind, depth: usize) -> Result<Opened, JsonError> {
        if depth == JSON_DEPTH_MAX {
            return Err(self.fail(JsonProblem::TooDeep));
        }
        let opened = self.open(kind);
        self.at += 1;
        Ok(opened)
    }

    fn open(&mut self, kind: Kind) -> Opened {
        let opened = Opened {
            node: self.nodes.len(),
            lone_surrogates: self.lone_surrogates,
        };
        let start = self.at as u32;
        self.nodes.push(Node {
            start,
            end: start,
            after: 0,
            kind,
            well_formed: true,
        });
        opened
    }

    fn close(&mut self, opened: &Opened) {
        let after = self.nodes.len() as u32;
        let node = &mut self.nodes[opened.node];
        node.end = self.at as u32;
        node.after = after;
        node.well_formed = self.lone_surrogates == opened.lone_surrogates;
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, problem: JsonProblem) -> Result<(), JsonError> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.fail(problem))
        }
    }

    fn fail(&self, problem: JsonProblem) -> JsonError {
        let ends = self.at >= self.bytes.len();
        let problem = if ends {
            JsonProblem::EndsTooEarly
        } else {
            problem
        };
        JsonError {
            offset: self.at,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RICH_TEXT: &str =
        r#" {"a": [1, -2.50e+3, 0, true ,false], "b\u00e9\n": {"": null, "\ud83d\ude00": "x\\"}} "#;

    fn problem(text: &str) -> (usize, JsonProblem) {
        let error = parse(text.as_bytes()).expect_err(text);
        (error.offset, error.problem)
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_goes_wrong() {
        let cases = [
            ("", 0, JsonProblem::EndsTooEarly),
            ("  ", 2, JsonProblem::EndsTooEarly),
            ("[1,", 3, JsonProblem::EndsTooEarly),
            ("[1,]", 3, JsonProblem::ValueExpected),
            ("nul", 0, JsonProblem::ValueExpected),
            ("{\"a\":1,}", 7, JsonProblem::NameExpected),
            ("{\"a\" 1}", 5, JsonProblem::ColonExpected),
            ("[1 2]", 3, JsonProblem::CommaExpected),
            ("1 2", 2, JsonProblem::TextAfterEnd),
            ("\"\n\"", 1, JsonProblem::ControlCharacter),
            ("\"\\x\"", 1, JsonProblem::BadEscape),
            ("\"\\u12g4\"", 1, JsonProblem::BadEscape),
            ("01", 1, JsonProblem::BadNumber),
            ("-a", 1, JsonProblem::BadNumber),
            ("1.e5", 2, JsonProblem::BadNumber),
            ("1e+", 3, JsonProblem::EndsTooEarly),
            ("NaN", 0, JsonProblem::ValueExpected),
            ("\u{feff}{}", 0, JsonProblem::ValueExpected),
        ];
        for (text, offset, expected) in cases {
            assert_eq!(problem(text), (offset, expected), "{text:?}");
        }
        let error = parse(b"[\"\xff\"]").expect_err("no UTF-8");
        assert_eq!((error.offset, error.problem), (2, JsonProblem::NotUtf8));
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = parse(b"{} {}").expect_err("two documents");
        assert_eq!(
            error.to_string(),
            "there is text after the end of the document; send one document only (at byte 3)"
        );
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(
            problem(&nested(JSON_DEPTH_MAX + 1)),
            (JSON_DEPTH_MAX, JsonProblem::TooDeep)
        );
        assert_eq!(problem(&"[".repeat(1_000_000)).1, JsonProblem::TooDeep);
    }

    #[test]
    fn half_a_surrogate_pair_marks_what_contains_it_and_nothing_else() {
        let document = parse(br#"{"id": "e1", "title": ["cut \ud83d"]}"#).unwrap();
        let root = document.root();
        assert!(!root.is_well_formed());
        assert!(!root.get("title").unwrap().is_well_formed());
        assert!(root.get("id").unwrap().is_well_formed());
    }

    proptest! {
        #[test]
        fn the_same_texts_are_json_as_for_serde_json(
            text in r#"([\[\]{},:" \t]|"a"|"\\u00e9"|\\|true|null|-|0|12|\.5|e3|E-1|é|\n){0,14}"#
        ) {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), theirs.is_ok(), "{}", text);
        }

        #[test]
        fn a_damaged_text_is_judged_as_serde_json_judges_it(
            at in 0..RICH_TEXT.len(),
            removed in 0..3usize,
            inserted in r#"|["\\,:{}0-9.eE+ntu-]|\]|\[|\\u|\n|é"#,
        ) {
            let end = (at + removed).min(RICH_TEXT.len());
            let text = [&RICH_TEXT[..at], &inserted, &RICH_TEXT[end..]].concat();
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), theirs.is_ok(), "{}", text);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&bytes);
            prop_assert_eq!(parse(&bytes).is_ok(), theirs.is_ok());
        }
    }
}
