//! The parts that pages are put together from.

mod json;
mod payload;
mod state;
mod timing;

use maud::{Markup, html};

pub(super) use json::{Node, at, open};
pub(super) use payload::payload;
pub(super) use state::{badge, cause, outcome_words, trigger};
pub(super) use timing::timing;

/// A moment. The script writes it in the viewer's zone; until then, and on hover, it is UTC.
pub(super) fn time(moment: &str) -> Markup {
    let utc = moment.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(moment) title=(utc) { (utc) } }
}

/// A button that copies a text.
pub(super) fn copy(label: &str, text: &str) -> Markup {
    html! { button.quiet type="button" data-copy=(text) { (label) } }
}

/// An id, whole for machines and copying, in monospace for people.
pub(super) fn id(text: &str) -> Markup {
    html! { code.id { (text) } }
}

/// A state without anything to show, and what leads on from here.
pub(super) fn empty(title: &str, advice: &Markup) -> Markup {
    html! { div.empty { p.lead { (title) } (advice) } }
}

/// Names and what they are.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, what) in facts { div { dt { (name) } dd { (what) } } }
        }
    }
}

/// Headers, one a line.
pub(super) fn headers(headers: &std::collections::BTreeMap<String, String>) -> Markup {
    html! {
        table.headers {
            tbody {
                @for (name, value) in headers {
                    tr { th scope="row" { (name) } td { (value) } }
                }
            }
        }
    }
}

/// The way to the next page of a list. The script follows it when it comes into sight, unless this
/// page has no row: what is looked for is rare then, and a person says how far to look.
pub(super) fn older(rows: usize, next: Option<&String>) -> Markup {
    html! {
        p.older #older {
            @if let Some(href) = next {
                @if rows == 0 { span.muted { "Nothing fits as far as was looked. " } }
                a href=(href) rel="next" data-older=(rows) {
                    @if rows == 0 { "Look further back" } @else { "Older" }
                }
            }
        }
    }
}

/// A number as people read it: 1,234,567.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What a count is of.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{} {many}", number(count))
    }
}

/// Bytes as people say them.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => counted(count, "byte", "bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// A span of seconds as people say it.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        86_400.. if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        3_600.. if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        60.. if seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A text as one word of a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_said_as_people_do() {
        assert_eq!(
            [bytes(1), bytes(1_536), bytes(5 << 20)],
            ["1 byte", "1.5 KiB", "5.0 MiB"]
        );
        assert_eq!(
            [span(604_800), span(90), span(120), span(7_200)],
            ["7 d", "90 s", "2 min", "2 h"]
        );
    }

    #[test]
    fn large_numbers_are_grouped() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_text_stays_one_word_of_the_shell() {
        assert_eq!(quoted("a'b $(c) `d`"), r"'a'\''b $(c) `d`'");
    }

    #[test]
    fn whatever_a_text_says_it_stays_a_text() {
        let shown = id("\"><script>alert(1)</script>").into_string();
        assert!(
            !shown.contains("<script") && shown.contains("&lt;script"),
            "{shown}"
        );
    }
}
