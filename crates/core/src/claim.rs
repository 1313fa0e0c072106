//! The ledger's row: which event a key stands for, and until when.
//!
//! A claim is small and outlives the message's body: pruning payloads never re-opens a key (C4).

use std::fmt;

use crate::fingerprint::Fingerprint;
use crate::ids::{ConnectionId, EndpointId, GroupId, MessageId, ProjectId, SourceId};
use crate::key::Checksum;
use crate::time::Timestamp;

/// Whose keys they are (C1). Two scopes never meet, whatever their keys say.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// Arrivals at one source.
    Source(SourceId),
    /// Arrivals at any source of a group.
    Group(GroupId),
    /// What passes one connection.
    Connection(ConnectionId),
    /// Calls of the send API, by project and target.
    Send(ProjectId, SendTarget),
    /// What a rule in shadow mode has seen: keys that protect nothing.
    Shadow(OnTrial),
}

/// Whose rule is in shadow mode.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum OnTrial {
    /// A source's, beside its key rule.
    Source(SourceId),
    /// A connection's, among its rules.
    Connection(ConnectionId),
}

/// Where a call of the send API wants its message to go.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SendTarget {
    /// One endpoint.
    Endpoint(EndpointId),
    /// A URL that is no endpoint of the project.
    Url(String),
    /// Every endpoint of one of the project's customers.
    Tenant(String),
    /// Every endpoint of the project.
    Broadcast,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(id) => write!(f, "source:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Connection(id) => write!(f, "connection:{id}"),
            Self::Send(project, SendTarget::Endpoint(id)) => {
                write!(f, "send:{project}/endpoint:{id}")
            }
            Self::Send(project, SendTarget::Url(url)) => write!(f, "send:{project}/url:{url}"),
            Self::Send(project, SendTarget::Tenant(id)) => write!(f, "send:{project}/tenant:{id}"),
            Self::Send(project, SendTarget::Broadcast) => write!(f, "send:{project}/broadcast"),
            Self::Shadow(OnTrial::Source(id)) => write!(f, "shadow:{id}"),
            Self::Shadow(OnTrial::Connection(id)) => write!(f, "shadow:{id}"),
        }
    }
}

/// The text does not name a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is written source:ID, group:ID, connection:ID or send:PROJECT/TARGET, \
     as a claim's `scope` shows it"
)]
pub struct ScopeError;

impl std::str::FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (kind, rest) = text.split_once(':').ok_or(ScopeError)?;
        let scope = match kind {
            "source" => Self::Source(rest.parse().map_err(|_| ScopeError)?),
            "group" => Self::Group(rest.parse().map_err(|_| ScopeError)?),
            "connection" => Self::Connection(rest.parse().map_err(|_| ScopeError)?),
            "send" => {
                let (project, target) = rest.split_once('/').ok_or(ScopeError)?;
                let project = project.parse().map_err(|_| ScopeError)?;
                Self::Send(project, parse_target(target)?)
            }
            "shadow" => Self::Shadow(parse_on_trial(rest)?),
            _ => return Err(ScopeError),
        };
        Ok(scope)
    }
}

fn parse_target(text: &str) -> Result<SendTarget, ScopeError> {
    if text == "broadcast" {
        return Ok(SendTarget::Broadcast);
    }
    let (kind, rest) = text.split_once(':').ok_or(ScopeError)?;
    match kind {
        "endpoint" => Ok(SendTarget::Endpoint(rest.parse().map_err(|_| ScopeError)?)),
        "url" => Ok(SendTarget::Url(rest.to_owned())),
        "tenant" => Ok(SendTarget::Tenant(rest.to_owned())),
        _ => Err(ScopeError),
    }
}

/// The ids say what they are of.
fn parse_on_trial(text: &str) -> Result<OnTrial, ScopeError> {
    let source = text.parse().map(OnTrial::Source);
    source.or_else(|_| {
        let connection = text.parse().map(OnTrial::Connection);
        connection.map_err(|_| ScopeError)
    })
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// It makes later arrivals duplicates.
    Key,
    /// It only lets keyless look-alikes be flagged (D5), and suppresses nothing.
    LookAlike,
}

/// One key under which an arrival is looked up and claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimKey {
    /// Whose key it is.
    pub scope: Scope,
    /// The key itself (K4).
    pub checksum: Checksum,
    /// What the payload looks like under the rule that made this key (C5, K11).
    pub fingerprint: Fingerprint,
    /// The key's parts as the provider or the caller wrote them, for people and for look-ups; a
    /// bound body as `sha256:` and its fingerprint.
    pub parts: Vec<String>,
    /// What the claim is for.
    pub kind: ClaimKind,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Claim {
    /// Whose key it is.
    pub scope: Scope,
    /// The key.
    pub checksum: Checksum,
    /// The parts of the key as they were written.
    pub parts: Vec<String>,
    /// What the claim is for.
    pub kind: ClaimKind,
    /// Under `on_conflict: accept` the fingerprint is part of the claim (C6): then one key may
    /// have several rows, told apart by this.
    pub variant: Option<Fingerprint>,
    /// The original.
    pub message_id: MessageId,
    /// The original's fingerprint.
    pub fingerprint: Fingerprint,
    /// When the key was first seen.
    pub first_seen_at: Timestamp,
    /// The first moment at which the key is free again.
    pub expires_at: Timestamp,
}

impl Claim {
    /// Whether the window is open at `now`. No sweeper has a say in it (C4).
    pub fn protects(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// The parts by which the claim can only be found through an index: those of a composite key,
    /// of which a bound body is one, of a send to a bare URL, and of a connection's rule. Every other
    /// key can be computed anew from its value: its rule has one location, or its target is one that
    /// the project knows.
    pub fn parts_to_index(&self) -> &[String] {
        let indexed = match self.scope {
            Scope::Connection(_) | Scope::Send(_, SendTarget::Url(_)) => true,
            Scope::Source(_)
            | Scope::Group(_)
            | Scope::Shadow(_)
            | Scope::Send(
                _,
                SendTarget::Endpoint(_) | SendTarget::Tenant(_) | SendTarget::Broadcast,
            ) => false,
        };
        if self.kind == ClaimKind::Key && (indexed || self.parts.len() > 1) {
            &self.parts
        } else {
            &[]
        }
    }

    /// The key as people know it: its parts, joined.
    pub fn key_text(&self) -> String {
        self.parts.join(" + ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_a_scope_survives_its_text() {
        let project = ProjectId::from_number(7);
        let scopes = [
            Scope::Source(SourceId::from_number(1)),
            Scope::Group(GroupId::from_number(2)),
            Scope::Connection(ConnectionId::from_number(3)),
            Scope::Send(project, SendTarget::Endpoint(EndpointId::from_number(4))),
            Scope::Send(project, SendTarget::Url("https://a.example/x:y/z".into())),
            Scope::Send(project, SendTarget::Tenant("acme/eu".into())),
            Scope::Send(project, SendTarget::Broadcast),
            Scope::Shadow(OnTrial::Source(SourceId::from_number(5))),
            Scope::Shadow(OnTrial::Connection(ConnectionId::from_number(6))),
        ];
        for scope in scopes {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
    }

    #[test]
    fn c1_a_tenant_called_broadcast_is_not_the_broadcast() {
        let project = ProjectId::from_number(7);
        let tenant = Scope::Send(project, SendTarget::Tenant("broadcast".into()));
        assert_ne!(
            tenant.to_string(),
            Scope::Send(project, SendTarget::Broadcast).to_string()
        );
    }
}
