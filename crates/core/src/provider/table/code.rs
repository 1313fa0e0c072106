//! Where code and its issues are: Bitbucket, GitHub, GitLab, Linear.

use super::{BLANK, DAY, docs, library, unchecked};
use crate::provider::{Checked, KeyMode, Preset, Recipe};
use crate::verify::{Algorithm, Encoding, Scheme};

const MIB: usize = 1024 * 1024;

pub(super) const BITBUCKET: Preset = Preset {
    id: "bitbucket",
    display_name: "Bitbucket Cloud",
    secret: "the webhook's secret",
    key_locations: &["header:x-request-uuid"],
    event_type: Some("header:x-event-key"),
    verifier: Recipe::Hmac {
        header: "x-hub-signature",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=",
    },
    timeout_seconds: Some(10),
    notes: "That `X-Request-UUID` stays the same over the automatic retries is not documented; if \
            it does not, a retry counts as new. A 5xx answer is retried at most twice, at times \
            that are not named. `X-Attempt-Number` is on every try, so that its presence says \
            nothing.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: bitbucket, important headers"),
        event_type: library("hookdeck/webhook-skills: bitbucket, important headers"),
        signature: library("hookdeck/webhook-skills: bitbucket, important headers"),
        retry: unchecked("support.atlassian.com, troubleshoot webhooks: two retries, no times"),
        timeout: Some(docs("support.atlassian.com: troubleshoot webhooks")),
        ..BLANK.checked
    },
    ..BLANK
};

/// GitHub never retries by itself: whatever comes again was redelivered on request, with the same
/// delivery id. That id is outside of the signature.
pub(super) const GITHUB: Preset = Preset {
    id: "github",
    display_name: "GitHub",
    secret: "the webhook's secret",
    key_locations: &["header:x-github-delivery"],
    event_type: Some("header:x-github-event"),
    verifier: Recipe::Hmac {
        header: "x-hub-signature-256",
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=",
    },
    automatic_retry_window_seconds: Some(0),
    manual_resend_window_seconds: Some(3 * DAY),
    timeout_seconds: Some(10),
    max_body_bytes: Some(25 * MIB),
    notes: "GitHub never retries by itself. The `ping` after a webhook is made is an event like \
            any other.",
    checked: Checked {
        key: docs("docs.github.com: best practices for using webhooks"),
        event_type: docs("docs.github.com: webhook events and payloads"),
        signature: library("@octokit/webhooks-methods 6.0.0"),
        retry: docs("docs.github.com: handling failed webhook deliveries"),
        timeout: Some(docs("docs.github.com: handling failed webhook deliveries")),
        ..BLANK.checked
    },
    ..BLANK
};

/// With a signing token the id is signed, in `webhook-id`; it is the value of `Idempotency-Key`,
/// which is there without one as well. Mode `first` takes the signed one where there is one.
pub(super) const GITLAB: Preset = Preset {
    id: "gitlab",
    display_name: "GitLab",
    secret: "the webhook's signing token (`whsec_…`), or else its secret token",
    key_locations: &["header:webhook-id", "header:idempotency-key"],
    key_mode: KeyMode::First,
    event_type: Some("header:x-gitlab-event"),
    verifier: Recipe::Scheme {
        scheme: Scheme::Gitlab,
    },
    notes: "A signing token signs the id and the body; a secret token is only sent along and \
            protects neither. Both ids have the same value, but a source that changes from one \
            kind to the other knows the events of before under other keys.",
    checked: Checked {
        key: docs("gitlab.com: merge requests 160952 (Idempotency-Key) and 230944 (webhook-id)"),
        event_type: docs("gitlab-org/gitlab: doc/user/project/integrations/webhooks.md"),
        signature: docs("gitlab.com: merge requests 230944 and 231325 (signing token)"),
        retry: unchecked("no page that was read names times"),
        ..BLANK.checked
    },
    ..BLANK
};

pub(super) const LINEAR: Preset = Preset {
    id: "linear",
    display_name: "Linear",
    secret: "the webhook's signing secret",
    key_locations: &["header:linear-delivery"],
    event_type: Some("body:$.type"),
    fingerprint_exclude: &["$.webhookTimestamp"],
    verifier: Recipe::Scheme {
        scheme: Scheme::Linear,
    },
    notes: "Pages of different years name different times for the retries, so none is used.",
    checked: Checked {
        key: library("hookdeck/webhook-skills: linear, key headers"),
        event_type: library("hookdeck/webhook-skills: linear, event payload structure"),
        signature: library("@linear/sdk 98.0.0"),
        retry: unchecked("developers.linear.app and newer texts disagree"),
        volatile: Some(library(
            "@linear/sdk 98.0.0: a try is refused a minute after its webhookTimestamp",
        )),
        ..BLANK.checked
    },
    ..BLANK
};
