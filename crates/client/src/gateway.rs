//! Figures, the audit log, and what concerns the gateway as a whole: its projects and API keys.

use bytes::Bytes;
use http::Method;

use crate::call::Repeat;
use crate::client::to_json;
use crate::resources::{Query, of};
use crate::wire::{
    ApiKey, ApiKeyInput, AuditLine, Page, PageRequest, Project, ProjectInput, Source, Stats,
};
use crate::{Client, Error};

/// Which figures. Times are RFC 3339.
#[derive(Debug, Clone, Default)]
pub struct StatsFilter {
    /// Not before this; 24 hours before `before` if left out.
    pub after: Option<String>,
    /// Before this; now if left out.
    pub before: Option<String>,
    /// What one step of the series spans, in seconds.
    pub step_seconds: Option<u32>,
    /// Requests through this source only.
    pub source_id: Option<String>,
    /// Attempts at this endpoint only.
    pub endpoint_id: Option<String>,
}

/// Watching.
impl Client {
    /// How much happened, and what waits.
    pub async fn stats(&self, filter: &StatsFilter) -> Result<Stats, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("after", filter.after.as_deref());
        query.add("before", filter.before.as_deref());
        let step = filter.step_seconds.map(|step| step.to_string());
        query.add("step_seconds", step.as_deref());
        query.add("source_id", filter.source_id.as_deref());
        query.add("endpoint_id", filter.endpoint_id.as_deref());
        self.get(query.path("/v1/stats")).await
    }

    /// Who changed what, newest first.
    pub async fn audit(&self, page: &PageRequest) -> Result<Page<AuditLine>, Error> {
        self.get(Query::of(page).path("/v1/audit")).await
    }
}

/// What needs an admin key, and rotated ingest URLs.
impl Client {
    /// Makes a project. Its signing secret is shown now and never again.
    pub async fn create_project(&self, input: &ProjectInput) -> Result<Project, Error> {
        self.create("/v1/projects", input).await
    }

    /// Projects, newest first.
    pub async fn projects(&self, page: &PageRequest) -> Result<Page<Project>, Error> {
        self.get(Query::of(page).path("/v1/projects")).await
    }

    /// Makes an API key. Its text is shown now and never again.
    pub async fn create_api_key(&self, input: &ApiKeyInput) -> Result<ApiKey, Error> {
        self.create("/v1/api-keys", input).await
    }

    /// API keys, newest first.
    pub async fn api_keys(&self, page: &PageRequest) -> Result<Page<ApiKey>, Error> {
        self.get(Query::of(page).path("/v1/api-keys")).await
    }

    /// Revokes an API key: it opens nothing any more, on every node within a second.
    pub async fn revoke_api_key(&self, id: &str) -> Result<(), Error> {
        let path = of("/v1/api-keys", id);
        let revoked = self.call(Method::DELETE, path, Bytes::new(), Repeat::Never);
        revoked.await.map(drop)
    }

    /// Gives a source another ingest URL; the one before goes on for so many seconds, or for a day.
    pub async fn rotate_ingest_url(
        &self,
        id: &str,
        overlap_seconds: Option<u32>,
    ) -> Result<Source, Error> {
        let path = format!("{}/rotate-token", of("/v1/sources", id));
        let body = to_json(&serde_json::json!({"overlap_seconds": overlap_seconds}))?;
        self.post(path, body, Repeat::Never).await?.json()
    }
}
