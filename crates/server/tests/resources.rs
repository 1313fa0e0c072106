//! The resources and what holds for every call of the API.

mod common;

use common::{API_KEY, Gateway};
use serde_json::{Value, json};

const KINDS: [&str; 3] = ["sources", "endpoints", "connections"];

/// Settings that suffice for one of the kind.
async fn settings(gateway: &Gateway, kind: &str, name: &str) -> Value {
    match kind {
        "sources" => json!({"name": name}),
        "endpoints" => json!({"name": name, "url": "http://127.0.0.1:9/x"}),
        _ => {
            let to = json!({"name": format!("for {name}"), "url": "http://127.0.0.1:9/x"});
            let to = gateway.api("PUT", "/v1/endpoints", to).await.json();
            json!({"name": name, "event_types": ["*"], "endpoint_id": to["id"]})
        }
    }
}

#[tokio::test]
async fn a_resource_is_made_found_changed_listed_and_deleted() {
    let gateway = Gateway::start().await;
    for kind in KINDS {
        let all = format!("/v1/{kind}");
        let wanted = settings(&gateway, kind, "one").await;
        let made = gateway.api("POST", &all, wanted.clone()).await.expect(201);
        let id = made["id"].as_str().unwrap();
        let one = format!("{all}/{id}");
        let shown = gateway.get(&one).await.expect(200);
        assert_eq!((&shown["id"], &shown["name"]), (&made["id"], &json!("one")));
        assert!(shown["warnings"].is_array(), "{shown}");
        assert!(shown["created_at"].as_str().unwrap().ends_with('Z'));

        let renamed = gateway
            .api("PATCH", &one, json!({"name": "two"}))
            .await
            .expect(200);
        assert_eq!(
            (&renamed["name"], &renamed["id"]),
            (&json!("two"), &made["id"])
        );
        let same = gateway.api("PATCH", &one, json!({"id": id})).await;
        same.expect(200);
        let problem = gateway
            .api("PATCH", &one, json!({"id": "x"}))
            .await
            .expect(422);
        assert_eq!(problem["errors"][0]["pointer"], "/id", "{problem}");

        let list = gateway.get(&all).await.expect(200);
        let names: Vec<&Value> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert!(names.contains(&&json!("two")), "{list}");
        gateway.api("DELETE", &one, Value::Null).await.expect(204);
        gateway.get(&one).await.expect(404);
        gateway.api("DELETE", &one, Value::Null).await.expect(404);
        gateway
            .api("POST", &all, settings(&gateway, kind, "two").await)
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn put_makes_or_changes_by_name_so_that_a_script_can_run_twice() {
    let gateway = Gateway::start().await;
    for kind in KINDS {
        let path = format!("/v1/{kind}");
        let wanted = settings(&gateway, kind, "one").await;
        let first = gateway.api("PUT", &path, wanted.clone()).await.expect(201);
        let again = gateway.api("PUT", &path, wanted.clone()).await.expect(200);
        assert_eq!(first["id"], again["id"], "{kind}");
        assert_eq!(first["ingest_url"], again["ingest_url"], "{kind}");
        let problem = gateway.api("POST", &path, wanted).await.expect(409);
        assert!(
            problem["detail"].as_str().unwrap().contains("\"one\""),
            "{problem}"
        );
        gateway.api("PUT", &path, json!({})).await.expect(422);
    }
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let gateway = Gateway::start().await;
    for number in 0..5 {
        gateway
            .api("POST", "/v1/sources", json!({"name": format!("s{number}")}))
            .await
            .expect(201);
    }
    let mut names = Vec::new();
    let mut path = "/v1/sources?limit=2".to_owned();
    loop {
        let page = gateway.get(&path).await.expect(200);
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        names.extend(
            data.iter()
                .map(|source| source["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/sources?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["s4", "s3", "s2", "s1", "s0"]);
    for query in ["limit=0", "limit=251", "cursor=nonsense"] {
        gateway
            .get(&format!("/v1/sources?{query}"))
            .await
            .expect(422);
    }
    for query in ["limit=x", "unknown=1"] {
        gateway
            .get(&format!("/v1/sources?{query}"))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn an_endpoints_secret_is_shown_once_and_rotates() {
    let gateway = Gateway::start().await;
    let wanted = json!({"name": "one", "url": "http://127.0.0.1:9/x"});
    let made = gateway
        .api("POST", "/v1/endpoints", wanted.clone())
        .await
        .expect(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    for answer in [
        gateway.get(&path).await.expect(200),
        gateway
            .api("PUT", "/v1/endpoints", wanted)
            .await
            .expect(200),
        gateway
            .api("PATCH", &path, json!({"timeout_seconds": 5}))
            .await
            .expect(200),
    ] {
        assert_eq!(answer.get("secret"), None, "{answer}");
    }
    let rotate = format!("{path}/rotate-secret");
    let rotated = gateway.api("POST", &rotate, Value::Null).await.expect(200);
    assert!(
        rotated["secret"].as_str().is_some_and(|new| new != secret),
        "{rotated}"
    );
}

#[tokio::test]
async fn the_credentials_in_an_endpoints_headers_are_masked_wherever_it_is_shown() {
    use hooklatch_engine::Directory;
    let gateway = Gateway::start().await;
    let headers = json!({"Authorization": "Bearer hush", "X-Team": "red"});
    let wanted = json!({"name": "a", "url": "http://127.0.0.1:9/x", "headers": headers});
    let masked = json!({"Authorization": "***", "X-Team": "red"});
    let made = gateway.api("PUT", "/v1/endpoints", wanted).await;
    let made = made.expect(201);
    assert_eq!(made["headers"], masked);
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let shown = gateway.api("GET", &path, json!(null)).await.expect(200);
    assert_eq!(shown["headers"], masked);
    let listed = gateway.api("GET", "/v1/endpoints", json!(null)).await;
    assert_eq!(listed.expect(200)["data"][0]["headers"], masked);

    let back = json!({"name": "a", "url": "http://127.0.0.1:9/y", "headers": shown["headers"]});
    let saved = gateway.api("PUT", "/v1/endpoints", back).await.expect(200);
    assert_eq!(saved["headers"], masked);
    for (verb, below) in [
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/rotate-secret"),
    ] {
        let changed = gateway
            .api(verb, &format!("{path}{below}"), json!({}))
            .await;
        assert_eq!(changed.expect(200)["headers"], masked, "{below}");
    }
    let directory = gateway.app.directory();
    let ready = directory.endpoint(made["id"].as_str().unwrap().parse().unwrap());
    let opened = ready
        .unwrap()
        .endpoint()
        .open_headers(directory.sealing_key());
    assert_eq!(opened.unwrap()[0].1, "Bearer hush");
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_gone_is_disabled_until_somebody_resumes_it() {
    use hooklatch_engine::Directory;
    let gateway = Gateway::start().await;
    let wanted = json!({"name": "one", "url": "http://127.0.0.1:9/x"});
    let made = gateway
        .api("POST", "/v1/endpoints", wanted)
        .await
        .expect(201);
    let id: hooklatch_core::ids::EndpointId = made["id"].as_str().unwrap().parse().unwrap();
    for reason in ["it answered 410 Gone", "and once more"] {
        gateway
            .app
            .directory()
            .disable_endpoint(id, reason.to_owned())
            .await;
    }
    let path = format!("/v1/endpoints/{id}");
    let shown = gateway.get(&path).await.expect(200);
    assert_eq!(
        shown["disabled"]["reason"], "it answered 410 Gone",
        "{shown}"
    );
    let resume = format!("{path}/resume");
    let resumed = gateway.api("POST", &resume, Value::Null).await.expect(200);
    assert_eq!(resumed["disabled"], Value::Null);
}

#[tokio::test]
async fn a_configuration_is_the_same_after_a_restart_and_needs_its_encryption_key() {
    use hooklatch_core::address::Reach;
    use hooklatch_core::seal::SealingKey;
    use hooklatch_server::directory::Directory;
    let gateway = Gateway::start().await;
    let (source, _) = gateway.source(json!({"name": "one"})).await;
    gateway.connected(&source, "two").await;
    let open = |key: u8| {
        let sealing_key = SealingKey::from_bytes([key; 32]);
        Directory::open(gateway.store.clone(), sealing_key, Reach::PublicOnly)
    };
    let again = open(7).await.unwrap().snapshot();
    let before = gateway.app.directory().snapshot();
    let project = before.projects().next().unwrap().id;
    let id = source["id"].as_str().unwrap().parse().unwrap();
    let of = |snapshot: &hooklatch_server::directory::Snapshot| {
        let source = snapshot.source(project, id).unwrap().source.clone();
        (source, snapshot.source_destinations(id))
    };
    assert_eq!(of(&again), of(&before));
    let error = open(8)
        .await
        .err()
        .expect("another key opens nothing")
        .to_string();
    assert!(error.contains("HOOKLATCH_ENCRYPTION_KEY"), "{error}");
}

#[tokio::test]
async fn deleting_an_end_of_a_connection_deletes_the_connection() {
    let gateway = Gateway::start().await;
    for end in ["source", "endpoint"] {
        let (source, _) = gateway.source(json!({"name": end})).await;
        let endpoint = gateway.connected(&source, end).await;
        let id = if end == "source" {
            &source["id"]
        } else {
            &endpoint["id"]
        };
        let path = format!("/v1/{end}s/{}", id.as_str().unwrap());
        gateway.api("DELETE", &path, Value::Null).await.expect(204);
        let list = gateway.get("/v1/connections").await.expect(200);
        assert_eq!(list["data"], json!([]), "{end}");
    }
}

#[tokio::test]
async fn members_of_a_group_share_their_keys() {
    let gateway = Gateway::start().await;
    let member = |name: &str, location: &str| {
        let key = json!({"locations": [location], "group": "shop"});
        json!({"name": name, "key": key})
    };
    let (_, one) = gateway.source(member("one", "body:$.id")).await;
    let (_, other) = gateway.source(member("other", "header:x-id")).await;
    let (_, alone) = gateway
        .source(json!({"name": "alone", "key": {"locations": ["body:$.id"]}}))
        .await;
    let body = r#"{"id": "evt_1"}"#;
    assert_eq!(
        gateway.post(&one, body).await.expect(200)["outcome"],
        "accepted"
    );
    let again = gateway
        .call("POST", &other, &[("x-id", "evt_1")], body)
        .await
        .expect(200);
    assert_eq!(again["outcome"], "duplicate");
    assert_eq!(
        gateway.post(&alone, body).await.expect(200)["outcome"],
        "accepted"
    );
}

#[tokio::test]
async fn a_call_without_a_valid_key_learns_how_to_send_one() {
    let gateway = Gateway::start().await;
    let other = format!("Bearer {API_KEY}x");
    for header in [
        None,
        Some("Basic abc"),
        Some("Bearer nonsense"),
        Some(other.as_str()),
    ] {
        let headers: Vec<_> = header
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        for (method, path) in [("GET", "/v1/sources"), ("POST", "/v1/webhooks/send")] {
            let answer = gateway.call(method, path, &headers, "").await;
            answer.expect(401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let lower = format!("bearer {API_KEY}");
    gateway
        .call("GET", "/v1/sources", &[("authorization", &lower)], "")
        .await
        .expect(200);
}

#[tokio::test]
async fn what_cannot_be_read_and_what_cannot_be_used_are_told_apart() {
    let gateway = Gateway::start().await;
    let bearer = format!("Bearer {API_KEY}");
    let with_type = |media: &'static str| {
        [
            ("authorization", bearer.clone()),
            ("content-type", media.to_owned()),
        ]
    };
    for (path, media, body, status) in [
        ("/v1/sources", "application/json", "{\"name\": ", 400),
        ("/v1/sources", "application/json", "", 400),
        (
            "/v1/sources",
            "application/json",
            "{\"name\": \"x\"} y",
            400,
        ),
        (
            "/v1/webhooks/send",
            "application/json",
            "{\"payload\": nope}",
            400,
        ),
        ("/v1/webhooks/send", "application/json", "[1]", 422),
        ("/v1/webhooks/send/batch", "application/json", "{", 400),
        ("/v1/sources", "text/plain", "{\"name\": \"plain\"}", 201),
        (
            "/v1/sources",
            "application/x-www-form-urlencoded",
            "name=x",
            400,
        ),
        (
            "/v1/sources",
            "application/vnd.x+json; charset=utf-8",
            "{\"name\": \"x\"}",
            201,
        ),
        ("/v1/sources", "application/json", "{\"name\": 7}", 422),
        ("/v1/sources", "application/json", "{\"nam\": \"y\"}", 422),
        ("/v1/sources", "application/json", "[]", 422),
    ] {
        let headers = with_type(media);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = gateway.call("POST", path, &headers, body).await;
        assert_eq!(
            answer.status,
            status,
            "{path} {media} {body}: {}",
            answer.text()
        );
        answer.expect(status);
    }
    let problem = gateway.api(
        "POST",
        "/v1/sources",
        json!({"key": {"locations": ["body:$.x["]}}),
    );
    let problem = problem.await.expect(422);
    let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
    assert!(pointer.starts_with("/key"), "{problem}");
}

#[tokio::test]
async fn unknown_ids_and_paths_are_not_found_and_wrong_methods_are_named() {
    let gateway = Gateway::start().await;
    for path in [
        "/v1/sources/src_0000000000000",
        "/v1/sources/nonsense",
        "/v1/sources/%ff",
        "/v1/endpoints/src_0000000000000",
        "/v1/connections/con_zzzzzzzzzzzzz",
        "/v1/nothing",
    ] {
        gateway.get(path).await.expect(404);
    }
    let answer = gateway.api("DELETE", "/v1/sources", Value::Null).await;
    answer.expect(405);
    let allow = answer.header("allow").unwrap();
    assert!(allow.contains("POST") && allow.contains("PUT"), "{allow}");
}

#[tokio::test]
async fn an_address_that_must_not_be_reached_is_refused_when_it_is_saved() {
    let gateway = Gateway::start().await;
    let wanted = json!({"name": "one", "url": "http://169.254.169.254/latest/meta-data"});
    let problem = gateway
        .api("POST", "/v1/endpoints", wanted)
        .await
        .expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/url", "{problem}");
}

#[tokio::test]
async fn what_another_node_has_made_is_found_when_its_name_is_met() {
    let gateway = Gateway::start().await;
    let other = gateway.another_node().await;
    for (kind, settings) in [
        (
            "sources",
            json!({"name": "shop", "key": {"locations": ["body:$.id"], "group": "g"}}),
        ),
        (
            "endpoints",
            json!({"name": "shop", "url": "http://127.0.0.1:9/x"}),
        ),
    ] {
        let path = format!("/v1/{kind}");
        let made = other.api("PUT", &path, settings.clone()).await.expect(201);
        let found = gateway
            .api("PUT", &path, settings.clone())
            .await
            .expect(200);
        assert_eq!(found["id"], made["id"]);
        gateway.api("POST", &path, settings).await.expect(409);
        let listed = gateway.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_change_that_is_stored_in_part_is_decided_anew_and_brought_to_its_end() {
    let gateway = Gateway::start().await;
    let other = gateway.another_node().await;
    let key = |key: Value| json!({"name": "shop", "key": key});
    let alone = key(json!({"locations": ["body:$.id"]}));
    let made = other.api("PUT", "/v1/sources", alone).await.expect(201);
    // The new group is stored, and only then is the source's name found to be taken.
    let grouped = key(json!({"locations": ["body:$.id"], "group": "g"}));
    for _ in 0..2 {
        let put = gateway.api("PUT", "/v1/sources", grouped.clone()).await;
        let put = put.expect(200);
        assert_eq!(put["id"], made["id"]);
        assert_eq!(put["key"]["group"], "g", "{put}");
    }
    let after = gateway.another_node().await;
    let listed = after.get("/v1/sources").await.expect(200);
    assert_eq!(listed["data"][0]["key"]["group"], "g", "{listed}");
}

#[tokio::test]
async fn a_change_is_carried_out_though_its_caller_hangs_up() {
    use hooklatch_core::config::Source;
    use hooklatch_server::directory::{Change, Document};
    use std::task::Poll;
    let gateway = Gateway::start().await;
    let (source, path) = gateway.source(json!({"name": "one"})).await;
    let project = source["project_id"].as_str().unwrap().parse().unwrap();
    let id = source["id"].as_str().unwrap().parse().unwrap();
    let directory = gateway.app.directory();
    let change = directory.change(project, |deciding| {
        let ready = deciding.snapshot.source(project, id).unwrap();
        let paused = Source {
            paused: true,
            ..ready.source.clone()
        };
        Ok(Change {
            documents: vec![Document::Source(Box::new(paused))],
            answer: (),
        })
    });
    // Polled once, and then dropped: it is with the store by then, and not seen yet.
    let mut change = Box::pin(change);
    let under_way = std::future::poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx).is_pending()));
    assert!(under_way.await);
    drop(change);
    let paused = || async { (gateway.post(&path, "{}").await.status == 503).then_some(()) };
    common::eventually(paused).await;
    let resume = format!("/v1/sources/{}/resume", source["id"].as_str().unwrap());
    gateway.api("POST", &resume, Value::Null).await.expect(200);
    gateway.post(&path, "{}").await.expect(200);
}
