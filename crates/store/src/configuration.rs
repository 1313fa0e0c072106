//! Sources, endpoints, connections and the rest, as documents that the store does not look into.

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;

use crate::{Answer, Wake};

/// What a document describes. The numbers are stable: stores keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each names the thing of the same name")]
pub enum ConfigKind {
    Project = 1,
    ApiKey = 2,
    Source = 3,
    Group = 4,
    Endpoint = 5,
    Connection = 6,
}

impl ConfigKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Project,
        Self::ApiKey,
        Self::Source,
        Self::Group,
        Self::Endpoint,
        Self::Connection,
    ];
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRecord {
    /// What it describes.
    pub kind: ConfigKind,
    /// The bare number of its id.
    pub number: i64,
    /// The project that owns it.
    pub project_id: ProjectId,
    /// Its name, unique among the project's living things of one kind; none once it is deleted.
    /// Deleted things stay, so that their history can be told.
    pub name: Option<String>,
    /// The document, as JSON.
    pub document: String,
    /// Grows by one with every change, from 1.
    pub revision: i64,
}

/// What the caller believes to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing under this number.
    Nothing,
    /// This revision.
    Revision(i64),
}

/// What came of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored, under this revision.
    Done {
        /// The new revision.
        revision: i64,
    },
    /// Another living thing of the kind has the name.
    NameTaken,
    /// Something else is stored than the caller believed.
    Stale,
}

/// Who changed what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// With which API key.
    pub actor: Option<ApiKeyId>,
    /// What was done, for example `key.free`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

/// Configuration.
pub trait Configuration: Send + Sync {
    /// A new number for an id, larger than any before it.
    fn mint(&self) -> Answer<'_, i64>;

    /// Every document.
    fn load(&self) -> Answer<'_, Vec<ConfigRecord>>;

    /// Grows with every save of any process, and with nothing else.
    fn version(&self) -> Answer<'_, i64>;

    /// Has `wake` called when another node may have changed the configuration. A notice may be
    /// lost with the connection that carries it, so whoever must know asks for the version too.
    fn on_change(&self, wake: Wake);

    /// Stores a document, durably, if what is stored is what the caller believes. The record's own
    /// `revision` is not looked at.
    fn save(&self, record: ConfigRecord, expected: Expected) -> Answer<'_, Saved>;

    /// What was audited in a project, newest first, at most `limit`.
    fn audit_log(&self, project: ProjectId, limit: usize) -> Answer<'_, Vec<AuditEntry>>;
}
