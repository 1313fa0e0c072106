//! Endpoints that let in only who shows something: basic, bearer, a token that is fetched.

use hooklatch_core::delivery::DeliveryStatus;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::time::Millis;
use serde_json::{Value, json};

use crate::receiver::{Receiver, Reply};
use crate::world::World;

fn granted(number: usize) -> Reply {
    Reply::Body(
        200,
        format!(r#"{{"access_token": "t{number}", "token_type": "Bearer", "expires_in": 3600}}"#),
    )
}

fn oauth2(tokens: &Receiver) -> Value {
    json!({"type": "oauth2", "token_url": tokens.url("/token"), "client_id": "us",
        "client_secret": "hush", "scope": "hooks"})
}

fn shown(receiver: &Receiver) -> Vec<String> {
    let seen = receiver.seen().into_iter();
    seen.map(|seen| {
        seen.headers
            .get("authorization")
            .cloned()
            .unwrap_or_default()
    })
    .collect()
}

#[tokio::test]
async fn basic_and_bearer_go_with_every_attempt_and_never_into_the_record() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let basic = json!({"type": "basic", "username": "us", "password": "hush"});
    let bearer = json!({"type": "bearer", "token": "hush"});
    let _engine = world.engine();
    for (number, auth) in [(1, basic), (2, bearer)] {
        let settings = json!({"url": receiver.url("/"), "auth": auth});
        let (endpoint, _) = world.endpoint(number, settings);
        let message = world.event_for(endpoint).await;
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
        let attempts = world.attempts(message).await;
        let text = format!("{attempts:?}");
        assert!(
            !text.contains("hush") && !text.contains("dXM6aHVzaA"),
            "{text}"
        );
        assert!(text.contains("***"), "{text}");
    }
    assert_eq!(shown(&receiver), ["Basic dXM6aHVzaA==", "Bearer hush"]);
}

#[tokio::test]
async fn a_token_is_fetched_once_for_many_attempts() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let tokens = Receiver::start(granted).await;
    let settings = json!({"url": receiver.url("/"), "auth": oauth2(&tokens)});
    let (endpoint, _) = world.endpoint(1, settings);
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(world.event_for(endpoint).await);
    }
    let _engine = world.engine();
    for message in messages {
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
    }
    assert_eq!(shown(&receiver), vec!["Bearer t1"; 20]);
    let asked = tokens.seen();
    assert_eq!(asked.len(), 1, "20 attempts at once ask once");
    assert_eq!(asked[0].headers["authorization"], "Basic dXM6aHVzaA==");
    let form = "grant_type=client_credentials&scope=hooks";
    assert_eq!(asked[0].body, form);
    assert_eq!(
        asked[0].headers["content-type"],
        "application/x-www-form-urlencoded"
    );
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_fetched_once_more_within_the_attempt() {
    let world = World::new();
    // The second request, under the token of the first, is refused.
    let receiver =
        Receiver::start(|count| Reply::Answer(if count == 2 { 401 } else { 200 }, Vec::new()))
            .await;
    let tokens = Receiver::start(granted).await;
    let settings = json!({"url": receiver.url("/"), "auth": oauth2(&tokens)});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    for _ in 0..2 {
        let message = world.event_for(endpoint).await;
        let delivery = world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
        assert_eq!(delivery.attempts, 1);
    }
    assert_eq!(shown(&receiver), ["Bearer t1", "Bearer t1", "Bearer t2"]);
    assert_eq!(tokens.seen().len(), 2);
}

#[tokio::test]
async fn a_refusal_of_a_new_token_is_believed() {
    let world = World::new();
    let receiver = Receiver::answering(401).await;
    let tokens = Receiver::start(granted).await;
    let settings = json!({"url": receiver.url("/"), "auth": oauth2(&tokens)});
    let (endpoint, _) = world.endpoint(1, settings);
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    world.waiting_after(message, 1).await;
    assert_eq!((receiver.seen().len(), tokens.seen().len()), (1, 1));
    world.advance(Millis::from_seconds(60));
    world.waiting_after(message, 2).await;
    // The kept one, then a new one, once.
    assert_eq!((receiver.seen().len(), tokens.seen().len()), (3, 2));
    let attempts = world.attempts(message).await;
    assert_eq!(attempts[1].status_code, Some(401));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_attempt_says_why() {
    let refusing = |_| {
        Reply::Body(
            400,
            r#"{"error": "invalid_client", "got": "hush"}"#.to_owned(),
        )
    };
    let nonsense = |_| Reply::Body(200, "<html>hush</html>".to_owned());
    let endless = |_| Reply::Body(200, format!("[\"{}", "x".repeat(1 << 20)));
    let servers = [
        (Receiver::start(refusing).await, "400 (invalid_client)"),
        (Receiver::start(nonsense).await, "no usable token"),
        (Receiver::start(endless).await, "no usable token"),
        (Receiver::start(|_| Reply::Cut).await, "broke"),
    ];
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let _engine = world.engine();
    for (number, (tokens, why)) in (1..).zip(&servers) {
        let settings = json!({"url": receiver.url("/"), "auth": oauth2(tokens)});
        let (endpoint, _) = world.endpoint(number, settings);
        let message = world.event_for(endpoint).await;
        world.waiting_after(message, 1).await;
        let attempt = world.attempts(message).await.remove(0);
        assert_eq!(attempt.outcome, AttemptOutcome::Failed);
        let error = attempt.error.expect("it says why");
        assert!(error.starts_with("no access token: "), "{error}");
        assert!(error.contains(why) && !error.contains("hush"), "{error}");
    }
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_token_server_that_is_down_does_not_hold_a_queue_up() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let tokens = Receiver::answering(503).await;
    let settings = json!({"url": receiver.url("/"), "auth": oauth2(&tokens)});
    let (endpoint, _) = world.endpoint(1, settings);
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(world.event_for(endpoint).await);
    }
    let _engine = world.engine();
    for message in messages {
        world.waiting_after(message, 1).await;
    }
    assert!(tokens.seen().len() < 20, "one failure answers all who wait");
}

#[tokio::test]
async fn an_address_that_may_not_be_reached_is_no_token_server_either() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let auth = json!({"type": "oauth2", "token_url": "https://metadata.example/token",
        "client_id": "us", "client_secret": "hush"});
    let (endpoint, _) = world.endpoint(1, json!({"url": receiver.url("/"), "auth": auth}));
    // It was saved before the rules for addresses were what they are.
    world.directory.change(endpoint, |endpoint| {
        let Some(hooklatch_core::config::EndpointAuth::OAuth2 { token_url, .. }) =
            &mut endpoint.auth
        else {
            panic!("it was saved so")
        };
        *token_url = "http://169.254.169.254/token".to_owned();
    });
    let _engine = world.engine();
    let message = world.event_for(endpoint).await;
    world.waiting_after(message, 1).await;
    let error = world
        .attempts(message)
        .await
        .remove(0)
        .error
        .expect("it says why");
    assert!(error.contains("the request was not sent"), "{error}");
}

#[tokio::test]
async fn other_credentials_get_another_token() {
    let world = World::new();
    let receiver = Receiver::answering(200).await;
    let tokens = Receiver::start(granted).await;
    let _engine = world.engine();
    for secret in ["one", "two"] {
        let mut auth = oauth2(&tokens);
        auth["client_secret"] = json!(secret);
        let settings = json!({"url": receiver.url("/"), "auth": auth});
        let (endpoint, _) = world.endpoint(1, settings);
        let message = world.event_for(endpoint).await;
        world
            .delivery_with(message, DeliveryStatus::Delivered)
            .await;
    }
    assert_eq!(shown(&receiver), ["Bearer t1", "Bearer t2"]);
}
