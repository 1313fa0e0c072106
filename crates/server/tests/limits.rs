//! What happens at the bounds: slow, endless, too large, too many, and the end.

mod common;

use std::time::Duration;

use common::Gateway;
use hooklatch_server::Settings;
use hooklatch_server::serve::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything that the gateway says until it closes the connection.
async fn heard(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut text)).await;
    // A connection that is reset has said all that it will say.
    let _ = end.expect("the gateway ends the connection");
    String::from_utf8_lossy(&text).into_owned()
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")
}

async fn unkeyed(gateway: &Gateway) -> String {
    gateway
        .source(json!({"name": "open", "max_body_bytes": 1_000}))
        .await
        .1
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_its_length_was_announced() {
    let gateway = Gateway::start().await;
    let path = unkeyed(&gateway).await;
    gateway.post(&path, vec![b'x'; 1_000]).await.expect(200);
    gateway.post(&path, vec![b'x'; 1_001]).await.expect(413);

    let mut stream = gateway.connect().await;
    let endless = head(&path, "transfer-encoding: chunked\r\n");
    stream.write_all(endless.as_bytes()).await.unwrap();
    let chunk = format!("40\r\n{}\r\n", "x".repeat(64));
    for _ in 0..32 {
        // The gateway may have hung up already, which is the point.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let answer = heard(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_the_body_comes() {
    let gateway = Gateway::start().await;
    let path = unkeyed(&gateway).await;
    let mut stream = gateway.connect().await;
    stream
        .write_all(head(&path, "content-length: 5000000\r\n").as_bytes())
        .await
        .unwrap();
    let answer = heard(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up_in_total_time() {
    let settings = Settings {
        body_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let path = unkeyed(&gateway).await;
    let stream = gateway.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    writer
        .write_all(head(&path, "content-length: 900\r\n").as_bytes())
        .await
        .unwrap();
    // A byte every few milliseconds keeps a clock of gaps happy for ever; ours counts in all.
    let drip = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while writer.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    });
    let mut text = vec![0; 12];
    reader.read_exact(&mut text).await.unwrap();
    drip.abort();
    assert_eq!(&text, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_hung_up_on() {
    let limits = Limits {
        head_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let gateway = Gateway::start_with(Settings::default(), limits).await;
    for said in ["", "P", "POST /ingest/x HTTP/1.1\r\nhost:"] {
        let mut stream = gateway.connect().await;
        stream.write_all(said.as_bytes()).await.unwrap();
        heard(stream).await;
    }
}

#[tokio::test]
async fn too_many_headers_or_bytes_of_them_are_431_and_broken_http_is_400() {
    let gateway = Gateway::start().await;
    let many: String = (0..101)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let large: String = (0..20)
        .map(|n| format!("x-{n}: {}\r\n", "v".repeat(4_000)))
        .collect();
    for headers in [many, large] {
        let mut stream = gateway.connect().await;
        stream
            .write_all(head("/ingest/x", &headers).as_bytes())
            .await
            .unwrap();
        let answer = heard(stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut stream = gateway.connect().await;
    stream.write_all(b"this is no HTTP\r\n\r\n").await.unwrap();
    let answer = heard(stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn more_requests_at_once_than_allowed_are_asked_to_come_again() {
    let settings = Settings {
        flights_max: 1,
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let path = unkeyed(&gateway).await;
    // One request is under way for as long as its body is.
    let mut slow = gateway.connect().await;
    slow.write_all(head(&path, "content-length: 2\r\n").as_bytes())
        .await
        .unwrap();
    let refused = common::eventually(|| async {
        let answer = gateway.post(&path, "{}").await;
        (answer.status == 503).then_some(answer)
    });
    let refused = refused.await;
    refused.expect(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Whoever watches the process must not take it for dead.
    for probe in ["/healthz", "/readyz"] {
        gateway.call("GET", probe, &[], "").await.expect(200);
        gateway.call("PUT", probe, &[], "").await.expect(405);
    }
    slow.write_all(b"{}").await.unwrap();
    assert!(heard(slow).await.starts_with("HTTP/1.1 200"));
    let free = || async { (gateway.post(&path, "{}").await.status == 200).then_some(()) };
    common::eventually(free).await;
}

#[tokio::test]
async fn one_source_has_a_share_of_the_requests_under_way_and_leaves_room_for_others() {
    let settings = Settings {
        flights_max: 8,
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let path = unkeyed(&gateway).await;
    let other = gateway.source(json!({"name": "other"})).await.1;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = gateway.connect().await;
        stream
            .write_all(head(&path, "content-length: 2\r\n").as_bytes())
            .await
            .unwrap();
        slow.push(stream);
    }
    let refused = common::eventually(|| async {
        let answer = gateway.post(&path, "{}").await;
        (answer.status == 429).then_some(answer)
    });
    let refused = refused.await;
    refused.expect(429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    gateway.post(&other, "{}").await.expect(200);
    for mut stream in slow {
        stream.write_all(b"{}").await.unwrap();
        assert!(heard(stream).await.starts_with("HTTP/1.1 200"));
    }
    let free = || async { (gateway.post(&path, "{}").await.status == 200).then_some(()) };
    common::eventually(free).await;
}

#[tokio::test]
async fn a_large_body_is_looked_at_like_a_small_one() {
    let gateway = Gateway::start().await;
    let key = json!({"locations": ["body:$.id"]});
    let settings = json!({"name": "large", "key": key, "on_conflict": "reject"});
    let path = gateway.source(settings).await.1;
    let large = |amount: u32| {
        let filler = "x".repeat(300 * 1024);
        format!(r#"{{"id": 1, "amount": {amount}, "filler": "{filler}"}}"#)
    };
    let first = gateway.post(&path, large(1)).await.expect(200);
    let again = gateway.post(&path, large(1)).await.expect(200);
    assert_eq!(again["outcome"], "duplicate");
    assert_eq!(again["message_id"], first["message_id"]);
    let other = gateway.post(&path, large(2)).await.expect(409);
    assert_eq!(other["diff"], json!(["/amount"]));
}

#[tokio::test]
async fn bodies_under_way_share_a_bounded_memory() {
    let settings = Settings {
        body_memory_bytes: 2_048,
        ..Settings::default()
    };
    let gateway = Gateway::start_with(settings, Limits::default()).await;
    let path = gateway.source(json!({"name": "open"})).await.1;
    gateway.post(&path, vec![b'x'; 2_000]).await.expect(200);
    gateway.post(&path, vec![b'x'; 2_000]).await.expect(200);
    gateway.post(&path, vec![b'x'; 3_000]).await.expect(503);
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_end_and_takes_nothing_more() {
    let gateway = Gateway::start().await;
    let path = unkeyed(&gateway).await;
    let mut under_way = gateway.connect().await;
    under_way
        .write_all(head(&path, "content-length: 2\r\n").as_bytes())
        .await
        .unwrap();
    under_way.write_all(b"{").await.unwrap();
    let idle = gateway.connect().await;
    // Once another request is answered, both connections have been accepted before it.
    gateway.call("GET", "/healthz", &[], "").await.expect(200);

    gateway.stop.cancel();
    heard(idle).await;
    under_way.write_all(b"}").await.unwrap();
    let answer = heard(under_way).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    gateway.served.await.unwrap();
    assert!(TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test]
async fn a_stop_waits_for_nobody_beyond_its_deadline() {
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    };
    let gateway = Gateway::start_with(Settings::default(), limits).await;
    let path = unkeyed(&gateway).await;
    let mut stuck = gateway.connect().await;
    stuck
        .write_all(head(&path, "content-length: 2\r\n").as_bytes())
        .await
        .unwrap();
    gateway.call("GET", "/healthz", &[], "").await.expect(200);
    gateway.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), gateway.served).await;
    ended.expect("it ends").unwrap();
    heard(stuck).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_loses_its_place() {
    let limits = Limits {
        connections_max: 1,
        write_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let gateway = Gateway::start_with(Settings::default(), limits).await;
    let (mut reader, mut writer) = gateway.connect().await.into_split();
    let asking = tokio::spawn(async move {
        // More than all buffers between the two hold.
        let ask = "GET /assets/0/app.css HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10_000);
        let _ = writer.write_all(ask.as_bytes()).await;
        writer
    });
    // It has the only place.
    let mut first = [0];
    reader.read_exact(&mut first).await.unwrap();
    let other = gateway.call("GET", "/healthz", &[], "");
    let other = tokio::time::timeout(Duration::from_secs(10), other).await;
    other.expect("a place is free again").expect(200);
    drop((reader, asking.await.unwrap()));
}
