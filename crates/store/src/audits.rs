//! Who changed what, with how it was before and after; and which API keys are in use.

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::time::Timestamp;

use crate::{Answer, AuditEntry, ConfigRecord, Expected, Page, PageRequest, Saved};

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Who did what to what.
    pub entry: AuditEntry,
    /// How it was, as JSON, without secrets; none where there was nothing.
    pub before: Option<String>,
    /// How it is, as JSON, without secrets; none where it is gone.
    pub after: Option<String>,
}

/// A line as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// Its number.
    pub id: i64,
    /// The line.
    pub line: AuditLine,
}

/// The audit log.
pub trait Audits: Send + Sync {
    /// [`crate::Configuration::save`], with a line of the log in the same commit. Nothing is noted
    /// where nothing is saved.
    fn save_audited(
        &self,
        record: ConfigRecord,
        expected: Expected,
        line: AuditLine,
    ) -> Answer<'_, Saved>;

    /// The log of a project, newest first.
    fn audits(&self, project: ProjectId, page: PageRequest) -> Answer<'_, Page<AuditView>>;

    /// Notes when API keys were last used.
    fn note_used(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Answer<'_, ()>;

    /// When API keys were last used, in their order, as far as it was noted.
    fn last_used(&self, keys: Vec<ApiKeyId>) -> Answer<'_, Vec<Option<Timestamp>>>;
}
