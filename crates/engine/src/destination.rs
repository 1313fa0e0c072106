//! Where one delivery goes: to an endpoint, to a bare URL, or nowhere any more.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hooklatch_core::config::OnUncertain;
use hooklatch_core::delivery::control::{LaneControl, WhileOpen};
use hooklatch_core::delivery::lane::{self, Traffic};
use hooklatch_core::delivery::verdict::Standing;
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{ConnectionId, EndpointId};
use hooklatch_core::limits::{CONCURRENCY_DEFAULT, TIMEOUT_SECONDS_DEFAULT};
use hooklatch_core::message::{DirectTarget, Message};
use hooklatch_core::retry::RetryPolicy;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_egress::Target;
use hooklatch_store::Terms;
use http::Method;
use url::Url;

use crate::directory::{Directory, Gate, ReadyEndpoint};
use crate::settings::millis;

/// A lease outlives the attempt's own time by this (O4).
const LEASE_MARGIN: Millis = Millis::from_seconds(10);

static DEFAULT_POLICY: LazyLock<RetryPolicy> = LazyLock::new(RetryPolicy::default);

/// Where a delivery goes.
pub(crate) enum Destination {
    Endpoint(Arc<ReadyEndpoint>),
    Url(Result<BareUrl, String>),
    Deleted,
}

/// A URL that a message names, with what signs for it.
pub(crate) struct BareUrl {
    url: Url,
    target: Target,
    secrets: Arc<[SigningSecret]>,
}

/// All that an attempt needs to know of its destination.
pub(crate) struct Wire<'a> {
    pub method: &'a Method,
    pub url: &'a Url,
    pub target: &'a Target,
    pub secrets: Cow<'a, [SigningSecret]>,
    pub headers: &'a [(String, String)],
    pub forward_path: bool,
}

/// What a lane may have at most, before what it already has. The capacity is that of the place, for
/// live traffic and replays together; of live leases a replay has a share (P4).
pub(crate) fn lane_terms(directory: &dyn Directory, lane: Lane) -> Terms {
    let terms = terms_of_place(directory, lane.for_live());
    match lane.traffic() {
        Traffic::Live => terms,
        Traffic::Replays => Terms {
            live_max: lane::share(terms.live_max),
            ..terms
        },
    }
}

fn terms_of_place(directory: &dyn Directory, lane: Lane) -> Terms {
    let bare_url = Terms {
        capacity: CONCURRENCY_DEFAULT as usize,
        live_max: CONCURRENCY_DEFAULT as usize,
        span: millis(seconds(TIMEOUT_SECONDS_DEFAULT)) + LEASE_MARGIN,
    };
    if lane.0 < 0 {
        return bare_url;
    }
    let Some(endpoint) = directory.endpoint(EndpointId::from_number(lane.0)) else {
        return match directory.gate(ConnectionId::from_number(lane.0)) {
            Some(Gate::Paused) => Terms {
                capacity: 0,
                ..bare_url
            },
            // What waited goes back to its endpoint's lane.
            Some(Gate::Open { .. }) | None => bare_url,
        };
    };
    let endpoint = endpoint.endpoint();
    let concurrency = endpoint.rate_limit.concurrency as usize;
    let capacity = match standing(endpoint) {
        // What is due simply waits. Leasing it only to give it back would be work for nothing.
        Standing::Paused => 0,
        Standing::Open | Standing::Disabled | Standing::Deleted => concurrency,
    };
    Terms {
        capacity,
        live_max: concurrency,
        span: millis(seconds(endpoint.timeout_seconds)) + LEASE_MARGIN,
    }
}

/// What limits a lane beyond that.
pub(crate) fn lane_control(directory: &dyn Directory, lane: Lane) -> Option<LaneControl> {
    // A rate and a circuit are the endpoint's, for live traffic and replays together.
    let lane = lane.for_live();
    if lane.0 < 0 {
        return None;
    }
    let Some(ready) = directory.endpoint(EndpointId::from_number(lane.0)) else {
        return match directory.gate(ConnectionId::from_number(lane.0)) {
            Some(Gate::Open { resumed_at }) => Some(LaneControl {
                resumed_at: Some(resumed_at?),
                ..LaneControl::default()
            }),
            Some(Gate::Paused) | None => None,
        };
    };
    match standing(ready.endpoint()) {
        // What is due fails, or goes elsewhere, and need not be spared that.
        Standing::Disabled | Standing::Deleted => None,
        Standing::Open | Standing::Paused => {
            let control = ready.endpoint().lane_control(WhileOpen::Wait)?;
            let while_open = match control.breaker.and_then(|_| ready.stand_in(directory)) {
                Some(_) => WhileOpen::Divert,
                None => WhileOpen::Wait,
            };
            Some(LaneControl {
                while_open,
                ..control
            })
        }
    }
}

/// The lane where a delivery belongs now, if that is another one than where it is: what came by a
/// connection that is paused waits in that connection's lane, and goes back when it is resumed.
pub(crate) fn other_lane(directory: &dyn Directory, delivery: &Delivery) -> Option<Lane> {
    let connection = delivery.connection_id?;
    let here = delivery.lane();
    let waits_in = Lane::of_connection(connection).for_traffic_of(here);
    let is_there = here == waits_in;
    match directory.gate(connection) {
        Some(Gate::Paused) => (!is_there).then_some(waits_in),
        Some(Gate::Open { .. }) | None => delivery
            .endpoint_id
            .map(|endpoint| Lane::of_endpoint(endpoint).for_traffic_of(here))
            .filter(|_| is_there),
    }
}

impl Destination {
    /// The endpoint that takes deliveries in this one's place, if one does.
    pub(crate) fn stand_in(&self, directory: &dyn Directory) -> Option<EndpointId> {
        match self {
            Self::Endpoint(ready) => ready.stand_in(directory),
            Self::Url(_) | Self::Deleted => None,
        }
    }

    /// Looks up where a delivery goes now.
    pub(crate) fn of(
        directory: &dyn Directory,
        delivery: &Delivery,
        message: &Message,
        now: Timestamp,
    ) -> Self {
        if let Some(id) = delivery.endpoint_id {
            return directory.endpoint(id).map_or(Self::Deleted, Self::Endpoint);
        }
        let target = message.target.as_ref();
        let target = target.ok_or_else(|| "the message names neither endpoint nor URL".to_owned());
        Self::Url(target.and_then(|target| BareUrl::new(directory, message, target, now)))
    }

    /// Whether it takes anything.
    pub(crate) fn standing(&self) -> Standing {
        match self {
            Self::Endpoint(ready) => standing(ready.endpoint()),
            Self::Url(_) => Standing::Open,
            Self::Deleted => Standing::Deleted,
        }
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        match self {
            Self::Endpoint(ready) => &ready.endpoint().retry,
            Self::Url(_) | Self::Deleted => &DEFAULT_POLICY,
        }
    }

    pub(crate) fn on_uncertain(&self) -> OnUncertain {
        match self {
            Self::Endpoint(ready) => ready.endpoint().on_uncertain,
            Self::Url(_) | Self::Deleted => OnUncertain::Retry,
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        match self {
            Self::Endpoint(ready) => seconds(ready.endpoint().timeout_seconds),
            Self::Url(_) | Self::Deleted => seconds(TIMEOUT_SECONDS_DEFAULT),
        }
    }

    /// What an attempt needs, or why none can be made.
    pub(crate) fn wire(&self, now: Timestamp) -> Result<Wire<'_>, &str> {
        match self {
            Self::Endpoint(ready) => Ok(Wire {
                method: ready.method()?,
                url: ready.url()?,
                target: ready.target()?,
                secrets: ready.secrets(now)?,
                headers: ready.headers()?,
                forward_path: ready.endpoint().forward_path,
            }),
            Self::Url(bare) => {
                let bare = bare.as_ref().map_err(String::as_str)?;
                Ok(Wire {
                    method: &Method::POST,
                    url: &bare.url,
                    target: &bare.target,
                    secrets: Cow::Borrowed(&bare.secrets),
                    headers: &[],
                    forward_path: false,
                })
            }
            Self::Deleted => Err("the endpoint was deleted"),
        }
    }
}

impl BareUrl {
    fn new(
        directory: &dyn Directory,
        message: &Message,
        direct: &DirectTarget,
        now: Timestamp,
    ) -> Result<Self, String> {
        let url: Url = direct
            .url
            .parse()
            .map_err(|error| format!("the URL cannot be read: {error}"))?;
        let target = Target::from_url(&url).map_err(|error| error.to_string())?;
        let project = message.project_id;
        let secrets = match &direct.sealed_secret {
            Some(sealed) => directory
                .open_secret(project, sealed)
                .map(|secret| Arc::from([secret]))
                .ok_or("the secret that the message was sent with cannot be opened")?,
            None => directory
                .project_secrets(project, now)
                .ok_or("the project's signing secret cannot be opened")?,
        };
        Ok(Self {
            url,
            target,
            secrets,
        })
    }
}

fn standing(endpoint: &hooklatch_core::config::Endpoint) -> Standing {
    if endpoint.deleted_at.is_some() {
        Standing::Deleted
    } else if endpoint.disabled.is_some() {
        Standing::Disabled
    } else if endpoint.paused {
        Standing::Paused
    } else {
        Standing::Open
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
