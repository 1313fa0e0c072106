//! Which endpoints a message goes to, and by which connections.
//!
//! A disabled or paused endpoint is still a route: its delivery fails at once with the reason, or
//! waits. So nothing vanishes silently, and there is something to re-drive later (D2). A deleted
//! endpoint or connection is none.
//!
//! A send to one endpoint by its id goes there, whatever its `event_types`. A send to a tenant or
//! to all goes to each of their endpoints whose `event_types` mean the event. Where connections
//! lead from event types to such an endpoint, they decide beside it: it is reached by each that
//! means the event, and by none if none does.

use crate::config::{Connection, Endpoint, Origin, matches_any};
use crate::ids::{ConnectionId, EndpointId, SourceId};

/// One delivery to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The connection that leads there; none where the send API named the endpoint.
    pub connection: Option<ConnectionId>,
    /// Where the message goes.
    pub endpoint: EndpointId,
    /// Whether the message reaches this endpoint by other connections too, so that its
    /// `webhook-id` needs the connection's id (O1).
    pub suffix_webhook_id: bool,
}

/// Whom a send is for, other than a bare URL, which needs no routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// One endpoint.
    Endpoint(EndpointId),
    /// The endpoints of one tenant.
    Tenant(&'a str),
    /// All endpoints of the project.
    Broadcast,
}

/// The routes of a message that came in through a source, in the order of its connections.
pub fn route_source<'a>(
    source: SourceId,
    connections: impl Iterator<Item = &'a Connection>,
    endpoint: impl Fn(EndpointId) -> Option<&'a Endpoint>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for connection in connections.filter(|connection| connection.deleted_at.is_none()) {
        let leads = match &connection.from {
            Origin::Source(from) => *from == source,
            Origin::EventTypes(_) => false,
        };
        if leads && endpoint(connection.endpoint).is_some_and(is_there) {
            routes.push(by(connection));
        }
    }
    with_suffixes(routes)
}

/// The routes of a message of the send API, in the order of the endpoints. `connections` and
/// `endpoints` are those of the project.
pub fn route_event<'a>(
    audience: Audience<'_>,
    event_type: Option<&str>,
    connections: &[&'a Connection],
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for endpoint in endpoints.filter(|endpoint| is_there(endpoint)) {
        let meant = match audience {
            Audience::Endpoint(id) => {
                if endpoint.id == id {
                    routes.push(directly(endpoint));
                }
                continue;
            }
            Audience::Tenant(tenant) => endpoint.tenant.as_deref() == Some(tenant),
            Audience::Broadcast => true,
        };
        if meant && matches_any(&endpoint.event_types, event_type) {
            routes.extend(routes_to(endpoint, event_type, connections));
        }
    }
    with_suffixes(routes)
}

fn routes_to(
    endpoint: &Endpoint,
    event_type: Option<&str>,
    connections: &[&Connection],
) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut connected = false;
    for connection in connections
        .iter()
        .filter(|connection| connection.deleted_at.is_none())
    {
        let Origin::EventTypes(patterns) = &connection.from else {
            continue;
        };
        if connection.endpoint != endpoint.id {
            continue;
        }
        connected = true;
        if matches_any(patterns, event_type) {
            routes.push(by(connection));
        }
    }
    if connected {
        routes
    } else {
        vec![directly(endpoint)]
    }
}

fn is_there(endpoint: &Endpoint) -> bool {
    endpoint.deleted_at.is_none()
}

fn by(connection: &Connection) -> Route {
    Route {
        connection: Some(connection.id),
        endpoint: connection.endpoint,
        suffix_webhook_id: false,
    }
}

fn directly(endpoint: &Endpoint) -> Route {
    Route {
        connection: None,
        endpoint: endpoint.id,
        suffix_webhook_id: false,
    }
}

fn with_suffixes(mut routes: Vec<Route>) -> Vec<Route> {
    let mut endpoints: Vec<EndpointId> = routes.iter().map(|route| route.endpoint).collect();
    endpoints.sort_unstable();
    for route in &mut routes {
        let from = endpoints.partition_point(|endpoint| *endpoint < route.endpoint);
        route.suffix_webhook_id = endpoints.get(from + 1) == Some(&route.endpoint);
    }
    routes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Disabled;
    use crate::config::testing::World;

    struct Project {
        endpoints: Vec<Endpoint>,
        connections: Vec<Connection>,
    }

    impl Project {
        fn inbound(&self, source: i64) -> Vec<Route> {
            let find = |id| self.endpoints.iter().find(|endpoint| endpoint.id == id);
            route_source(SourceId::from_number(source), self.connections.iter(), find)
        }

        fn event(&self, audience: Audience<'_>, event_type: Option<&str>) -> Vec<usize> {
            let connections: Vec<_> = self.connections.iter().collect();
            let routes = route_event(audience, event_type, &connections, self.endpoints.iter());
            routes
                .iter()
                .map(|route| self.position(route.endpoint))
                .collect()
        }

        fn position(&self, id: EndpointId) -> usize {
            self.endpoints
                .iter()
                .position(|endpoint| endpoint.id == id)
                .unwrap()
        }

        fn connect(&mut self, world: &mut World, from: serde_json::Value, endpoint: usize) {
            let mut input = from;
            input["name"] = json!("c");
            input["endpoint_id"] = json!(self.endpoints[endpoint].id);
            self.connections.push(world.connection(input));
        }
    }

    fn project(world: &mut World, endpoints: &[serde_json::Value]) -> Project {
        let endpoints = endpoints
            .iter()
            .map(|fields| world.endpoint(fields.clone()))
            .collect();
        Project {
            endpoints,
            connections: Vec::new(),
        }
    }

    fn from(source: i64) -> serde_json::Value {
        json!({"source_id": SourceId::from_number(source)})
    }

    #[test]
    fn a_source_leads_to_the_endpoints_it_is_connected_with() {
        let mut world = World::new();
        let mut project = project(&mut world, &[json!({}), json!({"event_types": ["x"]})]);
        project.connect(&mut world, from(8), 0);
        project.connect(&mut world, from(8), 1);
        project.connect(&mut world, from(9), 0);
        project.connect(&mut world, json!({"event_types": ["*"]}), 0);
        let expected: Vec<_> = project.connections[..2].iter().map(by).collect();
        assert_eq!(project.inbound(8), expected);
        assert_eq!(project.inbound(7), []);
    }

    #[test]
    fn o1_several_connections_to_one_endpoint_each_need_their_own_id() {
        let mut world = World::new();
        let mut project = project(&mut world, &[json!({}), json!({})]);
        for endpoint in [0, 1, 0] {
            project.connect(&mut world, from(8), endpoint);
        }
        let suffixes: Vec<_> = project
            .inbound(8)
            .iter()
            .map(|route| route.suffix_webhook_id)
            .collect();
        assert_eq!(suffixes, [true, false, true]);
    }

    #[test]
    fn d2_a_disabled_or_paused_endpoint_is_a_route_and_a_deleted_one_is_none() {
        let mut world = World::new();
        let mut project = project(&mut world, &[json!({}), json!({"paused": true}), json!({})]);
        for endpoint in 0..3 {
            project.connect(&mut world, from(8), endpoint);
        }
        project.endpoints[0].disabled = Some(Disabled {
            at: world.now,
            reason: "answered 410".to_owned(),
        });
        project.endpoints[2].deleted_at = Some(world.now);
        assert_eq!(project.inbound(8).len(), 2);
        assert_eq!(project.event(Audience::Broadcast, None), [0, 1]);

        project.connections[0].deleted_at = Some(world.now);
        assert_eq!(project.inbound(8).len(), 1);
    }

    #[test]
    fn a_send_to_an_endpoint_goes_there_whatever_its_event_types() {
        let mut world = World::new();
        let project = project(
            &mut world,
            &[json!({"event_types": ["order.*"]}), json!({})],
        );
        let audience = Audience::Endpoint(project.endpoints[0].id);
        assert_eq!(project.event(audience, Some("user.created")), [0]);
        let unknown = Audience::Endpoint(EndpointId::from_number(404));
        assert_eq!(project.event(unknown, None), [] as [usize; 0]);
    }

    #[test]
    fn a_send_to_a_tenant_or_to_all_honours_event_types() {
        let mut world = World::new();
        let project = project(
            &mut world,
            &[
                json!({"tenant": "acme", "event_types": ["order.*"]}),
                json!({"tenant": "acme"}),
                json!({"tenant": "other", "event_types": ["*"]}),
                json!({"event_types": ["user.*"]}),
            ],
        );
        for (audience, event_type, expected) in [
            (Audience::Tenant("acme"), Some("order.paid"), vec![0, 1]),
            (Audience::Tenant("acme"), Some("user.created"), vec![1]),
            (Audience::Tenant("acme"), None, vec![1]),
            (Audience::Tenant("nobody"), None, vec![]),
            (Audience::Broadcast, Some("order.paid"), vec![0, 1, 2]),
            (Audience::Broadcast, Some("user.created"), vec![1, 2, 3]),
            (Audience::Broadcast, None, vec![1, 2]),
        ] {
            assert_eq!(
                project.event(audience, event_type),
                expected,
                "{audience:?} {event_type:?}"
            );
        }
    }

    #[test]
    fn connections_by_event_type_decide_beside_the_endpoint() {
        let mut world = World::new();
        let mut project = project(
            &mut world,
            &[json!({}), json!({"event_types": ["order.*"]})],
        );
        project.connect(&mut world, json!({"event_types": ["order.*"]}), 0);
        project.connect(&mut world, json!({"event_types": ["*.paid"]}), 0);
        project.connect(&mut world, json!({"event_types": ["*"]}), 1);
        for (event_type, expected) in [
            ("order.paid", vec![0, 0, 1]),
            ("order.made", vec![0, 1]),
            ("user.created", vec![]),
        ] {
            let routed = project.event(Audience::Broadcast, Some(event_type));
            assert_eq!(routed, expected, "{event_type}");
        }
    }
}
