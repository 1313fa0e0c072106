//! Rules in shadow mode: what they would have done, and that they do nothing.

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Api, Backend, Data, Gateway, Receiver, Source, eventually, on_each_lasting_store, on_each_store,
};

on_each_store! {
    a_rule_in_shadow_mode_drops_nothing_and_says_what_it_would_have_dropped
    a_changed_rule_in_shadow_mode_begins_anew
    a_rule_in_shadow_mode_is_checked_when_it_is_saved
    k5_coverage_is_a_figure_over_time
}

on_each_lasting_store! {
    "It is killed, and the next process shows what was judged before":
    a_key_in_shadow_mode_is_judged_beside_the_real_one_and_survives_a_kill
}

async fn take(api: &Api, source: &Source, event: Value) -> Value {
    api.ingest_json(source, &event.to_string()).await
}

/// The figures of a report in the order of the documentation.
fn figures(report: &Value) -> [u64; 6] {
    [
        "judged",
        "without_key",
        "would_be_suppressed",
        "payload_differs",
        "newly_suppressed",
        "no_longer_suppressed",
    ]
    .map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{report}")))
}

async fn shadows(api: &Api, of: &str) -> Vec<Value> {
    let answer = api.read(&format!("/v1/{of}/shadow")).await;
    answer["data"].as_array().expect("a list").clone()
}

async fn patch(api: &Api, path: &str, patch: Value) -> Value {
    let answer = api.request(Method::PATCH, path, &patch).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn a_rule_in_shadow_mode_drops_nothing_and_says_what_it_would_have_dropped(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let (api, receiver) = (gateway.api(), Receiver::obliging().await);
    let keyed = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&keyed).await;
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    let rule = json!({
        "type": "deduplicate", "locations": ["body:$.order"], "window_seconds": 3600, "shadow": true,
    });
    let connection = json!({
        "name": "c", "source_id": source.id, "endpoint_id": endpoint.id, "rules": [rule],
    });
    let made = api.create("/v1/connections", &connection).await;
    assert_eq!(made["rules"], json!([rule]));
    let path = format!("connections/{}", text(&made, "id"));
    assert_eq!(figures(&shadows(&api, &path).await[0]), [0; 6]);

    let first = take(&api, &source, json!({"id": 1, "order": "a", "n": 1})).await;
    let second = take(&api, &source, json!({"id": 2, "order": "a", "n": 2})).await;
    take(&api, &source, json!({"id": 3})).await;
    receiver.wait_for_count(3).await;

    let message = format!("/v1/messages/{}", text(&second, "message_id"));
    let routing = &api.read(&message).await["routing"][0];
    assert_eq!(routing["outcome"], "routed");
    let would_drop = &routing["shadows"][0];
    assert_eq!(would_drop["original_message_id"], first["message_id"]);
    assert_eq!(would_drop["payload_differs"], true);
    let detail = text(would_drop, "detail");
    assert!(detail.starts_with("would have been suppressed"), "{detail}");

    let reports = shadows(&api, &path).await;
    let [report] = &reports[..] else {
        panic!("one rule is in shadow mode: {reports:?}");
    };
    assert_eq!(figures(report), [3, 1, 1, 1, 1, 0]);
    assert_eq!((&report["rule"], &report["tried"]), (&json!(0), &rule));
    let sample = &report["samples"][0];
    assert_eq!(sample["request_id"], second["request_id"]);
    assert_eq!(sample["original_message_id"], first["message_id"]);
    assert_eq!(
        (&sample["accepted"], &sample["key"]),
        (&json!(true), &json!("a"))
    );
}

async fn a_key_in_shadow_mode_is_judged_beside_the_real_one_and_survives_a_kill(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let mut api = gateway.api();
    let tried = json!({
        "key": {"locations": ["body:$.order"], "mode": "all"}, "window_seconds": 3600,
    });
    let source = json!({
        "name": "shop", "key": {"locations": ["body:$.id"]}, "shadow_key": tried,
    });
    let source = api.source(&source).await;
    let of = format!("sources/{}", source.id);
    take(&api, &source, json!({"id": 1, "order": "a"})).await;
    take(&api, &source, json!({"id": 2, "order": "a"})).await;
    gateway.kill().await;
    gateway = Gateway::start(&data).await;
    api = gateway.api();
    let again = take(&api, &source, json!({"id": 1, "order": "a"})).await;
    assert_eq!(again["outcome"], "duplicate", "the real key acts");
    take(&api, &source, json!({"id": 3})).await;
    let report = eventually("the gateway reads what was judged", || async {
        shadows(&api, &of).await.into_iter().next()
    })
    .await;
    assert_eq!(figures(&report), [4, 1, 2, 1, 1, 0]);
    assert_eq!(report["rule"], Value::Null);
    assert_eq!(report["tried"]["window_seconds"], 3600);
    let listed = api.list("/v1/keys?key=a").await;
    assert_eq!(listed, [] as [Value; 0], "it protects nothing");
    let elsewhere = api.get("/v1/sources/src_0000000000000/shadow").await;
    assert_eq!(elsewhere.status, 404);

    patch(&api, &format!("/v1/{of}"), json!({"shadow_key": null})).await;
    assert_eq!(shadows(&api, &of).await, [] as [Value; 0]);
}

async fn a_changed_rule_in_shadow_mode_begins_anew(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "shop"})).await;
    let (of, path) = (
        format!("sources/{}", source.id),
        format!("/v1/sources/{}", source.id),
    );
    let tried = |seconds| {
        let key = json!({"locations": ["body:$.id"]});
        json!({"shadow_key": {"key": key, "window_seconds": seconds}})
    };
    patch(&api, &path, tried(60)).await;
    for n in [1, 2] {
        take(&api, &source, json!({"id": 1, "n": n})).await;
    }
    assert_eq!(figures(&shadows(&api, &of).await[0]), [2, 0, 1, 1, 1, 0]);
    patch(&api, &path, tried(61)).await;
    take(&api, &source, json!({"id": 1, "n": 3})).await;
    assert_eq!(figures(&shadows(&api, &of).await[0]), [1, 0, 0, 0, 0, 0]);
    patch(&api, &path, json!({"name": "store"})).await;
    take(&api, &source, json!({"id": 1, "n": 4})).await;
    assert_eq!(figures(&shadows(&api, &of).await[0]), [2, 0, 1, 1, 1, 0]);
}

async fn a_rule_in_shadow_mode_is_checked_when_it_is_saved(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "shop"})).await;
    let path = format!("/v1/sources/{}", source.id);
    let key = json!({"locations": ["body:$.id"]});
    for (tried, pointer) in [
        (json!({"key": {"locations": ["body:$["]}}), "/shadow_key"),
        (
            json!({"key": key, "window_seconds": "forever"}),
            "/shadow_key/window_seconds",
        ),
        (
            json!({"key": key, "window_seconds": 0}),
            "/shadow_key/window_seconds",
        ),
        (
            json!({"key": {"locations": ["body:$.id"], "group": "g"}}),
            "/shadow_key/key/group",
        ),
    ] {
        let patch = json!({"shadow_key": tried});
        let answer = api.request(Method::PATCH, &path, &patch).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{tried}: {}",
            answer.text()
        );
        assert!(
            answer.text().contains(pointer),
            "{tried}: {}",
            answer.text()
        );
    }
}

async fn k5_coverage_is_a_figure_over_time(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let keyed = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&keyed).await;
    let silent = api.source(&json!({"name": "silent"})).await;
    for event in [
        json!({"id": 1}),
        json!({"id": 1}),
        json!({"id": 2}),
        json!({"no": 1}),
    ] {
        take(&api, &source, event).await;
    }
    let stats = api.read("/v1/stats").await;
    let of = |id: &str| {
        let sources = stats["sources"].as_array().expect("a list");
        let own = sources.iter().find(|it| it["source_id"] == json!(id));
        own.unwrap_or_else(|| panic!("{stats}"))["requests"].clone()
    };
    let shop = of(&source.id);
    assert_eq!(
        (&shop["unkeyed"], &shop["coverage"]),
        (&json!(1), &json!(0.75))
    );
    assert_eq!(of(&silent.id)["coverage"], Value::Null);
    let series = stats["series"].as_array().expect("a list");
    let unkeyed = series
        .iter()
        .filter_map(|it| it["requests"]["unkeyed"].as_u64());
    assert_eq!(unkeyed.sum::<u64>(), 1);
}
