//! Makes a verifier's keys ready from what a source says, or finds what is wrong with them.

use super::body_hmac::BodyHmac;
use super::composed::Composed;
use super::credentials::{ApiKey, Basic, Expected, Place};
use super::ecdsa::SendGrid;
use super::fields::{Adyen, Mailgun};
use super::mac::{Algorithm, MacKey};
use super::paypal::PayPal;
use super::sns::Sns;
use super::standard::{self, StandardWebhooks};
use super::stripe::Stripe;
use super::twilio::Twilio;
use super::{Check, FieldError, Scheme, VerifierSpec, spec};
use crate::secret::Secret;
use crate::signature::HMAC_PREFIX;

impl Check {
    pub(super) fn prepare(spec: &VerifierSpec) -> Result<Self, FieldError> {
        Ok(match spec {
            VerifierSpec::None {} => Self::Nothing,
            VerifierSpec::Hmac {
                header,
                algorithm,
                encoding,
                prefix,
                secrets,
            } => {
                let key = |secret: &Secret| MacKey::new(*algorithm, secret.expose().as_bytes());
                Self::BodyHmac(BodyHmac {
                    header: header.clone(),
                    prefix: prefix.clone(),
                    encoding: *encoding,
                    keys: secrets.iter().map(key).collect(),
                })
            }
            VerifierSpec::Basic { username, password } => {
                let pair = zeroize::Zeroizing::new(format!("{username}:{}", password.expose()));
                Self::Basic(Basic {
                    credential: Expected::new(pair.as_bytes()),
                })
            }
            VerifierSpec::ApiKey {
                header,
                query,
                secrets,
            } => {
                let place = match (query, header) {
                    (Some(name), _) => Place::Query(name.clone()),
                    (None, Some(name)) => Place::Header(name.clone()),
                    (None, None) => Place::Header(spec::API_KEY_HEADER.to_owned()),
                };
                let keys = secrets
                    .iter()
                    .map(|key| Expected::new(key.expose().as_bytes()));
                Self::ApiKey(ApiKey {
                    place,
                    keys: keys.collect(),
                })
            }
            VerifierSpec::StandardWebhooks { secrets } => Self::standard(secrets, standard::PLAIN)?,
            VerifierSpec::Stripe { secrets } => {
                let key =
                    |secret: &Secret| MacKey::new(Algorithm::Sha256, secret.expose().as_bytes());
                Self::Stripe(Stripe {
                    keys: secrets.iter().map(key).collect(),
                })
            }
            VerifierSpec::Scheme { scheme, secrets } => Self::of_scheme(*scheme, secrets)?,
            VerifierSpec::Paypal { webhook_id } => Self::PayPal(PayPal {
                webhook_id: webhook_id.clone(),
            }),
            VerifierSpec::AwsSns { topic_arn, confirm } => Self::Sns(Sns {
                topic_arn: topic_arn.clone(),
                confirm: *confirm,
            }),
        })
    }

    fn standard(secrets: &[Secret], names: standard::Names) -> Result<Self, FieldError> {
        let texts = secrets.iter().map(Secret::expose);
        let check = StandardWebhooks::new(texts, names).map_err(unusable)?;
        Ok(Self::StandardWebhooks(check))
    }

    fn of_scheme(scheme: Scheme, secrets: &[Secret]) -> Result<Self, FieldError> {
        let keys = |algorithm| {
            let key = |secret: &Secret| MacKey::new(algorithm, secret.expose().as_bytes());
            secrets.iter().map(key).collect()
        };
        if let Some(form) = scheme.form() {
            let keys = keys(Algorithm::Sha256);
            return Ok(Self::Composed(Composed { form, keys }));
        }
        Ok(match scheme {
            Scheme::Adyen => {
                let keys = secrets.iter().map(MacKey::from_hex).collect::<Option<_>>();
                let keys = keys.ok_or("is the HMAC key in hex, as Adyen shows it");
                Self::Adyen(Adyen {
                    keys: keys.map_err(unusable)?,
                })
            }
            Scheme::Gitlab => gitlab(secrets)?,
            Scheme::Mailgun => Self::Mailgun(Mailgun {
                keys: keys(Algorithm::Sha256),
            }),
            Scheme::Sendgrid => {
                let texts = secrets.iter().map(Secret::expose);
                Self::SendGrid(SendGrid::new(texts).map_err(unusable)?)
            }
            Scheme::Svix => Self::standard(secrets, standard::SVIX)?,
            Scheme::Twilio => Self::Twilio(Twilio {
                keys: keys(Algorithm::Sha1),
            }),
            Scheme::Calendly
            | Scheme::Docusign
            | Scheme::Hubspot
            | Scheme::Linear
            | Scheme::Paddle
            | Scheme::Slack
            | Scheme::Square
            | Scheme::Zendesk
            | Scheme::Zoom => unreachable!("{scheme:?} has a form"),
        })
    }
}

/// GitLab sends its secret token as it is; a signing token, which begins with `whsec_`, signs.
fn gitlab(secrets: &[Secret]) -> Result<Check, FieldError> {
    let signs = |secret: &Secret| secret.expose().starts_with(HMAC_PREFIX);
    if secrets.iter().all(signs) {
        return Check::standard(secrets, standard::PLAIN);
    }
    if secrets.iter().any(signs) {
        let detail = "are a signing token and a secret token: give signing tokens alone, which \
                      also protect the body";
        return Err(FieldError::new("/verifier/secrets", detail));
    }
    let keys = secrets
        .iter()
        .map(|key| Expected::new(key.expose().as_bytes()));
    Ok(Check::ApiKey(ApiKey {
        place: Place::Header("x-gitlab-token".to_owned()),
        keys: keys.collect(),
    }))
}

fn unusable(rule: &str) -> FieldError {
    FieldError::new("/verifier/secret", format!("the secret {rule}"))
}
