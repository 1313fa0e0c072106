//! What the logs are filtered by: fields of the address, as a form that one can fill in.

use maud::{Markup, html};

use super::api::with_query;
use super::form::Form;

/// Options of a filter; who has more names an id in the address.
pub(super) const OPTIONS_MAX: usize = 200;

/// Fields of a query as a form.
pub(super) fn query_of(query: Option<String>) -> Form {
    let query = query.unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    let exact = |(name, value): (String, String)| match name.as_str() {
        "after" | "before" => (name, moment(&value)),
        _ => (name, value),
    };
    Form::from_pairs(pairs.take(50).map(exact))
}

/// A path with some of a query's fields.
pub(super) fn kept(path: &str, query: &Form, names: &[&str], more: &[(&str, &str)]) -> String {
    let fields = names
        .iter()
        .map(|name| (*name, query.text(name).unwrap_or_default()));
    with_query(path, fields.chain(more.iter().copied()))
}

/// A filter with a choice.
pub(super) fn chooser(
    name: &str,
    label: &str,
    options: &[(String, String)],
    chosen: &str,
) -> Markup {
    let known = chosen.is_empty() || options.iter().any(|(value, _)| value == chosen);
    html! {
        label { span { (label) }
            select name=(name) {
                option value="" { "any" }
                @if !known { option value=(chosen) selected { (chosen) } }
                @for (value, shown) in options {
                    option value=(value) selected[value == chosen] { (shown) }
                }
            }
        }
    }
}

/// A filter with a text.
pub(super) fn words(name: &str, label: &str, value: &str, example: &str) -> Markup {
    html! {
        label { span { (label) }
            input name=(name) value=(value) placeholder=(example) spellcheck="false" autocomplete="off";
        }
    }
}

/// From when to when.
pub(super) fn span(query: &Form) -> Markup {
    html! {
        @for (name, label) in [("after", "After (UTC)"), ("before", "Before (UTC)")] {
            @let value = query.text(name).unwrap_or_default();
            label { span { (label) }
                input name=(name) type="datetime-local" step="1" value=(without_zone(value)); }
        }
    }
}

/// A moment as a field of a form sends it, without seconds and zone, in full; any other text stays as
/// it is, and the API says what is wrong with it.
fn moment(text: &str) -> String {
    let as_in = |pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(of_text, of_pattern)| match of_pattern {
                    b'0' => of_text.is_ascii_digit(),
                    other => of_text == other,
                })
    };
    if as_in("0000-00-00T00:00") {
        format!("{text}:00Z")
    } else if as_in("0000-00-00T00:00:00") || as_in("0000-00-00T00:00:00.000") {
        format!("{text}Z")
    } else {
        text.to_owned()
    }
}

/// The same as the field of a form has it.
fn without_zone(text: &str) -> &str {
    text.strip_suffix('Z').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_a_form_is_taken_as_utc_and_any_other_as_it_stands() {
        assert_eq!(moment("2026-01-31T08:05"), "2026-01-31T08:05:00Z");
        assert_eq!(moment("2026-01-31T08:05:09"), "2026-01-31T08:05:09Z");
        for text in [
            "2026-01-31T08:05:09+02:00",
            "yesterday",
            "2026-01-31T08:05:09Z",
            "",
        ] {
            assert_eq!(moment(text), text);
        }
        assert_eq!(without_zone("2026-01-31T08:05:09Z"), "2026-01-31T08:05:09");
    }
}
