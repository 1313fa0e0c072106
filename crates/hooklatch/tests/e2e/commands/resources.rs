//! `hooklatch sources`, `endpoints`, `messages` and the rest.

use serde_json::json;
use tempfile::TempDir;

use super::{about, command, end, end_with, say};
use crate::support::{Backend, Data, Gateway, Receiver, Reply, eventually, on_each_store};

on_each_store! {
    what_is_configured_is_made_shown_changed_and_deleted
    what_has_happened_is_listed_filtered_and_decided_upon
}

async fn what_is_configured_is_made_shown_changed_and_deleted(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let dir = TempDir::new().expect("a temporary directory");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "whsec_s3same\n").expect("the directory is ours");
    let secret = secret.display().to_string();

    let shown_once = all_is_made(&gateway, &secret).await;
    all_is_changed(&gateway, &shown_once).await;
    all_is_listed_and_deleted(&gateway).await;
    projects_and_keys(&gateway).await;
}

/// Makes a source, an endpoint and a connection; answers the endpoint's secret.
async fn all_is_made(gateway: &Gateway, secret: &str) -> String {
    let made = say(
        gateway,
        &[
            "sources",
            "create",
            "--name",
            "stripe",
            "--provider",
            "stripe",
            "--secret-file",
            secret,
        ],
    )
    .await
    .done();
    assert!(made.out.contains("ingest_url"), "{made:?}");
    assert!(!made.out.contains("s3same"), "{made:?}");

    let made = say(
        gateway,
        &[
            "endpoints",
            "create",
            "--name",
            "shop",
            "--url",
            "http://127.0.0.1:9/hooks",
            "--json",
        ],
    )
    .await
    .done();
    let shown_once = made.json()["secret"]
        .as_str()
        .map(str::to_owned)
        .expect("a secret");
    assert_eq!(made.out.matches(&shown_once).count(), 1);
    assert!(
        made.err.contains("shown this once") && !made.err.contains(&shown_once),
        "{made:?}"
    );
    let shown = say(gateway, &["endpoints", "get", "shop"]).await.done();
    assert!(!shown.out.contains(&shown_once), "{shown:?}");

    // A document on standard input names its source and endpoint.
    let document = "name = \"stripe-to-shop\"\nsource = \"stripe\"\nendpoint = \"shop\"\n\
                    rules = [{ type = \"filter\", body = { kind = \"paid\" } }]\n";
    let made = about(gateway, &["connections", "create", "--file", "-", "--json"]);
    let made = end_with(made, document).await.done().json();
    assert_eq!(made["rules"][0]["type"], "filter", "{made}");
    shown_once
}

async fn all_is_changed(gateway: &Gateway, shown_once: &str) {
    // The same by flags again is a conflict: upsert is for that.
    let again = ["--name", "shop", "--url", "http://127.0.0.1:9/paid"];
    let refused = say(gateway, &[&["endpoints", "create"][..], &again].concat()).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("(409)"), "{refused:?}");
    say(gateway, &[&["endpoints", "upsert"][..], &again].concat())
        .await
        .done();
    let changed = [
        "endpoints",
        "update",
        "shop",
        "--timeout-seconds",
        "7",
        "--per-second",
        "5",
    ];
    let changed = [&changed[..], &["--json"]].concat();
    let changed = say(gateway, &changed).await.done().json();
    assert_eq!(changed["url"], "http://127.0.0.1:9/paid", "{changed}");
    assert_eq!(changed["timeout_seconds"], 7);
    assert_eq!(changed["rate_limit"]["per_second"], 5);

    for (word, paused) in [("pause", true), ("resume", false)] {
        let said = say(gateway, &["sources", word, "stripe", "--json"])
            .await
            .done();
        assert_eq!(said.json()["paused"], paused);
    }
    let rotated = say(gateway, &["endpoints", "rotate-secret", "shop", "--json"])
        .await
        .done();
    assert_ne!(rotated.json()["secret"], json!(shown_once));
}

async fn all_is_listed_and_deleted(gateway: &Gateway) {
    let listed = say(gateway, &["connections", "list"]).await.done();
    assert!(
        listed.out.contains("stripe-to-shop") && listed.out.contains('┌'),
        "{listed:?}"
    );
    let listed = say(gateway, &["connections", "list", "--json"])
        .await
        .done();
    assert_eq!(listed.lines()[0]["name"], "stripe-to-shop");

    // Nobody is asked where there is no terminal.
    let unasked = say(gateway, &["connections", "delete", "stripe-to-shop"]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    for (kind, name) in [("connections", "stripe-to-shop"), ("sources", "stripe")] {
        say(gateway, &[kind, "delete", name, "--yes"]).await.done();
        let gone = say(gateway, &[kind, "get", name]).await;
        assert_eq!(gone.code, 1, "{gone:?}");
        assert!(gone.err.contains(name), "{gone:?}");
    }
}

async fn projects_and_keys(gateway: &Gateway) {
    say(gateway, &["projects", "create", "--name", "other"])
        .await
        .done();
    let key = say(
        gateway,
        &[
            "api-keys",
            "create",
            "--name",
            "ci",
            "--scope",
            "read",
            "--project",
            "other",
            "--json",
        ],
    )
    .await
    .done()
    .json()["key"]
        .as_str()
        .map(str::to_owned);
    let mut as_ci = about(gateway, &["sources", "list"]);
    as_ci.env("HOOKLATCH_API_KEY", key.expect("a key"));
    assert_eq!(end(as_ci).await.done().out, "there are none\n");
    let keys = say(gateway, &["api-keys", "list"]).await.done();
    assert!(
        keys.out.contains("ci") && !keys.out.contains("hl_"),
        "{keys:?}"
    );
    say(gateway, &["api-keys", "delete", "ci", "--yes"])
        .await
        .done();
    let audit = say(gateway, &["audit", "list", "--json", "--limit", "100"])
        .await
        .done();
    assert!(audit.out.contains("endpoint.update"), "{audit:?}");
}

async fn what_has_happened_is_listed_filtered_and_decided_upon(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let api = gateway.api();
    let source = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let once = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 1}});
    let endpoint = api.endpoint("orders", &receiver.url("/"), once).await;
    api.connect(&source, &endpoint).await;
    for n in 1..=3 {
        api.ingest_json(&source, &format!("{{\"id\": \"evt_{n}\", \"n\": 1.0}}"))
            .await;
    }
    api.ingest_json(&source, "{\"id\": \"evt_1\", \"n\": 1.0}")
        .await;
    eventually("the attempts are recorded", || async {
        let failed = [
            "attempts",
            "list",
            "--outcome",
            "failed",
            "--endpoint",
            "orders",
            "--json",
        ];
        let failed = say(&gateway, &failed).await.done();
        (failed.lines().len() >= 3).then_some(())
    })
    .await;

    let first = say(&gateway, &["messages", "list", "--limit", "2", "--json"])
        .await
        .done();
    assert_eq!(first.lines().len(), 2);
    let cursor = first.err.split("--cursor ").nth(1).expect("there is more");
    let cursor = cursor.split_whitespace().next().expect("a cursor");
    let rest = ["messages", "list", "--cursor", cursor, "--all", "--json"];
    let rest = say(&gateway, &rest).await.done();
    assert_eq!(rest.lines().len(), 1, "{rest:?}");
    let message = rest.lines()[0].clone();
    assert_eq!(message["idempotency_key"], "evt_1");
    // Digits stay as they were sent.
    assert!(rest.out.contains("\"n\":1.0"), "{rest:?}");
    let id = message["id"].as_str().expect("an id");

    known_by_their_keys(&gateway, id).await;
    decided_upon(&gateway, id).await;
}

async fn known_by_their_keys(gateway: &Gateway, id: &str) {
    let known = [
        "messages", "list", "--source", "shop", "--key", "evt_1", "--after", "1h",
    ];
    let known = say(gateway, &known).await.done();
    assert!(
        known.out.contains(id) && !known.out.contains("evt_2"),
        "{known:?}"
    );
    let key = say(gateway, &["keys", "get", "evt_2", "--json"])
        .await
        .done();
    assert_eq!(key.lines()[0]["key"], "evt_2");
    let freed = say(gateway, &["keys", "delete", "evt_2", "--yes", "--json"])
        .await
        .done();
    assert_eq!(freed.json()["freed"], 1);
    let gone = say(gateway, &["messages", "get", "msg_0000000000000"]).await;
    assert_eq!((gone.code, gone.out.as_str()), (1, ""), "{gone:?}");
}

async fn decided_upon(gateway: &Gateway, id: &str) {
    let requests = say(gateway, &["messages", "requests", id, "--json"])
        .await
        .done();
    assert_eq!(requests.lines().len(), 2);
    let duplicate = ["requests", "list", "--outcome", "duplicate", "--json"];
    let duplicate = say(gateway, &duplicate).await.done().lines().remove(0);
    let duplicate = duplicate["id"].as_str().expect("an id").to_owned();
    say(
        gateway,
        &["requests", "release", &duplicate, "--reason", "it was none"],
    )
    .await
    .done();

    let deliveries = say(gateway, &["deliveries", "list", id, "--json"])
        .await
        .done();
    let delivery = deliveries.lines()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let attempts = say(gateway, &["deliveries", "attempts", &delivery, "--json"])
        .await
        .done();
    assert_eq!(attempts.lines()[0]["status_code"], 503);
    say(gateway, &["messages", "retry", id]).await.done();
    say(gateway, &["deliveries", "get", &delivery]).await.done();
}

#[tokio::test]
async fn what_is_not_understood_is_a_usage_error() {
    for (words, expected) in [
        (&["sources", "fly"][..], "unrecognized subcommand"),
        (&["messages", "list", "--status", "odd"], "possible values"),
        (&["messages", "list", "--after", "yesterday"], "is no time"),
        (&["sources", "create"], "nothing is said of the source"),
        (
            &["sources", "create", "--file", "/no/such"],
            "cannot be read",
        ),
    ] {
        let said = end(command(words)).await;
        assert!(said.err.contains(expected), "{words:?}: {said:?}");
        let code = if expected == "cannot be read" { 1 } else { 2 };
        assert_eq!(said.code, code, "{words:?}: {said:?}");
    }
    let mut keyless = command(&["sources", "list"]);
    keyless.env_remove("HOOKLATCH_API_KEY");
    let keyless = end(keyless).await;
    assert_eq!(keyless.code, 2, "{keyless:?}");
    assert!(keyless.err.contains("HOOKLATCH_API_KEY"), "{keyless:?}");
}
