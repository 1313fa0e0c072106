//! L2: the claim API, as a receiver in any language meets it.

use http::Method;
use serde_json::{Value, json};

use crate::support::api::text;
use crate::support::{
    Answer, Api, Backend, Data, Gateway, eventually, on_each_lasting_store, on_each_store,
};

on_each_store! {
    l2_an_event_is_claimed_completed_and_answered_from_the_record
    l2_a_conflict_a_stale_token_and_a_claim_that_is_gone_are_told_apart
    l2_a_released_event_runs_again_until_its_attempts_are_used_up
    v2_a_lapsed_lease_is_taken_over
    v1_steps_are_found_by_the_next_attempt
    v6_an_expired_claim_is_free_and_is_swept
    l2_every_field_is_bounded_and_mistakes_are_named
    l2_what_a_holder_says_is_bounded_and_mistakes_are_named
}

on_each_lasting_store! {
    "It is killed, and the next process answers from the record":
    l2_what_was_claimed_survives_a_kill
}

struct World {
    api: Api,
    gateway: Gateway,
    data: Data,
}

async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    World {
        api: gateway.api(),
        gateway,
        data,
    }
}

fn body(key: &str) -> Value {
    json!({"scope": "stripe/billing", "key": key, "lease_seconds": 60, "window_seconds": 3600})
}

/// A claim with some fields changed; 200 is expected.
async fn claim(api: &Api, key: &str, changes: Value) -> Value {
    let answer = api.post("/v1/claims", &merged(body(key), changes)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn merged(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("changes are an object") {
        body[name] = value.clone();
    }
    body
}

async fn acquired(api: &Api, key: &str, changes: Value) -> Value {
    let claimed = claim(api, key, changes).await;
    assert_eq!(claimed["outcome"], "acquired", "{claimed}");
    claimed
}

/// A call of whoever holds a claim.
async fn held(api: &Api, claimed: &Value, verb: &str, more: Value) -> Answer {
    let path = format!("/v1/claims/{}/{verb}", text(claimed, "id"));
    let body = merged(json!({"token": claimed["token"]}), more);
    api.post(&path, &body).await
}

async fn applied(api: &Api, claimed: &Value, verb: &str, more: Value) -> Value {
    let answer = held(api, claimed, verb, more).await;
    assert_eq!(answer.status, 200, "{verb}: {}", answer.text());
    let said = answer.json();
    assert_eq!(said["outcome"], "applied", "{verb}: {said}");
    said
}

/// A refusal, in the form that every refusal has.
fn refused(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    answer.json()
}

async fn record(api: &Api, claimed: &Value) -> Value {
    api.read(&format!("/v1/claims/{}", text(claimed, "id")))
        .await
}

async fn l2_an_event_is_claimed_completed_and_answered_from_the_record(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let received_at = "2026-01-31T12:00:00.000Z";
    let metadata =
        json!({"provider": "stripe", "event_type": "charge", "received_at": received_at});
    let claimed = acquired(&api, "evt 1/é", json!({"metadata": metadata})).await;
    assert_eq!(
        (&claimed["attempt"], &claimed["generation"]),
        (&json!(1), &json!(1))
    );
    let busy = api.post("/v1/claims", &body("evt 1/é")).await;
    let seconds: u64 = busy
        .header("retry-after")
        .parse()
        .expect("it says how long");
    assert!((1..=60).contains(&seconds), "{seconds}");
    let busy = busy.json();
    assert_eq!(busy["outcome"], "in_progress", "{busy}");
    assert_eq!(busy["retry_after"], seconds);
    assert!(busy.get("token").is_none(), "{busy}");
    applied(&api, &claimed, "renew", json!({})).await;
    let result = json!({"charge": "ch_1", "cents": 1250});
    applied(&api, &claimed, "complete", json!({"result": result})).await;
    let again = held(&api, &claimed, "complete", json!({"result": "other"})).await;
    assert_eq!(again.json()["outcome"], "already_complete");
    let repeat = claim(&api, "evt 1/é", json!({})).await;
    assert_eq!(repeat["outcome"], "completed", "{repeat}");
    assert_eq!(repeat["result"], result);
    let seen = record(&api, &claimed).await;
    assert_eq!(seen["state"], "completed");
    assert_eq!((&seen["attempts"], &seen["result"]), (&json!(1), &result));
    assert_eq!(seen["metadata"], metadata);
    assert_eq!(
        (&seen["scope"], &seen["key"]),
        (&json!("stripe/billing"), &json!("evt 1/é"))
    );
    assert!(seen.get("token").is_none(), "{seen}");
    let path = "/v1/claims?scope=stripe%2Fbilling&key=evt+1%2F%C3%A9";
    assert_eq!(
        api.read(path).await,
        json!({"data": [seen], "next_cursor": null})
    );
    let none = api.read("/v1/claims?scope=other&key=evt").await;
    assert_eq!(none, json!({"data": [], "next_cursor": null}));
}

async fn l2_what_was_claimed_survives_a_kill(on: Backend) {
    let World {
        api,
        mut gateway,
        data,
    } = world(on).await;
    let held_claim = acquired(&api, "held", json!({})).await;
    let done = acquired(&api, "done", json!({})).await;
    let bytes = json!({"result_base64": "AP8="});
    applied(&api, &done, "complete", bytes).await;
    gateway.kill().await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    assert_eq!(
        claim(&api, "held", json!({})).await["outcome"],
        "in_progress"
    );
    let repeat = claim(&api, "done", json!({})).await;
    assert_eq!(
        (&repeat["outcome"], &repeat["result_base64"]),
        (&json!("completed"), &json!("AP8="))
    );
    applied(&api, &held_claim, "complete", json!({})).await;
    let again = acquired(&api, "next", json!({})).await;
    assert!(again["fence"].as_u64() > done["fence"].as_u64(), "{again}");
}

async fn l2_a_conflict_a_stale_token_and_a_claim_that_is_gone_are_told_apart(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let (one, other) = (json!({"fingerprint": "ab".repeat(32)}), "cd".repeat(32));
    let claimed = acquired(&api, "evt_1", one.clone()).await;
    let conflicting = merged(body("evt_1"), json!({"fingerprint": other}));
    let problem = refused(&api.post("/v1/claims", &conflicting).await, 409);
    assert_eq!(
        (&problem["outcome"], &problem["state"]),
        (&json!("conflict"), &json!("processing"))
    );
    let stale = json!({"token": "0".repeat(32)});
    for (verb, more) in [
        ("complete", json!({"result": 1})),
        ("release", json!({})),
        ("renew", json!({})),
        ("fail", json!({})),
    ] {
        let answer = held(&api, &claimed, verb, merged(more, stale.clone())).await;
        let problem = refused(&answer, 409);
        assert_eq!(problem["outcome"], "fenced", "{verb}: {problem}");
        assert!(text(&problem, "detail").contains("token"), "{problem}");
    }
    let id = format!("clm_{}", "0".repeat(64));
    let gone = json!({"id": id, "token": "0".repeat(32)});
    for verb in ["complete", "release", "renew", "fail"] {
        let problem = refused(&held(&api, &gone, verb, json!({})).await, 404);
        assert_eq!(problem["outcome"], "gone", "{verb}: {problem}");
    }
    refused(&api.get(&format!("/v1/claims/{id}")).await, 404);
    refused(&api.get("/v1/claims/no_id").await, 404);
    // The token that a claim brings finds it again, where the answer was lost.
    let token = json!({"token": claimed["token"]});
    let same = acquired(&api, "evt_1", merged(one, token)).await;
    assert_eq!(same["token"], claimed["token"]);
    assert_eq!(same["fence"], claimed["fence"]);
}

async fn l2_a_released_event_runs_again_until_its_attempts_are_used_up(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let twice = || json!({"attempts_max": 2});
    let first = acquired(&api, "evt_1", twice()).await;
    let later = json!({"retry_after_seconds": 30.5, "error": "the bank is closed"});
    applied(&api, &first, "release", later).await;
    let busy = claim(&api, "evt_1", twice()).await;
    assert_eq!(
        (&busy["outcome"], &busy["retry_after"]),
        (&json!("in_progress"), &json!(31))
    );
    let seen = record(&api, &first).await;
    assert_eq!(
        (&seen["state"], &seen["error"]),
        (&json!("released"), &json!("the bank is closed"))
    );

    let first = acquired(&api, "evt_2", twice()).await;
    applied(&api, &first, "release", json!({"error": "once"})).await;
    let second = acquired(&api, "evt_2", twice()).await;
    assert_eq!(
        (&second["attempt"], &second["origin"]),
        (&json!(2), &json!("retry"))
    );
    applied(&api, &second, "release", json!({"error": "twice"})).await;
    let dead = claim(&api, "evt_2", twice()).await;
    let error = "gave up after 2 attempts: twice";
    assert_eq!(
        (&dead["outcome"], &dead["error"]),
        (&json!("dead"), &json!(error))
    );

    let poison = acquired(&api, "evt_3", json!({})).await;
    let said = applied(&api, &poison, "fail", json!({"error": "no such account"})).await;
    assert_eq!(said["state"], "dead");
    let dead = claim(&api, "evt_3", json!({})).await;
    assert_eq!(
        (&dead["outcome"], &dead["error"]),
        (&json!("dead"), &json!("no such account"))
    );
    let replay = acquired(&api, "evt_3", json!({"replay": true})).await;
    assert_eq!(
        (&replay["generation"], &replay["origin"]),
        (&json!(2), &json!("replay"))
    );
}

async fn v2_a_lapsed_lease_is_taken_over(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let short = json!({"lease_seconds": 0.05});
    let first = acquired(&api, "evt_1", short).await;
    let second = eventually("the lease lapses", || async {
        let claimed = claim(&api, "evt_1", json!({})).await;
        (claimed["outcome"] == "acquired").then_some(claimed)
    })
    .await;
    assert_eq!(
        (&second["attempt"], &second["origin"]),
        (&json!(2), &json!("takeover"))
    );
    refused(
        &held(&api, &first, "complete", json!({"result": "old"})).await,
        409,
    );
    applied(&api, &second, "complete", json!({"result": "new"})).await;
    let repeat = claim(&api, "evt_1", json!({})).await;
    assert_eq!(repeat["result"], "new");
}

async fn v1_steps_are_found_by_the_next_attempt(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let first = acquired(&api, "evt_1", json!({})).await;
    let charge = json!({"name": "charge card", "result": {"id": "ch_1"}});
    let saved = held(&api, &first, "steps", charge).await;
    assert_eq!(
        (saved.status, &saved.json()["outcome"]),
        (200, &json!("saved"))
    );
    applied(&api, &first, "release", json!({})).await;
    let late = json!({"name": "mail", "result": 1});
    refused(&held(&api, &first, "steps", late).await, 409);
    acquired(&api, "evt_1", json!({})).await;
    let steps = format!("/v1/claims/{}/steps?name=", text(&first, "id"));
    let found = api.read(&format!("{steps}charge+card")).await;
    assert_eq!(found["data"][0]["result"], json!({"id": "ch_1"}), "{found}");
    assert_eq!(api.read(&format!("{steps}mail")).await["data"], json!([]));
    refused(
        &api.get(&format!("/v1/claims/{}/steps", text(&first, "id")))
            .await,
        422,
    );
}

async fn v6_an_expired_claim_is_free_and_is_swept(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let short = json!({"window_seconds": 0.05});
    let first = acquired(&api, "evt_1", short.clone()).await;
    applied(&api, &first, "complete", json!({"result": 1})).await;
    let again = eventually("the window ends", || async {
        let other = json!({"fingerprint": "ab".repeat(32)});
        let answer = api.post("/v1/claims", &merged(body("evt_1"), other)).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(
        (&again["outcome"], &again["attempt"]),
        (&json!("acquired"), &json!(1))
    );
    refused(&held(&api, &first, "release", json!({})).await, 409);
}

async fn l2_every_field_is_bounded_and_mistakes_are_named(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let wrong = [
        (json!({"scope": ""}), "/scope"),
        (json!({"scope": "s".repeat(256)}), "/scope"),
        (json!({"fingerprint": "sha256"}), "/fingerprint"),
        (json!({"lease_seconds": 0}), "/lease_seconds"),
        (json!({"lease_seconds": 86_401}), "/lease_seconds"),
        (json!({"lease_seconds": null}), "/lease_seconds"),
        (json!({"window_seconds": -1}), "/window_seconds"),
        (json!({"window_seconds": 34_560_001}), "/window_seconds"),
        (json!({"attempts_max": 0}), "/attempts_max"),
        (json!({"token": "mine"}), "/token"),
        (
            json!({"metadata": {"provider": "p".repeat(256)}}),
            "/metadata/provider",
        ),
        (json!({"lease": 1}), "/lease"),
    ];
    for (change, pointer) in wrong {
        let answer = api
            .post("/v1/claims", &merged(body("evt_1"), change.clone()))
            .await;
        let problem = refused(&answer, 422);
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{change}: {problem}"
        );
    }
    for key in [json!(null), json!(""), json!("k".repeat(1_025))] {
        let answer = api
            .post("/v1/claims", &merged(body("x"), json!({"key": key})))
            .await;
        refused(&answer, 400);
    }
}

async fn l2_what_a_holder_says_is_bounded_and_mistakes_are_named(on: Backend) {
    let World {
        api,
        gateway: _gateway,
        data: _data,
    } = world(on).await;
    let claimed = acquired(&api, &"k".repeat(1_024), json!({})).await;
    let wrong = [
        ("complete", json!({"token": null}), "/token"),
        ("complete", json!({"result": "x".repeat(65_535)}), "/result"),
        ("complete", json!({"result_base64": "?"}), "/result_base64"),
        (
            "complete",
            json!({"result": 1, "result_base64": ""}),
            "/result",
        ),
        ("complete", json!({"lease_seconds": 1}), "/lease_seconds"),
        (
            "release",
            json!({"retry_after_seconds": 86_401}),
            "/retry_after_seconds",
        ),
        ("renew", json!({"error": "late"}), "/error"),
        ("steps", json!({"name": ""}), "/name"),
        ("steps", json!({"name": "n".repeat(129)}), "/name"),
    ];
    for (verb, more, pointer) in wrong {
        let problem = refused(&held(&api, &claimed, verb, more.clone()).await, 422);
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{verb} {more}: {problem}"
        );
    }
    let answer = api
        .request(Method::DELETE, "/v1/claims", &Value::Null)
        .await;
    refused(&answer, 405);
    let largest = json!({"result": "x".repeat(65_534)});
    applied(&api, &claimed, "complete", largest).await;
}
