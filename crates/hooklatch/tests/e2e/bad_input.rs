//! Well-formed HTTP with nonsense in it. Webhooks are taken as they are, because the provider will
//! not send a better one; whoever configures or sends is told which field is wrong, and why.

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{Answer, Api, Backend, Data, Gateway, Receiver, Source, on_each_store};

on_each_store! {
    k5_a_body_that_cannot_be_read_is_delivered_as_it_is
    k5_without_a_key_the_source_decides
    k3_keys_of_any_type_and_length_are_told_apart
    s5_a_send_that_cannot_be_meant_is_refused_and_says_why
    configuration_of_wrong_types_and_values_is_refused_at_its_field
    unknown_and_malformed_ids_are_not_found
    without_the_right_key_nobody_gets_in
}

struct World {
    api: Api,
    receiver: Receiver,
    _gateway: Gateway,
    _data: Data,
}

async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    World {
        api: gateway.api(),
        receiver: Receiver::obliging().await,
        _gateway: gateway,
        _data: data,
    }
}

impl World {
    async fn keyed(&self, name: &str, missing_key: &str) -> Source {
        let key = json!({"locations": ["body:$.id"], "missing_key": missing_key});
        self.api.source(&json!({"name": name, "key": key})).await
    }

    async fn arrive(&self, source: &Source, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        let answer = self.api.ingest(source, &headers, body.to_owned()).await;
        answer.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// The outcome of each body in turn.
    async fn outcomes(&self, source: &Source, bodies: &[&str]) -> Vec<String> {
        let mut outcomes = Vec::new();
        for body in bodies {
            let answer = self.arrive(source, body).await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.text());
            outcomes.push(text(&answer.json(), "outcome"));
        }
        outcomes
    }
}

/// Asserts that a refusal has the form that clients rely on.
fn assert_problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{}",
        answer.text()
    );
    let problem = answer.json();
    for field in ["type", "title", "detail"] {
        assert_ne!(text(&problem, field), "", "{problem}");
    }
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(
        text(&problem, "request_id"),
        answer.header("x-request-id"),
        "{problem}"
    );
    problem
}

async fn k5_a_body_that_cannot_be_read_is_delivered_as_it_is(on: Backend) {
    let world = world(on).await;
    let source = world.keyed("provider", "accept").await;
    let endpoint = world
        .api
        .endpoint("orders", &world.receiver.url("/"), json!({}))
        .await;
    world.api.connect(&source, &endpoint).await;
    let broken = [
        "{\"id\": 1",
        "\0\u{1}\u{2}",
        "",
        "[1, 2",
        "{\"id\": \"a\"} and more",
    ];
    for (index, body) in broken.iter().enumerate() {
        let outcome = world.outcomes(&source, &[body]).await;
        assert_eq!(outcome, ["accepted"], "{body}");
        let seen = world.receiver.wait_for_count(index + 1).await;
        assert_eq!(seen[index].body, body.as_bytes());
    }
}

async fn k5_without_a_key_the_source_decides(on: Backend) {
    let world = world(on).await;
    let without = ["{}", r#"{"id": null}"#, r#"{"id": ""}"#];
    let accepting = world.keyed("accepting", "accept").await;
    for body in without {
        assert_eq!(
            world.outcomes(&accepting, &[body, body]).await,
            ["accepted", "accepted"]
        );
    }
    let by_content = world.keyed("by content", "content").await;
    for body in without {
        assert_eq!(
            world.outcomes(&by_content, &[body, body]).await,
            ["accepted", "duplicate"]
        );
    }
    let rejecting = world.keyed("rejecting", "reject").await;
    for body in without {
        let problem = assert_problem(&world.arrive(&rejecting, body).await, 422);
        assert!(
            problem.to_string().contains("$.id"),
            "it does not say where it looked: {problem}"
        );
    }
}

async fn k3_keys_of_any_type_and_length_are_told_apart(on: Backend) {
    let world = world(on).await;
    let source = world.keyed("provider", "reject").await;
    let long = "k".repeat(10 * 1024);
    let long = [
        format!(r#"{{"id": "{long}"}}"#),
        format!(r#"{{"id": "{long}!"}}"#),
    ];
    let different = [
        r#"{"id": 1}"#,
        r#"{"id": "1"}"#,
        r#"{"id": [1]}"#,
        r#"{"id": ["1"]}"#,
        r#"{"id": {"1": 1}}"#,
        r#"{"id": true}"#,
        r#"{"id": 9007199254740993}"#,
        r#"{"id": 9007199254740992}"#,
        &long[0],
        &long[1],
    ];
    for body in different {
        assert_eq!(
            world.outcomes(&source, &[body, body]).await,
            ["accepted", "duplicate"]
        );
    }
    assert_eq!(
        world.outcomes(&source, &[r#"{"id": 1.0}"#]).await,
        ["duplicate"]
    );
}

async fn s5_a_send_that_cannot_be_meant_is_refused_and_says_why(on: Backend) {
    let world = world(on).await;
    let endpoint = world
        .api
        .endpoint("orders", &world.receiver.url("/"), json!({}))
        .await;
    let send = async |body: &str| {
        let body = body.replace("EP", &endpoint.id);
        let answer = world
            .api
            .ask(Method::POST, "/v1/webhooks/send", body.into())
            .await;
        answer.unwrap()
    };
    let long_key = format!(
        r#"{{"endpoint_id": "EP", "payload": 1, "idempotency_key": "{}"}}"#,
        "k".repeat(256)
    );
    for body in [
        r#"{"endpoint_id": "EP", "payload": "#,
        "not json",
        "",
        r#"{"payload": {"no": "target"}}"#,
        r#"{"endpoint_id": "EP", "payload": 1, "idempotency_key": ""}"#,
        r#"{"endpoint_id": "EP", "payload": 1, "idempotency_key": "a b"}"#,
        r#"{"endpoint_id": "EP", "payload": 1, "idempotency_key": "ü"}"#,
        &long_key,
    ] {
        assert_problem(&send(body).await, 400);
    }
    for (body, pointer) in [
        (r#"{"endpoint_id": 5, "payload": 1}"#, "/endpoint_id"),
        (
            r#"{"endpoint_id": "EP", "payload": 1, "delay_seconds": "soon"}"#,
            "/delay_seconds",
        ),
        (
            r#"{"endpoint_id": "EP", "payload": 1, "delay_seconds": -1}"#,
            "/delay_seconds",
        ),
        (
            r#"{"endpoint_id": "EP", "payload": 1, "event_type": []}"#,
            "/event_type",
        ),
        (r#"{"url": "ftp://example.com", "payload": 1}"#, "/url"),
    ] {
        let problem = assert_problem(&send(body).await, 422);
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{body}: {problem}"
        );
    }
    assert_eq!(world.api.list("/v1/messages").await, Vec::<Value>::new());
}

async fn configuration_of_wrong_types_and_values_is_refused_at_its_field(on: Backend) {
    let world = world(on).await;
    for (path, body, pointer) in [
        ("/v1/sources", json!({"name": 5}), "/name"),
        (
            "/v1/sources",
            json!({"name": "s", "key": {"locations": ["body:$..id"]}}),
            "/key",
        ),
        (
            "/v1/sources",
            json!({"name": "s", "window_seconds": -1}),
            "/window_seconds",
        ),
        (
            "/v1/sources",
            json!({"name": "s", "on_conflict": "explode"}),
            "/on_conflict",
        ),
        (
            "/v1/sources",
            json!({"name": "s", "provider": "nobody"}),
            "/provider",
        ),
        (
            "/v1/endpoints",
            json!({"name": "e", "url": "no url"}),
            "/url",
        ),
        ("/v1/endpoints", json!({"name": "e", "url": 7}), "/url"),
        (
            "/v1/endpoints",
            json!({"name": "e", "url": "http://u:p@example.com"}),
            "/url",
        ),
        (
            "/v1/endpoints",
            json!({"name": "e", "url": "http://127.0.0.1:1", "timeout_seconds": 0}),
            "/timeout_seconds",
        ),
    ] {
        let problem = assert_problem(&world.api.post(path, &body).await, 422);
        let found = text(&problem["errors"][0], "pointer");
        assert!(found.starts_with(pointer), "{body}: {problem}");
    }
    let broken = world
        .api
        .ask(Method::POST, "/v1/sources", "{\"name\"".into())
        .await;
    assert_problem(&broken.unwrap(), 400);
}

async fn unknown_and_malformed_ids_are_not_found(on: Backend) {
    let world = world(on).await;
    let source = world.keyed("provider", "accept").await;
    let taken = world.arrive(&source, "{}").await.json();
    let known = text(&taken, "message_id");
    let (start, last) = known.split_at(known.len() - 1);
    let unknown = format!("{start}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(
        world.api.get(&format!("/v1/messages/{known}")).await.status,
        200
    );
    for path in [
        format!("/v1/messages/{unknown}"),
        format!("/v1/messages/{unknown}/deliveries"),
        format!("/v1/messages/{unknown}/requests"),
        format!("/v1/deliveries/{known}"),
        format!("/v1/requests/{known}"),
        "/v1/messages/msg_x".to_owned(),
        "/v1/messages/%00%ff".to_owned(),
        "/v1/sources/src_x".to_owned(),
        "/v1/endpoints/ep_x".to_owned(),
        "/v1/connections/con_x".to_owned(),
        "/v1/nothing".to_owned(),
    ] {
        let answer = world.api.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_problem(&answer, 404);
    }
    let nowhere = Source {
        id: String::new(),
        path: "/ingest/in_no_such_token".to_owned(),
    };
    assert_problem(&world.arrive(&nowhere, "{}").await, 404);
}

async fn without_the_right_key_nobody_gets_in(on: Backend) {
    let world = world(on).await;
    let address = world._gateway.address;
    for authorization in [
        "",
        "Bearer ",
        "Bearer hl_wrong_wrong_wrong_wrong_wrong_wrong",
        "Basic YTpi",
    ] {
        for path in ["/v1/messages", "/v1/sources", "/v1/webhooks/send"] {
            let headers = [("authorization", authorization)];
            let asked = crate::support::http::call(
                address,
                if path.ends_with("send") {
                    Method::POST
                } else {
                    Method::GET
                },
                path,
                &headers,
                "{}".into(),
            );
            assert_problem(&asked.await.unwrap(), 401);
        }
    }
}
