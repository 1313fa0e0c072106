//! Who deals with people: Calendly, DocuSign, HubSpot, Intercom, Typeform, Zendesk.

use super::{BLANK, DAY, MINUTE, after, docs, library, unchecked};
use crate::provider::{Checked, Preset, Recipe};
use crate::verify::{Algorithm, Encoding, Scheme};

pub(super) const CALENDLY: Preset = Preset {
    id: "calendly",
    display_name: "Calendly",
    secret: "the subscription's signing key",
    key_locations: &["body:$.event", "body:$.payload.uri", "body:$.created_at"],
    event_type: Some("body:$.event"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Calendly,
    },
    automatic_retry_window_seconds: Some(DAY),
    timeout_seconds: Some(15),
    notes: "An event has no id: its type, what it is about and when it happened are the key.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: calendly, event payload structure"),
        event_type: library("hookdeck/webhook-skills: calendly, event payload structure"),
        signature: library("hookdeck/webhook-skills: calendly, verification"),
        retry: docs("developer.calendly.com: webhook errors"),
        timeout: Some(docs("developer.calendly.com: webhook timeouts")),
        ..BLANK.checked
    },
    ..BLANK
};

/// There is no id of the event. The time belongs to the key, or the second recipient who signs
/// would be a duplicate of the first.
pub(super) const DOCUSIGN: Preset = Preset {
    id: "docusign",
    display_name: "DocuSign Connect",
    secret: "the Connect HMAC key",
    key_locations: &[
        "body:$.event",
        "body:$.data.envelopeId",
        "body:$.generatedDateTime",
    ],
    event_type: Some("body:$.event"),
    fingerprint_exclude: &["$.retryCount"],
    verifier: Recipe::Scheme {
        scheme: Scheme::Docusign,
    },
    automatic_retry_window_seconds: Some(7 * DAY),
    notes: "JSON messages, one for each event (SIM). That `generatedDateTime` stays the same over \
            retries is not documented; if it does not, a retry counts as new. Texts name 7 and 15 \
            days of retries; raise the window where it matters.",
    checked: Checked {
        key: library("triggerdotdev/trigger.dev: webhook-sources, docusign"),
        event_type: library("triggerdotdev/trigger.dev: webhook-sources, docusign"),
        signature: library("hookdeck/webhook-skills: docusign, verification"),
        retry: library("iambaton.com: 45 attempts or 7 days"),
        volatile: Some(library(
            "triggerdotdev/trigger.dev: webhook-sources, docusign",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

/// Ten retries, each after twice the time of the one before it, the first after two minutes.
const HUBSPOT_WINDOW_SECONDS: i64 = (2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1_024) * MINUTE;

/// The id of an event is one number among others of the account and the subscription.
pub(super) const HUBSPOT: Preset = Preset {
    id: "hubspot",
    display_name: "HubSpot",
    secret: "the app's client secret",
    key_locations: &[
        "body:$.portalId",
        "body:$.subscriptionId",
        "body:$.eventId",
        "body:$.occurredAt",
    ],
    event_type: Some("body:$.subscriptionType"),
    split: Some("body:$"),
    fingerprint_exclude: &["$.attemptNumber"],
    verifier: Recipe::Scheme {
        scheme: Scheme::Hubspot,
    },
    automatic_retry_window_seconds: Some(HUBSPOT_WINDOW_SECONDS),
    notes: "One request carries many events. The signature (version 3) covers the URL: \
            `public_url` has to be the one that HubSpot calls.",
    checked: Checked {
        key: docs("developers.hubspot.com: v1 request validation (the example's fields)"),
        event_type: docs("developers.hubspot.com: v1 request validation (the example's fields)"),
        signature: library("@hubspot/api-client 13.5.0"),
        retry: library("integrate.hubspot.com: a text that quotes HubSpot's webhooks overview"),
        volatile: Some(docs(
            "developers.hubspot.com: v1 request validation (attemptNumber)",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const INTERCOM: Preset = Preset {
    id: "intercom",
    display_name: "Intercom",
    secret: "the app's client secret",
    key_locations: &["body:$.id"],
    event_type: Some("body:$.topic"),
    fingerprint_exclude: &[
        "$.delivery_attempts",
        "$.delivery_status",
        "$.delivered_at",
        "$.first_sent_at",
    ],
    verifier: Recipe::Hmac {
        header: "x-hub-signature",
        algorithm: Algorithm::Sha1,
        encoding: Encoding::Hex,
        prefix: "sha1=",
    },
    timeout_seconds: Some(5),
    notes: "The `ping` after a webhook is saved is an event like any other.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: intercom, notification payload structure"),
        event_type: library("hookdeck/webhook-skills: intercom, notification payload structure"),
        signature: library("hookdeck/webhook-skills: intercom; triggerdotdev/trigger.dev"),
        retry: unchecked("developers.intercom.com, webhook notifications: pauses, no times"),
        timeout: Some(library(
            "hookdeck/webhook-skills: intercom, delivery and retries",
        )),
        volatile: Some(library(
            "hookdeck/webhook-skills: intercom, notification payload structure",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const TYPEFORM: Preset = Preset {
    id: "typeform",
    display_name: "Typeform",
    secret: "the webhook's secret",
    key_locations: &["body:$.event_id"],
    event_type: Some("body:$.event_type"),
    verifier: Recipe::Hmac {
        header: "typeform-signature",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        prefix: "sha256=",
    },
    retry_schedule: &[
        after(5 * MINUTE),
        after(15 * MINUTE),
        after(35 * MINUTE),
        after(95 * MINUTE),
        after(215 * MINUTE),
        after(395 * MINUTE),
        after(635 * MINUTE),
    ],
    automatic_retry_window_seconds: Some(635 * MINUTE),
    timeout_seconds: Some(30),
    notes: "After 408, 423, 429 and 503 Typeform tries every two or three minutes for ten hours.",
    checked: Checked {
        key: library("triggerdotdev/trigger.dev: webhook-sources, typeform"),
        event_type: library("triggerdotdev/trigger.dev: webhook-sources, typeform"),
        signature: library("hookdeck/webhook-skills: typeform; triggerdotdev/trigger.dev"),
        retry: docs("typeform.com/developers: webhooks, delivery retries"),
        timeout: Some(docs("typeform.com/developers: webhooks, timeout")),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const ZENDESK: Preset = Preset {
    id: "zendesk",
    display_name: "Zendesk",
    secret: "the webhook's signing secret",
    key_locations: &["header:x-zendesk-webhook-invocation-id"],
    event_type: Some("body:$.type"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Zendesk,
    },
    notes: "Only webhooks that are subscribed to events have a type; a trigger's body is what you \
            make it.",
    checked: Checked {
        key: docs("developer.zendesk.com: anatomy of a webhook request"),
        event_type: library("public integrations that read `zen:event-type:…`"),
        signature: library("hookdeck/webhook-skills: zendesk, verification"),
        retry: unchecked("developer.zendesk.com, webhooks: certain statuses, no times"),
        ..BLANK.checked
    },
    ..BLANK
};
