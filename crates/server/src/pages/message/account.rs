//! The answer to "did it run twice, and why?", in sentences.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::value::RawValue;

use super::Facts;
use crate::pages::names::Names;
use crate::pages::ui;
use crate::pages::wire::{Attempt, Delivery};

/// The largest payload that is put into a command to copy.
const CURL_BYTES_MAX: u64 = 8 * 1024;
/// Headers that curl adds by itself.
const ADDED_BY_CURL: [&str; 5] = [
    "host",
    "content-length",
    "connection",
    "accept",
    "user-agent",
];

/// What arrived, what came of it, and whether the receivers have it.
pub(super) fn answer(facts: &Facts, names: &Names<'_>) -> Markup {
    html! {
        (arrivals(facts)) " "
        @if facts.deliveries.is_empty() { (nowhere(facts)) }
        @for (delivery, attempts) in &facts.deliveries { (one(facts, delivery, attempts, names)) " " }
        @let more = facts.message.deliveries_total - facts.deliveries.len();
        @if more > 0 { "And " (more) " more deliveries." }
    }
}

fn arrivals(facts: &Facts) -> String {
    let message = &facts.message;
    match message.origin.as_str() {
        "released" => return "Released by a person: it was taken for a duplicate first.".into(),
        "conflicting" => {
            return "It came under a known key with another payload, and was accepted as new."
                .into();
        }
        _ => {}
    }
    match message.duplicates {
        0 => "It arrived once.".into(),
        count => format!(
            "It arrived {} times: one message and {}{}.",
            count + 1,
            ui::counted(count, "duplicate", "duplicates"),
            causes(facts),
        ),
    }
}

fn causes(facts: &Facts) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for request in &facts.duplicates {
        *counts
            .entry(request.cause.as_deref().unwrap_or("unknown"))
            .or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(cause, count)| match *cause {
            "unknown" => format!("{count} for no known reason"),
            cause => format!("{count} {}", cause.replace('_', " ")),
        })
        .collect();
    match facts.message.duplicates as usize > facts.duplicates.len() {
        true => format!(
            " (of the last {}: {})",
            facts.duplicates.len(),
            counts.join(", ")
        ),
        false => format!(" ({})", counts.join(", ")),
    }
}

fn nowhere(facts: &Facts) -> &'static str {
    match facts.message.status.as_str() {
        "filtered" => "The rules of every connection dropped it, so nothing was sent.",
        _ => "No connection matched, so nothing was sent.",
    }
}

fn one(facts: &Facts, delivery: &Delivery, attempts: &[Attempt], names: &Names<'_>) -> Markup {
    let target = names.target(
        delivery.endpoint_id.as_deref(),
        facts.message.url.as_deref(),
    );
    let tries = ui::counted(delivery.attempts.into(), "attempt", "attempts");
    let receipt = attempts
        .iter()
        .find_map(|attempt| attempt.receipt.as_deref());
    html! {
        strong { (target) }
        @match delivery.status.as_str() {
            "delivered" => {
                " has it, after " (tries)
                @match receipt {
                    Some("processed") => "; the receiver says that it did the work, once.",
                    Some("duplicate") => "; the receiver says that it had done the work before.",
                    Some(_) | None => ".",
                }
            },
            "failed" => { " does not have it, after " (tries) "." },
            "held" => { " waits for a person, after " (tries) "." },
            "cancelled" => { " was called off, after " (tries) "." },
            "delivering" => { " is being tried now." },
            _ => {
                " waits, after " (tries)
                @if let Some(next) = &delivery.next_attempt_at { "; the next is due " (ui::time(next)) }
                "."
            },
        }
        @if uncertain(attempts) { " The outcome of an attempt is not known, so it may have got it more than once, under one webhook-id." }
    }
}

fn uncertain(attempts: &[Attempt]) -> bool {
    attempts
        .iter()
        .any(|attempt| attempt.outcome == "uncertain")
}

/// The arrival as a command, through its source or the send API again; none for what is too large to
/// copy, or no text. What a signature hides stays hidden in it.
pub(super) fn curl(facts: &Facts, host: Option<&str>) -> Option<String> {
    let message = &facts.message;
    let payload = message.payload.as_deref()?;
    if message.payload_bytes > CURL_BYTES_MAX {
        return None;
    }
    if message.source_id.is_none() {
        return sending(facts, payload, host?);
    }
    let body = match message.payload_encoding.as_deref() {
        Some("json") => payload.get().to_owned(),
        Some("text") => serde_json::from_str(payload.get()).ok()?,
        Some(_) | None => return None,
    };
    let (original, url) = (facts.original.as_ref()?, facts.ingest_url.as_ref()?);
    let query = original.query.as_deref().filter(|query| !query.is_empty());
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let url = format!("{url}{}{query}", original.path);
    let mut command = format!("curl -X {} {}", original.method, ui::quoted(&url));
    for (name, value) in &original.headers {
        if !ADDED_BY_CURL.contains(&name.as_str()) {
            command += &format!(" \\\n  -H {}", ui::quoted(&format!("{name}: {value}")));
        }
    }
    Some(format!("{command} \\\n  --data-raw {}", ui::quoted(&body)))
}

/// The call of the send API again, under the same key: so it gives the original back and sends
/// nothing. None where what it was sent to cannot be told from the record.
fn sending(facts: &Facts, payload: &RawValue, host: &str) -> Option<String> {
    let message = &facts.message;
    let text = |name: &str, value: Option<&str>| {
        let value = serde_json::to_string(value?).ok()?;
        Some(format!("\"{name}\": {value}"))
    };
    let only = match message.deliveries.as_slice() {
        [one] => one.endpoint_id.as_deref(),
        _ => None,
    };
    let target = text("tenant", message.tenant.as_deref())
        .or_else(|| text("url", message.url.as_deref()))
        .or_else(|| text("endpoint_id", only))?;
    let fields = [
        Some(target),
        text("event_type", message.event_type.as_deref()),
        text("idempotency_key", message.idempotency_key.as_deref()),
        Some(format!("\"payload\": {}", payload.get())),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    let body = ui::quoted(&format!("{{{}}}", fields.join(", ")));
    let url = ui::quoted(&format!("http://{host}/v1/webhooks/send"));
    Some(format!(
        "curl -X POST {url} \\\n  -H \"Authorization: Bearer $HOOKLATCH_API_KEY\" \\\n  \
         -H 'Content-Type: application/json' \\\n  --data-raw {body}"
    ))
}
