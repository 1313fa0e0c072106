//! Where messages go now, and what stands in their way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hooklatch_core::config::{Connection, Origin};
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::ids::{ConnectionId, EndpointId, ProjectId, SourceId};
use hooklatch_core::routing::{Audience, Route, route_event, route_source};
use hooklatch_engine::Gate as Passing;

use super::Snapshot;

impl Snapshot {
    /// Where messages of a source go now.
    pub fn source_destinations(&self, source: SourceId) -> Vec<Destination> {
        let connections = self.connections.values().map(|connection| &**connection);
        let endpoint = |id| self.any_endpoint(id).map(|ready| ready.endpoint());
        let routes = route_source(source, connections, endpoint);
        routes.into_iter().map(|it| self.destination(it)).collect()
    }

    /// Where a message of the send API goes now.
    pub fn send_destinations(
        &self,
        project: ProjectId,
        audience: Audience<'_>,
        event_type: Option<&str>,
    ) -> Vec<Destination> {
        let routes = match audience {
            Audience::Endpoint(id) => {
                let named = self.endpoint(project, id).into_iter();
                route_event(
                    audience,
                    event_type,
                    &[],
                    named.map(|ready| ready.endpoint()),
                )
            }
            Audience::Tenant(_) | Audience::Broadcast => {
                let by_event = |connection: &&Connection| match connection.from {
                    Origin::EventTypes(_) => connection.project == project,
                    Origin::Source(_) => false,
                };
                let connections: Vec<&Connection> = self
                    .connections
                    .values()
                    .map(|one| &**one)
                    .filter(by_event)
                    .collect();
                let endpoints = self.endpoints(project).map(|ready| ready.endpoint());
                route_event(audience, event_type, &connections, endpoints)
            }
        };
        routes.into_iter().map(|it| self.destination(it)).collect()
    }

    /// What came by a connection that is paused waits in a lane of its own.
    fn destination(&self, route: Route) -> Destination {
        let paused = |id: &ConnectionId| self.gate_at(*id) == Some(Passing::Paused);
        let waits_in = route.connection.filter(paused).map(Lane::of_connection);
        Destination {
            endpoint_id: Some(route.endpoint),
            connection_id: route.connection,
            lane: waits_in.unwrap_or(Lane::of_endpoint(route.endpoint)),
            suffix_webhook_id: route.suffix_webhook_id,
            order_key: None,
        }
    }

    /// Whether a living connection lets anything pass.
    pub(in crate::directory) fn gate_at(&self, id: ConnectionId) -> Option<Passing> {
        let connection = self.connections.get(&id)?;
        Some(match (connection.deleted_at, connection.paused) {
            (None, true) => Passing::Paused,
            (None, false) | (Some(_), _) => Passing::Open {
                resumed_at: connection.resumed_at,
            },
        })
    }

    pub(super) fn disabled_endpoints(&self) -> BTreeMap<ProjectId, Arc<BTreeSet<EndpointId>>> {
        let mut disabled: BTreeMap<ProjectId, BTreeSet<EndpointId>> = BTreeMap::new();
        for endpoint in self.endpoints.values().map(|ready| ready.endpoint()) {
            // Where another one stands in, a delivery is made and goes over.
            let stands_alone = || {
                endpoint
                    .stand_in(|id| self.any_endpoint(id).cloned())
                    .is_none()
            };
            let is_disabled = endpoint.disabled.is_some() && stands_alone();
            if is_disabled || endpoint.deleted_at.is_some() {
                disabled
                    .entry(endpoint.project)
                    .or_default()
                    .insert(endpoint.id);
            }
        }
        disabled
            .into_iter()
            .map(|(project, ids)| (project, Arc::new(ids)))
            .collect()
    }
}
