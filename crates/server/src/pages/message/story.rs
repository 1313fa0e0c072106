//! The timeline: arrivals, what the rules decided, and attempts, each when it happened.

use maud::{Markup, html};

use super::{Facts, change, deliveries};
use crate::pages::names::Names;
use crate::pages::session::Viewer;
use crate::pages::ui;
use crate::pages::wire::{Attempt, Delivery, Request};
use hooklatch_core::config::Scope;

/// What the timeline is told from.
pub(super) struct Story<'a> {
    pub facts: &'a Facts,
    pub names: &'a Names<'a>,
    pub viewer: &'a Viewer,
}

/// Something that happened.
enum Event<'a> {
    Arrival(&'a Request),
    Duplicate(&'a Request),
    Attempt(&'a Delivery, &'a Attempt),
}

impl Event<'_> {
    fn at(&self) -> &str {
        match self {
            Self::Arrival(request) | Self::Duplicate(request) => &request.received_at,
            Self::Attempt(_, attempt) => &attempt.started_at,
        }
    }
}

impl<'a> Story<'a> {
    /// Where else this message is told of.
    pub fn links(&self) -> Markup {
        let message = &self.facts.message;
        html! {
            @if let Some(id) = &message.original_message_id {
                p.notice.note {
                    "It came under the key of " a href={ "/messages/" (id) } { "the original " (ui::id(id)) } "."
                }
            }
            @if let Some(id) = &message.suspected_duplicate_of {
                p.notice.warn {
                    "It has no key, and the same payload as " a href={ "/messages/" (id) } { (ui::id(id)) }
                    " within a minute: perhaps the same event. It was delivered."
                }
            }
        }
    }

    /// Everything in the order in which it happened.
    pub fn timeline(&self) -> Markup {
        let mut events: Vec<Event<'a>> = Vec::new();
        events.extend(self.facts.original.iter().map(Event::Arrival));
        events.extend(self.facts.duplicates.iter().map(Event::Duplicate));
        for (delivery, attempts) in &self.facts.deliveries {
            events.extend(
                attempts
                    .iter()
                    .map(|attempt| Event::Attempt(delivery, attempt)),
            );
        }
        // Moments of one form sort as texts; what happened at once stays in this order.
        events.sort_by(|one, other| one.at().cmp(other.at()));
        let unseen = self.facts.message.duplicates as usize
            - self
                .facts
                .duplicates
                .len()
                .min(self.facts.message.duplicates as usize);
        html! {
            ol.timeline {
                @for event in &events { (self.event(event)) }
                @for (delivery, _) in &self.facts.deliveries { (self.now(delivery)) }
            }
            @if unseen > 0 {
                p { a href={ "/requests?message_id=" (self.facts.message.id) } {
                    (ui::counted(unseen as u64, "earlier duplicate", "earlier duplicates"))
                } }
            }
        }
    }

    fn event(&self, event: &Event<'_>) -> Markup {
        match event {
            Event::Arrival(request) => self.arrival(request),
            Event::Duplicate(request) => self.duplicate(request),
            Event::Attempt(delivery, attempt) => deliveries::attempt(self, delivery, attempt),
        }
    }

    fn arrival(&self, request: &Request) -> Markup {
        html! {
            li.arrived id=(request.id) {
                div.when { (ui::time(&request.received_at)) }
                div.what {
                    p { strong { "Arrived" } " and was accepted; answered " code { (request.response_status) } ". "
                        a href={ "/requests/" (request.id) } { "The request" } }
                    (self.routing())
                }
            }
        }
    }

    fn routing(&self) -> Markup {
        let lines = &self.facts.message.routing;
        html! {
            @if !lines.is_empty() {
                ul.routing {
                    @for line in lines {
                        li {
                            (ui::badge(&line.outcome)) " " (self.names.connection_link(&line.connection_id))
                            @if let Some(rule) = line.rule { ", rule " (rule + 1) }
                            @if let Some(detail) = &line.detail { ": " (detail) }
                            @if let Some(id) = &line.original_message_id {
                                " " a href={ "/messages/" (id) } { "the message before it" }
                            }
                            @for shadow in &line.shadows {
                                br;
                                span.muted {
                                    "rule " (shadow.rule + 1) ", in shadow mode: " (shadow.detail) " "
                                    a href={ "/messages/" (shadow.original_message_id) } { "that message" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn duplicate(&self, request: &Request) -> Markup {
        let cause = request.cause.as_deref().unwrap_or("unknown");
        let releasable = self.viewer.may(Scope::Manage) && request.effect != "released";
        html! {
            li.duplicate id=(request.id) {
                div.when { (ui::time(&request.received_at)) }
                div.what {
                    p {
                        (ui::badge(&request.outcome)) " " strong { (cause.replace('_', " ")) } ": " (ui::cause(cause)) ". "
                        a href={ "/requests/" (request.id) } { "The request" }
                    }
                    p.muted {
                        @if let Some(evidence) = &request.evidence { "Shown by: " (evidence) ". " }
                        (capital(ui::outcome_words(&request.outcome, &request.effect))) ". "
                        @if let Some(id) = &request.released_message_id {
                            a href={ "/messages/" (id) } { "The message it became" }
                        }
                    }
                    (change::shown(request, self.facts.message.payload.as_deref()))
                    @if releasable && request.outcome == "duplicate" {
                        (self.viewer.button(
                            &format!("/requests/{}/release", request.id),
                            "Not a duplicate: deliver it",
                            Some("It becomes a message of its own, with a webhook-id of its own, and is delivered. Go on?"),
                        ))
                    }
                }
            }
        }
    }

    /// How a delivery stands now, and what can be done.
    fn now(&self, delivery: &Delivery) -> Markup {
        let target = self.names.target(
            delivery.endpoint_id.as_deref(),
            self.facts.message.url.as_deref(),
        );
        let may = self.viewer.may(Scope::Manage);
        let can_retry = matches!(
            delivery.status.as_str(),
            "failed" | "held" | "cancelled" | "pending" | "delivered"
        );
        let can_cancel = matches!(delivery.status.as_str(), "held" | "pending");
        let again = (delivery.status == "delivered")
            .then_some("The receiver has it already. A receiver without idempotency does its work again. Go on?");
        html! {
            li.now {
                div.when { "Now" }
                div.what {
                    p {
                        (ui::badge(&delivery.status)) " to "
                        @match &delivery.endpoint_id {
                            Some(id) => (self.names.endpoint_link(id)),
                            None => (target),
                        }
                        @if let Some(detail) = &delivery.reason_detail { ": " (detail) }
                        @if let Some(next) = &delivery.next_attempt_at { "; next attempt " (ui::time(next)) }
                    }
                    @if may {
                        div.actions {
                            @if can_retry { (self.viewer.button(&format!("/deliveries/{}/retry", delivery.id), if again.is_some() { "Send again" } else { "Retry now" }, again)) }
                            @if can_cancel { (self.viewer.button(&format!("/deliveries/{}/cancel", delivery.id), "Cancel", Some("It is not attempted any more. Go on?"))) }
                        }
                    }
                }
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}
