//! States: a colour, and always a shape and a word beside it.

use maud::{Markup, html};

/// How a state looks.
#[derive(Clone, Copy)]
struct Look {
    class: &'static str,
    shape: &'static str,
}

const TICK: &str = "M3 8.5 6.5 12 13 4.5";
const CROSS: &str = "M4 4l8 8M12 4l-8 8";
const RING: &str = "M8 3a5 5 0 1 0 .01 0";
const ARROW: &str = "M3 8h9M8.5 4.5 12 8l-3.5 3.5";
const BARS: &str = "M5.5 3.5v9M10.5 3.5v9";
const SLASH: &str = "M8 3a5 5 0 1 0 .01 0M4.5 11.5l7-7";
const FUNNEL: &str = "M3 4h10l-4 5v4l-2-1.5V9z";
const TWO: &str = "M5 3.5h7.5V11M3.5 6H10v6.5H3.5z";
const QUESTION: &str = "M5.5 6a2.5 2.5 0 1 1 2.5 2.6V10M8 12.4v.2";
const CLASH: &str = "M9 2 5 9h4l-2 5";

const fn look(state: &str) -> Look {
    let (class, shape) = match state.as_bytes() {
        b"delivered" | b"accepted" | b"processed" | b"active" | b"routed" | b"done" => ("ok", TICK),
        b"failed" | b"failing" | b"rejected" | b"disabled" => ("bad", CROSS),
        b"delivering" | b"in_progress" | b"running" => ("busy", ARROW),
        b"pending" | b"waiting" | b"planning" => ("busy", RING),
        b"held" | b"paused" | b"ready" => ("warn", BARS),
        b"uncertain" => ("warn", QUESTION),
        b"conflict" | b"some_failures" => ("warn", CLASH),
        b"duplicate" => ("note", TWO),
        b"deduplicated" => ("note", TWO),
        b"cancelled" | b"no_route" => ("note", SLASH),
        b"filtered" => ("note", FUNNEL),
        _ => ("note", RING),
    };
    Look { class, shape }
}

/// A state by its name in the API.
pub(in crate::pages) fn badge(state: &str) -> Markup {
    let Look { class, shape } = look(state);
    html! {
        span class={ "badge " (class) } {
            svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" { path d=(shape) {} }
            (state.replace('_', " "))
        }
    }
}

/// A cause of a duplicate in words (D3).
pub(in crate::pages) fn cause(cause: &str) -> &str {
    match cause {
        "concurrent" => "it came while the original was being answered",
        "producer_retry" => "the caller of the send API repeated its call",
        "provider_retry" => "the provider tried again by itself",
        "provider_resend" => "somebody had the provider send it again",
        "second_route" => "the same event came through another source",
        "unknown" => "nothing shows why it came again",
        other => other,
    }
}

/// What an attempt was made for, in words (D3).
pub(in crate::pages) fn trigger(trigger: &str) -> &str {
    match trigger {
        "first" => "first try",
        "retry" => "automatic retry",
        "manual" => "retried by a person",
        "replay" => "replay",
        "redrive" => "started again by a duplicate",
        "recovery" => "after a crash left the last outcome unknown",
        other => other,
    }
}

/// What became of a request, in words.
pub(in crate::pages) fn outcome_words(outcome: &str, effect: &str) -> &'static str {
    match (outcome, effect) {
        ("accepted", "no_route") => "accepted; no connection matched",
        ("accepted", _) => "a new message",
        ("duplicate", "redriven") => "a duplicate; it started the failed deliveries again",
        ("duplicate", "rerouted") => "a duplicate; the original is routed now",
        (_, "released") => "released by a person as a message of its own",
        (_, "discarded") => "discarded by a person",
        ("duplicate", _) => "a duplicate; nothing was sent again",
        ("conflict", "held") => "the same key with another payload; it waits for a person",
        ("conflict", _) => "the same key with another payload; refused",
        ("rejected", _) => "refused",
        _ => "recorded",
    }
}
