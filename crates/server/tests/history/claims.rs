//! L2: who may claim, who may look, and whose claims they are.

use serde_json::{Value, json};

use crate::world::{Answer, OWNER, READER, SENDER, STRANGER, World, text};

fn body() -> Value {
    json!({"scope": "shop", "key": "evt_1", "lease_seconds": 60, "window_seconds": 3600})
}

async fn claim(world: &World, key: &str, body: &Value) -> Answer {
    world
        .api(key, "POST", "/v1/claims", Some(body.clone()))
        .await
}

#[tokio::test]
async fn l2_the_scopes_of_a_key_say_what_it_may_do() {
    let world = World::new().await;
    claim(&world, READER, &body()).await.refused(403);
    let claimed = claim(&world, SENDER, &body()).await.ok();
    assert_eq!(claimed["outcome"], "acquired", "{claimed}");
    let path = format!("/v1/claims/{}", text(&claimed["id"]));
    let token = json!({"token": claimed["token"]});
    let complete = format!("{path}/complete");
    let refused = world.api(READER, "POST", &complete, Some(token.clone()));
    refused.await.refused(403);
    world.api(SENDER, "POST", &complete, Some(token)).await.ok();
    for key in [OWNER, READER, SENDER] {
        let seen = world.api(key, "GET", &path, None).await.ok();
        assert_eq!(seen["state"], "completed", "{seen}");
    }
    let mut replay = body();
    replay["replay"] = json!(true);
    claim(&world, SENDER, &replay).await.refused(403);
    let replayed = claim(&world, OWNER, &replay).await.ok();
    assert_eq!(replayed["origin"], "replay", "{replayed}");
}

#[tokio::test]
async fn l2_another_projects_claims_are_not_found() {
    let world = World::new().await;
    let claimed = claim(&world, OWNER, &body()).await.ok();
    let path = format!("/v1/claims/{}", text(&claimed["id"]));
    let missing = world.api(STRANGER, "GET", &path, None).await;
    assert!(missing.refused(404).contains("never made"));
    let token = json!({"token": claimed["token"]});
    for verb in ["complete", "release", "renew", "fail"] {
        let path = format!("{path}/{verb}");
        let missing = world.api(STRANGER, "POST", &path, Some(token.clone()));
        missing.await.refused(404);
    }
    let own = claim(&world, STRANGER, &body()).await.ok();
    assert_eq!(
        (&own["outcome"], &own["id"]),
        (&json!("acquired"), &claimed["id"])
    );
}
