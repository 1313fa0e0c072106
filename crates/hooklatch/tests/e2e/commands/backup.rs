//! `hooklatch backup`: under load, restored elsewhere.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::{command, end};
use crate::support::{Api, Backend, Data, Gateway, Receiver, Reply, Source, eventually};

/// Sends events until it is told to end; answers how many were accepted.
async fn load(api: Api, source: Source, ends: Arc<AtomicBool>, taken: Arc<AtomicUsize>) {
    while !ends.load(Ordering::Relaxed) {
        let n = taken.load(Ordering::Relaxed);
        let padding = "x".repeat(4_000);
        let body = format!("{{\"id\": \"evt_{n}\", \"padding\": \"{padding}\"}}");
        api.ingest_json(&source, &body).await;
        taken.store(n + 1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_elsewhere_and_still_knows_its_keys() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let api = gateway.api();
    let source = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    api.connect(&source, &endpoint).await;
    let (ends, taken) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let loading = load(api, source.clone(), Arc::clone(&ends), Arc::clone(&taken));
    let loading = tokio::spawn(loading);
    eventually("some were accepted", || async {
        (taken.load(Ordering::Relaxed) >= 100).then_some(())
    })
    .await;

    let known = taken.load(Ordering::Relaxed);
    let place = TempDir::new().expect("a temporary directory");
    let file = place.path().join("hooklatch.db");
    let (from, to) = (
        data.path().display().to_string(),
        file.display().to_string(),
    );
    let words = ["backup", "--data-dir", &from, "--to", &to, "--json"];
    let said = end(command(&words)).await.done();
    let at_the_end = taken.load(Ordering::Relaxed);
    ends.store(true, Ordering::Relaxed);
    loading.await.expect("it does not panic");
    assert_eq!(said.json()["integrity"], "ok");
    let rows = said.json()["rows"]["messages"].as_u64().expect("a count") as usize;
    assert!(
        rows >= known && rows <= at_the_end + 1,
        "{known} {rows} {at_the_end}"
    );
    // The secret is not in what it prints, and the key file is not in the backup.
    let key = data.path().join("encryption.key");
    let secret = fs::read_to_string(&key).expect("a gateway has made one");
    assert!(!said.out.contains(secret.trim()), "{said:?}");
    let mut left = fs::read_dir(place.path()).expect("it is ours");
    assert!(left.next().is_some() && left.next().is_none());

    let again = end(command(&words)).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("exists already"), "{again:?}");
    fs::copy(&key, place.path().join("encryption.key")).expect("the directory is ours");
    drop(gateway);
    let restored = Data::Directory(place);
    let gateway = Gateway::start(&restored).await;
    let api = gateway.api();
    for n in [0, known / 2, known - 1] {
        let padding = "x".repeat(4_000);
        let body = format!("{{\"id\": \"evt_{n}\", \"padding\": \"{padding}\"}}");
        let answer = api.ingest_json(&source, &body).await;
        assert_eq!(answer["outcome"], "duplicate", "evt_{n}: {answer}");
    }
    let answer = api.ingest_json(&source, "{\"id\": \"new\"}").await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
}

#[tokio::test]
async fn a_backup_says_what_to_do_where_it_cannot_be_made() {
    let dir = TempDir::new().expect("a temporary directory");
    let (from, to) = (dir.path().display().to_string(), dir.path().join("a.db"));
    let to = to.display().to_string();
    let none = end(command(&["backup", "--data-dir", &from, "--to", &to])).await;
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("holds no data"), "{none:?}");
    let mut database = command(&["backup", "--to", &to]);
    database.env(
        "HOOKLATCH_DATABASE_URL",
        "postgres://me:s3same@db.internal/hooks",
    );
    let database = end(database).await;
    assert_eq!(database.code, 2, "{database:?}");
    assert!(database.err.contains("pg_dump"), "{database:?}");
    assert!(!database.err.contains("s3same"), "{database:?}");
}
