//! Requests that no well-meaning client sends: half a head, bodies without end, far too much of
//! everything. Each is cut off within bounds, and nobody else notices.

use serde_json::json;

use crate::support::raw::Raw;
use crate::support::{Backend, Data, Gateway, Source, on_each_store};

on_each_store! {
    slow_and_silent_clients_are_cut_off_while_others_are_served
    a_body_in_chunks_that_never_ends_is_refused_at_the_limit
    a_body_that_says_it_is_too_large_is_refused_before_it_comes
    too_many_headers_and_too_long_ones_are_refused
    what_is_not_http_is_refused
}

/// A body that is over the limit of 5 MiB, as the chunks that it is written in.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_TOO_MANY: usize = 5 * 16 + 2;
/// What the sockets between the two may hold on top of what the gateway read.
const CHUNKS_UNREAD_MAX: usize = 400;

struct World {
    gateway: Gateway,
    source: Source,
    _data: Data,
}

async fn world(on: Backend) -> World {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let source = gateway.api().source(&json!({"name": "provider"})).await;
    World {
        gateway,
        source,
        _data: data,
    }
}

impl World {
    /// The head of a request to the source, without the empty line that ends it.
    fn head(&self, headers: &str) -> String {
        format!(
            "POST {} HTTP/1.1\r\nhost: gateway\r\n{headers}",
            self.source.path
        )
    }

    async fn open(&self) -> Raw {
        Raw::open(self.gateway.address).await
    }

    /// Sends one request over a bare connection and reads until the gateway closes it.
    async fn exchange(&self, request: &str) -> String {
        let mut raw = self.open().await;
        raw.write(request.as_bytes()).await;
        raw.read_to_end().await
    }

    /// Asserts that an ordinary request is still served.
    async fn assert_serves_others(&self) {
        let api = self.gateway.api();
        assert_eq!(api.get("/healthz").await.status, 200);
        api.ingest_json(&self.source, r#"{"ordinary": true}"#).await;
    }
}

fn assert_status(answer: &str, status: u16) {
    let line = answer.lines().next().unwrap_or_default();
    assert!(
        line.starts_with(&format!("HTTP/1.1 {status} ")),
        "expected {status}: {answer}"
    );
}

async fn slow_and_silent_clients_are_cut_off_while_others_are_served(on: Backend) {
    let world = world(on).await;
    let silent = world.open().await;
    let mut half_a_head = world.open().await;
    half_a_head.write(world.head("x-half: ").as_bytes()).await;
    let mut no_body = world.open().await;
    no_body
        .write(world.head("content-length: 10\r\n\r\nhalf").as_bytes())
        .await;
    let mut no_end = world.open().await;
    let head = world.head("transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    no_end.write(head.as_bytes()).await;
    world.assert_serves_others().await;

    let (silent, half_a_head, no_body, no_end) = tokio::join!(
        silent.read_to_end(),
        half_a_head.read_to_end(),
        no_body.read_to_end(),
        no_end.read_to_end(),
    );
    assert_eq!(silent, "");
    // Half a head is no request yet: it may be told so, or cut off without a word.
    assert!(
        half_a_head.is_empty() || half_a_head.starts_with("HTTP/1.1 408 "),
        "{half_a_head}"
    );
    assert_status(&no_body, 408);
    assert_status(&no_end, 408);
    world.assert_serves_others().await;
    assert_eq!(world.gateway.api().list("/v1/messages").await.len(), 2);
}

async fn a_body_in_chunks_that_never_ends_is_refused_at_the_limit(on: Backend) {
    let world = world(on).await;
    let mut raw = world.open().await;
    raw.write(world.head("transfer-encoding: chunked\r\n\r\n").as_bytes())
        .await;
    let mut chunk = format!("{CHUNK_BYTES:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + CHUNK_BYTES, b'x');
    chunk.extend_from_slice(b"\r\n");
    let mut written = 0;
    while written < CHUNKS_TOO_MANY + CHUNKS_UNREAD_MAX && raw.write(&chunk).await {
        written += 1;
    }
    assert!(
        written < CHUNKS_TOO_MANY + CHUNKS_UNREAD_MAX,
        "it takes whatever comes"
    );
    assert!(
        written + 2 >= CHUNKS_TOO_MANY,
        "it gave up after {written} chunks"
    );
    // A reset may overtake the answer, for the gateway does not read on.
    let answer = raw.read_to_end().await;
    if !answer.is_empty() {
        assert_status(&answer, 413);
    }
    world.assert_serves_others().await;
    assert_eq!(world.gateway.api().list("/v1/messages").await.len(), 1);
}

async fn a_body_that_says_it_is_too_large_is_refused_before_it_comes(on: Backend) {
    let world = world(on).await;
    let answer = world
        .exchange(&world.head("content-length: 6000000\r\n\r\n"))
        .await;
    assert_status(&answer, 413);
    assert!(answer.contains("application/problem+json"), "{answer}");
    world.assert_serves_others().await;
}

async fn too_many_headers_and_too_long_ones_are_refused(on: Backend) {
    let world = world(on).await;
    let many: String = (0..150)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let request = world.head(&format!(
        "{many}content-length: 0\r\nconnection: close\r\n\r\n"
    ));
    assert_status(&world.exchange(&request).await, 431);
    let long = "x".repeat(70 * 1024);
    let headers = format!("x-long: {long}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_status(&world.exchange(&world.head(&headers)).await, 431);
    world.assert_serves_others().await;
}

async fn what_is_not_http_is_refused(on: Backend) {
    let world = world(on).await;
    let bad_length = world.head("content-length: many\r\n\r\n");
    let two_lengths = world.head("content-length: 1\r\ncontent-length: 2\r\n\r\nab");
    for request in [
        "\u{16}\u{3}\u{1}\u{2}\0 hello over TLS\r\n\r\n",
        "POST\r\n\r\n",
        &bad_length,
        &two_lengths,
    ] {
        let answer = world.exchange(request).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{request}: {answer}"
        );
    }
    world.assert_serves_others().await;
    assert_eq!(world.gateway.api().list("/v1/messages").await.len(), 1);
}
