//! What the tests of replays are spoken in.

use super::{Action, Filter, Head, Plan, Replay};
use crate::delivery::lifecycle::Destination;
use crate::delivery::{Delivery, Lane};
use crate::ids::{ConnectionId, DeliveryId, EndpointId, MessageId, ProjectId, ReplayId};
use crate::time::Timestamp;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

pub(super) fn plan() -> Plan {
    Plan {
        action: Action::Send,
        filter: Filter::default(),
        include_delivered: false,
        as_new: false,
        to_endpoint: None,
        rate_per_second: 100,
    }
}

pub(super) fn replay(plan: Plan) -> Replay {
    Replay::opened(Head {
        id: ReplayId::from_number(900),
        project_id: ProjectId::from_number(1),
        plan,
        among: None,
        request_key: None,
        created_by: None,
        reason: None,
        created_at: at(0),
    })
}

pub(super) fn delivery(number: i64) -> Delivery {
    let endpoint = EndpointId::from_number(7);
    let destination = Destination {
        endpoint_id: Some(endpoint),
        connection_id: Some(ConnectionId::from_number(8)),
        lane: Lane::of_endpoint(endpoint),
        suffix_webhook_id: false,
        order_key: None,
    };
    Delivery::opened(
        DeliveryId::from_number(number + 1),
        MessageId::from_number(number),
        ProjectId::from_number(1),
        &destination,
        at(0),
        at(0),
    )
}
