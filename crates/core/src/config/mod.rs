//! What a project has set up: sources, groups, endpoints, connections, API keys.
//!
//! A mistake in the configuration must show when it is saved, never first when an event arrives.
//! So there are two forms of each resource: an input, as a client writes it, with every field
//! optional that has a default; and the resource itself, which only [`SourceInput::build`] and its
//! like can make, with every field checked. A resource holds its secrets sealed, so that storing,
//! copying and logging it reveals none; what needs a secret opens it by name.
//!
//! [`Record`] is the stored form, `public` what `GET` shows, `patched` what `PATCH` leads to.

mod check;
mod connection;
mod endpoint;
mod endpoint_auth;
mod endpoint_control;
mod endpoint_headers;
mod endpoint_input;
mod exact;
mod field;
mod former;
mod group;
mod hash;
mod merge;
mod pattern;
mod preset;
mod project;
mod record;
mod rotation;
mod rules;
mod secret_changes;
mod source;
mod source_input;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verifier;
mod warnings;

pub use crate::admission::{OnConflict, OnFailedOriginal};
pub use crate::window::Window;
pub use connection::{Connection, ConnectionInput, ConnectionPlace, Origin};
pub use endpoint::{Disabled, Endpoint, EndpointSecret, OnUncertain, RateLimit};
pub use endpoint_auth::{AuthInput, ClientAuth, EndpointAuth, OAuth2Input, OpenAuth};
pub use endpoint_control::{CircuitBreaker, CircuitBreakerInput, EndpointControl, RateLimitInput};
pub use endpoint_headers::EndpointHeader;
pub use endpoint_input::{BuiltEndpoint, EndpointInput, EndpointPlace};
pub use exact::check_exact;
pub use field::{FieldError, read};
pub use former::{FormerRule, rule_change};
pub use group::{Group, GroupFacts};
pub use hash::SecretHash;
pub use pattern::{EventPattern, EventPatternError, matches_any};
pub use project::{ApiKey, ApiKeyInput, Project, ProjectInput, Scope};
pub use record::{Record, RecordError};
pub use rotation::{Rotation, RotationInput, SECRET_OVERLAP_SECONDS};
pub use rules::{Deduplicate, Rule};
pub use secret_changes::secret_changes;
pub use source::{FormerToken, ShadowKey, Source, SourceResponse};
pub use source_input::{BuiltSource, SourceInput, SourcePlace, SourceResponseInput};
pub use verifier::SealedVerifier;

use crate::address::Reach;
use crate::ids::ProjectId;
use crate::seal::{NONCE_BYTES, Sealer, SealingKey};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What making or changing any resource needs from outside.
pub struct Making<'a> {
    /// The project that the resource belongs to.
    pub project: ProjectId,
    /// The present.
    pub now: Timestamp,
    /// How far an endpoint's address may reach.
    pub reach: Reach,
    /// What secrets are sealed with.
    pub sealing_key: &'a SealingKey,
    /// Fills its argument with bytes that nobody can guess.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

impl Making<'_> {
    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    pub(crate) fn seal(&mut self, owner: &str, secret: &Secret) -> String {
        self.with_sealer(owner, |sealer| sealer.seal(secret))
    }

    pub(crate) fn with_sealer<T>(
        &mut self,
        owner: &str,
        work: impl FnOnce(&mut Sealer<'_>) -> T,
    ) -> T {
        let random = &mut *self.random;
        let mut nonces = || {
            let mut nonce = [0; NONCE_BYTES];
            random(&mut nonce);
            nonce
        };
        work(&mut Sealer::new(self.sealing_key, owner, &mut nonces))
    }
}
