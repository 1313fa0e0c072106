//! Decides whether a request is from whom it says it is, before anybody looks for a key in it or
//! asks a store (K7). Without this an id could be claimed by a stranger, and the true event that
//! carries it would be taken for a duplicate.
//!
//! A [`VerifierSpec`] is what a source says; [`Verifier::new`] checks it when the source is saved
//! and prepares its keys. [`Verifier::verify`] works on the raw bytes, in constant time.

mod body_hmac;
mod certificate;
mod composed;
mod credentials;
mod ecdsa;
mod fields;
mod mac;
mod paypal;
mod prepare;
mod refusal;
mod request;
mod scheme;
mod sns;
mod spec;
mod standard;
mod stored;
mod stripe;
#[cfg(test)]
mod tests;
mod twilio;

use std::fmt;

use crate::time::Timestamp;
use body_hmac::BodyHmac;
use composed::Composed;
use credentials::{ApiKey, Basic, Place};
use ecdsa::SendGrid;
use fields::{Adyen, Mailgun};
use paypal::PayPal;
use sns::Sns;
use standard::StandardWebhooks;
use stripe::Stripe;
use twilio::Twilio;

pub use crate::field::FieldError;
pub use certificate::{
    CERTIFICATE_BYTES_MAX, Chain, NoCertificate, Presented, TrustAnchor, Wanted,
};
pub use mac::{Algorithm, Encoding};
pub use refusal::Refusal;
pub use request::{Header, Headers, SignedRequest};
pub use scheme::Scheme;
pub use spec::{SECRETS_MAX, VerifierSpec};
pub use stored::StoredVerifierError;

/// How far a signed time may be from ours, as the official libraries have it.
const TOLERANCE_SECONDS: i64 = 300;

/// A verifier whose fields are checked and whose keys are ready.
pub struct Verifier {
    spec: VerifierSpec,
    check: Check,
}

enum Check {
    Nothing,
    BodyHmac(BodyHmac),
    Basic(Basic),
    ApiKey(ApiKey),
    StandardWebhooks(StandardWebhooks),
    Stripe(Stripe),
    Composed(Composed),
    Adyen(Adyen),
    Mailgun(Mailgun),
    SendGrid(SendGrid),
    Twilio(Twilio),
    PayPal(PayPal),
    Sns(Sns),
}

/// What a verifier's signature covers. A location outside of it can be changed by whoever gets
/// hold of a signed request, and is marked `unsigned` (K8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// Not a byte.
    Nothing,
    /// The body.
    Body,
    /// The body and these headers, in lower case.
    BodyAndHeaders(Vec<String>),
    /// These locations, and nothing else of the request.
    Only(Vec<String>),
    /// Method, path, query, headers and body.
    Everything,
}

/// A credential that comes with each request, and must be masked where the request is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// The value of this header, in lower case.
    Header(&'a str),
    /// The value of this query parameter.
    Query(&'a str),
}

impl Verifier {
    /// Checks what a source says, and prepares its keys.
    pub fn new(spec: VerifierSpec) -> Result<Self, FieldError> {
        let spec = spec.checked()?;
        let check = Check::prepare(&spec)?;
        Ok(Self { spec, check })
    }

    /// Whether the request may come in. Where a certificate has to be fetched for that, it may not:
    /// that is [`Verifier::verify_certified`]'s.
    pub fn verify(&self, request: &SignedRequest<'_>, now: Timestamp) -> Result<(), Refusal> {
        self.verify_certified(request, None, now)
    }

    /// Whether a certificate has to be fetched before a request can be judged.
    pub fn fetches(&self) -> bool {
        matches!(self.check, Check::PayPal(_) | Check::Sns(_))
    }

    /// The certificate that has to be fetched before the request can be judged; none for most
    /// verifiers. Everything that can be refused without it is refused here, so that as few
    /// strangers as possible make somebody fetch something.
    pub fn wanted(&self, request: &SignedRequest<'_>) -> Result<Option<Wanted>, Refusal> {
        match &self.check {
            Check::PayPal(check) => check.wanted(request).map(Some),
            Check::Sns(check) => check.wanted(request).map(Some),
            Check::Nothing
            | Check::BodyHmac(_)
            | Check::Basic(_)
            | Check::ApiKey(_)
            | Check::StandardWebhooks(_)
            | Check::Stripe(_)
            | Check::Composed(_)
            | Check::Adyen(_)
            | Check::Mailgun(_)
            | Check::SendGrid(_)
            | Check::Twilio(_) => Ok(None),
        }
    }

    /// Whether the request may come in, with the certificate that [`Verifier::wanted`] named.
    pub fn verify_certified(
        &self,
        request: &SignedRequest<'_>,
        presented: Option<Presented<'_>>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let certified = || presented.ok_or(Refusal::CertificateMissing);
        match &self.check {
            Check::PayPal(check) => check.verify(request, certified()?, now),
            Check::Sns(check) => check.verify(request, certified()?, now),
            Check::Nothing => Ok(()),
            Check::BodyHmac(check) => check.verify(request),
            Check::Basic(check) => check.verify(request),
            Check::ApiKey(check) => check.verify(request),
            Check::StandardWebhooks(check) => check.verify(request, now),
            Check::Stripe(check) => check.verify(request, now),
            Check::Composed(check) => check.signer(request, now).map(|_signer| ()),
            Check::Adyen(check) => check.verify(request),
            Check::Mailgun(check) => check.verify(request),
            Check::SendGrid(check) => check.verify(request),
            Check::Twilio(check) => check.verify(request),
        }
    }

    /// The URL that a verified request asks to have called, where the source wants that done: it
    /// confirms a subscription.
    pub fn confirmation(&self, request: &SignedRequest<'_>) -> Result<Option<String>, Refusal> {
        match &self.check {
            Check::Sns(check) => check.confirmation(request),
            Check::Nothing
            | Check::BodyHmac(_)
            | Check::Basic(_)
            | Check::ApiKey(_)
            | Check::StandardWebhooks(_)
            | Check::Stripe(_)
            | Check::Composed(_)
            | Check::Adyen(_)
            | Check::Mailgun(_)
            | Check::SendGrid(_)
            | Check::Twilio(_)
            | Check::PayPal(_) => Ok(None),
        }
    }

    /// The HMAC-SHA256 of `text` in hex, under the secret that signed the request: by it a sender
    /// sees that we have the secret. None where the request is not signed by such a secret.
    pub fn proof(&self, request: &SignedRequest<'_>, now: Timestamp, text: &str) -> Option<String> {
        match &self.check {
            Check::Composed(check) => Some(check.signer(request, now).ok()?.hex(text.as_bytes())),
            Check::Nothing
            | Check::BodyHmac(_)
            | Check::Basic(_)
            | Check::ApiKey(_)
            | Check::StandardWebhooks(_)
            | Check::Stripe(_)
            | Check::Adyen(_)
            | Check::Mailgun(_)
            | Check::SendGrid(_)
            | Check::Twilio(_)
            | Check::PayPal(_)
            | Check::Sns(_) => None,
        }
    }

    /// What a valid signature says about a request (K8).
    pub fn coverage(&self) -> Coverage {
        match &self.check {
            Check::Nothing | Check::Basic(_) | Check::ApiKey(_) => Coverage::Nothing,
            Check::BodyHmac(_)
            | Check::Stripe(_)
            | Check::Composed(_)
            | Check::SendGrid(_)
            | Check::Twilio(_)
            | Check::PayPal(_) => Coverage::Body,
            Check::Sns(_) => Coverage::sns(),
            Check::StandardWebhooks(check) => check.names.coverage(),
            Check::Adyen(_) => Scheme::Adyen.coverage(),
            Check::Mailgun(_) => Scheme::Mailgun.coverage(),
        }
    }

    /// The credential that a recorded request must not show.
    pub fn credential(&self) -> Option<Credential<'_>> {
        match &self.check {
            Check::Basic(_) => Some(Credential::Header(credentials::AUTHORIZATION)),
            Check::ApiKey(ApiKey {
                place: Place::Header(name),
                ..
            }) => Some(Credential::Header(name)),
            Check::ApiKey(ApiKey {
                place: Place::Query(name),
                ..
            }) => Some(Credential::Query(name)),
            Check::Nothing
            | Check::BodyHmac(_)
            | Check::StandardWebhooks(_)
            | Check::Stripe(_)
            | Check::Composed(_)
            | Check::Adyen(_)
            | Check::Mailgun(_)
            | Check::SendGrid(_)
            | Check::Twilio(_)
            | Check::PayPal(_)
            | Check::Sns(_) => None,
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.spec).finish()
    }
}

impl Coverage {
    /// What Standard Webhooks covers.
    pub fn standard_webhooks() -> Self {
        standard::PLAIN.coverage()
    }

    /// What Amazon SNS covers: not what describes the signature, and how to end the subscription.
    pub fn sns() -> Self {
        Self::Only(Sns::covered())
    }

    /// Whether a location such as `body:$.id` or `header:webhook-id` is covered.
    pub fn covers(&self, location: &str) -> bool {
        let (place, name) = location.split_once(':').unwrap_or((location, ""));
        match self {
            Self::Nothing => false,
            Self::Body => place == "body",
            Self::BodyAndHeaders(headers) => {
                let header = || {
                    headers
                        .iter()
                        .any(|header| header.eq_ignore_ascii_case(name))
                };
                place == "body" || (place == "header" && header())
            }
            Self::Only(locations) => locations.iter().any(|covered| covered == location),
            Self::Everything => true,
        }
    }
}

/// How far the time in a signature may be from ours.
#[derive(Debug, Clone, Copy)]
enum Tolerance {
    /// So many seconds ago; the future is not looked at.
    Past(i64),
    /// So many seconds ago or ahead.
    BothWays(i64),
}

impl Tolerance {
    fn check(self, signed_seconds: i64, now: Timestamp) -> Result<(), Refusal> {
        let age_seconds = now.as_seconds().saturating_sub(signed_seconds);
        let ahead_seconds = age_seconds.saturating_neg();
        match self {
            Self::Past(tolerance_seconds) | Self::BothWays(tolerance_seconds)
                if age_seconds > tolerance_seconds =>
            {
                Err(Refusal::Stale {
                    age_seconds,
                    tolerance_seconds,
                })
            }
            Self::BothWays(tolerance_seconds) if ahead_seconds > tolerance_seconds => {
                Err(Refusal::Early {
                    ahead_seconds,
                    tolerance_seconds,
                })
            }
            Self::Past(_) | Self::BothWays(_) => Ok(()),
        }
    }
}

/// Seconds since 1970 in plain digits.
fn unix_seconds(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
