//! Message number N as it arrives, built by the same functions that the gateway uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hooklatch_core::admission::{Arrival, OnConflict, OnFailedOriginal, Policy};
use hooklatch_core::arrive::{Call, outbound, scope_bytes};
use hooklatch_core::cause::Hints;
use hooklatch_core::claim::{ClaimKey, ClaimKind, Scope, SendTarget};
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::fingerprint::fingerprint;
use hooklatch_core::ids::{ConnectionId, EndpointId, ProjectId, SourceId};
use hooklatch_core::key::{Body, Extracted, KeyRule, Request, extract};
use hooklatch_core::message::{Direction, Envelope};
use hooklatch_core::rules::{Dropped, Ruling};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_core::window::Window;

use super::event::{self, Repetition, scattered};
use super::world::{SILENT, World, source_of};
use crate::Failure;

const JSON: &str = "application/json";
/// For how long a key is protected.
const WINDOW: Window = Window::Seconds(604_800);

/// Where the history happens, by numbers.
pub(super) struct Places {
    project: ProjectId,
    sources: Vec<SourceId>,
    endpoints: Vec<EndpointId>,
    tenants: Vec<EndpointId>,
    connections: Vec<Vec<(ConnectionId, usize)>>,
    rule: KeyRule,
}

/// How far into the history a message lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its number.
    pub number: u64,
    /// How many there are.
    pub of: u64,
}

impl Places {
    /// The places of a world.
    pub(super) fn of(world: &World) -> Result<Self, Failure> {
        let endpoints = |ids: &[String]| -> Result<Vec<EndpointId>, Failure> {
            ids.iter().map(|id| Ok(id.parse()?)).collect()
        };
        let mut connections = Vec::new();
        for ways in &world.connections {
            let ways = ways.iter().map(|(id, to)| Ok((id.parse()?, *to)));
            connections.push(ways.collect::<Result<_, Failure>>()?);
        }
        let sources = world.sources.iter().map(|id| Ok(id.parse()?));
        let location = "body:$.id".parse().map_err(|error| format!("{error:?}"))?;
        Ok(Self {
            project: world.project.parse()?,
            sources: sources.collect::<Result<_, Failure>>()?,
            endpoints: endpoints(&world.endpoints)?,
            tenants: endpoints(&world.tenants)?,
            connections,
            rule: KeyRule::new(vec![location]),
        })
    }

    /// The lane of an endpoint of ours.
    pub(super) fn lane(&self, endpoint: usize) -> Lane {
        Lane::of_endpoint(self.endpoints[endpoint])
    }

    /// Its first arrival.
    pub(super) fn first(&self, place: Place, now: Timestamp) -> Arrival {
        let body = event::payload(place.number, amount(place.number));
        match event::tenant(place.number) {
            Some(tenant) => self.sent(place.number, tenant, body, now),
            None => self.came(place, body, Hints::default(), now),
        }
    }

    /// One that repeats it.
    pub(super) fn again(&self, place: Place, how: Repetition, now: Timestamp) -> Arrival {
        let amount = match how {
            Repetition::Altered => amount(place.number) + 1,
            Repetition::Retry | Repetition::Resend | Repetition::Unexplained => {
                amount(place.number)
            }
        };
        let body = event::payload(place.number, amount);
        let named = |name: &str| Some(name.to_owned());
        let hints = match how {
            Repetition::Retry => Hints {
                retry_header: named("x-retry-count"),
                ..Hints::default()
            },
            Repetition::Resend => Hints {
                resend_header: named("x-redelivered-by"),
                ..Hints::default()
            },
            Repetition::Altered | Repetition::Unexplained => Hints::default(),
        };
        match event::tenant(place.number) {
            Some(tenant) => self.sent(place.number, tenant, body, now),
            None => self.came(place, body, hints, now),
        }
    }

    fn sent(&self, number: u64, tenant: u64, payload: Bytes, now: Timestamp) -> Arrival {
        let endpoint = self.tenants[tenant as usize];
        outbound(Call {
            project_id: self.project,
            received_at: now,
            target: SendTarget::Tenant(format!("tenant-{tenant}")),
            key: Some(event::id(number)),
            event_type: Some(event::event_type(number).to_owned()),
            payload,
            extra_headers: Vec::new(),
            trace: Vec::new(),
            warnings: Vec::new(),
            delay: Millis::ZERO,
            payload_kept: None,
            on_failed_original: OnFailedOriginal::Suppress,
            sealed_secret: None,
            destinations: vec![to(endpoint, None)],
            rulebooks: Vec::new(),
            ordered: Vec::new(),
            disabled: Arc::default(),
        })
    }

    fn came(&self, place: Place, body: Bytes, hints: Hints, now: Timestamp) -> Arrival {
        let mut at = source_of(scattered(place.number) >> 32);
        if at == SILENT && place.number * 3 > place.of * 2 {
            at = 0;
        }
        let source = self.sources[at];
        let event_type = event::event_type(place.number);
        let ways = &self.connections[at];
        let understood = Body::understand(Some(JSON), &body);
        let fingerprint = fingerprint(Some(event_type), &understood, &body, &[]);
        let keys = self.keys(source, fingerprint, &understood, &body);
        drop(understood);
        let destination = |(id, end): &(ConnectionId, usize)| to(self.endpoints[*end], Some(*id));
        Arrival {
            project_id: self.project,
            direction: Direction::Inbound,
            source_id: Some(source),
            received_at: now,
            envelope: Arc::new(envelope(place.number, body.len())),
            event_type: Some(event_type.to_owned()),
            tenant: None,
            fingerprint,
            keys,
            shadow: None,
            body,
            policy: Policy {
                window: WINDOW,
                sliding: false,
                on_conflict: OnConflict::Suppress,
                on_failed_original: OnFailedOriginal::Redrive,
            },
            destinations: ways.iter().map(destination).collect(),
            rulings: ways
                .iter()
                .filter_map(|way| ruling(at, way, event_type))
                .collect(),
            disabled: Arc::default(),
            hints: Arc::new(hints),
            delay: Millis::ZERO,
            target: None,
            extra_headers: Vec::new(),
            warnings: Vec::new(),
            response_status: 200,
            payload_kept: None,
        }
    }

    fn keys(
        &self,
        source: SourceId,
        fingerprint: hooklatch_core::fingerprint::Fingerprint,
        understood: &Body<'_>,
        body: &[u8],
    ) -> Vec<ClaimKey> {
        let scope = Scope::Source(source);
        let request = Request {
            method: "POST",
            path: "",
            query: None,
            headers: &[],
            content_type: Some(JSON),
            body,
        };
        match extract(&self.rule, &scope_bytes(&scope), &request, understood, &[]) {
            Extracted::Missing { .. } => Vec::new(),
            Extracted::Key {
                checksum, parts, ..
            } => vec![ClaimKey {
                scope,
                checksum,
                fingerprint,
                parts: parts.into_iter().map(|part| part.text).collect(),
                kind: ClaimKind::Key,
            }],
        }
    }
}

fn amount(number: u64) -> u64 {
    100 + scattered(number) % 90_000
}

fn to(endpoint: EndpointId, connection: Option<ConnectionId>) -> Destination {
    Destination {
        endpoint_id: Some(endpoint),
        connection_id: connection,
        lane: Lane::of_endpoint(endpoint),
        suffix_webhook_id: false,
        order_key: None,
    }
}

/// What the rules of the connections say; those of the others pass everything.
fn ruling(at: usize, (id, end): &(ConnectionId, usize), event_type: &str) -> Option<Ruling> {
    let dropped = match (at, *end) {
        (0, 1) => !event_type.starts_with("invoice."),
        (8, _) => true,
        _ => return None,
    };
    Some(Ruling {
        connection_id: *id,
        checks: Vec::new(),
        dropped: dropped.then(|| Dropped {
            rule: 0,
            pointer: "/body".to_owned(),
        }),
        delay: Millis::ZERO,
        delayed_by: None,
        shadows: Vec::new(),
    })
}

fn envelope(number: u64, length: usize) -> Envelope {
    let drawn = scattered(number);
    let lines: BTreeMap<&str, String> = BTreeMap::from([
        ("accept", "*/*".to_owned()),
        ("accept-encoding", "gzip, deflate".to_owned()),
        ("content-length", length.to_string()),
        ("content-type", JSON.to_owned()),
        ("host", "hooks.example.com".to_owned()),
        (
            "user-agent",
            "Provider/1.0 (+https://provider.example/docs/webhooks)".to_owned(),
        ),
        ("x-provider-delivery", format!("{drawn:032x}")),
        (
            "x-provider-signature",
            format!("t=1790000000,v1={:064x}", u128::from(drawn)),
        ),
    ]);
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    Envelope {
        method: "POST".to_owned(),
        headers: lines.into_iter().map(owned).collect(),
        ..Envelope::default()
    }
}
