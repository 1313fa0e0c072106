//! Where money moves: Adyen, Paddle, PayPal, Shopify, Square, Stripe, Xero.

use super::{BLANK, DAY, HOUR, docs, library, unchecked};
use crate::provider::{Checked, Handshake, Preset, Recipe};
use crate::verify::{Algorithm, Encoding, Scheme};

/// There is no id of the event: the payment's, with what happened to it and whether it succeeded.
pub(super) const ADYEN: Preset = Preset {
    id: "adyen",
    display_name: "Adyen",
    secret: "the webhook's HMAC key, in hex",
    key_locations: &[
        "body:$.NotificationRequestItem.pspReference",
        "body:$.NotificationRequestItem.eventCode",
        "body:$.NotificationRequestItem.success",
    ],
    event_type: Some("body:$.NotificationRequestItem.eventCode"),
    split: Some("body:$.notificationItems"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Adyen,
    },
    automatic_retry_window_seconds: Some(30 * DAY),
    timeout_seconds: Some(10),
    notes: "Standard (payment) webhooks. Each item is signed by itself, and only some of its \
            fields are. A message is one item, without the `live` that stands outside of the \
            items: give test and live a source each.",
    checked: Checked {
        key: library("@adyen/api-library 32.1.0 (the item's fields)"),
        event_type: library("@adyen/api-library 32.1.0 (the item's fields)"),
        signature: library("@adyen/api-library 32.1.0"),
        retry: docs("docs.adyen.com: troubleshoot webhooks"),
        timeout: Some(library(
            "hookdeck.com: how to solve Adyen webhook timeout errors",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const PADDLE: Preset = Preset {
    id: "paddle",
    display_name: "Paddle Billing",
    secret: "the notification destination's secret key",
    key_locations: &["body:$.event_id"],
    event_type: Some("body:$.event_type"),
    fingerprint_exclude: &["$.notification_id"],
    verifier: Recipe::Scheme {
        scheme: Scheme::Paddle,
    },
    automatic_retry_window_seconds: Some(3 * DAY),
    timeout_seconds: Some(5),
    notes: "A person can replay an event at any later time: one that is older than the window \
            counts as new.",
    checked: Checked {
        key: library("@paddle/paddle-node-sdk 3.10.0 (Event)"),
        event_type: library("@paddle/paddle-node-sdk 3.10.0 (Event)"),
        signature: library("@paddle/paddle-node-sdk 3.10.0"),
        retry: docs("developer.paddle.com: handle webhook delivery"),
        timeout: Some(docs("developer.paddle.com: handle webhook delivery")),
        volatile: Some(library(
            "@paddle/paddle-node-sdk 3.10.0: a replay is a notification of its own",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

/// How long a person can resend is not documented where it was looked for; the event is listed, and
/// can be sent again from there.
pub(super) const PAYPAL: Preset = Preset {
    id: "paypal",
    display_name: "PayPal",
    secret: "the webhook's id (`webhook_id`), as the developer dashboard shows it: there is no \
             secret",
    key_locations: &["body:$.id"],
    event_type: Some("body:$.event_type"),
    verifier: Recipe::Paypal,
    automatic_retry_window_seconds: Some(3 * DAY),
    notes: "The certificate is fetched from `*.paypal.com` below `/v1/notifications/certs/`. Of \
            the body only a CRC-32 is signed: whoever gets hold of one signed request can make \
            another body that fits it, so keep recorded requests to yourself. An event that is \
            resent by hand after the window counts as new.",
    checked: Checked {
        key: docs("developer.paypal.com: verify webhook signature (the event's `id`)"),
        event_type: library("hookdeck/webhook-skills: paypal, event payload structure"),
        signature: library("paypalrestsdk 1.13.3 (Python), WebhookEvent.verify"),
        retry: library("hookdeck/webhook-skills: paypal, retries"),
        ..BLANK.checked
    },
    ..BLANK
};

/// Shopify says to compare the event id. It names what happened in the shop, and webhooks of
/// several topics may carry the same one: taken alone it could make `orders/paid` a duplicate of
/// `orders/create`, and a lost event is worse than a repeated one. So the topic is a part of the
/// key, in mode `all`. Mode `first` over the several id headers would let one event have different
/// keys. The headers without `x-` belong to Shopify's Events, which are signed in a header of their
/// own, so that they cannot pass this verifier. Two subscriptions to one topic send one event
/// twice, and that is a duplicate, as Shopify's documentation says.
pub(super) const SHOPIFY: Preset = Preset {
    id: "shopify",
    display_name: "Shopify",
    secret: "the app's client secret",
    key_locations: &["header:x-shopify-event-id", "header:x-shopify-topic"],
    event_type: Some("header:x-shopify-topic"),
    verifier: Recipe::Hmac {
        header: "x-shopify-hmac-sha256",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        prefix: "",
    },
    // Eight tries over four hours, at times that Shopify does not name.
    automatic_retry_window_seconds: Some(4 * HOUR),
    timeout_seconds: Some(5),
    checked: Checked {
        key: docs("shopify.dev: ignore duplicate webhooks"),
        event_type: library("@shopify/shopify-api 13.1.0"),
        signature: library("@shopify/shopify-api 13.1.0"),
        retry: docs("shopify.dev: changelog, updates to the webhook retry mechanism"),
        timeout: Some(library("a table made from shopify.dev")),
        ..BLANK.checked
    },
    ..BLANK
};

/// Of two pages of Square's, today's says 24 hours and an older one 72: the longer one counts.
pub(super) const SQUARE: Preset = Preset {
    id: "square",
    display_name: "Square",
    secret: "the subscription's signature key",
    key_locations: &["body:$.event_id"],
    event_type: Some("body:$.type"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Square,
    },
    automatic_retry_window_seconds: Some(3 * DAY),
    timeout_seconds: Some(10),
    notes: "The signature covers the URL: `public_url` has to be the one in the subscription, \
            byte for byte.",
    checked: Checked {
        key: library("square 46.0.0 (Node): a unique ID for the event"),
        event_type: library("square 46.0.0 (Node)"),
        signature: library("square 46.0.0 (Node)"),
        retry: docs("developer.squareup.com: troubleshoot webhooks, two versions of the page"),
        timeout: Some(docs(
            "developer.squareup.com: troubleshoot webhooks, the older version",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

/// The event's id stays through retries and resends. The timeout is unknown: tables name 20 s and
/// 30 s, Stripe none. A resend is possible for 15 days in the dashboard, and for 30 on the command
/// line, which counts.
pub(super) const STRIPE: Preset = Preset {
    id: "stripe",
    display_name: "Stripe",
    secret: "the endpoint's signing secret (`whsec_…`)",
    key_locations: &["body:$.id"],
    event_type: Some("body:$.type"),
    verifier: Recipe::Stripe,
    // Exponential over three days, at times that Stripe does not name.
    automatic_retry_window_seconds: Some(3 * DAY),
    manual_resend_window_seconds: Some(30 * DAY),
    checked: Checked {
        key: library("the event catalogues of public Stripe integrations"),
        event_type: library("the event catalogues of public Stripe integrations"),
        signature: library("stripe 23.1.0 (Node)"),
        retry: library("texts that quote docs.stripe.com/webhooks: automatic and manual retries"),
        ..BLANK.checked
    },
    ..BLANK
};

/// There is no id of the event: the resource's, with what happened to it and when.
pub(super) const XERO: Preset = Preset {
    id: "xero",
    display_name: "Xero",
    secret: "the webhooks key",
    key_locations: &[
        "body:$.eventCategory",
        "body:$.resourceId",
        "body:$.eventType",
        "body:$.eventDateUtc",
    ],
    event_type: Some("body:$.eventCategory"),
    split: Some("body:$.events"),
    verifier: Recipe::Hmac {
        header: "x-xero-signature",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        prefix: "",
    },
    handshake: Some(Handshake::IntentToReceive),
    answer: Some(("text/plain; charset=utf-8", "")),
    timeout_seconds: Some(5),
    notes: "All answers come without a body, as Xero wants them: 200, or 401 where the signature \
            is wrong.",
    checked: Checked {
        key: library("PipedreamHQ/pipedream: xero_accounting_api, webhook-event-received"),
        event_type: library("PipedreamHQ/pipedream: xero_accounting_api, webhook-event-received"),
        signature: library("PipedreamHQ/pipedream: xero_accounting_api, webhook-event-received"),
        retry: unchecked("no page that was read names times"),
        timeout: Some(library("truto.one: how to integrate with the Xero API")),
        handshake: Some(library(
            "PipedreamHQ/pipedream: xero_accounting_api, webhook-event-received",
        )),
        ..BLANK.checked
    },
    ..BLANK
};
