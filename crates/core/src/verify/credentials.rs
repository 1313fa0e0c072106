//! Credentials that come with the request itself: HTTP basic authentication and API keys.
//!
//! They say who sent the request and cover not a byte of it. Both sides are hashed before they are
//! compared, so that the time it takes tells neither the text nor its length.

use base64::Engine;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::mac::BASE64;
use super::request::malformed;
use super::{Refusal, SignedRequest};

pub(super) const AUTHORIZATION: &str = "authorization";
const BASIC_EXPECTED: &str = "\"Basic \" and user:password in base64";
const API_KEY_EXPECTED: &str = "the API key";

/// The hash of a credential, all that a check needs.
pub(super) struct Expected([u8; 32]);

impl Expected {
    pub(super) fn new(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }

    fn is(&self, presented: &[u8; 32]) -> bool {
        self.0.ct_eq(presented).into()
    }
}

/// `Authorization: Basic …`.
pub(super) struct Basic {
    pub(super) credential: Expected,
}

impl Basic {
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let text = request.text(AUTHORIZATION, BASIC_EXPECTED)?;
        let presented = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| BASE64.decode(encoded.trim()).ok())
            .ok_or_else(|| malformed(AUTHORIZATION, BASIC_EXPECTED))?;
        verdict(std::slice::from_ref(&self.credential), &presented)
    }
}

/// Where an API key is looked for.
pub(super) enum Place {
    Header(String),
    Query(String),
}

/// A key in a header or in the query.
pub(super) struct ApiKey {
    pub(super) place: Place,
    pub(super) keys: Vec<Expected>,
}

impl ApiKey {
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        match &self.place {
            Place::Header(name) => {
                let presented = request.text(name, API_KEY_EXPECTED)?;
                verdict(&self.keys, presented.as_bytes())
            }
            Place::Query(name) => {
                let mut values = form_urlencoded::parse(request.query.as_bytes())
                    .filter(|(key, _)| key == name)
                    .map(|(_, value)| value);
                let missing = || Refusal::MissingQuery { name: name.clone() };
                let presented = values.next().ok_or_else(missing)?;
                if values.next().is_some() {
                    return Err(Refusal::Repeated { name: name.clone() });
                }
                verdict(&self.keys, presented.as_bytes())
            }
        }
    }
}

fn verdict(expected: &[Expected], presented: &[u8]) -> Result<(), Refusal> {
    let presented = Sha256::digest(presented).into();
    if expected.iter().any(|expected| expected.is(&presented)) {
        Ok(())
    } else {
        Err(Refusal::WrongCredentials)
    }
}
