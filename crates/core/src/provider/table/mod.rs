//! The rows, one provider each. A new one needs its evidence, and nothing else anywhere.
//!
//! A cell says what somebody read: the provider's documentation, or code that has to agree with
//! it. What nobody could check is empty and says so, and a source then has the usual default.

mod code;
mod messages;
mod money;
mod people;
mod standard;

use super::{Checked, Confidence, DAY, Evidence, KeyMode, Preset, Recipe, RetryAt};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// Every provider, by id.
pub(super) const PRESETS: &[Preset] = &[
    money::ADYEN,
    messages::AWS_SNS,
    code::BITBUCKET,
    people::CALENDLY,
    standard::CLERK,
    people::DOCUSIGN,
    code::GITHUB,
    code::GITLAB,
    people::HUBSPOT,
    people::INTERCOM,
    code::LINEAR,
    messages::MAILGUN,
    messages::META,
    standard::OPENAI,
    money::PADDLE,
    money::PAYPAL,
    standard::RESEND,
    messages::SENDGRID,
    money::SHOPIFY,
    messages::SLACK,
    money::SQUARE,
    standard::STANDARD_WEBHOOKS,
    money::STRIPE,
    standard::SVIX,
    messages::TWILIO,
    people::TYPEFORM,
    money::XERO,
    people::ZENDESK,
    messages::ZOOM,
];

/// What a row has that says nothing: no cell of it is a claim.
const BLANK: Preset = Preset {
    id: "",
    display_name: "",
    secret: "",
    key_locations: &[],
    key_mode: KeyMode::All,
    bind_body: false,
    event_type: None,
    split: None,
    fingerprint_exclude: &[],
    verifier: Recipe::StandardWebhooks,
    handshake: None,
    answer: None,
    retry_headers: &[],
    resend_headers: &[],
    retry_schedule: &[],
    automatic_retry_window_seconds: None,
    manual_resend_window_seconds: None,
    timeout_seconds: None,
    max_body_bytes: None,
    success_status: 200,
    notes: "",
    checked: UNCHECKED,
};

const UNCHECKED: Checked = Checked {
    key: unchecked(""),
    event_type: unchecked(""),
    signature: unchecked(""),
    retry: unchecked(""),
    timeout: None,
    volatile: None,
    handshake: None,
};

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

const fn unchecked(why: &'static str) -> Evidence {
    Evidence {
        confidence: Confidence::Unchecked,
        checked_against: why,
    }
}

/// A try so long after the first one.
const fn after(offset_seconds: i64) -> RetryAt {
    RetryAt {
        offset_seconds,
        tolerance_seconds: offset_seconds / 5,
    }
}
