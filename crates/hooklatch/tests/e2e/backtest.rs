//! A rule tried on the past, by the API and by the command.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::api::text;
use crate::support::{Api, Backend, Data, Gateway, Source, gateway, on_each_store};

on_each_store! {
    a_backtest_says_what_a_rule_would_have_suppressed_and_changes_nothing
    a_backtest_of_a_connection_runs_its_filters_and_its_rule
    the_command_prints_the_report
}

struct World {
    api: Api,
    gateway: Gateway,
    source: Source,
    _data: Data,
}

/// A source without a key that has taken ten events, four of them repeats by `ref`.
async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "shop"})).await;
    for (n, reference) in ["a", "b", "a", "c", "a", "b", "d", "e", "f"]
        .iter()
        .enumerate()
    {
        let event = json!({"ref": reference, "n": if n == 4 { 99 } else { 0 }, "kind": "paid"});
        api.ingest_json(&source, &event.to_string()).await;
    }
    api.ingest_json(&source, r#"{"n": 1, "kind": "lost"}"#)
        .await;
    World {
        api,
        gateway,
        source,
        _data: data,
    }
}

async fn a_backtest_says_what_a_rule_would_have_suppressed_and_changes_nothing(on: Backend) {
    let world = world(on).await;
    let path = format!("/v1/sources/{}/backtest", world.source.id);
    let trial = json!({"key": {"locations": ["body:ref"]}, "window_seconds": 3_600});
    let report = world.api.create(&path, &trial).await;
    let expected = json!({
        "looked_at": 10, "events": 10, "without_key": 1, "coverage": 0.9, "would_be_new": 6,
        "would_be_suppressed": 3, "payload_differs": 1, "newly_suppressed": 3,
        "no_longer_suppressed": 0, "truncated": false,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&report[name], value, "{name}: {report}");
    }
    let sample = &report["differing_samples"][0];
    assert_eq!(
        (&sample["key"], &sample["accepted_then"]),
        (&json!("a"), &json!(true))
    );
    let request = text(sample, "request_id");
    let shown = world.api.read(&format!("/v1/requests/{request}")).await;
    assert_eq!(shown["outcome"], "accepted");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("1 of 10 events have no key"),
        "{warnings}"
    );
    let limited = json!({"key": {"locations": ["body:ref"]}, "limit": 4});
    let limited = world.api.create(&path, &limited).await;
    assert_eq!(
        (&limited["looked_at"], &limited["truncated"]),
        (&json!(4), &json!(true))
    );
    let wrong = world
        .api
        .post(&path, &json!({"key": {"locations": []}}))
        .await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    let none = world
        .api
        .post(&path, &Value::Object(Default::default()))
        .await;
    assert_eq!(
        none.status,
        422,
        "the source has no rule of its own: {}",
        none.text()
    );
    let source = format!("/v1/sources/{}", world.source.id);
    assert_eq!(world.api.read(&source).await["key"], Value::Null);
}

async fn a_backtest_of_a_connection_runs_its_filters_and_its_rule(on: Backend) {
    let world = world(on).await;
    let endpoint = world
        .api
        .endpoint("to", "http://127.0.0.1:9/", json!({}))
        .await;
    let rules = json!([
        {"type": "filter", "body": {"kind": "paid"}},
        {"type": "deduplicate", "locations": ["body:ref"], "window_seconds": 60},
    ]);
    let connection = json!({
        "name": "c", "source_id": world.source.id, "endpoint_id": endpoint.id, "rules": rules,
    });
    let made = world.api.create("/v1/connections", &connection).await;
    let path = format!("/v1/connections/{}/backtest", text(&made, "id"));
    let report = world.api.create(&path, &json!({})).await;
    assert_eq!(
        (&report["filtered"], &report["would_be_suppressed"]),
        (&json!(1), &json!(3))
    );
    let rules = json!({"rules": [{"type": "filter", "body": {"kind": "paid"}}]});
    let wrong = world.api.post(&path, &rules).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
}

async fn the_command_prints_the_report(on: Backend) {
    let world = world(on).await;
    let mut command = Command::new(gateway::BINARY);
    gateway::configure(&mut command);
    let server = format!("http://{}", world.gateway.address);
    command.args([
        "backtest", "--source", "shop", "--key", "body:ref", "--json",
    ]);
    let output = command.args(["--server", &server]).output().await;
    let output = output.expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {:?}", output.stderr);
    let report: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(report["would_be_suppressed"], 3);
    let mut command = Command::new(gateway::BINARY);
    gateway::configure(&mut command);
    command.args(["backtest", "--source", "other", "--key", "body:ref"]);
    let output = command.args(["--server", &server]).output().await;
    let output = output.expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there are shop"), "{said}");
}
