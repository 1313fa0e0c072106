//! What lets us in at endpoints, and the secrets that sign, over the API.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod common;

use common::Gateway;
use hooklatch_engine::Directory;
use serde_json::{Value, json};

async fn endpoint(gateway: &Gateway) -> (String, String) {
    let wanted = json!({"name": "one", "url": "http://127.0.0.1:9/x"});
    let made = gateway.api("POST", "/v1/endpoints", wanted).await;
    let made = made.expect(201);
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// The secrets that sign now, newest first.
fn live(gateway: &Gateway, id: &str) -> Vec<String> {
    let directory = gateway.app.directory();
    let ready = directory.endpoint(id.parse().unwrap()).unwrap();
    let now = gateway.app.store().now();
    let secrets = ready
        .endpoint()
        .signing_secrets(directory.sealing_key(), now);
    let secrets = secrets.unwrap().into_iter();
    secrets
        .map(|secret| secret.to_text().expose().to_owned())
        .collect()
}

#[tokio::test]
async fn o1_a_rotated_secret_signs_beside_the_new_one_for_as_long_as_is_said() {
    let gateway = Gateway::start().await;
    let (id, first) = endpoint(&gateway).await;
    let path = format!("/v1/endpoints/{id}/rotate-secret");
    let rotated = async |input: Value| {
        let answer = gateway.api("POST", &path, input).await.expect(200);
        answer["secret"].as_str().unwrap().to_owned()
    };
    let second = rotated(Value::Null).await;
    assert_eq!(live(&gateway, &id), [second.clone(), first]);
    let third = rotated(json!({"overlap_seconds": 60})).await;
    assert_eq!(live(&gateway, &id).len(), 3);
    let fourth = rotated(json!({"overlap_seconds": 0})).await;
    assert_eq!(
        live(&gateway, &id),
        [fourth],
        "those of before are taken back"
    );
    assert_ne!(second, third);

    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let input = json!({"secret": own, "overlap_seconds": 0});
    assert_eq!(rotated(input).await, own);
    assert_eq!(live(&gateway, &id), [own]);
    for (input, pointer) in [
        (json!({"overlap_seconds": -1}), "/overlap_seconds"),
        (json!({"overlap_seconds": 2_592_001}), "/overlap_seconds"),
        (json!({"secret": "short"}), "/secret"),
        (json!({"overlap": 1}), "/overlap"),
    ] {
        let refused = gateway.api("POST", &path, input).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    assert_eq!(live(&gateway, &id), [own], "nothing was changed");
}

#[tokio::test]
async fn a_projects_secret_rotates_for_its_own_callers_only() {
    let gateway = Gateway::start().await;
    let (endpoint, _) = endpoint(&gateway).await;
    let shown = gateway.get(&format!("/v1/endpoints/{endpoint}")).await;
    let project = shown.expect(200)["project_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/projects/{project}/rotate-secret");
    let rotated = gateway
        .api("POST", &path, json!({"overlap_seconds": 60}))
        .await;
    let rotated = rotated.expect(200);
    let directory = gateway.app.directory();
    let live = |seconds: i64| {
        let now = gateway.app.store().now() + hooklatch_core::time::Millis::from_seconds(seconds);
        let secrets = directory
            .project_secrets(project.parse().unwrap(), now)
            .unwrap();
        let texts = secrets
            .iter()
            .map(|secret| secret.to_text().expose().to_owned());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(live(0)[0], rotated["secret"].as_str().unwrap());
    assert_eq!((live(0).len(), live(61).len()), (2, 1));
    gateway
        .api("POST", &path, json!({"overlap_seconds": 0}))
        .await
        .expect(200);
    assert_eq!(live(0).len(), 1);
    for stranger in ["prj_000000000zzzz", "nonsense"] {
        let path = format!("/v1/projects/{stranger}/rotate-secret");
        gateway.api("POST", &path, Value::Null).await.expect(404);
    }
}

#[tokio::test]
async fn what_lets_us_in_is_masked_and_a_certificate_is_checked_when_it_is_saved() {
    let gateway = Gateway::start().await;
    let bearer = json!({"type": "bearer", "token": "hush"});
    let wanted = json!({"name": "a", "url": "https://127.0.0.1:9/x", "auth": bearer});
    let made = gateway
        .api("POST", "/v1/endpoints", wanted)
        .await
        .expect(201);
    assert_eq!(made["auth"], json!({"type": "bearer", "token": "***"}));
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let patch = json!({"auth": made["auth"], "timeout_seconds": 3});
    gateway.api("PATCH", &path, patch).await.expect(200);
    let directory = gateway.app.directory();
    let ready = directory.endpoint(made["id"].as_str().unwrap().parse().unwrap());
    let opened = ready.unwrap().endpoint().open_auth(directory.sealing_key());
    let Some(hooklatch_core::config::OpenAuth::Authorization(value)) = opened.unwrap() else {
        panic!("it was saved so")
    };
    assert_eq!(value.expose(), "Bearer hush");

    let nonsense = json!({"auth": {"type": "mtls", "certificate": "none", "key": "hush"}});
    let refused = gateway.api("PATCH", &path, nonsense).await;
    let text = refused.text();
    assert_eq!(
        refused.expect(422)["errors"][0]["pointer"],
        "/auth",
        "{text}"
    );
    assert!(
        text.contains("BEGIN CERTIFICATE") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test]
async fn an_ordering_location_is_checked_when_it_is_saved_and_kept_in_its_canonical_form() {
    let gateway = Gateway::start().await;
    let with = |by: &str| json!({"name": "a", "url": "http://127.0.0.1:9/x", "ordered_by": by});
    let refused = gateway
        .api("PUT", "/v1/endpoints", with("somewhere:x"))
        .await;
    assert_eq!(refused.expect(422)["errors"][0]["pointer"], "/ordered_by");
    let made = gateway
        .api("PUT", "/v1/endpoints", with("body.customer"))
        .await;
    let made = made.expect(201);
    assert_eq!(made["ordered_by"], "body:$.customer");
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let patch = json!({"ordered_by": null});
    let without = gateway.api("PATCH", &path, patch).await.expect(200);
    assert_eq!(without["ordered_by"], Value::Null);
}
