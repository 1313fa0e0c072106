//! Projects, API keys, the audit log, rotated URLs and limits of calls, over HTTP.

mod common;

use common::{API_KEY, Answer, Gateway, eventually};
use hooklatch_server::Settings;
use hooklatch_server::api::Rate;
use hooklatch_server::serve::Limits;
use serde_json::{Value, json};

async fn with_key(gateway: &Gateway, key: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    gateway
        .call(method, path, &[("authorization", &bearer)], body)
        .await
}

/// A second project, and a key to it with every scope that is no admin key.
async fn stranger(gateway: &Gateway) -> (Value, String) {
    let project = gateway
        .api("POST", "/v1/projects", json!({"name": "other"}))
        .await
        .expect(201);
    let key = json!({
        "name": "k",
        "project_id": project["id"],
        "scopes": ["read", "send", "manage"],
    });
    let key = gateway.api("POST", "/v1/api-keys", key).await.expect(201);
    let text = key["key"].as_str().expect("it is shown once").to_owned();
    (project, text)
}

#[tokio::test]
async fn projects_are_made_listed_and_shown() {
    let gateway = Gateway::start().await;
    let (project, _) = stranger(&gateway).await;
    assert!(
        project["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    let listed = gateway.get("/v1/projects").await.expect(200);
    let names: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["other", "default"]);
    let path = format!("/v1/projects/{}", project["id"].as_str().unwrap());
    let shown = gateway.get(&path).await.expect(200);
    assert_eq!(shown["name"], "other");
    assert_eq!(shown["signing_secret"], Value::Null, "it was shown once");
    gateway
        .get("/v1/projects/prj_0000000000000")
        .await
        .expect(404);
    gateway.get("/v1/projects/x").await.expect(404);
    let twice = gateway.api("POST", "/v1/projects", json!({"name": "other"}));
    twice.await.expect(409);
    let nameless = gateway
        .api("POST", "/v1/projects", json!({}))
        .await
        .expect(422);
    assert_eq!(nameless["errors"][0]["pointer"], "/name");
}

#[tokio::test]
async fn only_an_admin_key_opens_projects_and_keys() {
    let gateway = Gateway::start().await;
    let (_, key) = stranger(&gateway).await;
    for (method, path) in [
        ("GET", "/v1/projects"),
        ("POST", "/v1/projects"),
        ("GET", "/v1/projects/prj_0000000000001"),
        ("GET", "/v1/api-keys"),
        ("POST", "/v1/api-keys"),
        ("GET", "/v1/api-keys/key_0000000000001"),
        ("DELETE", "/v1/api-keys/key_0000000000001"),
    ] {
        let body = match (method, path) {
            ("POST", "/v1/projects") => json!({"name": "x"}),
            ("POST", _) => json!({"name": "x", "scopes": ["read"]}),
            (_, _) => Value::Null,
        };
        let answer = with_key(&gateway, &key, method, path, body).await;
        answer.expect(403);
        gateway.call(method, path, &[], "{}").await.expect(401);
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_once_it_is_revoked() {
    let gateway = Gateway::start().await;
    let node = gateway.another_node().await;
    let following = tokio::spawn(
        node.app
            .directory()
            .clone()
            .follow(node.stop.clone(), std::sync::Arc::new(|| {})),
    );
    let input = json!({"name": "reader", "scopes": ["read"]});
    let made = gateway.api("POST", "/v1/api-keys", input).await.expect(201);
    let text = made["key"].as_str().unwrap();
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    with_key(&gateway, text, "GET", "/v1/messages", Value::Null)
        .await
        .expect(200);
    let source = json!({"name": "s"});
    with_key(&gateway, text, "POST", "/v1/sources", source)
        .await
        .expect(403);
    let shown = gateway.get(&path).await.expect(200);
    assert!(shown["last_used_at"].is_string(), "{shown}");
    assert_eq!(shown["key"], Value::Null);
    assert!(!shown.to_string().contains(text));
    eventually(|| async {
        let answer = with_key(&node, text, "GET", "/v1/messages", Value::Null).await;
        (answer.status == 200).then_some(())
    })
    .await;
    gateway.api("DELETE", &path, Value::Null).await.expect(204);
    with_key(&gateway, text, "GET", "/v1/messages", Value::Null)
        .await
        .expect(401);
    eventually(|| async {
        let answer = with_key(&node, text, "GET", "/v1/messages", Value::Null).await;
        (answer.status == 401).then_some(())
    })
    .await;
    gateway.get(&path).await.expect(404);
    node.stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let gateway = Gateway::start().await;
    let listed = gateway.get("/v1/api-keys").await.expect(200);
    let path = format!("/v1/api-keys/{}", listed["data"][0]["id"].as_str().unwrap());
    gateway.api("DELETE", &path, Value::Null).await.expect(409);
    let wrong = json!({"name": "x", "scopes": [], "project_id": "prj_0000000000009"});
    gateway.api("POST", "/v1/api-keys", wrong).await.expect(422);
}

/// Every call about one thing.
fn calls_about(ids: &Ids) -> Vec<(&'static str, String)> {
    let Ids {
        source,
        endpoint,
        connection,
        message,
        request,
        delivery,
    } = ids;
    vec![
        ("GET", format!("/v1/sources/{source}")),
        ("PATCH", format!("/v1/sources/{source}")),
        ("DELETE", format!("/v1/sources/{source}")),
        ("POST", format!("/v1/sources/{source}/pause")),
        ("POST", format!("/v1/sources/{source}/resume")),
        ("POST", format!("/v1/sources/{source}/rotate-token")),
        ("GET", format!("/v1/endpoints/{endpoint}")),
        ("PATCH", format!("/v1/endpoints/{endpoint}")),
        ("DELETE", format!("/v1/endpoints/{endpoint}")),
        ("POST", format!("/v1/endpoints/{endpoint}/pause")),
        ("POST", format!("/v1/endpoints/{endpoint}/resume")),
        ("POST", format!("/v1/endpoints/{endpoint}/rotate-secret")),
        ("GET", format!("/v1/connections/{connection}")),
        ("PATCH", format!("/v1/connections/{connection}")),
        ("DELETE", format!("/v1/connections/{connection}")),
        ("GET", format!("/v1/messages/{message}")),
        ("GET", format!("/v1/messages/{message}/requests")),
        ("GET", format!("/v1/messages/{message}/deliveries")),
        ("POST", format!("/v1/messages/{message}/retry")),
        ("GET", format!("/v1/requests/{request}")),
        ("POST", format!("/v1/requests/{request}/release")),
        ("POST", format!("/v1/requests/{request}/discard")),
        ("GET", format!("/v1/deliveries/{delivery}")),
        ("GET", format!("/v1/deliveries/{delivery}/attempts")),
        ("POST", format!("/v1/deliveries/{delivery}/retry")),
        ("POST", format!("/v1/deliveries/{delivery}/cancel")),
    ]
}

/// What a project has.
struct Ids {
    source: String,
    endpoint: String,
    connection: String,
    message: String,
    request: String,
    delivery: String,
}

#[tokio::test]
async fn another_projects_ids_are_not_found_anywhere() {
    let gateway = Gateway::start().await;
    let (source, path) = gateway
        .source(json!({"name": "shop", "key": {"locations": ["body:$.id"]}}))
        .await;
    let endpoint = gateway.connected(&source, "worker").await;
    let accepted = gateway.post(&path, "{\"id\": 1}").await.expect(200);
    let connections = gateway.get("/v1/connections").await.expect(200);
    let message = accepted["message_id"].as_str().unwrap();
    let shown = gateway
        .get(&format!("/v1/messages/{message}"))
        .await
        .expect(200);
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let delivery = id(&shown["deliveries"][0]);
    let (source, endpoint) = (id(&source), id(&endpoint));
    let connection = id(&connections["data"][0]);
    let request = accepted["request_id"].as_str().unwrap();
    let (_, key) = stranger(&gateway).await;
    let ids = Ids {
        source,
        endpoint: endpoint.clone(),
        connection,
        message: message.to_owned(),
        request: request.to_owned(),
        delivery,
    };
    for (method, path) in calls_about(&ids) {
        let body = if method == "PATCH" {
            json!({})
        } else {
            Value::Null
        };
        let answer = with_key(&gateway, &key, method, &path, body).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
    }
    nothing_is_listed(&gateway, &key).await;
    let send = json!({"endpoint_id": endpoint, "payload": {}});
    let sent = with_key(&gateway, &key, "POST", "/v1/webhooks/send", send).await;
    assert!(matches!(sent.status, 404 | 422), "{}", sent.text());
}

async fn nothing_is_listed(gateway: &Gateway, key: &str) {
    for path in [
        "/v1/sources",
        "/v1/messages",
        "/v1/requests",
        "/v1/attempts",
        "/v1/audit",
    ] {
        let listed = with_key(gateway, key, "GET", path, Value::Null).await;
        let listed = listed.expect(200);
        assert_eq!(
            listed["data"].as_array().map_or(0, Vec::len),
            usize::from(path == "/v1/audit") * 2,
            "{path}"
        );
    }
    let stats = with_key(gateway, key, "GET", "/v1/stats", Value::Null).await;
    assert_eq!(stats.expect(200)["requests"]["total"], 0);
}

#[tokio::test]
async fn a_rotated_url_goes_on_for_a_while_or_ends_at_once() {
    let gateway = Gateway::start().await;
    let (source, first) = gateway.source(json!({"name": "shop"})).await;
    let rotate = format!(
        "/v1/sources/{}/rotate-token",
        source["id"].as_str().unwrap()
    );
    let path = |source: &Value| {
        let url = source["ingest_url"].as_str().unwrap();
        format!("/ingest/{}", url.split_once("/ingest/").unwrap().1)
    };
    let rotated = gateway.api("POST", &rotate, Value::Null).await.expect(200);
    let second = path(&rotated);
    assert_ne!(first, second);
    assert!(rotated["former_ingest_urls_until"].is_string());
    gateway.post(&first, "{}").await.expect(200);
    gateway.post(&second, "{}").await.expect(200);
    let at_once = json!({"overlap_seconds": 0});
    let third = path(&gateway.api("POST", &rotate, at_once).await.expect(200));
    gateway.post(&first, "{}").await.expect(404);
    gateway.post(&second, "{}").await.expect(404);
    gateway.post(&third, "{}").await.expect(200);
    let wrong = json!({"overlap_seconds": -1});
    gateway.api("POST", &rotate, wrong).await.expect(422);
    let audit = gateway.get("/v1/audit").await.expect(200);
    assert_eq!(audit["data"][0]["action"], "source.rotate_token");
    assert!(
        !audit
            .to_string()
            .contains(third.trim_start_matches("/ingest/"))
    );
}

#[tokio::test]
async fn the_audit_log_says_who_changed_what_without_secrets() {
    let gateway = Gateway::start().await;
    let input = json!({"name": "worker", "url": "http://127.0.0.1:9/a",
        "headers": {"authorization": "Bearer s3same-s3same"}});
    let made = gateway
        .api("POST", "/v1/endpoints", input)
        .await
        .expect(201);
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let change = json!({"url": "http://127.0.0.1:9/b"});
    gateway.api("PATCH", &path, change).await.expect(200);
    gateway.api("DELETE", &path, Value::Null).await.expect(204);
    let audit = gateway.get("/v1/audit?limit=3").await.expect(200);
    assert!(audit["next_cursor"].is_string(), "{audit}");
    let lines = audit["data"].as_array().unwrap();
    let actions: Vec<_> = lines
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["endpoint.delete", "endpoint.update", "endpoint.create"]
    );
    assert!(lines.iter().all(|it| it["subject"] == made["id"]));
    let keys = gateway.get("/v1/api-keys").await.expect(200);
    assert!(lines.iter().all(|it| it["actor"] == keys["data"][0]["id"]));
    assert_eq!(lines[0]["after"], Value::Null);
    assert_eq!(lines[1]["before"]["url"], "http://127.0.0.1:9/a");
    assert_eq!(lines[1]["after"]["url"], "http://127.0.0.1:9/b");
    assert_eq!(lines[2]["before"], Value::Null);
    let text = audit.to_string();
    assert!(
        !text.contains("s3same") && !text.contains("whsec_"),
        "{text}"
    );
    let cursor = audit["next_cursor"].as_str().unwrap();
    let rest = gateway
        .get(&format!("/v1/audit?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn calls_are_limited_by_key_and_the_answer_says_how_many_are_left() {
    let settings = Settings {
        api_rate: Some(Rate {
            per_second: 1,
            burst: 3,
        }),
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let first = gateway.get("/v1/sources").await;
    assert_eq!(
        first.header("ratelimit-policy"),
        Some("\"default\";q=3;w=3")
    );
    assert_eq!(first.header("ratelimit"), Some("\"default\";r=2;t=1"));
    gateway.get("/v1/sources").await.expect(200);
    gateway.get("/v1/sources").await.expect(200);
    let refused = gateway.get("/v1/sources").await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.expect(429);
    gateway.call("GET", "/healthz", &[], "").await.expect(200);
}

#[tokio::test]
async fn nobody_guesses_keys_without_end() {
    let settings = Settings {
        stranger_rate: Rate {
            per_second: 1,
            burst: 2,
        },
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let wrong = "hl_ffffffffffffffffffffffffffffffff";
    for expected in [401, 401, 429] {
        let answer = with_key(&gateway, wrong, "GET", "/v1/sources", Value::Null).await;
        answer.expect(expected);
    }
    let right = with_key(&gateway, API_KEY, "GET", "/v1/sources", Value::Null).await;
    right.expect(200);
}
