//! Refuses a document that a reader of 64-bit numbers would change without a word.
//!
//! A filter for `{"$gt": 0.1234567890123456789}` must not become one for the nearest float, and of
//! two members of one name neither may vanish. So the text is looked at before it is read.

use std::collections::BTreeSet;

use serde_json::Number;

use super::FieldError;
use crate::json::{Element, Value, canonical_number, parse};

/// Checks that reading a JSON text into [`serde_json::Value`] and writing it again changes nothing.
/// A text that is no JSON passes: its reader will say so.
///
/// # Errors
/// Every number that would change and every name that is repeated, by its JSON pointer.
pub fn check_exact(text: &[u8]) -> Result<(), Vec<FieldError>> {
    let Ok(document) = parse(text) else {
        return Ok(());
    };
    let mut errors = Vec::new();
    visit(document.root(), &mut String::new(), &mut errors);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn visit(element: Element<'_>, pointer: &mut String, errors: &mut Vec<FieldError>) {
    let length = pointer.len();
    match element.value() {
        Value::Null | Value::Bool(_) | Value::String(_) => {}
        Value::Number(text) => {
            if !is_kept(text) {
                let detail = "has more digits than can be kept; write fewer of them";
                errors.push(FieldError::new(pointer.as_str(), detail));
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.enumerate() {
                pointer.push_str(&format!("/{at}"));
                visit(element, pointer, errors);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            let mut names = BTreeSet::new();
            for (name, element) in members {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                if !names.insert(name) {
                    errors.push(FieldError::new(pointer.as_str(), "is given twice"));
                }
                visit(element, pointer, errors);
                pointer.truncate(length);
            }
        }
    }
}

/// Whether a number is still the same after it was read and written, twice: stored documents are
/// read again.
fn is_kept(text: &str) -> bool {
    let again = |text: &str| {
        let number: Number = serde_json::from_str(text).ok()?;
        Some(number.to_string())
    };
    let Some(wanted) = canonical_number(text) else {
        return false;
    };
    let once = again(text);
    let twice = once.as_deref().and_then(again);
    [once, twice].iter().all(|written| {
        let spelled = written.as_deref().and_then(canonical_number);
        spelled.is_some_and(|spelled| spelled == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_named() {
        for kept in [
            "0.1",
            "-0",
            "1e2",
            "1.50",
            "18446744073709551615",
            "-9223372036854775808",
        ] {
            assert_eq!(check_exact(kept.as_bytes()), Ok(()), "{kept}");
        }
        for (text, at) in [
            ("18446744073709551617", ""),
            (r#"{"a/b": [1, 0.12345678901234567890]}"#, "/a~1b/1"),
            (r#"{"$or": [], "$or": []}"#, "/$or"),
        ] {
            let errors = check_exact(text.as_bytes()).unwrap_err();
            assert_eq!(errors[0].pointer, at);
        }
        assert_eq!(check_exact(b"{"), Ok(()));
    }
}
