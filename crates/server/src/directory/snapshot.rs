//! The configuration at one moment, indexed for every question that a request asks of it.
//!
//! A snapshot never changes. Readers share one while the next is made beside it, so that nothing
//! on the path of an arrival waits for a change of the configuration. What is costly to prepare,
//! opened secrets above all, is carried over from one snapshot to the next.

mod known;
mod routes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hooklatch_core::arrive::{Intake, Routes};
use hooklatch_core::config::{ApiKey, Connection, Group, Project, Source};
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::ids::{ApiKeyId, ConnectionId, EndpointId, GroupId, ProjectId, SourceId};
use hooklatch_core::rules::Rulebook;
use hooklatch_core::seal::{SealError, SealingKey};
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Timestamp;
use hooklatch_engine::ReadyEndpoint;
use hooklatch_store::ConfigKind;

use super::secrets::ProjectSecrets;
use super::{Document, SnapshotError};

/// A source and what takes its requests in.
#[derive(Debug)]
pub struct ReadySource {
    /// Its settings.
    pub source: Source,
    /// Its rules, prepared.
    pub intake: Intake,
}

/// What an ingest URL leads to.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The source.
    pub ready: Arc<ReadySource>,
    /// Where its messages go now.
    pub routes: Arc<Routes>,
    /// From when the URL leads nowhere, where it was replaced.
    pub until: Option<Timestamp>,
}

/// The configuration at one moment.
#[derive(Clone, Default)]
pub struct Snapshot {
    revisions: HashMap<(ConfigKind, i64), i64>,
    projects: BTreeMap<ProjectId, Arc<Project>>,
    project_secrets: BTreeMap<ProjectId, ProjectSecrets>,
    keys: BTreeMap<ApiKeyId, Arc<ApiKey>>,
    keys_by_hash: HashMap<[u8; 32], Arc<ApiKey>>,
    sources: BTreeMap<SourceId, Arc<ReadySource>>,
    groups: BTreeMap<GroupId, Arc<Group>>,
    endpoints: BTreeMap<EndpointId, Arc<ReadyEndpoint>>,
    connections: BTreeMap<ConnectionId, Arc<Connection>>,
    rulebooks: BTreeMap<ConnectionId, Arc<Rulebook>>,
    gates: HashMap<[u8; 32], Gate>,
    disabled: BTreeMap<ProjectId, Arc<BTreeSet<EndpointId>>>,
}

impl Snapshot {
    /// This snapshot with some documents added or replaced, each under its revision.
    pub fn with(
        &self,
        documents: &[(Document, i64)],
        sealing_key: &SealingKey,
    ) -> Result<Self, SnapshotError> {
        let (next, errors) = self.with_usable(documents, sealing_key);
        errors.into_iter().next().map_or(Ok(next), Err)
    }

    /// The same with those that can be used, and what is wrong with the others: what is known
    /// under their places stays in force. A document that is known in a newer revision is left out
    /// too, so that no snapshot is older in anything than the one that it was made from.
    pub fn with_usable(
        &self,
        documents: &[(Document, i64)],
        sealing_key: &SealingKey,
    ) -> (Self, Vec<SnapshotError>) {
        let mut next = self.clone();
        let mut errors = Vec::new();
        for (document, revision) in documents {
            let place = document.place();
            if !self.lacks(place, *revision) {
                continue;
            }
            match next.put(document.clone(), sealing_key) {
                Ok(()) => {
                    next.revisions.insert(place, *revision);
                }
                Err(error) => errors.push(error),
            }
        }
        next.index();
        (next, errors)
    }

    /// Whether a revision is newer than what is known under its place.
    pub(super) fn lacks(&self, place: (ConfigKind, i64), revision: i64) -> bool {
        self.revision(place).is_none_or(|known| known < revision)
    }

    fn put(&mut self, document: Document, sealing_key: &SealingKey) -> Result<(), SnapshotError> {
        match document {
            Document::Project(project) => {
                let opened = project.signing_secrets(sealing_key);
                let opened = opened.map_err(sealed(&project.id))?;
                let secrets = ProjectSecrets::of(opened);
                self.project_secrets.insert(project.id, secrets);
                self.projects.insert(project.id, Arc::new(project));
            }
            Document::ApiKey(key) => {
                self.keys.insert(key.id, Arc::new(key));
            }
            Document::Source(source) => {
                let opened = source.verifier.open(source.id, sealing_key);
                let owner = source.id;
                let verifier =
                    opened.map_err(|source| SnapshotError::Verifier { owner, source })?;
                let intake = Intake::new(&source, verifier);
                self.sources.insert(
                    source.id,
                    Arc::new(ReadySource {
                        source: *source,
                        intake,
                    }),
                );
            }
            Document::Group(group) => {
                self.groups.insert(group.id, Arc::new(group));
            }
            Document::Endpoint(endpoint) => {
                let ready = ReadyEndpoint::new(*endpoint, sealing_key);
                self.endpoints.insert(ready.endpoint().id, Arc::new(ready));
            }
            Document::Connection(connection) => self.put_connection(connection)?,
        }
        Ok(())
    }

    fn put_connection(&mut self, connection: Connection) -> Result<(), SnapshotError> {
        let owner = connection.id;
        let rulebook = Rulebook::of(&connection).map_err(|errors| {
            let first = errors.into_iter().next();
            let source = first.expect("what is refused is refused for a reason");
            SnapshotError::Rules { owner, source }
        })?;
        match rulebook {
            Some(rulebook) => self.rulebooks.insert(owner, Arc::new(rulebook)),
            None => self.rulebooks.remove(&owner),
        };
        self.connections.insert(owner, Arc::new(connection));
        Ok(())
    }

    fn index(&mut self) {
        let living = self.keys.values().filter(|key| key.deleted_at.is_none());
        self.keys_by_hash = living.map(|key| (key.hash.0, Arc::clone(key))).collect();
        self.disabled = self.disabled_endpoints();
        self.gates = self
            .sources
            .values()
            .filter(|ready| ready.source.deleted_at.is_none())
            .flat_map(|ready| self.gates_of(ready))
            .collect();
    }

    fn gate_of(&self, ready: &Arc<ReadySource>) -> Gate {
        let source = &ready.source;
        let destinations = self.source_destinations(source.id);
        let routes = Routes {
            rulebooks: self.rulebooks(&destinations),
            ordered: self.ordered(&destinations),
            destinations,
            disabled: self.disabled(source.project),
        };
        Gate {
            ready: Arc::clone(ready),
            routes: Arc::new(routes),
            until: None,
        }
    }

    /// The rules of the connections that lead to these destinations, where they have some.
    pub fn rulebooks(&self, destinations: &[Destination]) -> Vec<Arc<Rulebook>> {
        let connections = destinations.iter().filter_map(|it| it.connection_id);
        connections
            .filter_map(|id| self.rulebooks.get(&id).cloned())
            .collect()
    }

    /// The script of a connection, also of one that was deleted: what it let pass is still sent.
    pub fn script(&self, connection: ConnectionId) -> Option<Arc<str>> {
        self.rulebooks.get(&connection)?.script().cloned()
    }

    /// The project's endpoints that take nothing now.
    pub fn disabled(&self, project: ProjectId) -> Arc<BTreeSet<EndpointId>> {
        self.disabled.get(&project).cloned().unwrap_or_default()
    }

    /// What the ingest URL with this token's hash leads to.
    pub fn gate(&self, token_hash: &[u8; 32]) -> Option<&Gate> {
        self.gates.get(token_hash)
    }

    /// The living API key with this hash.
    pub fn api_key(&self, hash: &[u8; 32]) -> Option<&Arc<ApiKey>> {
        self.keys_by_hash.get(hash)
    }

    /// Every project.
    pub fn projects(&self) -> impl DoubleEndedIterator<Item = &Arc<Project>> {
        self.projects.values()
    }

    /// A project.
    pub fn project(&self, id: ProjectId) -> Option<&Arc<Project>> {
        self.projects.get(&id)
    }

    /// What signs the sends of a project to bare URLs at `now`, newest first.
    pub fn project_secrets(
        &self,
        project: ProjectId,
        now: Timestamp,
    ) -> Option<Arc<[SigningSecret]>> {
        Some(self.project_secrets.get(&project)?.live(now))
    }

    /// Every living API key of a project.
    pub fn api_keys(&self, project: ProjectId) -> impl DoubleEndedIterator<Item = &Arc<ApiKey>> {
        let own = move |key: &&Arc<ApiKey>| key.project == project && key.deleted_at.is_none();
        self.keys.values().filter(own)
    }

    /// Every living source of a project, the oldest first.
    pub fn sources(
        &self,
        project: ProjectId,
    ) -> impl DoubleEndedIterator<Item = &Arc<ReadySource>> {
        self.sources.values().filter(move |ready| {
            ready.source.project == project && ready.source.deleted_at.is_none()
        })
    }

    /// A living source of a project.
    pub fn source(&self, project: ProjectId, id: SourceId) -> Option<&Arc<ReadySource>> {
        self.sources
            .get(&id)
            .filter(|ready| ready.source.project == project && ready.source.deleted_at.is_none())
    }

    /// Every group of a project.
    pub fn groups(&self, project: ProjectId) -> impl DoubleEndedIterator<Item = &Arc<Group>> {
        self.groups
            .values()
            .filter(move |group| group.project == project)
    }

    /// Every living endpoint of a project, the oldest first.
    pub fn endpoints(
        &self,
        project: ProjectId,
    ) -> impl DoubleEndedIterator<Item = &Arc<ReadyEndpoint>> {
        self.endpoints.values().filter(move |ready| {
            let endpoint = ready.endpoint();
            endpoint.project == project && endpoint.deleted_at.is_none()
        })
    }

    /// A living endpoint of a project.
    pub fn endpoint(&self, project: ProjectId, id: EndpointId) -> Option<&Arc<ReadyEndpoint>> {
        self.any_endpoint(id)
            .filter(|ready| ready.endpoint().project == project)
    }

    /// Every living connection of a project, the oldest first.
    pub fn connections(
        &self,
        project: ProjectId,
    ) -> impl DoubleEndedIterator<Item = &Arc<Connection>> {
        self.connections.values().filter(move |connection| {
            connection.project == project && connection.deleted_at.is_none()
        })
    }

    /// A living connection of a project.
    pub fn connection(&self, project: ProjectId, id: ConnectionId) -> Option<&Arc<Connection>> {
        self.connections
            .get(&id)
            .filter(|connection| connection.project == project && connection.deleted_at.is_none())
    }

    /// Whether a project has an endpoint, or had it.
    pub fn knew_endpoint(&self, project: ProjectId, id: EndpointId) -> bool {
        let known = self.endpoints.get(&id);
        known.is_some_and(|ready| ready.endpoint().project == project)
    }

    /// A living endpoint of any project.
    pub(super) fn any_endpoint(&self, id: EndpointId) -> Option<&Arc<ReadyEndpoint>> {
        self.endpoints
            .get(&id)
            .filter(|ready| ready.endpoint().deleted_at.is_none())
    }

    /// Whether both are of the same documents.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.revisions == other.revisions
    }

    pub(super) fn revision(&self, place: (ConfigKind, i64)) -> Option<i64> {
        self.revisions.get(&place).copied()
    }
}

fn sealed(owner: &impl ToString) -> impl FnOnce(SealError) -> SnapshotError {
    let owner = owner.to_string();
    move |source| SnapshotError::Seal { owner, source }
}
