//! Batches (K10): each element of an array becomes a message of its own.

use crate::json::Value;
use crate::limits::SPLIT_ELEMENTS_MAX;
use crate::location::Split;

use super::Body;

/// Why a batch cannot be taken apart. Nothing of it has been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The source splits, but this body is no JSON.
    #[error("the body is not JSON, so it cannot be split; send JSON, or remove the source's split")]
    NotJson,
    /// There is something else at the path, or nothing.
    #[error("there is no array where the source's split looks; correct its path or the body")]
    NoArray,
    /// More elements than one request may carry.
    #[error("the batch has more than {limit} elements; send smaller batches")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
}

/// The elements of a batch, each as the bytes that were sent.
pub fn split<'a>(split: &Split, body: &Body<'a>) -> Result<Vec<&'a [u8]>, SplitError> {
    let document = body.json().ok_or(SplitError::NotJson)?;
    let array = split
        .path()
        .find(document.root())
        .ok_or(SplitError::NoArray)?;
    let Value::Array(elements) = array.value() else {
        return Err(SplitError::NoArray);
    };
    let slices: Vec<_> = elements
        .take(SPLIT_ELEMENTS_MAX + 1)
        .map(|element| document.slice(element))
        .collect();
    if slices.len() > SPLIT_ELEMENTS_MAX {
        return Err(SplitError::TooMany {
            limit: SPLIT_ELEMENTS_MAX,
        });
    }
    Ok(slices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements<'a>(path: &str, body: &'a str) -> Result<Vec<&'a str>, SplitError> {
        let slices = split(
            &path.parse().unwrap(),
            &Body::understand(None, body.as_bytes()),
        )?;
        Ok(slices
            .into_iter()
            .map(|slice| std::str::from_utf8(slice).unwrap())
            .collect())
    }

    #[test]
    fn k10_an_element_is_its_raw_slice() {
        let body = r#" {"events": [ {"id": 1.0, "id": 2} ,7,"x" ]} "#;
        assert_eq!(
            elements("body:$.events", body),
            Ok(vec![r#"{"id": 1.0, "id": 2}"#, "7", "\"x\""])
        );
        assert_eq!(elements("body:$", "[[1], []]"), Ok(vec!["[1]", "[]"]));
        assert_eq!(elements("body:$", "[]"), Ok(vec![]));
    }

    #[test]
    fn k10_what_is_no_array_is_refused() {
        assert_eq!(elements("body:$", "a=1"), Err(SplitError::NotJson));
        assert_eq!(elements("body:$", "{}"), Err(SplitError::NoArray));
        assert_eq!(
            elements("body:$.events", r#"{"events": null}"#),
            Err(SplitError::NoArray)
        );
        assert_eq!(elements("body:$.events", "{}"), Err(SplitError::NoArray));
    }

    #[test]
    fn k10_a_batch_has_at_most_10_000_elements() {
        let batch = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(
            elements("body:$", &batch(10_000)).map(|all| all.len()),
            Ok(10_000)
        );
        let limit = SPLIT_ELEMENTS_MAX;
        assert_eq!(
            elements("body:$", &batch(10_001)),
            Err(SplitError::TooMany { limit })
        );
    }
}
