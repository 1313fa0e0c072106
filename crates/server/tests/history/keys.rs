//! The ledger's keys.

use hooklatch_store::Configuration;
use serde_json::json;

use crate::world::{OWNER, START, World, ids, text};

#[tokio::test]
async fn l1_a_key_is_shown_by_its_value_and_by_its_checksum_and_freed() {
    let world = World::new().await;
    let source = world
        .source(json!({"key": {"locations": ["body:$.id"]}}), None)
        .await;
    let original = world.arrive(&source, r#"{"id": "a/b c"}"#).await.ok();
    world.pass(2_000);
    world.arrive(&source, r#"{"id": "a/b c"}"#).await.ok();

    let list = world.get("/v1/keys/a%2Fb%20c").await;
    let claim = &list["data"][0];
    let checksum = text(&claim["checksum"]);
    assert_eq!(
        list,
        json!({
            "data": [{
                "scope": format!("source:{}", source.id),
                "key": "a/b c",
                "parts": ["a/b c"],
                "checksum": checksum,
                "message_id": original["message_id"],
                "fingerprint": claim["fingerprint"],
                "first_seen_at": START,
                "last_seen_at": "2026-01-31T12:00:02.000Z",
                "expires_at": "2026-02-07T12:00:00.000Z",
                "duplicates": 1,
            }],
            "next_cursor": null,
        })
    );
    assert_eq!(world.get("/v1/keys?key=a/b+c").await, list);
    assert_eq!(world.get(&format!("/v1/keys/{checksum}")).await, list);

    let elsewhere = format!("/v1/keys/{checksum}?scope=source:src_0000000000000");
    assert_eq!(
        world.api(OWNER, "DELETE", &elsewhere, None).await.ok(),
        json!({"freed": 0})
    );
    let path = format!(
        "/v1/keys/a%2Fb%20c?scope=source:{}&reason=a+mistake",
        source.id
    );
    assert_eq!(
        world.api(OWNER, "DELETE", &path, None).await.ok(),
        json!({"freed": 1})
    );
    let audited = &world.store.audit_log(world.project, 10).await.unwrap()[0];
    assert_eq!(
        (
            audited.action.as_str(),
            audited.subject.as_str(),
            audited.reason.as_deref()
        ),
        ("key.free", "a/b c", Some("a mistake"))
    );
    assert!(audited.actor.is_some());
    let anew = world.arrive(&source, r#"{"id": "a/b c"}"#).await.ok();
    assert_eq!(anew["outcome"], "accepted");
    // Both messages of the key are found, that of the freed claim as well.
    let both = world.get("/v1/messages?key=a/b+c").await;
    assert_eq!(
        ids(&both),
        [text(&anew["message_id"]), text(&original["message_id"])]
    );
}

#[tokio::test]
async fn l1_a_composite_key_is_found_by_any_part_and_freed_only_whole() {
    let world = World::new().await;
    let settings = json!({"key": {"locations": ["body:$.shop", "body:$.id"]}});
    let source = world.source(settings, None).await;
    world
        .arrive(&source, r#"{"shop": "acme", "id": 7}"#)
        .await
        .ok();
    for key in ["acme", "7", "acme%20%2B%207"] {
        let list = world.get(&format!("/v1/keys/{key}")).await;
        assert_eq!(list["data"][0]["key"], "acme + 7", "{key}");
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "{key}");
    }
    assert_eq!(ids(&world.get("/v1/messages?key=acme").await).len(), 1);
    let part = world.api(OWNER, "DELETE", "/v1/keys/acme", None).await;
    assert!(part.refused(409).contains("only one part"));
    assert_eq!(part.json()["checksums"].as_array().unwrap().len(), 1);
    let whole = world
        .api(OWNER, "DELETE", "/v1/keys/acme%20%2B%207", None)
        .await;
    assert_eq!(whole.ok(), json!({"freed": 1}));
    assert_eq!(world.get("/v1/keys/acme").await["data"], json!([]));
}

#[tokio::test]
async fn l1_k8_a_key_with_a_bound_body_is_found_by_its_raw_value() {
    let world = World::new().await;
    let settings = json!({"key": {"locations": ["body:$.id"], "bind_body": true}});
    let source = world.source(settings, None).await;
    world
        .arrive(&source, r#"{"id": "evt_1", "n": 1}"#)
        .await
        .ok();
    world
        .arrive(&source, r#"{"id": "evt_1", "n": 2}"#)
        .await
        .ok();
    world
        .arrive(&source, r#"{"id": "evt_2", "n": 1}"#)
        .await
        .ok();
    let list = world.get("/v1/keys/evt_1").await;
    let claims = list["data"].as_array().unwrap();
    assert_eq!(claims.len(), 2, "{list}");
    assert!(claims.iter().all(|claim| claim["parts"][0] == "evt_1"));
    assert_eq!(ids(&world.get("/v1/messages?key=evt_1").await).len(), 2);

    // Two bodies, two keys: which of them is to be free, only a whole key says.
    let refused = world.api(OWNER, "DELETE", "/v1/keys/evt_1", None).await;
    assert!(refused.refused(409).contains("only one part"));
    let whole = format!("/v1/keys/{}", text(&claims[0]["checksum"]));
    let freed = world.api(OWNER, "DELETE", &whole, None).await;
    assert_eq!(freed.ok(), json!({"freed": 1}));
}

#[tokio::test]
async fn l1_a_callers_key_is_found_for_every_kind_of_target() {
    let world = World::new().await;
    let endpoint = world.endpoint("shop").await;
    for target in [
        json!({"endpoint_id": endpoint}),
        json!({"tenant": "acme"}),
        json!({"broadcast": true}),
        json!({"url": "https://93.184.215.14/direct"}),
    ] {
        let mut call = json!({"payload": 1, "idempotency_key": "order-1"});
        call.as_object_mut()
            .unwrap()
            .extend(target.as_object().unwrap().clone());
        world.make("/v1/webhooks/send", call).await;
    }
    let list = world.get("/v1/keys/order-1").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 4, "{list}");
    let freed = world.api(OWNER, "DELETE", "/v1/keys/order-1", None).await;
    assert_eq!(freed.ok(), json!({"freed": 4}));
}
