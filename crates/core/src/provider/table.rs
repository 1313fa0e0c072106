//! The rows, one provider each. A new one needs its evidence, and nothing else anywhere.

use super::{Checked, Confidence, DAY, Evidence, KeyMode, Preset, Recipe};
use crate::verify::{Algorithm, Encoding};

const MIB: usize = 1024 * 1024;

/// Every provider, by id.
pub(super) const PRESETS: &[Preset] = &[GITHUB, SHOPIFY, STANDARD_WEBHOOKS, STRIPE];

const fn docs(checked_against: &'static str) -> Evidence {
    Evidence {
        confidence: Confidence::VerifiedInDocs,
        checked_against,
    }
}

const fn library(checked_against: &'static str) -> Evidence {
    Evidence {
        confidence: Confidence::FromLibraryCode,
        checked_against,
    }
}

/// GitHub never retries by itself: whatever comes again was redelivered on request, with the same
/// delivery id. That id is outside of the signature.
const GITHUB: Preset = Preset {
    id: "github",
    display_name: "GitHub",
    key_locations: &["header:x-github-delivery"],
    key_mode: KeyMode::All,
    event_type: Some("header:x-github-event"),
    fingerprint_exclude: &[],
    verifier: Recipe::Hmac {
        header: "x-hub-signature-256",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=",
    },
    retry_headers: &[],
    resend_headers: &[],
    retry_schedule: &[],
    automatic_retry_window_seconds: Some(0),
    manual_resend_window_seconds: Some(3 * DAY),
    timeout_seconds: Some(10),
    max_body_bytes: Some(25 * MIB),
    success_status: 200,
    checked: Checked {
        key: docs("docs.github.com: best practices for using webhooks"),
        event_type: docs("docs.github.com: webhook events and payloads"),
        signature: library("@octokit/webhooks-methods 6.0.0"),
        retry: docs("docs.github.com: handling failed webhook deliveries"),
        timeout: Some(docs("docs.github.com: handling failed webhook deliveries")),
    },
};

/// Shopify says to compare the event id. It names what happened in the shop, and webhooks of
/// several topics may carry the same one: taken alone it could make `orders/paid` a duplicate of
/// `orders/create`, and a lost event is worse than a repeated one. So the topic is a part of the
/// key, in mode `all`. Mode `first` over the several id headers would let one event have different
/// keys. The headers without `x-` belong to Shopify's Events, which are signed in a header of their
/// own, so that they cannot pass this verifier. Two subscriptions to one topic send one event
/// twice, and that is a duplicate, as Shopify's documentation says.
const SHOPIFY: Preset = Preset {
    id: "shopify",
    display_name: "Shopify",
    key_locations: &["header:x-shopify-event-id", "header:x-shopify-topic"],
    key_mode: KeyMode::All,
    event_type: Some("header:x-shopify-topic"),
    fingerprint_exclude: &[],
    verifier: Recipe::Hmac {
        header: "x-shopify-hmac-sha256",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        prefix: "",
    },
    retry_headers: &[],
    resend_headers: &[],
    // Eight tries over four hours, at times that Shopify does not name.
    retry_schedule: &[],
    automatic_retry_window_seconds: Some(4 * 3_600),
    manual_resend_window_seconds: None,
    timeout_seconds: Some(5),
    max_body_bytes: None,
    success_status: 200,
    checked: Checked {
        key: docs("shopify.dev: ignore duplicate webhooks"),
        event_type: library("@shopify/shopify-api 13.1.0"),
        signature: library("@shopify/shopify-api 13.1.0"),
        retry: docs("shopify.dev: changelog, updates to the webhook retry mechanism"),
        timeout: Some(library("a table made from shopify.dev")),
    },
};

/// Whoever follows the standard. Its retry schedule is an example that each sender may replace, so
/// the windows are open; the id in the header is a part of what is signed.
const STANDARD_WEBHOOKS: Preset = Preset {
    id: "standard_webhooks",
    display_name: "Standard Webhooks",
    key_locations: &["header:webhook-id"],
    key_mode: KeyMode::All,
    event_type: Some("body:$.type"),
    fingerprint_exclude: &[],
    verifier: Recipe::StandardWebhooks,
    retry_headers: &[],
    resend_headers: &[],
    retry_schedule: &[],
    automatic_retry_window_seconds: None,
    manual_resend_window_seconds: None,
    timeout_seconds: None,
    max_body_bytes: None,
    success_status: 200,
    checked: Checked {
        key: docs("the specification of Standard Webhooks"),
        event_type: docs("the specification of Standard Webhooks"),
        signature: docs("the specification of Standard Webhooks; standardwebhooks 1.1.1"),
        retry: docs("the specification of Standard Webhooks: the sender decides"),
        timeout: None,
    },
};

/// The event's id stays through retries and resends. The timeout is unknown: tables name 20 s and
/// 30 s, Stripe none. A resend is possible for 15 days in the dashboard, and for 30 on the command
/// line, which counts.
const STRIPE: Preset = Preset {
    id: "stripe",
    display_name: "Stripe",
    key_locations: &["body:$.id"],
    key_mode: KeyMode::All,
    event_type: Some("body:$.type"),
    fingerprint_exclude: &[],
    verifier: Recipe::Stripe,
    retry_headers: &[],
    resend_headers: &[],
    // Exponential over three days, at times that Stripe does not name.
    retry_schedule: &[],
    automatic_retry_window_seconds: Some(3 * DAY),
    manual_resend_window_seconds: Some(30 * DAY),
    timeout_seconds: None,
    max_body_bytes: None,
    success_status: 200,
    checked: Checked {
        key: library("the event catalogues of public Stripe integrations"),
        event_type: library("the event catalogues of public Stripe integrations"),
        signature: library("stripe 23.1.0 (Node)"),
        retry: library("texts that quote docs.stripe.com/webhooks: automatic and manual retries"),
        timeout: None,
    },
};
