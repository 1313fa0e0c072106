//! Who may see and do what, and what cannot be asked.

use serde_json::json;

use crate::world::{OWNER, READER, STRANGER, World, text};

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_with_what_can() {
    let world = World::new().await;
    for (path, part) in [
        (
            "/v1/messages?sorce_id=x",
            "there are status, source_id, endpoint_id,",
        ),
        (
            "/v1/messages?status=lost",
            "/status should be one of pending, delivering,",
        ),
        ("/v1/messages?source_id=src_1", "/source_id cannot be used"),
        (
            "/v1/requests?outcome=new",
            "/outcome should be one of accepted, duplicate,",
        ),
        (
            "/v1/attempts?trigger=again",
            "/trigger should be one of first, retry, manual,",
        ),
        (
            "/v1/messages?limit=0",
            "/limit should be a whole number from 1 to 250",
        ),
        ("/v1/keys", "/key is missing"),
    ] {
        let refused = world.api(OWNER, "GET", path, None).await.refused(422);
        assert!(refused.contains(part), "{path}: {refused}");
    }
    let refused = world
        .api(OWNER, "DELETE", "/v1/keys/x?scope=all", None)
        .await;
    assert!(
        refused
            .refused(422)
            .contains("/scope cannot be used: a scope is written")
    );
}

#[tokio::test]
async fn what_is_unknown_malformed_or_anothers_is_not_found() {
    let world = World::new().await;
    let (_, original, held) = world.held().await;
    let message = text(&original["message_id"]).to_owned();
    let record = world.get(&format!("/v1/messages/{message}")).await;
    let delivery = text(&record["deliveries"][0]["id"]);
    let request = text(&held["request_id"]);
    let reads = [
        format!("/v1/messages/{message}"),
        format!("/v1/messages/{message}/requests"),
        format!("/v1/messages/{message}/deliveries"),
        format!("/v1/requests/{request}"),
        format!("/v1/deliveries/{delivery}"),
        format!("/v1/deliveries/{delivery}/attempts"),
    ];
    let commands = [
        format!("/v1/messages/{message}/retry"),
        format!("/v1/requests/{request}/release"),
        format!("/v1/requests/{request}/discard"),
        format!("/v1/deliveries/{delivery}/retry"),
        format!("/v1/deliveries/{delivery}/cancel"),
    ];
    for (method, paths) in [("GET", &reads[..]), ("POST", &commands[..])] {
        for path in paths {
            world.api(STRANGER, method, path, None).await.refused(404);
            let malformed = path.replacen('_', "-", 1);
            world
                .api(OWNER, method, &malformed, None)
                .await
                .refused(404);
            let (kind, rest) = path.split_once('_').unwrap();
            let unknown = format!("{kind}_0000000000001{}", &rest[13..]);
            world.api(OWNER, method, &unknown, None).await.refused(404);
        }
    }
    world
        .api(OWNER, "GET", "/v1/messages/%ff", None)
        .await
        .refused(404);
    for path in ["/v1/messages", "/v1/requests", "/v1/attempts", "/v1/keys/1"] {
        let list = world.api(STRANGER, "GET", path, None).await.ok();
        assert_eq!(list["data"], json!([]), "{path}");
    }
    let freed = world.api(STRANGER, "DELETE", "/v1/keys/1", None).await;
    assert_eq!(freed.ok(), json!({"freed": 0}));
    assert_eq!(
        world.get("/v1/keys/1").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn looking_needs_read_and_doing_needs_manage() {
    let world = World::new().await;
    let (_, original, held) = world.held().await;
    let message = format!("/v1/messages/{}", text(&original["message_id"]));
    let request = format!("/v1/requests/{}", text(&held["request_id"]));
    world.api(READER, "GET", &message, None).await.ok();
    world.api(READER, "GET", "/v1/keys/1", None).await.ok();
    for (method, path) in [
        ("POST", format!("{message}/retry")),
        ("POST", format!("{request}/release")),
        ("POST", format!("{request}/discard")),
        ("DELETE", "/v1/keys/1".to_owned()),
    ] {
        let refused = world.api(READER, method, &path, None).await.refused(403);
        assert!(refused.contains("\"manage\""), "{path}: {refused}");
    }
    world
        .api("hl_nobody", "GET", &message, None)
        .await
        .refused(401);
}
