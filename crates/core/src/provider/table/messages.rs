//! Who sends messages and meets: Amazon SNS, Mailgun, Meta, SendGrid, Slack, Twilio, Zoom.

use super::{BLANK, HOUR, MINUTE, after, docs, library, unchecked};
use crate::provider::{Checked, Handshake, Preset, Recipe};
use crate::verify::{Algorithm, Encoding, Scheme};

/// Any account can have SNS sign a message, by a topic of its own, so the source says which topic
/// is its own. What is under 500 and not 429 is not tried again, so that a certificate that cannot
/// be fetched is answered with 503.
pub(super) const AWS_SNS: Preset = Preset {
    id: "aws_sns",
    display_name: "Amazon SNS",
    secret: "the topic's ARN (`topic_arn`): there is no secret",
    key_locations: &["body:$.MessageId"],
    event_type: Some("body:$.Type"),
    verifier: Recipe::AwsSns,
    handshake: Some(Handshake::SubscriptionConfirmation),
    retry_schedule: &[after(20), after(40), after(60)],
    automatic_retry_window_seconds: Some(HOUR),
    timeout_seconds: Some(15),
    notes: "The certificate is fetched from `sns.<region>.amazonaws.com` (`.cn`). A subscription \
            is confirmed by itself, unless the verifier says `\"confirm\": false`: then the \
            message with its `SubscribeURL` is an event like any other, and so is the one that \
            says that a subscription has ended. SNS sends its JSON as `text/plain`; it is read as \
            JSON all the same. Raw message delivery is not signed, and so not let in.",
    checked: Checked {
        key: docs("docs.aws.amazon.com: HTTP/HTTPS headers (the message ID of a retry)"),
        event_type: docs("docs.aws.amazon.com: HTTP/HTTPS headers"),
        signature: library("sns-validator 0.3.5 (Node)"),
        retry: docs(
            "docs.aws.amazon.com: message delivery retries; a policy of one's own can \
                     differ, up to an hour",
        ),
        timeout: Some(library("deadmanssnitch/snshttp: timeouts")),
        handshake: Some(docs("docs.aws.amazon.com: prepare your endpoint")),
        ..BLANK.checked
    },
    ..BLANK
};

/// The signature covers a time and a token and nothing of the event, so the key cannot be trusted
/// more than the ingest URL can be kept secret.
pub(super) const MAILGUN: Preset = Preset {
    id: "mailgun",
    display_name: "Mailgun",
    secret: "the HTTP webhook signing key",
    key_locations: &["body:$['event-data'].id"],
    event_type: Some("body:$['event-data'].event"),
    fingerprint_exclude: &["$.signature"],
    verifier: Recipe::Scheme {
        scheme: Scheme::Mailgun,
    },
    retry_schedule: &[
        after(5 * MINUTE),
        after(15 * MINUTE),
        after(30 * MINUTE),
        after(90 * MINUTE),
        after(210 * MINUTE),
        after(450 * MINUTE),
    ],
    automatic_retry_window_seconds: Some(8 * HOUR),
    notes: "Mailgun signs a time and a token, and nothing of the event. Form bodies of the older \
            kind are verified as well; they have no key unless the source names one.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: mailgun, webhook payload structure"),
        event_type: library("hookdeck/webhook-skills: mailgun, webhook payload structure"),
        signature: library("hookdeck/webhook-skills: mailgun (timestamp and token in the body)"),
        retry: docs("documentation.mailgun.com: automatic retries"),
        volatile: Some(library(
            "hookdeck/webhook-skills: mailgun, webhook payload structure",
        )),
        ..BLANK.checked
    },
    ..BLANK
};

/// Meta's notifications have no id. The body is the key, so that a retry with the same body is
/// recognised; taken apart, an entry would lose the `object` around it.
pub(super) const META: Preset = Preset {
    id: "meta",
    display_name: "Meta (Facebook, Instagram, WhatsApp)",
    secret: "the app secret",
    event_type: Some("body:$.object"),
    verifier: Recipe::Hmac {
        header: "x-hub-signature-256",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=",
    },
    handshake: Some(Handshake::HubChallenge),
    notes: "The verify token is the last part of the ingest URL. A notification has no id, so its \
            body is the key. `\"split\": \"body:$.entry\"` makes each entry a message of its own, \
            without the `object` that stands outside of the entries.",
    checked: Checked {
        key: docs("developers.facebook.com: Webhooks from Meta (the sample has no id)"),
        event_type: docs("developers.facebook.com: Webhooks from Meta, sample notification"),
        signature: library("triggerdotdev/trigger.dev: webhook-sources, whatsapp"),
        retry: unchecked("texts name 24 and 36 hours and 7 days; no page of Meta's was found"),
        handshake: Some(docs("developers.facebook.com: Webhooks, get started")),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const SENDGRID: Preset = Preset {
    id: "sendgrid",
    display_name: "SendGrid Event Webhook",
    secret: "the verification key (public) of the signed event webhook",
    key_locations: &["body:$.sg_event_id"],
    event_type: Some("body:$.event"),
    split: Some("body:$"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Sendgrid,
    },
    notes: "One request carries many events. An issue of SendGrid's own documentation tells of \
            one event that came 46 times in 29 hours.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: sendgrid, common fields"),
        event_type: library("hookdeck/webhook-skills: sendgrid, common fields"),
        signature: library("@sendgrid/eventwebhook 8.0.0"),
        retry: unchecked("sendgrid/docs issue 2933 has an experience, no page a promise"),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const SLACK: Preset = Preset {
    id: "slack",
    display_name: "Slack",
    secret: "the app's signing secret",
    key_locations: &["body:$.event_id"],
    event_type: Some("body:$.event.type"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Slack,
    },
    handshake: Some(Handshake::UrlVerification),
    retry_headers: &["x-slack-retry-num"],
    retry_schedule: &[after(MINUTE), after(6 * MINUTE)],
    automatic_retry_window_seconds: Some(6 * MINUTE),
    timeout_seconds: Some(3),
    notes: "The first retry comes at once, and all carry `X-Slack-Retry-Num`. That header is a \
            reason to look, never one to drop: the first try may have failed.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: slack, event envelope"),
        event_type: library("hookdeck/webhook-skills: slack, event envelope"),
        signature: library("@slack/bolt 5.1.0"),
        retry: library("hookdeck/webhook-skills: slack, retry behavior"),
        timeout: Some(library(
            "hookdeck/webhook-skills: slack, response requirements",
        )),
        handshake: Some(docs("api.slack.com: url_verification event")),
        ..BLANK.checked
    },
    ..BLANK
};

/// The usual answer would be read as TwiML and be none; an empty one says nothing to the caller.
pub(super) const TWILIO: Preset = Preset {
    id: "twilio",
    display_name: "Twilio",
    secret: "the account's auth token",
    key_locations: &["header:i-twilio-idempotency-token"],
    event_type: Some("body:$.MessageStatus"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Twilio,
    },
    answer: Some(("text/xml", "<Response/>")),
    notes: "The signature covers the URL: `public_url` has to be the one that Twilio calls. How \
            often Twilio tries again is set in the webhook's own URL. The answer is an empty \
            TwiML document.",
    checked: Checked {
        key: library("PipedreamHQ/pipedream: twilio (\"if Twilio retries a message\")"),
        event_type: library("public integrations that read MessageStatus"),
        signature: library("twilio 6.2.0 (Node)"),
        retry: unchecked("twilio.com, connection overrides: the webhook's URL says it"),
        ..BLANK.checked
    },
    ..BLANK
};

/// Two meetings may start in one millisecond, so type and time alone would make one of them a
/// duplicate of the other; and most kinds of events have no id in common.
pub(super) const ZOOM: Preset = Preset {
    id: "zoom",
    display_name: "Zoom",
    secret: "the app's secret token",
    key_locations: &["body:$.event", "body:$.event_ts"],
    bind_body: true,
    event_type: Some("body:$.event"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Zoom,
    },
    handshake: Some(Handshake::UrlValidation),
    retry_schedule: &[after(5 * MINUTE), after(25 * MINUTE), after(85 * MINUTE)],
    automatic_retry_window_seconds: Some(85 * MINUTE),
    timeout_seconds: Some(3),
    notes: "An event has no id: its type, its time and its body are the key.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: zoom, event payload structure (no id)"),
        event_type: library("@zoom/rivet 0.4.0"),
        signature: library("@zoom/rivet 0.4.0; zoom/webhook-sample"),
        retry: docs("developers.zoom.us: resolving webhook delays"),
        timeout: Some(docs("developers.zoom.us: resolving webhook delays")),
        handshake: Some(library("@zoom/rivet 0.4.0; zoom/webhook-sample")),
        ..BLANK.checked
    },
    ..BLANK
};
