//! What differs between a duplicate and its original, field by field.

use maud::{Markup, html};
use serde_json::value::RawValue;

use crate::pages::ui;
use crate::pages::wire::Request;

/// Fields that are shown.
const FIELDS_SHOWN: usize = 20;
/// Characters of a value.
const VALUE_CHARS_MAX: usize = 200;

/// The changed fields with both values; nothing where the payload is the same.
pub(in crate::pages) fn shown(request: &Request, original: Option<&RawValue>) -> Markup {
    if !request.payload_differs {
        return html! {};
    }
    let pointers = request.diff.as_deref().unwrap_or_default();
    html! {
        p.wrong { "Its payload differs from the original's." }
        @if pointers.is_empty() { p.muted { "Which fields differ cannot be told: it is no JSON, or too large." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Fields that differ" {
                table.diff {
                    thead { tr { th { "Field" } th { "Original" } th { "This one" } } }
                    tbody {
                        @for pointer in pointers.iter().take(FIELDS_SHOWN) {
                            tr {
                                th scope="row" { code { (if pointer.is_empty() { "(all of it)" } else { pointer }) } }
                                td.was { (value(original, pointer)) }
                                td.is { (value(request.body.as_deref(), pointer)) }
                            }
                        }
                    }
                }
            }
            @if pointers.len() > FIELDS_SHOWN { p.muted { "And " (pointers.len() - FIELDS_SHOWN) " more fields." } }
        }
    }
}

fn value(payload: Option<&RawValue>, pointer: &str) -> Markup {
    let Some(payload) = payload else {
        return html! { span.muted { "not shown" } };
    };
    html! {
        @match ui::at(payload, pointer) {
            Some(value) => code { (value.get().chars().take(VALUE_CHARS_MAX).collect::<String>()) },
            None => span.muted { "absent" },
        }
    }
}
