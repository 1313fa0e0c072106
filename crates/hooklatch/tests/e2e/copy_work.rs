//! Work that is under way when a directory is copied: events that receivers have claimed, and
//! replays.

use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{Api, Endpoint, eventually};

/// Claims that receivers hold or have completed.
pub struct Claimed {
    held: Value,
    done: Value,
}

/// One event whose effect is under way, with a step, and one whose effect has happened.
pub async fn claim(api: &Api) -> Claimed {
    let held = asked(api, "held").await;
    let step = json!({"token": held["token"], "name": "charge", "result": {"charge": "ch_1"}});
    let kept = api.create(&format!("{}/steps", path(&held)), &step).await;
    assert_eq!(kept["outcome"], "saved", "{kept}");
    let done = asked(api, "done").await;
    finish(api, &done).await;
    Claimed { held, done }
}

async fn asked(api: &Api, key: &str) -> Value {
    let wish = json!({"scope": "billing", "key": key, "lease_seconds": 600,
        "window_seconds": 86_400});
    let answer = api.post("/v1/claims", &wish).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn finish(api: &Api, claimed: &Value) {
    let body = json!({"token": claimed["token"], "result": {"booked": 1}});
    let ended = api
        .create(&format!("{}/complete", path(claimed)), &body)
        .await;
    assert_eq!(ended["outcome"], "applied", "{ended}");
}

fn path(claimed: &Value) -> String {
    format!("/v1/claims/{}", text(claimed, "id"))
}

impl Claimed {
    /// No effect runs twice: who holds a claim completes it, and what was completed is answered from
    /// the record. No fence comes again.
    pub async fn goes_on(&self, api: &Api) {
        for claimed in [&self.held, &self.done] {
            assert_eq!(claimed["outcome"], "acquired", "{claimed}");
        }
        let repeat = asked(api, "held").await;
        assert_eq!(repeat["outcome"], "in_progress", "{repeat}");
        let repeat = asked(api, "done").await;
        assert_eq!(repeat["outcome"], "completed", "{repeat}");
        assert_eq!(repeat["result"], json!({"booked": 1}), "{repeat}");
        let steps = format!("{}/steps?name=charge", path(&self.held));
        let steps = api.read(&steps).await;
        let step = &steps["data"][0]["result"];
        assert_eq!(*step, json!({"charge": "ch_1"}), "{steps}");
        finish(api, &self.held).await;
        let next = asked(api, "next").await;
        assert!(
            next["fence"].as_u64() > self.done["fence"].as_u64(),
            "{next}"
        );
    }
}

/// Replays that are copied.
pub struct Replayed {
    ready: String,
    running: String,
}

/// One replay that waits for its start, and one that runs and waits for an endpoint: its delivery,
/// of a message that has just failed, is handed over.
pub async fn replay(api: &Api, original: &str, failing: &Endpoint) -> Replayed {
    let plan = json!({"filter": {"ids": [original]}, "include_delivered": true});
    let ready = planned(api, &plan).await;
    let send = json!({"endpoint_id": failing.id, "payload": {"order": 1}});
    let failed = text(&api.create("/v1/webhooks/send", &send).await, "id");
    eventually("it has failed", || async {
        let message = api.read(&format!("/v1/messages/{failed}")).await;
        (message["status"] == "failed").then_some(())
    })
    .await;
    let pause = format!("/v1/endpoints/{}/pause", failing.id);
    api.create(&pause, &Value::Null).await;
    let plan = json!({"filter": {"ids": [failed]}});
    let running = planned(api, &plan).await;
    start(api, &running).await;
    stands(api, &running, "under_way", &json!(1)).await;
    Replayed { ready, running }
}

async fn planned(api: &Api, plan: &Value) -> String {
    let made = api.create("/v1/replays", plan).await;
    let id = text(&made, "id");
    let replay = stands(api, &id, "status", &json!("ready")).await;
    assert_eq!(replay["total"], 1, "{replay}");
    id
}

async fn start(api: &Api, id: &str) {
    let path = format!("/v1/replays/{id}/start");
    api.create(&path, &Value::Null).await;
}

async fn stands(api: &Api, id: &str, field: &str, value: &Value) -> Value {
    eventually(&format!("{field} of the replay is {value}"), || async {
        let replay = api.read(&format!("/v1/replays/{id}")).await;
        (replay[field] == *value).then_some(replay)
    })
    .await
}

impl Replayed {
    /// The one goes to its end once its endpoint takes what was handed over, and the other can be
    /// started. Each sends one request.
    pub async fn goes_on(&self, api: &Api, failing: &Endpoint) {
        let resume = format!("/v1/endpoints/{}/resume", failing.id);
        api.create(&resume, &Value::Null).await;
        let ended = stands(api, &self.running, "status", &json!("done")).await;
        assert_eq!(ended["failed"], 1, "{ended}");
        start(api, &self.ready).await;
        let ended = stands(api, &self.ready, "status", &json!("done")).await;
        assert_eq!(ended["done"], 1, "{ended}");
        let attempts = api.list("/v1/attempts?trigger=replay").await;
        let of = |id: &String| {
            attempts
                .iter()
                .filter(|it| it["replay_id"] == json!(id))
                .count()
        };
        assert_eq!((of(&self.running), of(&self.ready)), (1, 1), "{attempts:?}");
    }
}
