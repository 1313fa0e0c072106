//! Figures and the live log, over HTTP.

mod common;

use std::time::Duration;

use common::{API_KEY, Gateway, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A stream that is read as it comes.
struct Live {
    socket: TcpStream,
    text: String,
}

impl Live {
    async fn open(gateway: &Gateway, query: &str, last: Option<&str>) -> Self {
        let mut socket = gateway.connect().await;
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!(
            "GET /v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {API_KEY}\r\n{last}\r\n"
        );
        let written = socket.write_all(request.as_bytes()).await;
        written.expect("the gateway reads");
        let mut live = Self {
            socket,
            text: String::new(),
        };
        live.until("\r\n\r\n").await;
        live
    }

    /// Reads on until a text has come.
    async fn until(&mut self, wanted: &str) {
        let read = async {
            while !self.text.contains(wanted) {
                let mut buffer = [0; 4096];
                let read = self.socket.read(&mut buffer).await;
                let many = read.expect("the stream goes on");
                assert!(many > 0, "the stream ended: {}", self.text);
                self.text
                    .push_str(&String::from_utf8_lossy(&buffer[..many]));
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(read.is_ok(), "no {wanted:?} in: {}", self.text);
    }

    /// Reads to the end of the stream.
    async fn end(&mut self) {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(read.is_ok(), "the stream goes on");
    }

    fn last_id(&self) -> String {
        let mut ids = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("id: "));
        ids.next_back().expect("an event has an id").to_owned()
    }
}

async fn source(gateway: &Gateway, name: &str) -> (Value, String) {
    let settings = json!({"name": name, "key": {"locations": ["body:$.id"]}});
    gateway.source(settings).await
}

#[tokio::test]
async fn figures_agree_with_what_arrived() {
    let gateway = Gateway::start().await;
    let (made, path) = source(&gateway, "shop").await;
    let endpoint = gateway.connected(&made, "worker").await;
    for id in [1, 2, 2, 2] {
        gateway
            .post(&path, json!({"id": id}).to_string())
            .await
            .expect(200);
    }
    let stats = gateway.get("/v1/stats").await.expect(200);
    assert_eq!(stats["requests"]["total"], 4);
    assert_eq!(stats["requests"]["by_outcome"]["accepted"], 2);
    assert_eq!(stats["requests"]["by_outcome"]["duplicate"], 2);
    assert_eq!(stats["requests"]["by_outcome"]["rejected"], 0);
    assert_eq!(stats["waiting"]["deliveries"], 2);
    assert_eq!(stats["sources"][0]["source_id"], made["id"]);
    assert_eq!(stats["sources"][0]["name"], "shop");
    assert!(stats["sources"][0]["last_arrival_at"].is_string());
    assert_eq!(stats["endpoints"][0]["endpoint_id"], endpoint["id"]);
    assert_eq!(stats["endpoints"][0]["waiting"]["deliveries"], 2);
    let series = stats["series"].as_array().unwrap();
    let total: u64 = series
        .iter()
        .map(|step| step["requests"]["total"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 4);
    assert_eq!(stats["step_seconds"], 300);
    let other = source(&gateway, "other").await.0;
    let path = format!("/v1/stats?source_id={}", other["id"].as_str().unwrap());
    let narrowed = gateway.get(&path).await.expect(200);
    assert_eq!(narrowed["requests"]["total"], 0);
    assert_eq!(narrowed["sources"][0]["last_arrival_at"], Value::Null);
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_names_the_parameter() {
    let gateway = Gateway::start().await;
    for (query, pointer) in [
        ("step_seconds=7", "/step_seconds"),
        (
            "after=2026-01-02T00:00:00Z&before=2026-01-01T00:00:00Z",
            "/after",
        ),
        ("after=1970-01-01T00:00:00Z", "/step_seconds"),
        ("by=source", "/by"),
    ] {
        let problem = gateway.get(&format!("/v1/stats?{query}")).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn the_log_shows_what_happens_and_goes_on_after_a_break() {
    let gateway = Gateway::start().await;
    let (made, path) = source(&gateway, "shop").await;
    let mut live = Live::open(&gateway, "", None).await;
    assert!(live.text.contains("text/event-stream"), "{}", live.text);
    live.until(": connected").await;
    gateway
        .post(&path, json!({"id": 1}).to_string())
        .await
        .expect(200);
    live.until("\"outcome\":\"accepted\"").await;
    live.until("\n\n").await;
    assert!(live.text.contains("event: request"), "{}", live.text);
    assert!(live.text.contains(made["id"].as_str().unwrap()));
    let place = live.last_id();
    drop(live);
    gateway
        .post(&path, json!({"id": 1}).to_string())
        .await
        .expect(200);
    let mut resumed = Live::open(&gateway, "", Some(&place)).await;
    resumed.until("\"outcome\":\"duplicate\"").await;
    assert!(!resumed.text.contains("\"outcome\":\"accepted\""));
}

#[tokio::test]
async fn the_log_is_filtered() {
    let gateway = Gateway::start().await;
    let (_, path) = source(&gateway, "shop").await;
    let mut live = Live::open(&gateway, "?outcome=duplicate", None).await;
    live.until(": connected").await;
    for id in [1, 2, 1] {
        gateway
            .post(&path, json!({"id": id}).to_string())
            .await
            .expect(200);
    }
    live.until("\"outcome\":\"duplicate\"").await;
    assert!(
        !live.text.contains("\"outcome\":\"accepted\""),
        "{}",
        live.text
    );
    let wrong = gateway.get("/v1/stream?outcome=lost").await.expect(422);
    assert_eq!(wrong["errors"][0]["pointer"], "/outcome");
    gateway.get("/v1/stream?last_event_id=x").await.expect(422);
}

#[tokio::test]
async fn streams_are_bounded_and_leave_room_when_they_end() {
    let gateway = Gateway::start().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Live::open(&gateway, "", None).await);
    }
    let refused = gateway.get("/v1/stream").await;
    assert_eq!(refused.header("retry-after"), Some("5"));
    refused.expect(429);
    streams.clear();
    let feed = gateway.app.feed();
    eventually(|| async { (feed.watchers() < 16).then_some(()) }).await;
    Live::open(&gateway, "", None).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_server() {
    let gateway = Gateway::start().await;
    let mut live = Live::open(&gateway, "", None).await;
    live.until(": connected").await;
    gateway.stop.cancel();
    live.end().await;
    gateway.served.await.unwrap();
}
