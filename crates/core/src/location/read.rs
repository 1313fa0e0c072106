//! Reads the text of a path, with wildcards; who wants none refuses them afterwards.
//!
//! The grammar is RFC 9535's, with two liberties that people and catalogues of providers take: the
//! leading `$` may be missing, and a name after a dot may contain `-`.

use super::path::{Segment, Step};
use super::{Found, LocationProblem};

/// RFC 9535 keeps indexes within what every JSON implementation can represent.
const INDEX_MAX: i64 = (1 << 53) - 1;

/// The steps of a path, each with the place of its text. `offset` is where `text` starts in what
/// the user wrote.
pub(super) fn read_steps(text: &str, offset: usize) -> Found<Vec<(usize, Step)>> {
    let mut reader = Reader { text, at: 0 };
    reader
        .path()
        .map_err(|(at, problem)| (offset + at, problem))
        .map(|mut steps| {
            for (at, _) in &mut steps {
                *at += offset;
            }
            steps
        })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn path(&mut self) -> Found<Vec<(usize, Step)>> {
        if self.text.is_empty() {
            return self.fail(LocationProblem::PathExpected);
        }
        let mut steps = Vec::new();
        if !self.eat('$') && self.peek() != Some('[') {
            steps.push(self.after_dot()?);
        }
        while self.at < self.text.len() {
            let before_blanks = self.at;
            self.skip_blanks();
            if self.eat('.') {
                steps.push(self.after_dot()?);
            } else if self.eat('[') {
                steps.push(self.bracketed()?);
            } else {
                self.at = before_blanks;
                return self.fail(LocationProblem::StepExpected);
            }
        }
        Ok(steps)
    }

    fn after_dot(&mut self) -> Found<(usize, Step)> {
        let start = self.at;
        if self.eat('*') {
            return Ok((start, Step::Every));
        }
        let rest = &self.text[start..];
        let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || !c.is_ascii();
        match self.peek() {
            Some('.') => return self.fail(LocationProblem::Descendants),
            Some('0'..='9') => return self.fail(LocationProblem::NumberAfterDot),
            Some(c) if in_name(c) && c != '-' => {}
            Some(_) | None => return self.fail(LocationProblem::NameExpected),
        }
        let length = rest.find(|c: char| !in_name(c)).unwrap_or(rest.len());
        self.at += length;
        Ok((start, Step::One(Segment::Name(rest[..length].to_owned()))))
    }

    fn bracketed(&mut self) -> Found<(usize, Step)> {
        self.skip_blanks();
        let start = self.at;
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::Every
            }
            Some(quote @ ('\'' | '"')) => Step::One(Segment::Name(self.quoted(quote)?)),
            Some('-' | '0'..='9') => Step::One(Segment::Index(self.index()?)),
            Some(']') => return self.fail(LocationProblem::EmptyBrackets),
            Some(_) | None => return self.fail(LocationProblem::SelectorExpected),
        };
        self.skip_blanks();
        if !self.eat(']') {
            return self.fail(LocationProblem::BracketExpected);
        }
        Ok((start, step))
    }

    fn index(&mut self) -> Found<i64> {
        let rest = &self.text[self.at..];
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let length = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let text = &rest[..rest.len() - digits.len() + length];
        let is_canonical = digits.starts_with('0') == (text == "0");
        match text.parse::<i64>() {
            Ok(index) if is_canonical && index.abs() <= INDEX_MAX => {
                self.at += text.len();
                Ok(index)
            }
            Ok(_) | Err(_) => self.fail(LocationProblem::BadIndex),
        }
    }

    fn quoted(&mut self, quote: char) -> Found<String> {
        self.at += 1;
        let mut name = String::new();
        loop {
            match self.peek() {
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(name);
                }
                Some('\\') => name.push(self.escape(quote)?),
                Some(c) if c < ' ' => return self.fail(LocationProblem::ControlCharacter),
                Some(c) => {
                    name.push(c);
                    self.at += c.len_utf8();
                }
                None => return self.fail(LocationProblem::QuoteExpected),
            }
        }
    }

    fn escape(&mut self, quote: char) -> Found<char> {
        let escape = &self.text[self.at + 1..];
        let simple = match escape.chars().next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(c @ ('/' | '\\')) => c,
            Some(c) if c == quote => c,
            Some('u') => return self.unicode_escape(&escape[1..]),
            Some(_) | None => return self.fail(LocationProblem::BadEscape),
        };
        self.at += 2;
        Ok(simple)
    }

    fn unicode_escape(&mut self, digits: &str) -> Found<char> {
        let mut units = Vec::new();
        if let Some(first) = hex4(digits) {
            units.push(first);
            units.extend(digits[4..].strip_prefix("\\u").and_then(hex4));
        }
        // The second escape belongs to the first only if the two are a surrogate pair.
        let character = match char::decode_utf16(units).next() {
            Some(Ok(character)) => character,
            Some(Err(_)) | None => return self.fail(LocationProblem::BadEscape),
        };
        self.at += if character.len_utf16() == 2 { 12 } else { 6 };
        Ok(character)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.at += if found { character.len_utf8() } else { 0 };
        found
    }

    fn fail<T>(&self, problem: LocationProblem) -> Found<T> {
        Err((self.at, problem))
    }
}

fn hex4(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
