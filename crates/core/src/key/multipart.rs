//! The text fields of a `multipart/form-data` body (RFC 7578), for providers that send forms with
//! files. A file is no value, and a body that breaks off is not understood at all: half of it
//! could give another key than the whole.

use std::borrow::Cow;

use crate::limits::FORM_FIELDS_MAX;

use super::Fields;
use super::body::Field;

/// RFC 2046 allows no longer boundary.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The text fields; `None` where the type names no boundary or the body does not keep to it.
pub(super) fn fields<'a>(content_type: &str, body: &'a [u8]) -> Option<Fields<'a>> {
    let boundary = parameter(content_type, "boundary")?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => cut(body, &delimiter)?.1,
    };
    let mut fields = Vec::new();
    // Files count against the limit as well.
    for _ in 0..FORM_FIELDS_MAX {
        if rest.starts_with(b"--") {
            break;
        }
        let (part, after) = cut(end_of_delimiter(rest)?, &delimiter)?;
        fields.extend(text_field(part));
        rest = after;
    }
    Some(Fields(fields))
}

/// Blanks and a line's end may follow the boundary. The line's end is left standing: it may belong
/// to the next delimiter, and it ends the empty line of a part without headers.
fn end_of_delimiter(rest: &[u8]) -> Option<&[u8]> {
    let blanks = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let rest = &rest[blanks..];
    rest.starts_with(b"\r\n").then_some(rest)
}

fn text_field(part: &[u8]) -> Option<Field<'_>> {
    let (head, content) = cut(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let is_file = ["filename", "filename*"]
        .iter()
        .any(|name| parameter(disposition, name).is_some());
    let name = parameter(disposition, "name")?;
    (!is_file).then(|| (Cow::Owned(name.into_bytes()), Cow::Borrowed(content)))
}

/// A parameter of a header's value, `; name=token` or `; name="quoted"`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        // A parameter without a value may stand before.
        let name = name.rsplit(';').next().unwrap_or_default().trim();
        let is_wanted = name.eq_ignore_ascii_case(wanted);
        let (content, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_content(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if is_wanted {
            return Some(content);
        }
        rest = after.split_once(';')?.1;
    }
}

/// The content up to the closing quote, and what follows it.
fn quoted_content(quoted: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, &quoted[at + 1..])),
            // Browsers write a quote as %22, others as \"; a lone backslash is part of a name.
            '\\' if quoted[at + 1..].starts_with(['"', '\\']) => {
                content.extend(characters.next().map(|(_, escaped)| escaped));
            }
            other => content.push(other),
        }
    }
    None
}

/// What stands before and after the first occurrence of a delimiter.
fn cut<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes
        .windows(delimiter.len())
        .position(|window| window == delimiter)?;
    Some((&bytes[..at], &bytes[at + delimiter.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"b b\"";

    fn read(body: &str) -> Option<Vec<(String, String)>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields(TYPE, body.as_bytes())?;
        Some(
            fields
                .0
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        )
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn k3_text_fields_are_read_and_files_are_not() {
        let body = "preamble\r\n--b b\r\n\
            Content-Disposition: form-data; name=\"id\"\r\n\r\nevt 1\r\n--b b \t\r\n\
            content-type: text/plain\r\ncontent-disposition:form-data;name=two\r\n\r\n\r\n--b b\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"a;name=id\"\r\n\r\nfile\r\n--b b\r\n\
            Content-Disposition: form-data; odd; name=\"a\\\"b\\c;=\"\r\n\r\n1\r\n2\r\n--b b--\r\nepilogue";
        assert_eq!(
            read(body),
            Some(vec![
                pair("id", "evt 1"),
                pair("two", ""),
                pair("a\"b\\c;=", "1\r\n2")
            ])
        );
    }

    #[test]
    fn k3_what_breaks_off_is_not_understood() {
        let whole = "--b b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1\r\n--b b--";
        assert_eq!(read(whole), Some(vec![pair("id", "1")]));
        for end in 0..whole.len() - 2 {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn k3_a_body_without_parts_has_no_fields() {
        assert_eq!(read("--b b--"), Some(vec![]));
        assert_eq!(read("--b b\r\n\r\nno headers\r\n--b b--"), Some(vec![]));
    }

    #[test]
    fn k3_a_boundary_must_be_named_and_short() {
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"open",
            &format!("multipart/form-data; boundary={}", "b".repeat(71)),
        ] {
            assert!(fields(content_type, b"--b--").is_none(), "{content_type}");
        }
    }

    #[test]
    fn fields_beyond_the_limit_are_not_read() {
        let part = "--b b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n";
        let many = [part.repeat(FORM_FIELDS_MAX + 1), "--b b--".to_owned()].concat();
        assert_eq!(
            read(&many).map(|fields| fields.len()),
            Some(FORM_FIELDS_MAX)
        );
    }
}
