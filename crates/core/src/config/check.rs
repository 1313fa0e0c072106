//! Checks that several resources share, each with a text that says what to write instead.

use super::{EventPattern, FieldError};
use crate::limits::{
    CUSTOM_HEADERS_MAX, EVENT_PATTERNS_MAX, HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX,
    NAME_CHARS_MAX,
};

/// A required name: 1 to 128 characters, none of control, no white space around it.
pub(super) fn name(name: Option<String>, errors: &mut Vec<FieldError>) -> String {
    let Some(name) = name else {
        errors.push(FieldError::new("/name", "is missing; give it a name"));
        return String::new();
    };
    text("/name", &name, NAME_CHARS_MAX, errors);
    name
}

/// An optional text of the same kind as a name, with its own limit.
pub(super) fn label(
    pointer: &str,
    label: Option<String>,
    chars_max: usize,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    if let Some(label) = &label {
        text(pointer, label, chars_max, errors);
    }
    label
}

/// A number within its bounds, or its default.
pub(super) fn number<N: PartialOrd + std::fmt::Display + Copy>(
    pointer: &str,
    value: Option<N>,
    (least, default, most): (N, N, N),
    errors: &mut Vec<FieldError>,
) -> N {
    let value = value.unwrap_or(default);
    if value < least || value > most {
        errors.push(FieldError::new(
            pointer,
            format!("should be from {least} to {most}"),
        ));
    }
    value
}

/// A list of patterns for event types that is not too long.
pub(super) fn patterns(patterns: &[EventPattern], errors: &mut Vec<FieldError>) {
    if patterns.len() > EVENT_PATTERNS_MAX {
        let detail = format!("may have at most {EVENT_PATTERNS_MAX} patterns; use order.* or *");
        errors.push(FieldError::new("/event_types", detail));
    }
}

/// Custom headers that HTTP can carry, each name once.
pub(super) fn headers(headers: &[(String, String)], errors: &mut Vec<FieldError>) {
    if headers.len() > CUSTOM_HEADERS_MAX {
        let detail = format!("may have at most {CUSTOM_HEADERS_MAX} headers");
        errors.push(FieldError::new("/headers", detail));
        return;
    }
    for (position, (name, value)) in headers.iter().enumerate() {
        let pointer = header_pointer(name);
        if !is_header_name(name) {
            let detail = "should be the name of a header, for example x-team";
            errors.push(FieldError::new(pointer.as_str(), detail));
        }
        if !is_header_value(value) {
            let detail = format!(
                "should be 1 to {HEADER_VALUE_BYTES_MAX} visible ASCII characters, \
                 spaces only between them"
            );
            errors.push(FieldError::new(pointer.as_str(), detail));
        }
        if headers[..position]
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
        {
            let detail = "is given twice; case does not tell headers apart";
            errors.push(FieldError::new(pointer, detail));
        }
    }
}

/// Where a client wrote a custom header.
pub(super) fn header_pointer(name: &str) -> String {
    format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A value that a header can carry: visible ASCII, spaces only inside.
pub(super) fn is_header_value(value: &str) -> bool {
    let visible = value
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    visible && !value.is_empty() && value.trim() == value && value.len() <= HEADER_VALUE_BYTES_MAX
}

fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= HEADER_NAME_BYTES_MAX && name.bytes().all(is_token)
}

fn text(pointer: &str, text: &str, chars_max: usize, errors: &mut Vec<FieldError>) {
    let count = text.chars().count();
    if count == 0 || count > chars_max {
        let detail = format!("should have 1 to {chars_max} characters");
        errors.push(FieldError::new(pointer, detail));
    } else if text.trim() != text || text.chars().any(char::is_control) {
        let detail = "has control characters, or white space around it; remove them";
        errors.push(FieldError::new(pointer, detail));
    }
}
