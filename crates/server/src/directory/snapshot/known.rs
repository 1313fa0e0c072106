//! What is asked of the whole configuration, whoever's it is.

use std::sync::Arc;

use hooklatch_core::config::{ApiKey, Connection, Group, Project};
use hooklatch_core::ids::{ApiKeyId, ConnectionId, EndpointId, GroupId, ProjectId, SourceId};
use hooklatch_store::ConfigKind;

use super::{Document, Snapshot};

impl Snapshot {
    /// Every living API key of every project.
    pub fn all_api_keys(&self) -> impl DoubleEndedIterator<Item = &Arc<ApiKey>> {
        self.keys.values().filter(|key| key.deleted_at.is_none())
    }

    /// A document as it is known.
    pub(in crate::directory) fn document(
        &self,
        (kind, number): (ConfigKind, i64),
    ) -> Option<Document> {
        Some(match kind {
            ConfigKind::Project => {
                let project = self.projects.get(&ProjectId::from_number(number))?;
                Document::Project(Project::clone(project))
            }
            ConfigKind::ApiKey => {
                let key = self.keys.get(&ApiKeyId::from_number(number))?;
                Document::ApiKey(ApiKey::clone(key))
            }
            ConfigKind::Source => {
                let ready = self.sources.get(&SourceId::from_number(number))?;
                Document::Source(Box::new(ready.source.clone()))
            }
            ConfigKind::Group => {
                let group = self.groups.get(&GroupId::from_number(number))?;
                Document::Group(Group::clone(group))
            }
            ConfigKind::Endpoint => {
                let ready = self.endpoints.get(&EndpointId::from_number(number))?;
                Document::Endpoint(Box::new(ready.endpoint().clone()))
            }
            ConfigKind::Connection => {
                let connection = self.connections.get(&ConnectionId::from_number(number))?;
                Document::Connection(Connection::clone(connection))
            }
        })
    }
}
