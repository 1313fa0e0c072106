//! The rules of connections: what passes, what is dropped, and what the record says of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Answer, Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually,
    on_each_store,
};

on_each_store! {
    a_filter_lets_pass_what_fits_and_says_of_the_rest_why
    d2_an_event_that_came_before_its_connection_goes_through_the_rules
    a_connection_takes_what_it_deduplicates_once_and_names_the_original
    c3_of_many_at_once_one_passes_a_deduplicating_connection
    a_delay_makes_the_delivery_due_later
    sends_by_event_type_go_through_the_rules_and_the_callers_headers_count
    rules_can_be_changed_and_mistakes_in_them_are_named
    a_transform_is_what_is_signed_and_sent_and_every_attempt_sends_the_same
    a_transform_that_fails_holds_the_delivery_until_it_is_repaired
    an_endless_script_holds_only_its_own_deliveries
    a_script_is_looked_at_when_it_is_saved_and_can_be_tried
}

/// A source with a key, and an endpoint behind a connection with rules.
struct World {
    api: Api,
    source: Source,
    connection: String,
    receiver: Receiver,
    _gateway: Gateway,
    _data: Data,
}

async fn world(on: Backend, rules: Value) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::obliging().await;
    let api = gateway.api();
    let source = json!({"name": "provider", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    let connection = connect(&api, &json!({"source_id": source.id}), &endpoint, rules).await;
    World {
        api,
        source,
        connection,
        receiver,
        _gateway: gateway,
        _data: data,
    }
}

async fn connect(api: &Api, from: &Value, endpoint: &Endpoint, rules: Value) -> String {
    let mut connection = from.clone();
    connection["name"] = json!(format!("to {}", endpoint.id));
    connection["endpoint_id"] = json!(endpoint.id);
    connection["rules"] = rules;
    let made = api.create("/v1/connections", &connection).await;
    assert_eq!(made["rules"], connection["rules"]);
    text(&made, "id")
}

impl World {
    /// Takes an event in; its message's id.
    async fn take(&self, event: Value) -> String {
        let taken = self.api.ingest_json(&self.source, &event.to_string()).await;
        assert_eq!(taken["outcome"], "accepted", "{taken}");
        text(&taken, "message_id")
    }

    async fn message(&self, id: &str) -> Value {
        self.api.read(&format!("/v1/messages/{id}")).await
    }

    /// Gives the connection other rules.
    async fn patch(&self, rules: Value) -> Answer {
        let path = format!("/v1/connections/{}", self.connection);
        let patch = json!({"rules": rules});
        self.api.request(Method::PATCH, &path, &patch).await
    }

    /// What the one connection did with a message.
    async fn routing(&self, id: &str) -> Value {
        let message = self.message(id).await;
        let routing = message["routing"].as_array().expect("a list");
        assert_eq!(routing.len(), 1, "{message}");
        assert_eq!(routing[0]["connection_id"], json!(self.connection));
        routing[0].clone()
    }

    async fn delivered(&self, id: &str) -> Value {
        eventually("the message is delivered", || async {
            let message = self.message(id).await;
            (message["status"] == "delivered").then_some(message)
        })
        .await
    }
}

async fn a_filter_lets_pass_what_fits_and_says_of_the_rest_why(on: Backend) {
    let rule = json!({"type": "filter", "body": {"type": {"$startsWith": "order."}, "total": {"$gt": 0.5}}});
    let world = world(on, json!([rule])).await;
    let fits = world
        .take(json!({"id": 1, "type": "order.paid", "total": 7}))
        .await;
    let other = world
        .take(json!({"id": 2, "type": "user.made", "total": 7}))
        .await;
    let cheap = json!({"id": 3, "type": "order.paid", "total": 0.5});
    let answer = world
        .api
        .ingest_json(&world.source, &cheap.to_string())
        .await;
    assert!(text(&answer, "message").contains("rules"), "{answer}");

    world.delivered(&fits).await;
    assert_eq!(world.routing(&fits).await["outcome"], "routed");
    let dropped = world.message(&other).await;
    assert_eq!(dropped["status"], "filtered", "{dropped}");
    assert_eq!(dropped["deliveries"], json!([]));
    let routing = world.routing(&other).await;
    assert_eq!(
        (&routing["outcome"], &routing["rule"]),
        (&json!("filtered"), &json!(0))
    );
    assert!(text(&routing, "detail").contains("/body/type"), "{routing}");
    let listed = world.api.list("/v1/messages?status=filtered").await;
    let ids: Vec<&Value> = listed.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&answer["message_id"], &json!(other)]);
    assert_eq!(
        world.api.list("/v1/messages?status=no_route").await,
        [] as [Value; 0]
    );
    assert_eq!(world.receiver.seen().len(), 1);

    let again = json!({"id": 2, "type": "user.made", "total": 7}).to_string();
    let again = world.api.ingest_json(&world.source, &again).await;
    assert_eq!(
        (&again["outcome"], &again["effect"]),
        (&json!("duplicate"), &json!("suppressed"))
    );
}

async fn d2_an_event_that_came_before_its_connection_goes_through_the_rules(on: Backend) {
    let world = world(on, json!([{"type": "filter", "body": {"keep": true}}])).await;
    let late = world
        .api
        .source(&json!({"name": "late", "key": {"locations": ["body:$.id"]}}))
        .await;
    for (event, effect, status) in [
        (r#"{"id": 1, "keep": true}"#, "rerouted", "delivered"),
        (r#"{"id": 2, "keep": false}"#, "suppressed", "filtered"),
    ] {
        let first = world.api.ingest_json(&late, event).await;
        assert_eq!(first["effect"], "no_route");
        let rules = json!([{"type": "filter", "body": {"keep": true}}]);
        let from = json!({"source_id": late.id});
        let made = connect(&world.api, &from, &world.endpoint_named(event).await, rules).await;
        let again = world.api.ingest_json(&late, event).await;
        assert_eq!(again["effect"], effect, "{again}");
        let id = text(&first, "message_id");
        eventually("it stands as it should", || async {
            (world.message(&id).await["status"] == status).then_some(())
        })
        .await;
        world.api.delete(&format!("/v1/connections/{made}")).await;
    }
}

impl World {
    async fn endpoint_named(&self, name: &str) -> Endpoint {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        self.api
            .endpoint(name.trim_matches('-'), &self.receiver.url("/"), json!({}))
            .await
    }
}

async fn a_connection_takes_what_it_deduplicates_once_and_names_the_original(on: Backend) {
    let rule =
        json!({"type": "deduplicate", "locations": ["body:$.order"], "window_seconds": 3600});
    let world = world(on, json!([rule])).await;
    let first = world.take(json!({"id": 1, "order": "A"})).await;
    let copy = world.take(json!({"id": 2, "order": "A"})).await;
    let other = world.take(json!({"id": 3, "order": "B"})).await;
    world.delivered(&first).await;
    world.delivered(&other).await;
    assert_eq!(world.message(&copy).await["status"], "filtered");
    let routing = world.routing(&copy).await;
    assert_eq!(routing["outcome"], "deduplicated", "{routing}");
    assert_eq!(routing["original_message_id"], json!(first));
    assert_eq!(world.receiver.seen().len(), 2);

    let claims = world.api.list("/v1/keys/A").await;
    assert_eq!(claims.len(), 1, "{claims:?}");
    let scope = format!("connection:{}", world.connection);
    assert_eq!(claims[0]["scope"], json!(scope));
    world
        .api
        .delete(&format!("/v1/keys/A?scope={scope}&reason=test"))
        .await;
    let freed = world.take(json!({"id": 4, "order": "A"})).await;
    world.delivered(&freed).await;
}

async fn c3_of_many_at_once_one_passes_a_deduplicating_connection(on: Backend) {
    let rule = json!({"type": "deduplicate", "exclude": ["$.id"], "window_seconds": 60});
    let world = world(on, json!([rule])).await;
    let take = |id: i64| {
        let (api, source) = (world.api.clone(), world.source.clone());
        let event = json!({"id": id, "order": "A"}).to_string();
        tokio::spawn(async move { text(&api.ingest_json(&source, &event).await, "message_id") })
    };
    let takes: Vec<_> = (0..24).map(take).collect();
    let mut passed = 0;
    for taken in takes {
        let id = taken.await.expect("it is taken");
        let message = world.message(&id).await;
        passed += message["deliveries"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(passed, 1);
}

async fn a_delay_makes_the_delivery_due_later(on: Backend) {
    let world = world(on, json!([{"type": "delay", "seconds": 3600}])).await;
    let id = world.take(json!({"id": 1})).await;
    let message = world.message(&id).await;
    assert_eq!(message["status"], "pending");
    let routing = world.routing(&id).await;
    assert_eq!(routing["detail"], "delayed by 3600 s");
    let delivery = &message["deliveries"][0];
    assert!(
        text(delivery, "next_attempt_at") > text(&message, "received_at"),
        "{message}"
    );
    assert_eq!(delivery["attempts"], 0);
    let retry = format!("/v1/deliveries/{}/retry", text(delivery, "id"));
    assert_eq!(world.api.post(&retry, &Value::Null).await.status, 200);
    world.delivered(&id).await;
}

async fn sends_by_event_type_go_through_the_rules_and_the_callers_headers_count(on: Backend) {
    let world = world(on, json!([])).await;
    let rules =
        json!([{"type": "filter", "body": {"total": {"$gte": 100}}, "headers": {"X-Env": "live"}}]);
    let endpoint = world.endpoint_named("sends").await;
    let made = connect(
        &world.api,
        &json!({"event_types": ["order.*"]}),
        &endpoint,
        rules,
    )
    .await;
    let send = |total: i64, env: &str| {
        json!({"broadcast": true, "event_type": "order.paid", "payload": {"total": total},
            "headers": {"x-env": env}})
    };
    for (sent, outcome) in [
        (send(100, "live"), "routed"),
        (send(99, "live"), "filtered"),
        (send(100, "test"), "filtered"),
    ] {
        let record = world.api.create("/v1/webhooks/send", &sent).await;
        let routing = record["routing"].as_array().expect("a list");
        let of_it = routing.iter().find(|it| it["connection_id"] == json!(made));
        assert_eq!(of_it.expect("it matched")["outcome"], outcome, "{record}");
    }
}

async fn rules_can_be_changed_and_mistakes_in_them_are_named(on: Backend) {
    let world = world(on, json!([])).await;
    let path = format!("/v1/connections/{}", world.connection);
    let refused = world
        .patch(json!([{"type": "filter", "body": {"a": {"$regex": "("}}}]))
        .await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["errors"][0]["pointer"],
        "/rules/0/body/a/$regex"
    );
    let inexact = format!(
        r#"{{"rules": [{{"type": "filter", "body": {{"n": {}}}}}]}}"#,
        "0.12345678901234567890123"
    );
    let inexact = world
        .api
        .ask(Method::PATCH, &path, inexact.into())
        .await
        .unwrap();
    assert_eq!(inexact.status, 422);
    assert_eq!(inexact.json()["errors"][0]["pointer"], "/rules/0/body/n");
    assert_eq!(
        world
            .patch(json!([{"type": "filter", "body": {"a": 1}}]))
            .await
            .status,
        200
    );
    let dropped = world.take(json!({"id": 1, "a": 2})).await;
    assert_eq!(world.message(&dropped).await["status"], "filtered");
    assert_eq!(world.patch(json!([])).await.status, 200);
    let passed = world.take(json!({"id": 2, "a": 2})).await;
    world.delivered(&passed).await;
    assert_eq!(world.api.read(&path).await["rules"], json!([]));
}

const ADDS_A_HEADER: &str = "function transform(request) {
    request.headers['x-total'] = String(request.body.total);
    delete request.headers['x-secret'];
    request.body = {total: request.body.total * 2, at: Math.random()};
    return request;
}";

async fn a_transform_is_what_is_signed_and_sent_and_every_attempt_sends_the_same(on: Backend) {
    let world = world(on, json!([])).await;
    let answers = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| {
        let first = answers.fetch_add(1, Ordering::SeqCst) == 0;
        Reply::Status(if first { 500 } else { 200 })
    })
    .await;
    let settings = json!({"retry": {"strategy": "fixed", "base_seconds": 1}});
    let endpoint = world
        .api
        .endpoint("second", &receiver.url("/"), settings)
        .await;
    let from = json!({"source_id": world.source.id});
    let rules = json!([{"type": "transform", "script": ADDS_A_HEADER}]);
    connect(&world.api, &from, &endpoint, rules).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-secret", "1"),
        ("x-kept", "2"),
    ];
    let event = r#"{"id": 1, "total": 21}"#;
    let taken = world
        .api
        .ingest(&world.source, &headers, event)
        .await
        .unwrap()
        .json();
    let id = text(&taken, "message_id");
    let message = world.delivered(&id).await;
    assert_eq!(
        message["payload"],
        json!({"id": 1, "total": 21}),
        "the original is kept"
    );
    let seen = receiver.wait_for_count(2).await;
    assert_eq!(
        seen[0].body, seen[1].body,
        "though the script draws a random number"
    );
    for sent in &seen {
        sent.assert_signed_with(&endpoint.secret);
        assert_eq!(sent.header("x-total"), "21");
        assert_eq!((sent.header("x-secret"), sent.header("x-kept")), ("", "2"));
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body["total"], 42);
    }
    let plain = world.receiver.wait_for_count(1).await;
    assert_eq!(plain[0].body, event, "the other connection has no script");
}

async fn a_transform_that_fails_holds_the_delivery_until_it_is_repaired(on: Backend) {
    let failing = "function transform(request) { return request.body.none.deep }";
    let world = world(on, json!([{"type": "transform", "script": failing}])).await;
    let id = world.take(json!({"id": 1, "total": 21})).await;
    let held = eventually("the delivery is held", || async {
        let message = world.message(&id).await;
        (message["status"] == "held").then_some(message)
    })
    .await;
    let delivery = text(&held["deliveries"][0], "id");
    assert_eq!(held["deliveries"][0]["reason"], "transform_failed");
    let attempts = world
        .api
        .list(&format!("/v1/deliveries/{delivery}/attempts"))
        .await;
    assert!(
        text(&attempts[0], "error").contains("undefined"),
        "{attempts:?}"
    );
    assert!(world.receiver.seen().is_empty());

    let repaired = json!([{"type": "transform", "script": ADDS_A_HEADER}]);
    assert_eq!(world.patch(repaired).await.status, 200);
    let retry = format!("/v1/deliveries/{delivery}/retry");
    assert_eq!(world.api.post(&retry, &Value::Null).await.status, 200);
    world.delivered(&id).await;
    assert_eq!(world.receiver.seen()[0].header("x-total"), "21");
}

async fn an_endless_script_holds_only_its_own_deliveries(on: Backend) {
    let world = world(
        on,
        json!([{"type": "transform", "script": "function transform(r) { for (;;) {} }"}]),
    )
    .await;
    let endpoint = world.endpoint_named("beside").await;
    connect(
        &world.api,
        &json!({"source_id": world.source.id}),
        &endpoint,
        json!([]),
    )
    .await;
    let id = world.take(json!({"id": 1})).await;
    let message = eventually("one is held and one is delivered", || async {
        let message = world.message(&id).await;
        let mut statuses: Vec<String> = message["deliveries"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|delivery| text(delivery, "status"))
            .collect();
        statuses.sort();
        (statuses == ["delivered", "held"]).then_some(message)
    })
    .await;
    assert_eq!(message["status"], "held");
}

async fn a_script_is_looked_at_when_it_is_saved_and_can_be_tried(on: Backend) {
    let world = world(on, json!([])).await;
    for (script, about) in [
        ("function transform(", "script failed"),
        ("let x = 1", "no function named transform"),
        ("for (;;) {}", "not done within"),
    ] {
        let refused = world
            .patch(json!([{"type": "transform", "script": script}]))
            .await;
        assert_eq!(refused.status, 422, "{script}");
        let error = &refused.json()["errors"][0];
        assert_eq!(error["pointer"], "/rules/0/script");
        assert!(text(error, "detail").contains(about), "{script}: {error}");
    }
    let order =
        json!([{"type": "transform", "script": ADDS_A_HEADER}, {"type": "filter", "path": "/"}]);
    let refused = world.patch(order).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/rules/1");

    let sample = json!({"script": ADDS_A_HEADER, "request": {"headers": {"X-Secret": "1"}, "body": {"total": 4}}});
    let tried = world.api.create("/v1/transforms/test", &sample).await;
    assert_eq!(tried["request"]["headers"], json!({"x-total": "4"}));
    assert_eq!(tried["request"]["body"]["total"], 8);
    let id = world.take(json!({"id": 1, "total": 3})).await;
    let of_message = json!({"script": ADDS_A_HEADER, "message_id": id});
    let tried = world.api.create("/v1/transforms/test", &of_message).await;
    assert_eq!(tried["request"]["body"]["total"], 6);
    let failing =
        json!({"script": "function transform(r) { throw new Error('no') }", "message_id": id});
    let failed = world.api.post("/v1/transforms/test", &failing).await;
    assert_eq!(failed.status, 422);
    assert!(failed.text().contains("no"), "{}", failed.text());
}
