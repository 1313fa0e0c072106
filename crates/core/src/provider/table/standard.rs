//! Who signs as Standard Webhooks has it: the standard itself, Svix and those who send by it,
//! OpenAI. The id is a part of what is signed.

use super::{BLANK, DAY, HOUR, MINUTE, after, docs, library, unchecked};
use crate::provider::{Checked, Preset, Recipe, RetryAt};
use crate::verify::Scheme;

/// Each wait follows the failure before it; the sum is 27 hours and a half.
const SVIX_SCHEDULE: &[RetryAt] = &[
    after(5),
    after(5 + 5 * MINUTE),
    after(5 + 35 * MINUTE),
    after(5 + 35 * MINUTE + 2 * HOUR),
    after(5 + 35 * MINUTE + 7 * HOUR),
    after(5 + 35 * MINUTE + 17 * HOUR),
    after(5 + 35 * MINUTE + 27 * HOUR),
];
const SVIX_WINDOW_SECONDS: i64 = 5 + 35 * MINUTE + 27 * HOUR;

pub(super) const CLERK: Preset = Preset {
    id: "clerk",
    display_name: "Clerk",
    checked: Checked {
        key: library("hookdeck/webhook-skills: clerk, webhook headers"),
        event_type: library("hookdeck/webhook-skills: clerk, event payload structure"),
        signature: library("svix 1.99.1 (Node), by which Clerk sends"),
        retry: docs("docs.svix.com: retry schedule; Clerk sends by Svix"),
        timeout: Some(docs("docs.svix.com: retry schedule")),
        ..BLANK.checked
    },
    ..SVIX
};

pub(super) const OPENAI: Preset = Preset {
    id: "openai",
    display_name: "OpenAI",
    automatic_retry_window_seconds: Some(3 * DAY),
    checked: Checked {
        key: library("openai 6.49.0 (Node); hookdeck.com: guide to OpenAI webhooks"),
        event_type: library("openai 6.49.0 (Node)"),
        signature: library("openai 6.49.0 (Node)"),
        retry: library("hookdeck.com: guide to OpenAI webhooks (72 hours)"),
        ..BLANK.checked
    },
    ..STANDARD_WEBHOOKS
};

pub(super) const RESEND: Preset = Preset {
    id: "resend",
    display_name: "Resend",
    notes: "A person can replay a message at any later time: one that is older than the window \
            counts as new.",
    checked: Checked {
        key: library("resend 6.38.0 (Node)"),
        event_type: library("resend 6.38.0 (Node)"),
        signature: library("resend 6.38.0 (Node)"),
        retry: docs("resend.com: retries and replays"),
        timeout: Some(docs("docs.svix.com: retry schedule")),
        ..BLANK.checked
    },
    ..SVIX
};

/// Whoever follows the standard. Its retry schedule is an example that each sender may replace, so
/// the windows are open; the id in the header is a part of what is signed.
pub(super) const STANDARD_WEBHOOKS: Preset = Preset {
    id: "standard_webhooks",
    display_name: "Standard Webhooks",
    secret: "the endpoint's signing secret (`whsec_…`), or the sender's public key (`whpk_…`)",
    key_locations: &["header:webhook-id"],
    event_type: Some("body:$.type"),
    verifier: Recipe::StandardWebhooks,
    checked: Checked {
        key: docs("the specification of Standard Webhooks"),
        event_type: docs("the specification of Standard Webhooks"),
        signature: docs("the specification of Standard Webhooks; standardwebhooks 1.1.1"),
        retry: unchecked("the specification of Standard Webhooks: the sender decides"),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const SVIX: Preset = Preset {
    id: "svix",
    display_name: "Svix",
    secret: "the endpoint's signing secret (`whsec_…`)",
    key_locations: &["header:svix-id"],
    event_type: Some("body:$.type"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Svix,
    },
    retry_schedule: SVIX_SCHEDULE,
    automatic_retry_window_seconds: Some(SVIX_WINDOW_SECONDS),
    timeout_seconds: Some(15),
    checked: Checked {
        key: library("svix 1.99.1 (Node)"),
        event_type: docs("docs.svix.com: idempotency (the payload of the example)"),
        signature: library("svix 1.99.1 (Node)"),
        retry: docs("docs.svix.com: retry schedule"),
        timeout: Some(docs("docs.svix.com: retry schedule")),
        ..BLANK.checked
    },
    ..BLANK
};
