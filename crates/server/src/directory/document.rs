//! What the store keeps of the configuration: one document per thing.

use hooklatch_core::config::{
    ApiKey, Connection, Endpoint, Group, Project, Record, RecordError, Source,
};
use hooklatch_core::ids::ProjectId;
use hooklatch_store::{ConfigKind, ConfigRecord};

/// Anything that can be configured.
#[derive(Debug, Clone)]
pub enum Document {
    /// A project.
    Project(Project),
    /// An API key.
    ApiKey(ApiKey),
    /// A source.
    Source(Box<Source>),
    /// A group of sources.
    Group(Group),
    /// An endpoint.
    Endpoint(Box<Endpoint>),
    /// A connection.
    Connection(Connection),
}

impl Document {
    /// Reads what a store keeps.
    pub fn read(record: &ConfigRecord) -> Result<Self, RecordError> {
        let text = &record.document;
        Ok(match record.kind {
            ConfigKind::Project => Self::Project(Project::from_stored(text)?),
            ConfigKind::ApiKey => Self::ApiKey(ApiKey::from_stored(text)?),
            ConfigKind::Source => Self::Source(Box::new(Source::from_stored(text)?)),
            ConfigKind::Group => Self::Group(Group::from_stored(text)?),
            ConfigKind::Endpoint => Self::Endpoint(Box::new(Endpoint::from_stored(text)?)),
            ConfigKind::Connection => Self::Connection(Connection::from_stored(text)?),
        })
    }

    /// What the store shall keep.
    pub fn record(&self) -> ConfigRecord {
        let (kind, number) = self.place();
        ConfigRecord {
            kind,
            number,
            project_id: self.project(),
            name: self.name().map(str::to_owned),
            document: self.text(),
            revision: 0,
        }
    }

    /// Under what it is kept.
    pub fn place(&self) -> (ConfigKind, i64) {
        match self {
            Self::Project(project) => (ConfigKind::Project, project.id.number()),
            Self::ApiKey(key) => (ConfigKind::ApiKey, key.id.number()),
            Self::Source(source) => (ConfigKind::Source, source.id.number()),
            Self::Group(group) => (ConfigKind::Group, group.id.number()),
            Self::Endpoint(endpoint) => (ConfigKind::Endpoint, endpoint.id.number()),
            Self::Connection(connection) => (ConfigKind::Connection, connection.id.number()),
        }
    }

    /// Its name while it lives.
    pub fn name(&self) -> Option<&str> {
        let (name, deleted_at) = match self {
            Self::Project(project) => (&project.name, None),
            Self::ApiKey(key) => (&key.name, key.deleted_at),
            Self::Source(source) => (&source.name, source.deleted_at),
            Self::Group(group) => (&group.name, None),
            Self::Endpoint(endpoint) => (&endpoint.name, endpoint.deleted_at),
            Self::Connection(connection) => (&connection.name, connection.deleted_at),
        };
        deleted_at.is_none().then_some(name.as_str())
    }

    fn project(&self) -> ProjectId {
        match self {
            Self::Project(project) => project.id,
            Self::ApiKey(key) => key.project,
            Self::Source(source) => source.project,
            Self::Group(group) => group.project,
            Self::Endpoint(endpoint) => endpoint.project,
            Self::Connection(connection) => connection.project,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Project(project) => project.to_stored(),
            Self::ApiKey(key) => key.to_stored(),
            Self::Source(source) => source.to_stored(),
            Self::Group(group) => group.to_stored(),
            Self::Endpoint(endpoint) => endpoint.to_stored(),
            Self::Connection(connection) => connection.to_stored(),
        }
    }
}
