//! Endpoints that take nothing, and endpoints that are slow.

use hooklatch_core::delivery::{DeliveryStatus, Lane, Reason};
use hooklatch_core::time::Millis;
use hooklatch_store::Deliveries;
use serde_json::json;

use crate::receiver::{Receiver, Reply};
use crate::world::World;

#[tokio::test]
async fn o7_gone_disables_the_endpoint_and_fails_what_waits_for_it() {
    let world = World::new();
    let receiver = Receiver::start(|count| match count {
        1 => Reply::Answer(500, Vec::new()),
        _ => Reply::Answer(410, Vec::new()),
    })
    .await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let _engine = world.engine();
    let waiting = world.event_for(endpoint).await;
    world.waiting_after(waiting, 1).await;
    let gone = world.event_for(endpoint).await;
    let failed = world.delivery_with(gone, DeliveryStatus::Failed).await;
    assert_eq!(failed.state.reason(), Some(Reason::EndpointGone));
    let failed = world.delivery_with(waiting, DeliveryStatus::Failed).await;
    assert_eq!(failed.state.reason(), Some(Reason::EndpointDisabled));
    assert_eq!((failed.attempts, receiver.seen().len()), (1, 2));
}

#[tokio::test]
async fn what_waits_for_a_deleted_endpoint_is_cancelled() {
    let world = World::new();
    let receiver = Receiver::answering(500).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    world.waiting_after(message, 1).await;
    world.directory.delete(endpoint);
    world
        .store
        .hasten(Lane::of_endpoint(endpoint))
        .await
        .unwrap();
    let cancelled = world
        .delivery_with(message, DeliveryStatus::Cancelled)
        .await;
    assert_eq!(cancelled.state.reason(), Some(Reason::EndpointDeleted));
    assert_eq!((cancelled.attempts, receiver.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_paused_endpoint_makes_its_deliveries_wait_and_a_resumed_one_gets_them() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (paused, _) = world.endpoint(1, json!({"url": receiver.url("/paused"), "paused": true}));
    let (open, _) = world.endpoint(2, json!({"url": receiver.url("/open")}));
    let _engine = world.engine();
    let waiting = world.event_for(paused).await;
    let other = world.event_for(open).await;
    world.delivery_with(other, DeliveryStatus::Delivered).await;
    let delivery = world.delivery(waiting).await;
    assert_eq!(delivery.state.status(), DeliveryStatus::Pending);
    assert_eq!(delivery.attempts, 0);
    world
        .directory
        .change(paused, |endpoint| endpoint.paused = false);
    world
        .delivery_with(waiting, DeliveryStatus::Delivered)
        .await;
    let paths: Vec<_> = receiver
        .seen()
        .into_iter()
        .map(|seen| seen.path_and_query)
        .collect();
    assert_eq!(paths, ["/open", "/paused"]);
}

#[tokio::test]
async fn a_slow_endpoint_gets_no_more_than_its_share_and_delays_no_other() {
    let world = World::new();
    let slow = Receiver::start(|_| Reply::Hang).await;
    let fast = Receiver::answering(200).await;
    let settings = json!({"url": slow.url("/"), "rate_limit": {"concurrency": 3}});
    let (slow_endpoint, _) = world.endpoint(1, settings);
    let (fast_endpoint, _) = world.endpoint(2, json!({"url": fast.url("/")}));
    let engine = world.engine();
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(world.event_for(slow_endpoint).await);
    }
    slow.has_seen(3).await;
    let quick = world.event_for(fast_endpoint).await;
    world.delivery_with(quick, DeliveryStatus::Delivered).await;
    assert_eq!((engine.in_flight(), slow.seen().len()), (3, 3));
    slow.release();
    for message in waiting {
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
    }
}

#[tokio::test]
async fn a_retired_secret_signs_no_more() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    world.directory.change(endpoint, |endpoint| {
        let mut older = endpoint.secrets[0].clone();
        older.retired_at = Some(older.created_at + Millis::from_seconds(60));
        endpoint.secrets.push(older);
    });
    let _engine = world.engine();
    for (wait, signatures) in [(0, 2), (60, 1)] {
        world.advance(Millis::from_seconds(wait));
        let message = world.event_for(endpoint).await;
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
        let seen = receiver.seen().pop().unwrap();
        let signed = seen.headers["webhook-signature"].split(' ').count();
        assert_eq!(signed, signatures, "after {wait} s");
    }
}
