//! Records of every kind with anything in them, for tests that write them and read them back.

use bytes::Bytes;
use hooklatch_core::cause::Cause;
use hooklatch_core::claim::{Claim, ClaimKind, OnTrial, Scope, SendTarget};
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome, Timing};
use hooklatch_core::delivery::order::OrderKey;
use hooklatch_core::delivery::{Budget, Delivery, Lease, Reason, State, Trigger};
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{
    AttemptId, ConnectionId, DeliveryId, EndpointId, GroupId, MessageId, ProjectId, ReplayId,
    RequestId, SourceId,
};
use hooklatch_core::key::Checksum;
use hooklatch_core::message::{
    DirectTarget, Direction, Effect, KeyRecord, Message, Origin, Request, RequestOutcome,
};
use hooklatch_core::rules::{Routing, RoutingOutcome, WouldDrop};
use hooklatch_core::time::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::record::Code;

fn id() -> impl Strategy<Value = i64> {
    1..i64::MAX
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..i64::MAX).prop_map(Timestamp::from_millis)
}

fn coded<C: Code + std::fmt::Debug>(codes: i64) -> impl Strategy<Value = C> {
    (0..codes).prop_map(|code| C::of_code(code).expect("codes go from nought without a gap"))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((".*", ".*"), 0..3)
}

fn scope() -> impl Strategy<Value = Scope> {
    (id(), ".*", 0..9).prop_map(|(number, text, which)| {
        let project = ProjectId::from_number(number);
        let send = |target| Scope::Send(project, target);
        match which {
            0 => Scope::Source(SourceId::from_number(number)),
            1 => Scope::Group(GroupId::from_number(number)),
            2 => Scope::Connection(ConnectionId::from_number(number)),
            3 => Scope::Shadow(OnTrial::Source(SourceId::from_number(number))),
            4 => Scope::Shadow(OnTrial::Connection(ConnectionId::from_number(number))),
            5 => send(SendTarget::Endpoint(EndpointId::from_number(number))),
            6 => send(SendTarget::Url(text)),
            7 => send(SendTarget::Tenant(text)),
            _ => send(SendTarget::Broadcast),
        }
    })
}

fn key() -> impl Strategy<Value = KeyRecord> {
    (".*", any::<[u8; 32]>(), scope()).prop_map(|(text, checksum, scope)| KeyRecord {
        text,
        checksum: Checksum::from_bytes(checksum),
        scope,
    })
}

prop_compose! {
    fn routing()(
        ids in (id(), option::of(id())),
        outcome in 0..3_usize,
        rule in option::of(any::<u16>()),
        detail in option::of(".*"),
        shadows in vec((any::<u16>(), ".*", id(), any::<bool>()), 0..2),
    ) -> Routing {
        let outcomes = [
            RoutingOutcome::Routed,
            RoutingOutcome::Filtered,
            RoutingOutcome::Deduplicated,
        ];
        Routing {
            connection_id: ConnectionId::from_number(ids.0),
            outcome: outcomes[outcome],
            rule,
            detail,
            original_message_id: ids.1.map(MessageId::from_number),
            shadows: shadows
                .into_iter()
                .map(|(rule, detail, original, payload_differs)| WouldDrop {
                    rule,
                    detail,
                    original_message_id: MessageId::from_number(original),
                    payload_differs,
                })
                .collect(),
        }
    }
}

prop_compose! {
    /// A message.
    pub fn any_message()(
        ids in (id(), id(), option::of(id()), option::of(id()), option::of(id())),
        request in option::of(id()),
        texts in (option::of(".*"), option::of(".*")),
        key in option::of(key()),
        fingerprint in any::<[u8; 32]>(),
        codes in (coded::<Direction>(2), coded::<Origin>(6)),
        times in (time(), time()),
        routed in any::<bool>(),
        routing in vec(routing(), 0..3),
        response_status in any::<u16>(),
        target in option::of((".*", option::of(".*"))),
        extra_headers in headers(),
        warnings in vec(".*", 0..3),
        payload in (option::of(time()), option::of(time())),
    ) -> Message {
        let id = MessageId::from_number(ids.0);
        Message {
            id,
            project_id: ProjectId::from_number(ids.1),
            request_id: request.map_or(id.as_request(), RequestId::from_number),
            direction: codes.0,
            source_id: ids.2.map(SourceId::from_number),
            tenant: texts.0,
            event_type: texts.1,
            key,
            fingerprint: Fingerprint::from_bytes(fingerprint),
            origin: codes.1,
            received_at: times.0,
            decided_at: times.1,
            routed,
            routing,
            suspected_duplicate_of: ids.3.map(MessageId::from_number),
            original_message_id: ids.4.map(MessageId::from_number),
            response_status,
            target: target.map(|(url, sealed_secret)| DirectTarget { url, sealed_secret }),
            extra_headers,
            warnings,
            payload_until: payload.0,
            payload_pruned_at: payload.1,
        }
    }
}

prop_compose! {
    /// A request.
    pub fn any_request()(
        ids in (id(), id(), option::of(id()), option::of(id()), option::of(id())),
        codes in (coded::<Direction>(2), coded::<RequestOutcome>(4), coded::<Effect>(9)),
        cause in option::of(coded::<Cause>(6)),
        texts in (option::of(".*"), option::of(".*"), option::of(".*")),
        payload_differs in any::<bool>(),
        diff in option::of(vec(".*", 0..3)),
        key in option::of(key()),
        fingerprint in option::of(any::<[u8; 32]>()),
        received_at in time(),
        payload_pruned_at in option::of(time()),
        response_status in any::<u16>(),
    ) -> Request {
        Request {
            id: RequestId::from_number(ids.0),
            project_id: ProjectId::from_number(ids.1),
            direction: codes.0,
            source_id: ids.2.map(SourceId::from_number),
            outcome: codes.1,
            effect: codes.2,
            cause,
            evidence: texts.0,
            original_message_id: ids.3.map(MessageId::from_number),
            released_message_id: ids.4.map(MessageId::from_number),
            payload_differs,
            diff,
            event_type: texts.1,
            key,
            fingerprint: fingerprint.map(Fingerprint::from_bytes),
            reason: texts.2,
            received_at,
            response_status,
            payload_pruned_at,
        }
    }
}

/// A state of a delivery.
pub fn any_state() -> impl Strategy<Value = State> {
    (0..6, time(), time(), id(), coded::<Reason>(10)).prop_map(
        |(which, at, begun, token, reason)| match which {
            0 => State::Pending { due: at },
            1 => State::Delivering {
                lease: Lease {
                    attempt_id: AttemptId::from_number(token),
                    started_at: begun,
                    until: at,
                },
            },
            2 => State::Held { reason },
            3 => State::Delivered { at },
            4 => State::Failed { at, reason },
            _ => State::Cancelled { at, reason },
        },
    )
}

prop_compose! {
    /// A delivery.
    pub fn any_delivery()(
        ids in (id(), id(), id(), option::of(id()), option::of(id())),
        lane in any::<i64>(),
        suffix_webhook_id in any::<bool>(),
        state in any_state(),
        attempts in any::<u32>(),
        trigger in coded::<Trigger>(6),
        free_attempts in any::<u32>(),
        times in (time(), time()),
        order_key in option::of(0..i64::MAX),
    ) -> Delivery {
        Delivery {
            id: DeliveryId::from_number(ids.0),
            message_id: MessageId::from_number(ids.1),
            project_id: ProjectId::from_number(ids.2),
            endpoint_id: ids.3.map(EndpointId::from_number),
            connection_id: ids.4.map(ConnectionId::from_number),
            lane,
            suffix_webhook_id,
            state,
            attempts,
            trigger,
            budget: Budget { free_attempts, since: times.0 },
            // It lies in a table of its own.
            replay_id: None,
            created_at: times.1,
            order_key: order_key.map(OrderKey::from_number),
        }
    }
}

prop_compose! {
    /// An attempt that has ended.
    pub fn any_attempt()(
        ids in (id(), id(), id(), id(), option::of(id()), option::of(id())),
        number in any::<u32>(),
        codes in (coded::<Trigger>(6), coded::<AttemptOutcome>(5)),
        status_code in option::of(any::<u16>()),
        texts in (option::of(".*"), option::of(".*")),
        lists in (headers(), headers()),
        body in vec(any::<u8>(), 0..20),
        response_truncated in any::<bool>(),
        started_at in time(),
        duration_ms in 0..i64::MAX as u64,
        spans in any::<[Option<u64>; 4]>(),
        fenced in any::<bool>(),
    ) -> Attempt {
        Attempt {
            id: AttemptId::from_number(ids.0),
            delivery_id: DeliveryId::from_number(ids.1),
            message_id: MessageId::from_number(ids.2),
            project_id: ProjectId::from_number(ids.3),
            endpoint_id: ids.4.map(EndpointId::from_number),
            number,
            trigger: codes.0,
            outcome: codes.1,
            status_code,
            error: texts.0,
            receipt: texts.1,
            request_headers: lists.0,
            response_headers: lists.1,
            response_body: Bytes::from(body),
            response_truncated,
            started_at,
            duration_ms,
            timing: Timing {
                dns_us: spans[0],
                tcp_us: spans[1],
                tls_us: spans[2],
                first_byte_us: spans[3],
            },
            fenced,
            replay_id: ids.5.map(ReplayId::from_number),
        }
    }
}

prop_compose! {
    /// A claim.
    pub fn any_claim()(
        scope in scope(),
        checksum in any::<[u8; 32]>(),
        parts in vec(".*", 0..3),
        kind in coded::<ClaimKind>(2),
        variant in option::of(any::<[u8; 32]>()),
        message in id(),
        fingerprint in any::<[u8; 32]>(),
        times in (time(), time()),
    ) -> Claim {
        Claim {
            scope,
            checksum: Checksum::from_bytes(checksum),
            parts,
            kind,
            variant: variant.map(Fingerprint::from_bytes),
            message_id: MessageId::from_number(message),
            fingerprint: Fingerprint::from_bytes(fingerprint),
            first_seen_at: times.0,
            expires_at: times.1,
        }
    }
}
