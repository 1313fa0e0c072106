//! Pages of a list, and the cursors that lead from one to the next.
//!
//! A cursor is opaque to callers: a version, the list it belongs to and the number where the next
//! page begins. It is checked when it comes back, so that a cursor of another list is refused
//! instead of showing a page from somewhere else.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hooklatch_store::{Page, PageRequest};
use serde::Serialize;

/// What a list is of. The numbers are stable: callers keep cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Messages = 1,
    Requests = 2,
    Attempts = 3,
    Deliveries = 4,
    Replays = 5,
    Audit = 20,
}

const VERSION: u8 = 1;

/// Version, list, number.
const CURSOR_BYTES: usize = 10;

/// What lists are answered with.
#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// The answer to a question for a list.
pub(crate) fn list<T: Serialize>(records: Vec<T>, listed: Listed, next: Option<i64>) -> Response {
    let next_cursor = next.map(|number| cursor(listed, number));
    super::answer(&List {
        data: records,
        next_cursor,
    })
}

/// The answer to a question for a list that has no further page.
pub(crate) fn whole_list<T: Serialize>(records: Vec<T>) -> Response {
    super::answer(&List {
        data: records,
        next_cursor: None,
    })
}

/// A page of what is already there; `items` in the order of their numbers, the oldest first.
pub(crate) fn paged<T>(items: Vec<T>, number: impl Fn(&T) -> i64, page: PageRequest) -> Page<T> {
    let below = page.below.unwrap_or(i64::MAX);
    let inside = |item: &T| number(item) < below;
    let mut newest_first = items.into_iter().rev().filter(inside);
    let items: Vec<T> = newest_first.by_ref().take(page.limit).collect();
    let rest = newest_first.next().is_some();
    let next = items.last().map(number).filter(|_| rest);
    Page { items, next }
}

fn cursor(listed: Listed, number: i64) -> String {
    let mut bytes = vec![VERSION, listed as u8];
    bytes.extend(number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Where the page begins that a cursor leads to.
pub(crate) fn below(listed: Listed, cursor: &str) -> Result<i64, String> {
    read(listed, cursor).ok_or_else(|| {
        "is not a cursor of this list; give the next_cursor of the page before, or none to begin"
            .to_owned()
    })
}

fn read(listed: Listed, cursor: &str) -> Option<i64> {
    let bytes: [u8; CURSOR_BYTES] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let [version, kind, number @ ..] = bytes;
    let number = i64::from_be_bytes(number);
    let known = version == VERSION && kind == listed as u8 && number >= 0;
    known.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_fits_its_list_only() {
        for number in [0, 1, i64::MAX] {
            let text = cursor(Listed::Requests, number);
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
            assert_eq!(below(Listed::Requests, &text), Ok(number));
            assert!(below(Listed::Messages, &text).is_err());
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let negative = cursor(Listed::Messages, -1);
        let good = cursor(Listed::Messages, 7);
        for text in ["", "x", "AQE", &negative, &good[1..], &format!("{good}A")] {
            assert!(below(Listed::Messages, text).is_err(), "{text}");
        }
    }

    #[test]
    fn pages_of_what_is_there_meet_without_a_gap() {
        let items: Vec<i64> = (1..=5).collect();
        let mut seen = Vec::new();
        let mut below = None;
        loop {
            let page = paged(items.clone(), |item| *item, PageRequest { limit: 2, below });
            seen.extend(page.items);
            below = page.next;
            if below.is_none() {
                break;
            }
        }
        assert_eq!(seen, [5, 4, 3, 2, 1]);
    }
}
