//! What receivers get, and what their answers mean.

use hooklatch_core::admission::ReleaseInput;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::{DeliveryStatus, Reason, Trigger};
use hooklatch_core::ids::{ConnectionId, MessageId};
use hooklatch_core::message::Direction;
use hooklatch_core::outgoing::derived_key;
use hooklatch_core::signature::{SigningSecret, sign};
use hooklatch_core::time::Millis;
use hooklatch_store::{Admissions, ReleaseOutcome};
use serde_json::json;

use crate::receiver::{Receiver, Reply, Seen};
use crate::world::{Event, PROJECT, World};

fn seconds(seconds: i64) -> Millis {
    Millis::from_seconds(seconds)
}

fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn is_signed_by(seen: &Seen, secret: &SigningSecret) -> bool {
    let time = seen.headers["webhook-timestamp"].parse().unwrap();
    let id = &seen.headers["webhook-id"];
    let signature = sign(std::slice::from_ref(secret), id, time, &seen.body);
    seen.headers["webhook-signature"] == signature
}

#[tokio::test]
async fn o1_o2_o6_an_attempt_says_what_it_is_and_proves_it() {
    let world = World::new();
    let receiver = Receiver::answering(204).await;
    let settings = json!({
        "url": receiver.url("/in?tenant=a"),
        "headers": {"Authorization": "Bearer out", "X-Team": "red"},
        "method": "PUT",
        "forward_path": true,
    });
    let (endpoint, secret) = world.endpoint(1, settings);
    let mut event = Event::to(endpoint);
    event.key = Some("evt_1");
    event.envelope.path = "/push".to_owned();
    event.envelope.query = Some("q=1".to_owned());
    event.envelope.headers.extend(pairs(&[
        ("x-github-event", "push"),
        ("authorization", "Bearer in"),
        ("host", "gateway.test"),
        ("content-length", "999"),
        ("webhook-id", "theirs"),
    ]));
    let engine = world.engine();
    let message = world.arrive(event).await.message_id;
    let delivery = world
        .delivery_with(message, DeliveryStatus::Delivered)
        .await;

    let [seen] = &receiver.seen()[..] else {
        panic!("there was not one request");
    };
    assert!(is_signed_by(seen, &secret));
    assert_eq!(
        (seen.method.as_str(), seen.path_and_query.as_str()),
        ("PUT", "/in/push?tenant=a&q=1")
    );
    assert_eq!(&seen.body[..], br#"{"id": 1}"#);
    for (name, value) in [
        ("webhook-id", message.to_string().as_str()),
        ("idempotency-key", &"05".repeat(32)),
        ("hooklatch-attempt", "1"),
        ("hooklatch-trigger", "first"),
        ("hooklatch-original-time", "2023-11-14T22:13:20.000Z"),
        ("content-type", "application/json"),
        ("content-length", "9"),
        ("x-github-event", "push"),
        ("authorization", "Bearer out"),
        ("x-team", "red"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }

    let attempts = world.attempts(message).await;
    let [attempt] = &attempts[..] else {
        panic!("there was not one attempt");
    };
    assert_eq!(attempt.delivery_id, delivery.id);
    assert_eq!(attempt.outcome, AttemptOutcome::Delivered);
    assert_eq!((attempt.number, attempt.status_code), (1, Some(204)));
    assert!(attempt.timing.tcp_us.is_some() && attempt.timing.first_byte_us.is_some());
    for (name, value) in [
        ("webhook-signature", "***"),
        ("authorization", "***"),
        ("x-team", "red"),
        ("idempotency-key", &"05".repeat(32)),
    ] {
        let sent = attempt
            .request_headers
            .iter()
            .find(|(sent, _)| sent == name);
        assert_eq!(sent.unwrap().1, value, "{name}");
    }
    engine.drain(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn o1_several_connections_to_one_endpoint_have_ids_of_their_own() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let mut event = Event::to(endpoint);
    let way = event.destinations[0];
    event.destinations = [11, 12]
        .map(
            |connection| hooklatch_core::delivery::lifecycle::Destination {
                connection_id: Some(ConnectionId::from_number(connection)),
                suffix_webhook_id: true,
                ..way
            },
        )
        .to_vec();
    let _engine = world.engine();
    let message = world.arrive(event).await.message_id;
    receiver.has_seen(2).await;
    let mut ids: Vec<_> = receiver.seen();
    ids.sort_by_key(|seen| seen.headers["webhook-id"].clone());
    let ids: Vec<_> = ids
        .iter()
        .map(|seen| seen.headers["webhook-id"].clone())
        .collect();
    let wanted = [11, 12].map(|connection| {
        let connection = ConnectionId::from_number(connection);
        format!("{message}-{connection}")
    });
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn o1_a_send_carries_the_callers_key_and_none_of_the_calls_headers() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let settings = json!({"url": receiver.url("/"), "headers": {"X-Env": "endpoint"}});
    let (endpoint, secret) = world.endpoint(1, settings);
    let mut event = Event::to(endpoint);
    event.direction = Direction::Outbound;
    event.key = Some("order-7");
    event.envelope.headers = pairs(&[("x-of-the-call", "1"), ("content-type", "text/plain")]);
    event.envelope.path = "/v1/webhooks/send".to_owned();
    event.extra_headers = pairs(&[("x-env", "message"), ("webhook-id", "mine")]);
    let _engine = world.engine();
    let message = world.arrive(event).await.message_id;
    receiver.has_seen(1).await;
    let seen = receiver.seen().remove(0);
    assert!(is_signed_by(&seen, &secret));
    assert_eq!(seen.headers["idempotency-key"], "order-7");
    assert_eq!(seen.headers["webhook-id"], message.to_string());
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["x-env"], "message");
    assert!(!seen.headers.contains_key("x-of-the-call"));
    assert_eq!(
        (seen.method.as_str(), seen.path_and_query.as_str()),
        ("POST", "/")
    );
}

#[tokio::test]
async fn o1_a_send_to_a_bare_url_is_signed_with_its_own_secret_or_the_projects() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let own = SigningSecret::generate_hmac([77; 32]);
    let sealed = world.seal(&own);
    let _engine = world.engine();
    for (sealed, secret) in [(None, world.project_secret()), (Some(sealed), own)] {
        let event = Event::to_url(receiver.url("/direct"), sealed);
        let message = world.arrive(event).await.message_id;
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
        let seen = receiver.seen().pop().unwrap();
        assert_eq!(seen.path_and_query, "/direct");
        assert!(is_signed_by(&seen, &secret));
    }
    let unreadable = Event::to_url(receiver.url("/direct"), Some("hl1:AAAA".to_owned()));
    let message = world.arrive(unreadable).await.message_id;
    world.waiting_after(message, 1).await;
    let attempt = world.attempts(message).await.remove(0);
    assert_eq!(attempt.outcome, AttemptOutcome::Failed);
    assert!(attempt.error.unwrap().contains("cannot be opened"));
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn d4_a_released_duplicate_has_a_derived_key() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let event = || Event {
        direction: Direction::Outbound,
        key: Some("order-7"),
        ..Event::to(endpoint)
    };
    let _engine = world.engine();
    world.arrive(event()).await;
    let duplicate = world.arrive(event()).await;
    let input = ReleaseInput {
        destinations: event().destinations.into(),
        rulings: [].into(),
        now: world.now(),
    };
    let released = world.store.release(PROJECT, duplicate.request_id, input);
    let ReleaseOutcome::Released(message) = released.await.unwrap() else {
        panic!("the duplicate was not released");
    };
    receiver.has_seen(2).await;
    let of_message = |seen: &&Seen| seen.headers["webhook-id"] == message.to_string();
    let all = receiver.seen();
    let seen = all.iter().find(of_message).unwrap();
    assert_eq!(
        seen.headers["idempotency-key"],
        derived_key("order-7", message)
    );
}

#[tokio::test]
async fn o7_failures_are_repeated_on_the_schedule_until_it_ends() {
    let world = World::new();
    let receiver = Receiver::answering(500).await;
    let settings = json!({"url": receiver.url("/"), "retry": {"schedule_seconds": [10, 100]}});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    for (attempt, wait) in [(1, 10), (2, 100)] {
        let waiting = world.waiting_after(message, attempt).await;
        let due_in = waiting.next_attempt_at().unwrap().since(world.now());
        assert!(
            due_in >= seconds(wait) && due_in <= seconds(wait * 6 / 5),
            "{due_in:?}"
        );
        world.advance(due_in);
    }
    let failed = world.delivery_with(message, DeliveryStatus::Failed).await;
    assert_eq!(failed.state.reason(), Some(Reason::AttemptsExhausted));

    let attempts = world.attempts(message).await;
    let triggers: Vec<_> = attempts.iter().map(|attempt| attempt.trigger).collect();
    assert_eq!(triggers, [Trigger::First, Trigger::Retry, Trigger::Retry]);
    let seen = receiver.seen();
    let numbers: Vec<_> = seen
        .iter()
        .map(|seen| seen.headers["hooklatch-attempt"].as_str())
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(
        seen.iter()
            .all(|seen| seen.headers["webhook-id"] == message.to_string())
    );
}

#[tokio::test]
async fn o7_a_redirect_is_a_failure_and_is_not_followed() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Answer(302, vec![("location", "/elsewhere")])).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/in")}));
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    world.waiting_after(message, 1).await;
    let attempt = world.attempts(message).await.remove(0);
    assert_eq!(
        (attempt.outcome, attempt.status_code),
        (AttemptOutcome::Failed, Some(302))
    );
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn o7_retry_after_is_a_minimum() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Answer(429, vec![("retry-after", "3600")])).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    let waiting = world.waiting_after(message, 1).await;
    let due_in = waiting.next_attempt_at().unwrap().since(world.now());
    assert_eq!(due_in, seconds(3_600));
}

#[tokio::test]
async fn o3_in_progress_burns_no_attempt() {
    let world = World::new();
    let receiver = Receiver::start(|count| match count {
        1 => Reply::Answer(
            503,
            vec![("hooklatch-receipt", "in-progress"), ("retry-after", "30")],
        ),
        _ => Reply::Answer(200, vec![("hooklatch-receipt", "duplicate")]),
    })
    .await;
    let settings = json!({"url": receiver.url("/"), "retry": {"max_attempts": 1}});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    let waiting = world.waiting_after(message, 1).await;
    assert_eq!(waiting.attempts_spent(), 0);
    assert_eq!(
        waiting.next_attempt_at().unwrap().since(world.now()),
        seconds(30)
    );
    world.advance(seconds(30));
    world
        .delivery_with(message, DeliveryStatus::Delivered)
        .await;
    let attempts = world.attempts(message).await;
    let receipts: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.receipt.as_deref())
        .collect();
    assert_eq!(receipts, [Some("in-progress"), Some("duplicate")]);
}

#[tokio::test]
async fn o3_rejected_ends_the_delivery() {
    let world = World::new();
    let receiver =
        Receiver::start(|_| Reply::Answer(422, vec![("hooklatch-receipt", "rejected")])).await;
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/")}));
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    let failed = world.delivery_with(message, DeliveryStatus::Failed).await;
    assert_eq!(failed.state.reason(), Some(Reason::RejectedByReceiver));
    let attempt = world.attempts(message).await.remove(0);
    assert_eq!(attempt.outcome, AttemptOutcome::Rejected);
}

#[tokio::test]
async fn o5_a_connection_that_breaks_after_the_request_is_uncertain() {
    let world = World::new();
    let receiver = Receiver::start(|_| Reply::Cut).await;
    let url = receiver.url("/");
    let (held, _) = world.endpoint(1, json!({"url": url, "on_uncertain": "hold"}));
    let (retried, _) = world.endpoint(2, json!({"url": url}));
    let _engine = world.engine();
    let message = world.event_for(held).await;
    let delivery = world.delivery_with(message, DeliveryStatus::Held).await;
    assert_eq!(delivery.state.reason(), Some(Reason::Uncertain));
    assert_eq!(receiver.seen().len(), 1);
    let other = world.event_for(retried).await;
    world.waiting_after(other, 1).await;
    for message in [message, other] {
        assert_eq!(outcome(&world, message).await, AttemptOutcome::Uncertain);
    }
}

#[tokio::test]
async fn o5_a_receiver_that_was_never_reached_is_a_plain_failure() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let refused = receiver.url("/").replace("127.0.0.1", "127.0.0.77");
    let settings = json!({"url": refused, "on_uncertain": "hold"});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    world.waiting_after(message, 1).await;
    assert_eq!(outcome(&world, message).await, AttemptOutcome::Failed);
}

async fn outcome(world: &World, message: MessageId) -> AttemptOutcome {
    world.attempts(message).await[0].outcome
}
