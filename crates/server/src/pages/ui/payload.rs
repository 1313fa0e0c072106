//! A payload as a tree that opens and closes, and as it came. It is hostile: however deep, wide or
//! long it is, what a page shows of it is bounded.

use maud::{Markup, html};
use serde_json::value::RawValue;

use super::{Node, open};

/// Values that a tree shows; the raw text has the rest.
const NODES_MAX: usize = 400;
/// Levels that a tree shows.
const DEPTH_MAX: usize = 16;
/// Levels that are open at first.
const DEPTH_OPEN: usize = 3;
/// Characters of one value in a tree.
const VALUE_CHARS_MAX: usize = 300;
/// Bytes of the raw text on a page; the whole is a link away.
const RAW_BYTES_MAX: usize = 16 * 1024;

/// A payload, whole where it is small; `whole` leads to all of it.
pub(in crate::pages) fn payload(
    value: Option<&RawValue>,
    encoding: Option<&str>,
    whole: Option<&str>,
) -> Markup {
    let Some(value) = value else {
        return html! { p.muted { "The payload is not kept any more." } };
    };
    let raw = match (encoding, open(value)) {
        (Some("json"), _) => value.get().to_owned(),
        (_, Node::Text(text)) => text,
        (_, _) => value.get().to_owned(),
    };
    if raw.is_empty() {
        return html! { p.muted { "Empty." } };
    }
    html! {
        @if encoding == Some("json") && value.get().starts_with(['{', '[']) {
            div.tree { (tree(value)) }
            details.raw { summary { "As it came" } (beginning(&raw, whole)) }
        } @else {
            (beginning(&raw, whole))
        }
    }
}

fn beginning(raw: &str, whole: Option<&str>) -> Markup {
    let end = (0..=RAW_BYTES_MAX.min(raw.len()))
        .rev()
        .find(|end| raw.is_char_boundary(*end));
    let shown = &raw[..end.unwrap_or(0)];
    html! {
        pre.code tabindex="0" { (shown) }
        p.muted {
            @if shown.len() < raw.len() {
                "The first " (super::bytes(shown.len() as u64)) " of " (super::bytes(raw.len() as u64)) ". "
            }
            @if let Some(href) = whole { a href=(href) download { "Download it whole" } }
        }
    }
}

fn tree(value: &RawValue) -> Markup {
    let mut left = NODES_MAX;
    let tree = branch(None, value, 0, &mut left);
    html! {
        ul { (tree) }
        @if left == 0 { p.muted { "There is more of it than fits here: see it as it came." } }
    }
}

fn branch(name: Option<&str>, value: &RawValue, depth: usize, left: &mut usize) -> Markup {
    if *left == 0 {
        return html! {};
    }
    *left -= 1;
    let named = html! {
        @if let Some(name) = name { span.name { (shortened(name, VALUE_CHARS_MAX)) } ": " }
    };
    let (members, brackets): (Vec<(Option<String>, &RawValue)>, _) = match open(value) {
        Node::Object(members) => {
            let named = members.into_iter().map(|(name, value)| (Some(name), value));
            (named.collect(), ("{", "}"))
        }
        Node::Array(elements) => (
            elements.into_iter().map(|value| (None, value)).collect(),
            ("[", "]"),
        ),
        Node::Text(text) => {
            let text = shortened(&text, VALUE_CHARS_MAX);
            return html! { li { (named) span.text { "\"" (text) "\"" } } };
        }
        Node::Plain(text) => {
            return html! { li { (named) span.plain { (shortened(text, VALUE_CHARS_MAX)) } } };
        }
    };
    if members.is_empty() || depth >= DEPTH_MAX {
        let inside = if members.is_empty() { "" } else { "…" };
        return html! { li { (named) (brackets.0) (inside) (brackets.1) } };
    }
    html! {
        li {
            details open[depth < DEPTH_OPEN] {
                summary { (named) (brackets.0) span.count { (members.len()) } (brackets.1) }
                ul {
                    @for (name, value) in &members { (branch(name.as_deref(), value, depth + 1, left)) }
                }
            }
        }
    }
}

fn shortened(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let value = RawValue::from_string(text.to_owned()).unwrap();
        payload(Some(&value), Some("json"), None).into_string()
    }

    #[test]
    fn a_hostile_payload_is_text_in_tree_and_raw() {
        let page = shown(r#"{"<script>": "</pre><script>alert(1)</script>", "n": 1.10}"#);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("1.10"), "{page}");
    }

    #[test]
    fn however_much_there_is_a_page_stays_small() {
        let wide = format!("[{}1]", "1,".repeat(100_000));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let long = format!("\"{}\"", "x".repeat(1_000_000));
        let object = format!("{{\"{}\": {long}}}", "k".repeat(100_000));
        for hostile in [wide, deep, long, object] {
            let page = shown(&hostile);
            assert!(page.len() < 80_000, "{}", page.len());
        }
    }

    #[test]
    fn a_text_is_shown_without_its_quotes() {
        let value = RawValue::from_string("\"a=1&b\"".into()).unwrap();
        let page = payload(Some(&value), Some("text"), None).into_string();
        assert!(page.contains(">a=1&amp;b<"), "{page}");
    }
}
