//! A connection: from a source, or from the send API by event type, to an endpoint.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::merge::{self, Shape};
use super::{EventPattern, FieldError, Making, Record, Rule, check, read, rules};
use crate::ids::{ConnectionId, EndpointId, ProjectId, SourceId};
use crate::time::Timestamp;

const SHAPE: Shape = Shape {
    read_only: &[
        "id",
        "project_id",
        "resumed_at",
        "warnings",
        "created_at",
        "updated_at",
    ],
    whole: &["rules"],
    tagged: &[],
};

/// A connection with every field checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// Whose messages it takes.
    pub from: Origin,
    /// Where it brings them.
    pub endpoint: EndpointId,
    /// What is done with them on their way, in this order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Whether its deliveries wait.
    pub paused: bool,
    /// When a person last let it go on: what waited is drained slowly from then on.
    #[serde(default)]
    pub resumed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

/// Whose messages a connection takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Those of a source.
    Source(SourceId),
    /// Those of the send API whose event type one of these patterns means.
    EventTypes(Vec<EventPattern>),
}

/// A connection as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionInput {
    /// Required; unique in the project.
    pub name: Option<String>,
    /// The source, or else `event_types`.
    pub source_id: Option<SourceId>,
    /// The event types of the send API, or else `source_id`.
    pub event_types: Option<Vec<EventPattern>>,
    /// Required.
    pub endpoint_id: Option<EndpointId>,
    /// What is done with messages on their way, in this order.
    pub rules: Option<Vec<Value>>,
    /// Whether deliveries wait; left out, it stays as it is.
    pub paused: Option<bool>,
}

/// Which connection is saved, and what is there already.
#[derive(Clone, Copy)]
pub struct ConnectionPlace<'a> {
    /// The id for a new connection.
    pub new_id: ConnectionId,
    /// The connection that is changed.
    pub existing: Option<&'a Connection>,
    /// Whether the project has the source, and has not deleted it.
    pub has_source: &'a dyn Fn(SourceId) -> bool,
    /// Whether the project has the endpoint, and has not deleted it.
    pub has_endpoint: &'a dyn Fn(EndpointId) -> bool,
}

impl Record for Connection {
    const KIND: &'static str = "connection";
}

impl Connection {
    /// Lets its deliveries wait, in a lane of their own: they stand in nobody's way.
    pub fn pause(&mut self, now: Timestamp) {
        self.paused = true;
        self.updated_at = now;
    }

    /// Lets them go on, with a slow start.
    pub fn resume(&mut self, now: Timestamp) {
        if self.paused {
            self.resumed_at = Some(now);
        }
        self.paused = false;
        self.updated_at = now;
    }

    /// What `GET` shows.
    pub fn public(&self) -> Value {
        let (source_id, event_types) = match &self.from {
            Origin::Source(source) => (Some(source), None),
            Origin::EventTypes(patterns) => (None, Some(patterns)),
        };
        json!({
            "id": self.id,
            "project_id": self.project,
            "name": self.name,
            "source_id": source_id,
            "event_types": event_types,
            "endpoint_id": self.endpoint,
            "rules": self.rules,
            "paused": self.paused,
            "resumed_at": self.resumed_at,
            "warnings": [],
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }
}

impl ConnectionInput {
    /// Reads the input from JSON.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        read(value)
    }

    /// What a merge patch (RFC 7396) makes of a connection. A source replaces event types, and
    /// the other way round.
    pub fn patched(existing: &Connection, patch: Value) -> Result<Self, Vec<FieldError>> {
        let mut shown = match existing.public() {
            Value::Object(shown) => shown,
            other => unreachable!("a connection is shown as an object, not {other}"),
        };
        let sets = |name: &str| patch.get(name).is_some_and(|value| !value.is_null());
        if sets("source_id") {
            shown.remove("event_types");
        } else if sets("event_types") {
            shown.remove("source_id");
        }
        read(merge::patched(shown, patch, &SHAPE)?)
    }

    /// Checks every field and makes the connection, or says everything that is wrong.
    pub fn build(
        self,
        place: ConnectionPlace<'_>,
        making: &Making<'_>,
    ) -> Result<Connection, Vec<FieldError>> {
        let mut errors = Vec::new();
        let existing = place.existing;
        let rules = rules::rules(self.rules.unwrap_or_default(), &mut errors);
        let was_paused = existing.is_some_and(|connection| connection.paused);
        let paused = self.paused.unwrap_or(was_paused);
        let name = check::name(self.name, &mut errors);
        let from = origin(self.source_id, self.event_types, place, &mut errors);
        let endpoint = endpoint(self.endpoint_id, place, &mut errors);
        let (Some(from), Some(endpoint), true) = (from, endpoint, errors.is_empty()) else {
            return Err(errors);
        };
        Ok(Connection {
            id: existing.map_or(place.new_id, |connection| connection.id),
            project: making.project,
            name,
            from,
            endpoint,
            rules,
            paused,
            resumed_at: if was_paused && !paused {
                Some(making.now)
            } else {
                existing.and_then(|connection| connection.resumed_at)
            },
            created_at: existing.map_or(making.now, |connection| connection.created_at),
            updated_at: making.now,
            deleted_at: None,
        })
    }
}

fn origin(
    source: Option<SourceId>,
    event_types: Option<Vec<EventPattern>>,
    place: ConnectionPlace<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<Origin> {
    match (source, event_types) {
        (Some(_), Some(_)) => {
            let detail = "give source_id or event_types, not both";
            errors.push(FieldError::new("/event_types", detail));
            None
        }
        (Some(source), None) => {
            if !(place.has_source)(source) {
                let detail = "is no source of this project; list them with GET /v1/sources";
                errors.push(FieldError::new("/source_id", detail));
            }
            Some(Origin::Source(source))
        }
        (None, Some(patterns)) => {
            check::patterns(&patterns, errors);
            if patterns.is_empty() {
                let detail = "is empty: nothing would match; write [\"*\"] for everything";
                errors.push(FieldError::new("/event_types", detail));
            }
            Some(Origin::EventTypes(patterns))
        }
        (None, None) => {
            let detail = "is missing; give it, or event_types for the send API";
            errors.push(FieldError::new("/source_id", detail));
            None
        }
    }
}

fn endpoint(
    endpoint: Option<EndpointId>,
    place: ConnectionPlace<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<EndpointId> {
    let Some(id) = endpoint else {
        errors.push(FieldError::new(
            "/endpoint_id",
            "is missing; name an endpoint",
        ));
        return None;
    };
    if !(place.has_endpoint)(id) {
        let detail = "is no endpoint of this project; list them with GET /v1/endpoints";
        errors.push(FieldError::new("/endpoint_id", detail));
    }
    Some(id)
}
