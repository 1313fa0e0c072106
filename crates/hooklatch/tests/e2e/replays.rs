//! Replays from outside: planned, started, cancelled midway, killed midway, and led elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::database::{run, said};
use crate::support::api::text;
use crate::support::gateway::API_KEY;
use crate::support::{
    Api, Backend, Data, Endpoint, Gateway, Receiver, Reply, Source, eventually,
    on_each_lasting_store, on_each_store,
};

on_each_store! {
    p1_p2_a_replay_is_planned_started_and_keeps_every_name
    p1_a_replay_over_nothing_says_so
    p1_cancelled_midway_the_rest_stays_as_it_is
    p1_an_endpoint_deleted_while_a_replay_waits_for_it_ends_the_replay
    p1_bulk_retry_and_cancel_are_audited_with_their_reason
    p2_as_new_needs_a_word_and_gives_new_names
    p3_elsewhere_needs_a_word_across_environments_and_leaves_the_original
    the_command_line_plans_asks_and_starts
    the_command_line_listens_without_an_endpoint
}

on_each_lasting_store! {
    "It is killed, and the next process takes the replay forward":
    p1_a_replay_goes_on_after_kill_9_and_sends_each_once
}

/// A source, and an endpoint that fails every delivery at once until it is healed.
struct World {
    api: Api,
    source: Source,
    endpoint: Endpoint,
    receiver: Receiver,
    status: Arc<AtomicU16>,
    gateway: Gateway,
    data: Data,
}

async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let status = Arc::new(AtomicU16::new(500));
    let answer = Arc::clone(&status);
    let receiver = Receiver::start(move |_| Reply::Status(answer.load(Ordering::SeqCst))).await;
    let api = gateway.api();
    let keyed = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&keyed).await;
    let settings = json!({
        "retry": {"strategy": "fixed", "base_seconds": 60, "max_attempts": 1},
        "environment": "production",
    });
    let endpoint = api.endpoint("orders", &receiver.url("/"), settings).await;
    api.connect(&source, &endpoint).await;
    World {
        api,
        source,
        endpoint,
        receiver,
        status,
        gateway,
        data,
    }
}

impl World {
    /// So many events, each of which has failed; then the endpoint is healed.
    async fn failed(&self, many: usize) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for number in 0..many {
            let body = json!({"id": format!("evt_{number}")}).to_string();
            let taken = self.api.ingest_json(&self.source, &body).await;
            ids.insert(text(&taken, "message_id"));
        }
        eventually("each has failed", || async {
            let failed = self.api.list("/v1/messages?status=failed").await;
            (failed.len() == many).then_some(())
        })
        .await;
        self.status.store(200, Ordering::SeqCst);
        ids
    }

    /// Makes a plan and waits for it.
    async fn planned(&self, plan: Value) -> Value {
        let made = self.api.create("/v1/replays", &plan).await;
        self.reaches(&text(&made, "id"), "ready").await
    }

    async fn reaches(&self, id: &str, status: &str) -> Value {
        eventually(&format!("the replay is {status}"), || async {
            let replay = self.api.read(&format!("/v1/replays/{id}")).await;
            (replay["status"] == status).then_some(replay)
        })
        .await
    }

    async fn command(&self, id: &str, command: &str) -> Value {
        let path = format!("/v1/replays/{id}/{command}");
        let body = json!({"reason": "the shop is back"});
        self.api.create(&path, &body).await
    }

    /// How often each message came with the header of a replay.
    fn replayed(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for came in self.receiver.seen() {
            if !came.header("hooklatch-replay").is_empty() {
                let id = came.header("webhook-id").to_owned();
                *times.entry(id).or_default() += 1;
            }
        }
        times
    }
}

async fn p1_p2_a_replay_is_planned_started_and_keeps_every_name(on: Backend) {
    let world = world(on).await;
    let messages = world.failed(30).await;
    let plan = json!({"filter": {"source_id": world.source.id, "status": "failed"},
        "rate_per_second": 500, "reason": "the shop was down"});
    let ready = world.planned(plan.clone()).await;
    assert_eq!(ready["counts"]["failed"], 30, "{ready}");
    assert_eq!(ready["total"], 30);
    let id = text(&ready, "id");
    let again = world.api.post("/v1/replays", &plan).await;
    assert_eq!((again.status, text(&again.json(), "id")), (200, id.clone()));
    let twice = [
        world.command(&id, "start").await,
        world.command(&id, "start").await,
    ];
    assert!(twice.iter().all(|it| it["id"] == json!(id)), "{twice:?}");
    let done = world.reaches(&id, "done").await;
    assert_eq!((&done["done"], &done["failed"]), (&json!(30), &json!(0)));

    let times = world.replayed();
    let names: BTreeSet<String> = times.keys().cloned().collect();
    assert_eq!(names, messages, "each keeps its webhook-id");
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    let seen = world.receiver.seen();
    let keys: BTreeSet<&str> = seen.iter().map(|it| it.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 30, "and its key");
    let last = seen.last().unwrap();
    assert_eq!(last.header("hooklatch-trigger"), "replay");
    assert_eq!(last.header("hooklatch-replay"), id);
    assert_eq!(last.header("hooklatch-attempt"), "2");
    last.assert_signed_with(&world.endpoint.secret);
    let attempts = world.api.list("/v1/attempts?trigger=replay").await;
    assert_eq!(attempts.len(), 30);
    assert!(attempts.iter().all(|it| it["replay_id"] == json!(id)));
    let nothing = world.planned(plan).await;
    assert_ne!(text(&nothing, "id"), id, "the first one has ended");
    assert_eq!(nothing["total"], 0);
}

async fn p1_a_replay_over_nothing_says_so(on: Backend) {
    let world = world(on).await;
    world.status.store(200, Ordering::SeqCst);
    let plan = json!({"filter": {"event_type": "no.such"}});
    let ready = world.planned(plan).await;
    assert_eq!(
        text(&ready, "message"),
        "nothing is to be done: no delivery fits the filter"
    );
    let done = world.command(&text(&ready, "id"), "start").await;
    assert_eq!(
        (&done["status"], &done["total"]),
        (&json!("done"), &json!(0))
    );
    world.api.ingest_json(&world.source, r#"{"id": 1}"#).await;
    eventually("it is delivered", || async {
        let delivered = world.api.list("/v1/messages?status=delivered").await;
        (delivered.len() == 1).then_some(())
    })
    .await;
    let ready = world.planned(json!({"filter": {}})).await;
    assert!(text(&ready, "message").contains("include_delivered"));
    for (plan, pointer) in [
        (json!({}), "/filter"),
        (json!({"filter": {"ids": []}}), "/filter/ids"),
        (json!({"filter": {"status": "lost"}}), "/filter/status"),
        (json!({"filter": {"sorce_id": "x"}}), "/filter/sorce_id"),
        (
            json!({"filter": {}, "rate_per_second": 0}),
            "/rate_per_second",
        ),
        (
            json!({"filter": {}, "reason": "x".repeat(1_001)}),
            "/reason",
        ),
        (
            json!({"filter": {"after": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"}}),
            "/filter/before",
        ),
        (
            json!({"filter": {}, "to_endpoint": "ep_0000000000000"}),
            "/to_endpoint",
        ),
    ] {
        let refused = world.api.post("/v1/replays", &plan).await;
        assert_eq!(refused.status, 422, "{plan}: {}", refused.text());
        assert!(refused.text().contains(pointer), "{}", refused.text());
    }
    let unknown = world.api.get("/v1/replays/rpl_0000000000000").await;
    assert_eq!(unknown.status, 404);
}

async fn p1_cancelled_midway_the_rest_stays_as_it_is(on: Backend) {
    let world = world(on).await;
    world.failed(40).await;
    let plan = json!({"filter": {"endpoint_id": world.endpoint.id}, "rate_per_second": 10});
    let id = text(&world.planned(plan).await, "id");
    world.command(&id, "start").await;
    eventually("some are sent", || async {
        (world.replayed().len() >= 3).then_some(())
    })
    .await;
    let paused = world.command(&id, "pause").await;
    assert_eq!(paused["status"], "paused");
    assert_eq!(world.command(&id, "resume").await["status"], "running");
    let cancelled = world.command(&id, "cancel").await;
    assert_eq!(cancelled["status"], "cancelled");
    eventually("what was handed over is sent", || async {
        let pending = world.api.list("/v1/messages?status=pending").await;
        let under_way = world.api.list("/v1/messages?status=delivering").await;
        (pending.is_empty() && under_way.is_empty()).then_some(())
    })
    .await;
    let sent = world.replayed();
    assert!(sent.len() < 40, "{} were sent", sent.len());
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    let failed = world.api.list("/v1/messages?status=failed").await;
    assert_eq!(failed.len(), 40 - sent.len(), "the rest stays as it was");
    for command in ["start", "pause", "resume"] {
        let path = format!("/v1/replays/{id}/{command}");
        assert_eq!(world.api.post(&path, &Value::Null).await.status, 409);
    }
    world.command(&id, "cancel").await;
}

async fn p1_a_replay_goes_on_after_kill_9_and_sends_each_once(on: Backend) {
    let mut world = world(on).await;
    let messages = world.failed(60).await;
    let plan = json!({"filter": {}, "rate_per_second": 20});
    let id = text(&world.planned(plan).await, "id");
    world.command(&id, "start").await;
    eventually("some are sent", || async {
        (world.replayed().len() >= 5).then_some(())
    })
    .await;
    world.gateway.kill().await;
    world.gateway = Gateway::start(&world.data).await;
    world.api = world.gateway.api();
    let done = world.reaches(&id, "done").await;
    let through = ["done", "skipped", "failed"].map(|it| done[it].as_u64().unwrap());
    assert_eq!(through.iter().sum::<u64>(), 60, "{done}");
    // An attempt that was lost with the process has used its delivery's budget up, which is one:
    // whether it arrived is not known, and only a person sends it again.
    let lost = 60 - usize::try_from(done["done"].as_u64().unwrap()).unwrap();
    let rest = world.planned(json!({"filter": {"status": "failed"}})).await;
    assert_eq!(rest["total"], json!(lost), "{rest}");
    let rest = text(&rest, "id");
    world.command(&rest, "start").await;
    world.reaches(&rest, "done").await;
    let delivered = world.api.list("/v1/messages?status=delivered").await;
    assert_eq!(delivered.len(), 60);
    let sent = world.replayed();
    assert_eq!(sent.keys().cloned().collect::<BTreeSet<_>>(), messages);
    let twice: usize = sent.values().map(|times| times - 1).sum();
    assert!(twice <= lost, "{twice} were sent twice, {lost} were lost");
}

async fn p1_an_endpoint_deleted_while_a_replay_waits_for_it_ends_the_replay(on: Backend) {
    let world = world(on).await;
    world.failed(20).await;
    let endpoint = format!("/v1/endpoints/{}", world.endpoint.id);
    world
        .api
        .create(&format!("{endpoint}/pause"), &Value::Null)
        .await;
    let plan = json!({"filter": {}, "rate_per_second": 1_000});
    let id = text(&world.planned(plan).await, "id");
    world.command(&id, "start").await;
    eventually("all wait for the endpoint", || async {
        let replay = world.api.read(&format!("/v1/replays/{id}")).await;
        (replay["under_way"] == 20).then_some(())
    })
    .await;
    assert!(
        world.replayed().is_empty(),
        "a paused endpoint gets nothing"
    );
    world.api.delete(&endpoint).await;
    let done = world.reaches(&id, "done").await;
    assert_eq!((&done["done"], &done["failed"]), (&json!(0), &json!(20)));
    let cancelled = world.api.list("/v1/messages?status=cancelled").await;
    assert_eq!(cancelled.len(), 20, "and each says why");
    assert!(world.replayed().is_empty());
}

async fn p1_bulk_retry_and_cancel_are_audited_with_their_reason(on: Backend) {
    let world = world(on).await;
    world.failed(10).await;
    let retry = json!({"filter": {"status": "failed"}, "reason": "the shop is back"});
    let replay = world.api.create("/v1/deliveries/retry", &retry).await;
    let done = world.reaches(&text(&replay, "id"), "done").await;
    assert_eq!(done["done"], 10, "{done}");
    let endpoint = format!("/v1/endpoints/{}", world.endpoint.id);
    world
        .api
        .create(&format!("{endpoint}/pause"), &Value::Null)
        .await;
    for number in 0..5 {
        let body = json!({"id": format!("late_{number}")}).to_string();
        world.api.ingest_json(&world.source, &body).await;
    }
    let cancel = json!({"filter": {"endpoint_id": world.endpoint.id}, "reason": "not any more"});
    let replay = world.api.create("/v1/deliveries/cancel", &cancel).await;
    let done = world.reaches(&text(&replay, "id"), "done").await;
    assert_eq!(
        (&done["action"], &done["done"]),
        (&json!("cancel"), &json!(5))
    );
    let cancelled = world.api.list("/v1/messages?status=cancelled").await;
    assert_eq!(cancelled.len(), 5);
    let delivery = text(&cancelled[0]["deliveries"][0], "id");
    let path = format!("/v1/deliveries/{delivery}/retry");
    world.api.create(&path, &json!({"reason": "it was"})).await;
    let log = world.api.read("/v1/audit").await;
    let told: Vec<(&str, &str)> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        // Changes of settings are in the same log, and carry no reason.
        .filter_map(|entry| {
            let reason = entry["reason"].as_str()?;
            assert!(entry["actor"].as_str()?.starts_with("key_"));
            Some((entry["action"].as_str()?, reason))
        })
        .collect();
    let expected = [
        ("delivery.retry", "it was"),
        ("deliveries.cancel", "not any more"),
        ("deliveries.retry", "the shop is back"),
    ];
    assert_eq!(told, expected);
}

async fn p2_as_new_needs_a_word_and_gives_new_names(on: Backend) {
    let world = world(on).await;
    let messages = world.failed(3).await;
    let mut plan = json!({"filter": {}, "as_new": true});
    let refused = world.api.post("/v1/replays", &plan).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/confirm"));
    plan["confirm"] = json!(true);
    let id = text(&world.planned(plan).await, "id");
    world.command(&id, "start").await;
    world.reaches(&id, "done").await;
    let names: BTreeSet<String> = world.replayed().into_keys().collect();
    assert_eq!(names.len(), 3);
    assert!(names.is_disjoint(&messages));
    let seen = world.receiver.seen();
    let keys: BTreeSet<&str> = seen.iter().map(|it| it.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 6, "and new keys");
    for name in &names {
        let message = world.api.read(&format!("/v1/messages/{name}")).await;
        assert_eq!(message["origin"], "replayed");
        assert!(messages.contains(&text(&message, "original_message_id")));
    }
    assert_eq!(world.api.list("/v1/messages?status=failed").await.len(), 3);
    assert_eq!(world.api.list("/v1/requests").await.len(), 3);
}

async fn p3_elsewhere_needs_a_word_across_environments_and_leaves_the_original(on: Backend) {
    let world = world(on).await;
    let messages = world.failed(3).await;
    let staging = Receiver::obliging().await;
    let settings = json!({"environment": "staging"});
    let elsewhere = world
        .api
        .endpoint("staging", &staging.url("/"), settings)
        .await;
    let mut plan = json!({"filter": {}, "to_endpoint": elsewhere.id});
    let refused = world.api.post("/v1/replays", &plan).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("production"), "{}", refused.text());
    plan["confirm"] = json!(true);
    let id = text(&world.planned(plan).await, "id");
    world.command(&id, "start").await;
    let seen = staging.wait_for_count(3).await;
    let names: BTreeSet<String> = seen
        .iter()
        .map(|it| it.header("webhook-id").to_owned())
        .collect();
    assert_eq!(names, messages, "under the names of the originals");
    seen[0].assert_signed_with(&elsewhere.secret);
    world.reaches(&id, "done").await;
    assert!(world.replayed().is_empty());
    for message in &messages {
        let message = world.api.read(&format!("/v1/messages/{message}")).await;
        assert_eq!(message["status"], "failed", "{message}");
        assert_eq!(message["deliveries"].as_array().unwrap().len(), 1);
    }
}

async fn the_command_line_plans_asks_and_starts(on: Backend) {
    let world = world(on).await;
    world.failed(5).await;
    let server = format!("http://{}", world.gateway.address);
    let variables = [
        ("HOOKLATCH_SERVER", server.as_str()),
        ("HOOKLATCH_API_KEY", API_KEY),
    ];
    let plan = [
        "replay", "--source", "shop", "--status", "failed", "--after", "1h",
    ];
    let asked = run(&plan, &variables).await;
    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
    assert!(said(&asked).contains("--yes"), "{}", said(&asked));
    assert!(world.replayed().is_empty(), "nobody has said yes");
    let words: Vec<&str> = plan.into_iter().chain(["--yes", "--json"]).collect();
    let done = run(&words, &variables).await;
    assert!(done.status.success(), "{}", said(&done));
    let record: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&record["status"], &record["done"]),
        (&json!("done"), &json!(5))
    );
    let unknown = run(&["replay", "--source", "no such"], &variables).await;
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
}

async fn the_command_line_listens_without_an_endpoint(on: Backend) {
    let world = world(on).await;
    world.failed(1).await;
    let server = format!("http://{}", world.gateway.address);
    let variables = [
        ("HOOKLATCH_SERVER", server.as_str()),
        ("HOOKLATCH_API_KEY", API_KEY),
    ];
    let laptop = Receiver::obliging().await;
    let newest = world.api.read("/v1/messages?limit=1").await;
    let newest = text(&newest["data"][0], "id");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = laptop.url("/hooks");
    let words = [
        "listen",
        "--forward-to",
        &url,
        "--source",
        "shop",
        "--after",
        &newest,
        "--secret",
        secret,
        "--json",
        "--count",
        "3",
    ];
    let listening = run(&words, &variables);
    let arriving = async {
        for number in 0..3 {
            let body = format!(r#"{{"id":  "live_{number}"}}"#);
            let headers = [("content-type", "application/json"), ("x-shop", "7")];
            let path = &world.source.path;
            assert!(path.starts_with('/'));
            let taken = world.api.ingest(&world.source, &headers, body).await;
            assert_eq!(taken.unwrap().status, 200);
        }
    };
    let (listened, ()) = tokio::join!(listening, arriving);
    assert!(listened.status.success(), "{}", said(&listened));
    let seen = laptop.seen();
    let bodies: Vec<_> = seen.iter().map(|it| it.body.clone()).collect();
    let expected: Vec<String> = (0..3)
        .map(|n| format!(r#"{{"id":  "live_{n}"}}"#))
        .collect();
    assert_eq!(bodies, expected, "in order, once, byte for byte");
    for came in &seen {
        came.assert_signed_with(secret);
        assert_eq!(came.header("x-shop"), "7");
        assert_eq!(came.header("hooklatch-attempt"), "1");
    }
    let lines = String::from_utf8_lossy(&listened.stdout).lines().count();
    assert_eq!(lines, 3, "{}", said(&listened));
    let none = world
        .api
        .request(Method::GET, "/v1/endpoints", &Value::Null)
        .await;
    let endpoints = none.json()["data"].as_array().unwrap().len();
    assert_eq!(endpoints, 1, "no endpoint was made");
}
