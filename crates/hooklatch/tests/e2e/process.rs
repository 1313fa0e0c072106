//! The process as its operator meets it: one on a data directory, and a shutdown that loses
//! nothing that is under way.

use std::process::Stdio;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::api::text;
use crate::support::gateway::serve;
use crate::support::{
    Backend, DEADLINE, Data, Gateway, Receiver, Reply, eventually, on_each_lasting_store,
    on_each_store,
};

on_each_lasting_store! {
    "It stops, and the next process shows what became of what was under way":
    a_graceful_shutdown_lets_what_is_under_way_end
}

on_each_store! {
    without_dev_no_endpoint_is_saved_that_reaches_inside
}

#[tokio::test]
async fn a_second_process_on_a_data_directory_ends_and_names_it() {
    let data = Data::new(Backend::Sqlite).await;
    let mut first = Gateway::start(&data).await;
    let mut second = serve(&data);
    second.stdin(Stdio::null()).kill_on_drop(true);
    let second = timeout(DEADLINE, second.output())
        .await
        .expect("it ends")
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    let directory = data.path().display().to_string();
    assert!(said.contains(&directory), "{said}");
    assert!(!said.contains("panicked"), "{said}");

    assert!(first.is_running());
    assert_eq!(first.api().get("/healthz").await.status, 200);
    let made = first.api().source(&json!({"name": "still"})).await;
    first.api().ingest_json(&made, "{}").await;
}

async fn a_graceful_shutdown_lets_what_is_under_way_end(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let (open, gate) = watch::channel(false);
    let receiver = Receiver::start(move |_| Reply::Held(gate.clone())).await;
    let api = gateway.api();
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    let sent = json!({"endpoint_id": endpoint.id, "payload": {"order": 1}});
    let message_id = text(&api.create("/v1/webhooks/send", &sent).await, "id");
    receiver.wait_for_count(1).await;

    gateway.terminate().await;
    let address = gateway.address;
    eventually("no new connection is taken", || async move {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert!(
        gateway.is_running(),
        "it gave up an attempt that was under way"
    );
    open.send_replace(true);
    assert_eq!(gateway.ended().await.code(), Some(0));

    let again = Gateway::start(&data).await;
    let message = again
        .api()
        .read(&format!("/v1/messages/{message_id}"))
        .await;
    assert_eq!(message["status"], "delivered", "{message}");
    assert_eq!(message["deliveries"][0]["attempts"], 1, "{message}");
    assert_eq!(receiver.seen().len(), 1);
}

async fn without_dev_no_endpoint_is_saved_that_reaches_inside(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start_with(serve(&data)).await;
    let api = gateway.api();
    for host in [
        "127.0.0.1",
        "127.0.0.1:8080",
        "2130706433",
        "0x7f.1",
        "localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        let endpoint = json!({"name": host, "url": format!("http://{host}/hook")});
        let answer = api.post("/v1/endpoints", &endpoint).await;
        assert_eq!(answer.status, 422, "{host}: {}", answer.text());
        assert_eq!(
            answer.json()["errors"][0]["pointer"],
            "/url",
            "{host}: {}",
            answer.text()
        );
    }
    let endpoint = json!({"name": "public", "url": "https://example.com/hook"});
    api.create("/v1/endpoints", &endpoint).await;
}
