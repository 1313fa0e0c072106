//! Several gateways on one database, and the commands that have to do with it.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::api::text;
use crate::support::data::{ENCRYPTION_KEY, TestDatabase};
use crate::support::gateway::{BINARY, configure, serve};
use crate::support::{Backend, DEADLINE, Data, Gateway, Receiver, eventually};

/// Runs a command of the binary to its end.
pub async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    configure(&mut command);
    command.envs(variables.iter().copied());
    timeout(DEADLINE, command.output())
        .await
        .expect("it ends")
        .expect("the binary starts")
}

/// What it printed, wherever to.
pub fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// The part of a URL that nobody shall see.
fn password(url: &str) -> &str {
    let (before, _) = url
        .split_once('@')
        .expect("the URL of the tests has a user");
    before.rsplit_once(':').expect("and a password").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_two_nodes_share_one_ledger_one_queue_and_one_configuration() {
    let data = Data::new(Backend::Postgres).await;
    let (first, second) = tokio::join!(Gateway::start(&data), Gateway::start(&data));
    let receiver = Receiver::obliging().await;
    let source = json!({"name": "provider", "key": {"locations": ["body:$.id"]}});
    let source = first.api().source(&source).await;
    let url = receiver.url("/hook");
    let endpoint = first.api().endpoint("orders", &url, json!({})).await;
    first.api().connect(&source, &endpoint).await;

    eventually("the other node knows the source and its route", || async {
        let connections = second.api().list("/v1/connections").await;
        (connections.len() == 1).then_some(())
    })
    .await;
    let mut messages = Vec::new();
    for event in 0..20 {
        let body = json!({"id": event}).to_string();
        let (one, two) = (first.api(), second.api());
        let (one, two) = tokio::join!(
            one.ingest_json(&source, &body),
            two.ingest_json(&source, &body),
        );
        assert_eq!(one["message_id"], two["message_id"], "{one} {two}");
        let accepted = [&one, &two]
            .into_iter()
            .filter(|it| it["outcome"] == "accepted");
        assert_eq!(accepted.count(), 1, "{one} {two}");
        messages.push(text(&one, "message_id"));
    }
    receiver.wait_for_count(20).await;
    for message in &messages {
        eventually("it is delivered, whichever node is asked", || async {
            let seen = second.api().read(&format!("/v1/messages/{message}")).await;
            let done = seen["status"] == "delivered" && seen["duplicates"] == 1;
            done.then_some(())
        })
        .await;
    }
    assert_eq!(receiver.seen().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_pauses_the_other_delivers_no_more_and_resumes_again() {
    let data = Data::new(Backend::Postgres).await;
    let first = Gateway::start(&data).await;
    let second = Gateway::start(&data).await;
    let receiver = Receiver::obliging().await;
    let url = receiver.url("/hook");
    let endpoint = first.api().endpoint("orders", &url, json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint.id);
    let paused = async |wanted: bool| {
        for node in [&first, &second] {
            eventually("both nodes know", || async {
                let seen = node.api().get(&path).await;
                (seen.status == 200 && seen.json()["paused"] == wanted).then_some(())
            })
            .await;
        }
    };
    paused(false).await;
    second
        .api()
        .post(&format!("{path}/pause"), &json!({}))
        .await;
    paused(true).await;
    let sent = json!({"endpoint_id": endpoint.id, "payload": {"order": 1}});
    let made = first.api().create("/v1/webhooks/send", &sent).await;
    let message = format!("/v1/messages/{}", text(&made, "id"));
    assert_eq!(first.api().read(&message).await["status"], "pending");
    first
        .api()
        .post(&format!("{path}/resume"), &json!({}))
        .await;
    receiver.wait_for_count(1).await;
    eventually("the message is delivered", || async {
        let seen: Value = second.api().read(&message).await;
        (seen["status"] == "delivered").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_says_from_which_version_to_which_and_check_changes_nothing() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let given = [("HOOKLATCH_DATABASE_URL", url.as_str())];
    for _ in 0..2 {
        let checked = run(&["migrate", "--check"], &given).await;
        assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
        assert!(
            said(&checked).contains("is at version 0"),
            "{}",
            said(&checked)
        );
    }
    let migrated = run(&["migrate"], &given).await;
    assert_eq!(migrated.status.code(), Some(0), "{}", said(&migrated));
    assert!(
        said(&migrated).contains("from version 0 to "),
        "{}",
        said(&migrated)
    );
    let again = run(&["migrate", "--json"], &given).await;
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(told["from"], told["to"], "{told}");
    let checked = run(&["migrate", "--check"], &given).await;
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    for output in [&migrated, &again, &checked] {
        assert!(!said(output).contains(password(&url)), "{}", said(output));
    }
    let nowhere = run(&["migrate"], &[]).await;
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_the_database_shows_nowhere() {
    let data = Data::new(Backend::Postgres).await;
    let Data::Database(database) = &data else {
        panic!("it was asked for");
    };
    let url = database.url();
    let mut gateway = Gateway::start(&data).await;
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    let (_, shown) = url.split_once('@').unwrap();
    eventually("the banner says where the data is", || async {
        gateway
            .said()
            .contains(&format!("postgres://{shown}"))
            .then_some(())
    })
    .await;
    assert!(
        !gateway.said().contains(password(&url)),
        "{}",
        gateway.said()
    );

    let wrong = url.replace(password(&url), "s3same");
    let sealed = ("HOOKLATCH_ENCRYPTION_KEY", ENCRYPTION_KEY);
    let with = |url| [("HOOKLATCH_DATABASE_URL", url), sealed];
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let refused = run(&listen, &with(&wrong)).await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let unclear = run(&listen, &with("postgres://me:s3same@:x/y")).await;
    assert_eq!(unclear.status.code(), Some(2), "{}", said(&unclear));
    let unsealed = run(&listen, &[("HOOKLATCH_DATABASE_URL", &wrong)]).await;
    assert_eq!(unsealed.status.code(), Some(2), "{}", said(&unsealed));
    assert!(said(&unsealed).contains("HOOKLATCH_ENCRYPTION_KEY"));
    let help = run(&["serve", "--help"], &with(&wrong)).await;
    for output in [refused, unclear, unsealed, help] {
        assert!(!said(&output).contains("s3same"), "{}", said(&output));
    }
    let both = serve(&data).arg("--data-dir").arg("/x").output().await;
    let both = both.unwrap();
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
}
