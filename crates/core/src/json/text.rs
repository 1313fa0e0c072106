//! Strings between their quotes: from escapes to content, and from content to the one canonical
//! spelling.

/// The content of a string whose escapes the reader has already checked. U+FFFD stands for half
/// a surrogate pair.
pub(super) fn unescape(inner: &str) -> String {
    let mut content = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(backslash) = rest.find('\\') {
        content.push_str(&rest[..backslash]);
        let escape = &rest.as_bytes()[backslash + 1..];
        let (character, length) = read_escape(escape).expect("the reader checked every escape");
        content.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[backslash + 1 + length..];
    }
    content.push_str(rest);
    content
}

/// Reads what follows a backslash: the character, or `None` for half a surrogate pair, and the
/// number of bytes read. `None` overall where it is no escape.
pub(super) fn read_escape(escape: &[u8]) -> Option<(Option<char>, usize)> {
    let simple = match escape.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return read_unicode_escape(&escape[1..]).map(|(c, length)| (c, length + 1)),
        _ => return None,
    };
    Some((Some(simple), 1))
}

fn read_unicode_escape(digits: &[u8]) -> Option<(Option<char>, usize)> {
    let first = hex4(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first), 4));
    }
    let second = digits[4..].strip_prefix(b"\\u").and_then(hex4);
    match second {
        Some(second) if (0xdc00..0xe000).contains(&second) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            Some((char::from_u32(code), 10))
        }
        Some(_) | None => Some((None, 4)),
    }
}

fn hex4(digits: &[u8]) -> Option<u32> {
    let mut code = 0;
    for byte in digits.get(..4)? {
        code = code * 16 + char::from(*byte).to_digit(16)?;
    }
    Some(code)
}

/// Writes the canonical spelling of a string, quotes included: `\"` and `\\`, the short escapes
/// of RFC 8259 for five control characters, `\u00xx` for the others, everything else as it is.
pub(super) fn write_quoted(content: &str, out: &mut impl FnMut(&[u8])) {
    out(b"\"");
    let bytes = content.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' => out(b"\\\""),
            b'\\' => out(b"\\\\"),
            0x08 => out(b"\\b"),
            0x09 => out(b"\\t"),
            0x0a => out(b"\\n"),
            0x0c => out(b"\\f"),
            0x0d => out(b"\\r"),
            other => out(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out(&bytes[written..]);
    out(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_their_content() {
        let cases = [
            ("plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u20AC", "é€"),
            (r"\ud83d\ude00!", "😀!"),
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        ];
        for (inner, content) in cases {
            assert_eq!(unescape(inner), content, "{inner}");
        }
    }

    #[test]
    fn content_has_one_canonical_spelling() {
        let cases = [
            ("a/é😀\u{7f}", "\"a/é😀\u{7f}\""),
            ("\"\\", r#""\"\\""#),
            ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
            ("\u{0}\u{1f}", r#""\u0000\u001f""#),
        ];
        for (content, quoted) in cases {
            let mut written = Vec::new();
            write_quoted(content, &mut |bytes: &[u8]| {
                written.extend_from_slice(bytes)
            });
            assert_eq!(String::from_utf8(written).unwrap(), quoted);
        }
    }
}
