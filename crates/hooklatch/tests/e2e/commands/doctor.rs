//! `hooklatch doctor`: on a directory, on a database, and on a gateway.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Said, about, command, end};
use crate::support::{Backend, Data, Gateway, on_each_lasting_store};

on_each_lasting_store! {
    "Another process than the gateway looks at the store":
    a_running_gateway_and_its_store_are_looked_at
}

fn check<'a>(said: &'a Value, name: &str) -> Vec<(&'a str, &'a str)> {
    let checks = said["checks"].as_array().expect("a report has checks");
    let named = checks.iter().filter(|it| it["check"] == name);
    let text = |value: &'a Value| value.as_str().expect("a text");
    named
        .map(|it| (text(&it["state"]), text(&it["found"])))
        .collect()
}

fn states(said: &Said, name: &str) -> Vec<String> {
    let report = said.json();
    let found = check(&report, name);
    found.iter().map(|(state, _)| (*state).to_owned()).collect()
}

async fn a_running_gateway_and_its_store_are_looked_at(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    api.source(&json!({"name": "bare"})).await;
    let short = json!({"name": "short", "provider": "stripe", "window_seconds": 60,
                       "verifier": {"secret": "whsec_s3same"}});
    api.source(&short).await;
    let url = "https://127.0.0.1:9/hook";
    api.create("/v1/endpoints", &json!({"name": "inside", "url": url}))
        .await;

    let mut doctor = about(&gateway, &["doctor", "--json"]);
    data.configure(&mut doctor);
    let said = end(doctor).await;
    assert_eq!(
        said.code, 1,
        "the endpoint's certificate cannot be had: {said:?}"
    );
    for name in [
        "gateway", "ready", "API key", "store", "secrets", "waiting", "clock",
    ] {
        let states = states(&said, name);
        assert!(
            !states.is_empty() && states.iter().all(|it| it == "ok"),
            "{name}: {said:?}"
        );
    }
    let report = said.json();
    let bare = check(&report, "key rule");
    assert!(
        bare[0].0 == "warn" && bare[0].1.contains("bare has no key"),
        "{report}"
    );
    let window = check(&report, "window");
    assert!(
        window[0].0 == "warn" && window[0].1.contains("Stripe"),
        "{report}"
    );
    let certificate = check(&report, "certificate");
    assert!(certificate[0].1.contains("endpoint inside"), "{report}");
    assert!(!said.out.contains("s3same"), "{said:?}");

    // Without the gateway the store tells the same; what it does not know is skipped.
    drop(gateway);
    let mut alone = command(&["doctor", "--offline", "--json"]);
    data.configure(&mut alone);
    let said = end(alone).await;
    assert_eq!(said.code == 0, said.json()["fail"] == 0, "{said:?}");
    assert_eq!(check(&said.json(), "key rule")[0].0, "warn");
    assert_eq!(check(&said.json(), "secrets")[0].0, "ok");
}

#[tokio::test]
async fn a_key_that_opens_nothing_and_a_wrong_file_fail() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    gateway.api().source(&json!({"name": "shop"})).await;
    drop(gateway);
    let dir = data.path().display().to_string();
    let mut wrong = command(&["doctor", "--data-dir", &dir, "--offline", "--json"]);
    wrong.env(
        "HOOKLATCH_ENCRYPTION_KEY",
        crate::support::data::ENCRYPTION_KEY,
    );
    let wrong = end(wrong).await;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert_eq!(states(&wrong, "secrets"), ["fail"], "{wrong:?}");
    fs::rename(
        data.path().join("encryption.key"),
        data.path().join("elsewhere"),
    )
    .expect("the directory is ours");
    let words = ["doctor", "--data-dir", &dir, "--offline"];
    let missing = end(command(&words)).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.out.contains("fail  secrets"), "{missing:?}");
    assert!(missing.out.contains("→ give the key"), "{missing:?}");

    let file = TempDir::new().expect("a temporary directory");
    let path = file.path().join("hooklatch.toml");
    fs::write(&path, "listen = \"127.0.0.1:1\"\nlisten_on = 2\n").expect("it is ours");
    let config = path.display().to_string();
    let said = end(command(&[
        "doctor",
        "--config",
        &config,
        "--offline",
        "--json",
    ]))
    .await;
    assert_eq!(said.code, 1, "{said:?}");
    let found = check(&said.json(), "configuration")[0].1.to_owned();
    assert!(
        found.contains("line 2: unknown key `listen_on`, expected one of"),
        "{found}"
    );
}

#[tokio::test]
async fn a_gateway_that_was_named_and_is_not_there_fails() {
    let place = TempDir::new().expect("a temporary directory");
    let mut nowhere = command(&["doctor", "--server", "http://127.0.0.1:9", "--offline"]);
    nowhere.current_dir(place.path());
    let nowhere = end(nowhere).await;
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(nowhere.out.contains("fail  gateway"), "{nowhere:?}");
    assert!(nowhere.out.contains("skip  store"), "{nowhere:?}");
    let mut wrong = command(&["doctor", "--offline", "--json"]);
    wrong.current_dir(place.path());
    wrong
        .env("HOOKLATCH_DRAIN_SECONDS", "soon")
        .env("HOOKLATCH_LISTEM", "1");
    let wrong = end(wrong).await;
    let report = wrong.json();
    assert!(
        check(&report, "configuration")[0].1.contains("soon"),
        "{report}"
    );
}
