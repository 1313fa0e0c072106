//! An attempt in the timeline: what was sent, how long it took, and what came back.

use maud::{Markup, html};

use super::story::Story;
use crate::pages::ui;
use crate::pages::wire::{Attempt, Delivery};

pub(super) fn attempt(story: &Story<'_>, delivery: &Delivery, attempt: &Attempt) -> Markup {
    let url = story.facts.message.url.as_deref();
    let target = story.names.target(delivery.endpoint_id.as_deref(), url);
    let class = if attempt.outcome == "delivered" {
        "attempt good"
    } else {
        "attempt"
    };
    html! {
        li class=(class) id=(attempt.id) {
            div.when { (ui::time(&attempt.started_at)) }
            div.what {
                p {
                    (ui::badge(&attempt.outcome)) " " strong { "Attempt " (attempt.number) } " to " (target)
                    ", " (ui::trigger(&attempt.trigger))
                    @if let Some(status) = attempt.status_code { ": answered " code { (status) } }
                    @if let Some(receipt) = &attempt.receipt { ", receipt " code { (receipt) } }
                }
                @if let Some(error) = &attempt.error { p.wrong { (error) } }
                @if attempt.fenced { p.muted { "It came after its lease had ended: recorded, not applied." } }
                (ui::timing(attempt))
                details id={ "of-" (attempt.id) } {
                    summary { "Request and response" }
                    h3.small { "Sent" }
                    (ui::headers(&attempt.request_headers))
                    h3.small { "Answered" }
                    (ui::headers(&attempt.response_headers))
                    (answer(attempt))
                }
            }
        }
    }
}

fn answer(attempt: &Attempt) -> Markup {
    let Some(body) = attempt.response_body.as_deref() else {
        return html! { p.muted { "No answer came." } };
    };
    html! {
        (ui::payload(Some(body), Some("text"), None))
        @if attempt.response_truncated { p.muted { "Only its beginning was kept." } }
    }
}
