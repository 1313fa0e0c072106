//! What is asked of the whole configuration, whoever's it is.

use std::sync::Arc;

use hooklatch_core::config::{ApiKey, Connection, Group, Project};
use hooklatch_core::ids::{ApiKeyId, ConnectionId, EndpointId, GroupId, ProjectId, SourceId};
use hooklatch_store::ConfigKind;

use super::{Document, Gate, ReadySource, Snapshot};

impl Snapshot {
    /// One by the source's token, and one by each that was replaced.
    pub(super) fn gates_of(&self, ready: &Arc<ReadySource>) -> Vec<([u8; 32], Gate)> {
        let gate = self.gate_of(ready);
        let source = &ready.source;
        let former = source.former_tokens.iter().map(|former| {
            let until = Some(former.until);
            (
                former.hash.0,
                Gate {
                    until,
                    ..gate.clone()
                },
            )
        });
        let mut gates: Vec<_> = former.collect();
        gates.push((source.token_hash.0, gate));
        gates
    }

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
