//! Several gateways over one store: what one changes holds on the others, soon and by itself.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{API_KEY, Gateway, eventually};
use hooklatch_core::address::Reach;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_server::bootstrap::bootstrap;
use hooklatch_server::directory::Directory;
use hooklatch_store::memory::MemoryStore;
use hooklatch_store::{Store, SystemClock};
use hooklatch_store_sqlite::{Options, SqliteStore};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Lets a directory follow the others; answers how often it has told of something new.
fn follow(directory: &Arc<Directory>, stop: &CancellationToken) -> Arc<AtomicUsize> {
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let changed = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let following = Arc::clone(directory).follow(stop.clone(), Arc::new(changed));
    tokio::spawn(following);
    told
}

#[tokio::test]
async fn what_one_node_makes_changes_and_deletes_holds_on_the_others() {
    let gateway = Gateway::start().await;
    let other = gateway.another_node().await;
    let told = follow(other.app.directory(), &other.stop);
    let (source, ingest) = gateway.source(json!({"name": "shop"})).await;
    eventually(async || (other.post(&ingest, "{}").await.status == 200).then_some(())).await;

    let endpoint = gateway.connected(&source, "orders").await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    let pause = format!("{path}/pause");
    gateway.api("POST", &pause, json!({})).await.expect(200);
    eventually(async || {
        let seen = other.get(&path).await;
        (seen.status == 200 && seen.json()["paused"] == true).then_some(())
    })
    .await;
    assert!(told.load(Ordering::SeqCst) > 0, "the engine is told");

    let source = format!("/v1/sources/{}", source["id"].as_str().unwrap());
    gateway
        .api("DELETE", &source, json!(null))
        .await
        .expect(204);
    eventually(async || (other.post(&ingest, "{}").await.status == 404).then_some(())).await;
}

#[tokio::test]
async fn nodes_that_change_things_at_once_come_to_agree_and_lose_nothing() {
    let gateway = Gateway::start().await;
    let other = gateway.another_node().await;
    follow(gateway.app.directory(), &gateway.stop);
    follow(other.app.directory(), &other.stop);
    let make = async |node: &Gateway, names: [&str; 8]| {
        for name in names {
            let url = format!("http://127.0.0.1:9/{name}");
            let endpoint = json!({"name": name, "url": url});
            node.api("POST", "/v1/endpoints", endpoint)
                .await
                .expect(201);
        }
    };
    tokio::join!(
        make(&gateway, ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"]),
        make(&other, ["b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"]),
    );
    for node in [&gateway, &other] {
        eventually(async || {
            let listed = node.get("/v1/endpoints?limit=50").await.json();
            (listed["data"].as_array().map(Vec::len) == Some(16)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn of_nodes_that_start_at_once_on_an_empty_store_one_makes_the_project_and_its_key() {
    let store = MemoryStore::new();
    let open = async || {
        let sealing_key = SealingKey::from_bytes([7; 32]);
        let opened = Directory::open(store.clone(), sealing_key, Reach::PublicOnly).await;
        opened.unwrap()
    };
    let (one, two) = (open().await, open().await);
    let key = Secret::from(API_KEY);
    // Neither has seen anything of the other when it begins.
    for node in [&one, &two] {
        bootstrap(node, Some(&key)).await.unwrap();
    }
    let projects: Vec<_> = two.snapshot().projects().map(|one| one.id).collect();
    assert_eq!(projects.len(), 1);
    assert_eq!(two.snapshot().api_keys(projects[0]).count(), 1);
    let third = open().await;
    let made = bootstrap(&third, None).await.unwrap();
    assert_eq!(made, None);
}

#[tokio::test]
async fn without_a_notice_a_change_is_found_by_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    // This store tells nobody of a change: no other process can make one.
    let store = SqliteStore::open(dir.path(), Arc::new(SystemClock), Options::default());
    let store: Arc<dyn Store> = store.unwrap();
    let open = async || {
        let sealing_key = SealingKey::from_bytes([7; 32]);
        let opened = Directory::open(Arc::clone(&store), sealing_key, Reach::PublicOnly);
        opened.await.unwrap()
    };
    let (one, two) = (open().await, open().await);
    let stop = CancellationToken::new();
    follow(&two, &stop);
    bootstrap(&one, None).await.unwrap();
    eventually(async || two.snapshot().projects().next().map(|_| ())).await;
    stop.cancel();
    store.close().await.unwrap();
}
