//! The providers' own ways of signing: one row of data for each that is an HMAC over parts of the
//! request, a name for each that is not.
//!
//! Where a provider signs a time, it is only compared with ours where the provider says that its
//! retries are signed anew, or its library compares it: a retry that carries the first try's time
//! must not be refused, for a lost event is worse than a replayed one, which the ledger knows.

use serde::Serialize;

use super::composed::{Form, Part, SignedTime, TimeAt, Unit, Written};
use super::fields::{Adyen, Mailgun};
use super::mac::Encoding;
use super::{Coverage, TOLERANCE_SECONDS, Tolerance, standard};

/// A provider's own way of signing, as a verifier's `type` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Some fields of every item of the body, under a key in hex.
    Adyen,
    /// `t=…,v1=…` over time and body.
    Calendly,
    /// One header for every key that is live.
    Docusign,
    /// Its secret token in a header, or Standard Webhooks with a signing token.
    Gitlab,
    /// Method, URL, body and time (version 3).
    Hubspot,
    /// The body, in which the time is.
    Linear,
    /// A time and a token in the body; nothing of the event.
    Mailgun,
    /// `ts=…;h1=…` over time and body.
    Paddle,
    /// ECDSA over time and body.
    Sendgrid,
    /// `v0:{time}:{body}`.
    Slack,
    /// The URL and the body.
    Square,
    /// Standard Webhooks, in headers that begin with `svix-`.
    Svix,
    /// The URL and the sorted fields of the form, or the URL with the body's hash in it.
    Twilio,
    /// Time and body.
    Zendesk,
    /// `v0:{time}:{body}`.
    Zoom,
}

impl Scheme {
    /// Every scheme, in the order of the names.
    pub const ALL: [Self; 15] = [
        Self::Adyen,
        Self::Calendly,
        Self::Docusign,
        Self::Gitlab,
        Self::Hubspot,
        Self::Linear,
        Self::Mailgun,
        Self::Paddle,
        Self::Sendgrid,
        Self::Slack,
        Self::Square,
        Self::Svix,
        Self::Twilio,
        Self::Zendesk,
        Self::Zoom,
    ];

    /// The name that a verifier's `type` has.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adyen => "adyen",
            Self::Calendly => "calendly",
            Self::Docusign => "docusign",
            Self::Gitlab => "gitlab",
            Self::Hubspot => "hubspot",
            Self::Linear => "linear",
            Self::Mailgun => "mailgun",
            Self::Paddle => "paddle",
            Self::Sendgrid => "sendgrid",
            Self::Slack => "slack",
            Self::Square => "square",
            Self::Svix => "svix",
            Self::Twilio => "twilio",
            Self::Zendesk => "zendesk",
            Self::Zoom => "zoom",
        }
    }

    /// What is signed, how, and where the signature is, in a sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Adyen => {
                "HMAC-SHA256 (base64, key in hex) of eight fields of each item, with colons \
                 between, in the item's `additionalData.hmacSignature`"
            }
            Self::Calendly => {
                "HMAC-SHA256 (hex) of `{t}.{body}` in `calendly-webhook-signature`, which holds \
                 `t=` and `v1=`; 180 s old at most"
            }
            Self::Docusign => {
                "HMAC-SHA256 (base64) of the body in `x-docusign-signature-1`, `-2` and so on, one \
                 for each live key"
            }
            Self::Gitlab => {
                "Standard Webhooks with a signing token; else the secret token as it is in \
                 `x-gitlab-token`"
            }
            Self::Hubspot => {
                "HMAC-SHA256 (base64) of method, URL, body and `x-hubspot-request-timestamp` in \
                 `x-hubspot-signature-v3`; 300 s old at most"
            }
            Self::Linear => {
                "HMAC-SHA256 (hex) of the body in `linear-signature`; its `webhookTimestamp` 60 s \
                 away at most"
            }
            Self::Mailgun => {
                "HMAC-SHA256 (hex) of the `timestamp` and the `token` beside it, in the body's \
                 `signature`"
            }
            Self::Paddle => {
                "HMAC-SHA256 (hex) of `{ts}:{body}` in `paddle-signature`, which holds `ts=` and \
                 `h1=`; 300 s old at most"
            }
            Self::Sendgrid => {
                "ECDSA (P-256, SHA-256, DER in base64) of \
                 `x-twilio-email-event-webhook-timestamp` and the body in \
                 `x-twilio-email-event-webhook-signature`"
            }
            Self::Slack => {
                "HMAC-SHA256 (hex, behind `v0=`) of `v0:{x-slack-request-timestamp}:{body}` in \
                 `x-slack-signature`; 300 s old at most"
            }
            Self::Square => {
                "HMAC-SHA256 (base64) of the URL and the body in `x-square-hmacsha256-signature`"
            }
            Self::Svix => {
                "Standard Webhooks in `svix-id`, `svix-timestamp` and `svix-signature`; 300 s away \
                 at most"
            }
            Self::Twilio => {
                "HMAC-SHA1 (base64) of the URL and the sorted fields of the form in \
                 `x-twilio-signature`; of another body the URL holds the `bodySHA256`"
            }
            Self::Zendesk => {
                "HMAC-SHA256 (base64) of `x-zendesk-webhook-signature-timestamp` and the body in \
                 `x-zendesk-webhook-signature`"
            }
            Self::Zoom => {
                "HMAC-SHA256 (hex, behind `v0=`) of `v0:{x-zm-request-timestamp}:{body}` in \
                 `x-zm-signature`"
            }
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == name)
    }

    /// What such a signature covers (K8); with GitLab, one that is made with a signing token.
    pub fn coverage(self) -> Coverage {
        match self {
            Self::Adyen => Coverage::Only(Adyen::covered()),
            Self::Mailgun => Coverage::Only(Mailgun::covered()),
            Self::Gitlab => standard::PLAIN.coverage(),
            Self::Svix => standard::SVIX.coverage(),
            Self::Calendly
            | Self::Docusign
            | Self::Hubspot
            | Self::Linear
            | Self::Paddle
            | Self::Sendgrid
            | Self::Slack
            | Self::Square
            | Self::Twilio
            | Self::Zendesk
            | Self::Zoom => Coverage::Body,
        }
    }

    /// How it is made, where it is an HMAC-SHA256 over parts of the request.
    pub(super) fn form(self) -> Option<Form> {
        match self {
            Self::Calendly => Some(CALENDLY),
            Self::Docusign => Some(DOCUSIGN),
            Self::Hubspot => Some(HUBSPOT),
            Self::Linear => Some(LINEAR),
            Self::Paddle => Some(PADDLE),
            Self::Slack => Some(SLACK),
            Self::Square => Some(SQUARE),
            Self::Zendesk => Some(ZENDESK),
            Self::Zoom => Some(ZOOM),
            Self::Adyen
            | Self::Gitlab
            | Self::Mailgun
            | Self::Sendgrid
            | Self::Svix
            | Self::Twilio => None,
        }
    }
}

/// Three minutes, as Calendly's own example has it.
const CALENDLY: Form = Form {
    header: "calendly-webhook-signature",
    written: Written::Fields {
        separator: ',',
        time: "t",
        signature: "v1",
    },
    encoding: Encoding::Hex,
    signed: &[Part::Time, Part::Text("."), Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Signature,
        unit: Unit::Seconds,
        tolerance: Some(Tolerance::Past(180)),
    }),
};

const DOCUSIGN: Form = Form {
    header: "x-docusign-signature",
    written: Written::Numbered,
    encoding: Encoding::Base64,
    signed: &[Part::Body],
    time: None,
};

const HUBSPOT: Form = Form {
    header: "x-hubspot-signature-v3",
    written: Written::Alone { prefix: "" },
    encoding: Encoding::Base64,
    signed: &[Part::Method, Part::Url, Part::Body, Part::Time],
    time: Some(SignedTime {
        at: TimeAt::Header("x-hubspot-request-timestamp"),
        unit: Unit::Milliseconds,
        tolerance: Some(Tolerance::Past(TOLERANCE_SECONDS)),
    }),
};

/// The time lies in the signed body; the header beside it is not signed and not looked at.
const LINEAR: Form = Form {
    header: "linear-signature",
    written: Written::Alone { prefix: "" },
    encoding: Encoding::Hex,
    signed: &[Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Body("webhookTimestamp"),
        unit: Unit::Milliseconds,
        tolerance: Some(Tolerance::BothWays(60)),
    }),
};

/// Paddle's library allows five seconds, within which a clock that is a little ahead of theirs
/// refuses everything. The usual five minutes let nothing in twice: the event's id is signed.
const PADDLE: Form = Form {
    header: "paddle-signature",
    written: Written::Fields {
        separator: ';',
        time: "ts",
        signature: "h1",
    },
    encoding: Encoding::Hex,
    signed: &[Part::Time, Part::Text(":"), Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Signature,
        unit: Unit::Seconds,
        tolerance: Some(Tolerance::Past(TOLERANCE_SECONDS)),
    }),
};

const SLACK: Form = Form {
    header: "x-slack-signature",
    written: Written::Alone { prefix: "v0=" },
    encoding: Encoding::Hex,
    signed: &[Part::Text("v0:"), Part::Time, Part::Text(":"), Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Header("x-slack-request-timestamp"),
        unit: Unit::Seconds,
        tolerance: Some(Tolerance::Past(TOLERANCE_SECONDS)),
    }),
};

const SQUARE: Form = Form {
    header: "x-square-hmacsha256-signature",
    written: Written::Alone { prefix: "" },
    encoding: Encoding::Base64,
    signed: &[Part::Url, Part::Body],
    time: None,
};

/// The time is an RFC 3339 text. Zendesk names no tolerance, nor whether a retry has a new time.
const ZENDESK: Form = Form {
    header: "x-zendesk-webhook-signature",
    written: Written::Alone { prefix: "" },
    encoding: Encoding::Base64,
    signed: &[Part::Time, Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Header("x-zendesk-webhook-signature-timestamp"),
        unit: Unit::Text,
        tolerance: None,
    }),
};

/// Zoom's library compares no times, and its last retry comes 85 minutes after the first try.
const ZOOM: Form = Form {
    header: "x-zm-signature",
    written: Written::Alone { prefix: "v0=" },
    encoding: Encoding::Hex,
    signed: &[Part::Text("v0:"), Part::Time, Part::Text(":"), Part::Body],
    time: Some(SignedTime {
        at: TimeAt::Header("x-zm-request-timestamp"),
        unit: Unit::Text,
        tolerance: None,
    }),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_found_by_its_name() {
        for scheme in Scheme::ALL {
            assert_eq!(Scheme::named(scheme.as_str()), Some(scheme));
            assert_eq!(serde_json::json!(scheme), scheme.as_str());
        }
        assert_eq!(Scheme::named("hmac"), None);
    }
}
