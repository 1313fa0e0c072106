//! A new signing secret in place of another, which goes on signing beside it for a while, so that
//! receivers have time to learn the new one.

use serde::Deserialize;

use super::{EndpointSecret, FieldError, Making};
use crate::limits::{LIVE_SECRETS_MAX, SECRET_OVERLAP_SECONDS_MAX};
use crate::secret::Secret;
use crate::signature::SigningSecret;
use crate::time::{Millis, Timestamp};

/// How long a secret signs beside the one that replaced it, where nobody says otherwise.
pub const SECRET_OVERLAP_SECONDS: i64 = 86_400;

/// What a client may say of a rotation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotationInput {
    /// How long the secrets of before go on signing; 0 takes them back at once.
    pub overlap_seconds: Option<i64>,
    /// A secret of the client's own; left out, one is made.
    pub secret: Option<Secret>,
}

/// A rotation that was checked.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The secret that signs from now on.
    pub secret: SigningSecret,
    /// How long those of before go on signing.
    pub overlap: Millis,
}

impl RotationInput {
    /// Checks it, and makes a secret from `random` where none is given.
    ///
    /// # Errors
    /// Where a field cannot be used.
    pub fn build(self, random: [u8; 32]) -> Result<Rotation, Vec<FieldError>> {
        let mut errors = Vec::new();
        let seconds = self.overlap_seconds.unwrap_or(SECRET_OVERLAP_SECONDS);
        if !(0..=SECRET_OVERLAP_SECONDS_MAX).contains(&seconds) {
            let detail = format!("should be from 0 to {SECRET_OVERLAP_SECONDS_MAX}");
            errors.push(FieldError::new("/overlap_seconds", detail));
        }
        let secret = match &self.secret {
            None => SigningSecret::generate_hmac(random),
            Some(written) => SigningSecret::parse(written.expose()).unwrap_or_else(|error| {
                errors.push(FieldError::new("/secret", error.to_string()));
                SigningSecret::generate_hmac(random)
            }),
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Rotation {
            secret,
            overlap: Millis::from_seconds(seconds),
        })
    }
}

impl EndpointSecret {
    /// Whether it signs at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.retired_at.is_none_or(|end| end > now)
    }
}

/// Puts a new secret before the others of `owner`, which end within `overlap`. What has ended is
/// forgotten.
pub(super) fn rotate(
    secrets: &mut Vec<EndpointSecret>,
    owner: &str,
    rotation: &Rotation,
    making: &mut Making<'_>,
) {
    let now = making.now;
    let end = now + rotation.overlap;
    for secret in secrets.iter_mut() {
        secret.retired_at = Some(secret.retired_at.map_or(end, |earlier| earlier.min(end)));
    }
    secrets.retain(|secret| secret.is_live(now));
    secrets.truncate(LIVE_SECRETS_MAX - 1);
    let sealed = making.seal(owner, &rotation.secret.to_text());
    secrets.insert(
        0,
        EndpointSecret {
            sealed,
            created_at: now,
            retired_at: None,
        },
    );
}
