//! The client against a server that says what each test wants it to say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_client::outbox::sqlite::SqliteOutbox;
use hooklatch_client::outbox::{self, Relay};
use hooklatch_client::{
    Backoff, Client, Error, MessageStatus, NewMessage, PageRequest, RequestFilter, SourceInput,
    Target,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the server does with one request.
enum Reply {
    /// It answers.
    Answer(u16, &'static [(&'static str, &'static str)], Value),
    /// It closes the connection without an answer.
    HangUp,
    /// It never answers.
    Silence,
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    authorization: String,
    body: Value,
}

struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, replies) = (Arc::clone(&log), Arc::clone(&replies));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&log), Arc::clone(&replies))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { url, seen }
    }

    fn client(&self) -> Client {
        let client = Client::new(&self.url, "hl_test").unwrap();
        client.with_backoff(Backoff {
            tries: 4,
            base: Duration::from_millis(1),
            max: Duration::from_millis(5),
        })
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let line = format!("{} {}", request.method(), request.uri());
    let authorization = request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    log.lock().unwrap().push(Seen {
        line,
        authorization,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let reply = replies
        .lock()
        .unwrap()
        .pop_front()
        .expect("a reply for every request");
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            Ok(response.body(Full::from(body.to_string())).unwrap())
        }
        Reply::HangUp => Err("hang up"),
        Reply::Silence => match std::future::pending::<Infallible>().await {},
    }
}

fn record(id: &str) -> Value {
    json!({
        "id": id, "project_id": "prj_1", "source_id": null, "status": "pending",
        "a_field_of_the_future": {"x": 1}, "duplicates": 0, "payload": {"n": 1},
        "deliveries": [{"id": "dlv_1", "endpoint_id": "ep_1", "status": "pending", "attempts": 0}],
    })
}

fn order() -> NewMessage {
    NewMessage::new(Target::Tenant("acme".into()), &json!({"order": 1})).unwrap()
}

#[tokio::test]
async fn s4_a_send_without_a_key_gets_one_and_keeps_it_when_repeated() {
    let fake = Fake::start([
        Reply::HangUp,
        Reply::Answer(
            503,
            &[("retry-after", "1")],
            json!({"title": "Unavailable"}),
        ),
        Reply::Answer(202, &[], record("msg_1")),
    ])
    .await;
    let sent = fake.client().send(&order()).await.unwrap();
    assert_eq!((sent.message.id.as_str(), sent.tries), ("msg_1", 3));
    assert_eq!(sent.message.status, MessageStatus::Pending);
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    for request in seen {
        assert_eq!(request.line, "POST /v1/webhooks/send");
        assert_eq!(request.authorization, "Bearer hl_test");
        assert_eq!(
            request.body["idempotency_key"],
            sent.idempotency_key.as_str()
        );
        assert_eq!(request.body["tenant"], "acme");
    }
}

#[tokio::test]
async fn s2_a_repeated_key_is_told_apart_from_a_new_one() {
    let fake = Fake::start([
        Reply::Answer(202, &[], record("msg_1")),
        Reply::Answer(200, &[("idempotent-replayed", "true")], record("msg_1")),
    ])
    .await;
    let message = order().idempotency_key("order-1");
    let client = fake.client();
    let first = client.send(&message).await.unwrap();
    let second = client.send(&message).await.unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(second.idempotency_key, "order-1");
}

#[tokio::test]
async fn c6_a_conflict_is_not_repeated_and_says_what_differs() {
    let conflict = json!({
        "type": "about:blank", "title": "Conflict", "status": 409, "detail": "another payload",
        "original_message_id": "msg_1", "pointers": ["/order"],
    });
    let fake = Fake::start([Reply::Answer(409, &[], conflict)]).await;
    let error = fake.client().send(&order()).await.unwrap_err();
    let problem = error.problem().expect("the server refused");
    assert_eq!(problem.status, 409);
    assert_eq!(problem.more["original_message_id"], "msg_1");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn patience_ends() {
    let down = || {
        Reply::Answer(
            503,
            &[],
            json!({"title": "Unavailable", "detail": "full disk"}),
        )
    };
    let fake = Fake::start([down(), down(), down(), down()]).await;
    let error = fake.client().send(&order()).await.unwrap_err();
    assert_eq!(error.to_string(), "Unavailable (503): full disk");
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn what_is_not_safe_to_repeat_is_made_once() {
    let fake = Fake::start([Reply::HangUp]).await;
    let input = SourceInput {
        name: "stripe".into(),
        provider: Some("stripe".into()),
        ..SourceInput::default()
    };
    let error = fake.client().create_source(&input).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].body,
        json!({"name": "stripe", "provider": "stripe"})
    );
}

#[tokio::test]
async fn s7_a_batch_is_answered_item_by_item() {
    let mut new = record("msg_1");
    new["status_code"] = json!(202);
    let mut old = record("msg_0");
    old["status_code"] = json!(200);
    old["replayed"] = json!(true);
    let bad = json!({"status_code": 409, "title": "Conflict", "detail": "another payload"});
    let fake = Fake::start([Reply::Answer(200, &[], json!({"data": [new, old, bad]}))]).await;
    let items = fake
        .client()
        .send_batch(&[order(), order(), order()])
        .await
        .unwrap();
    let codes: Vec<_> = items
        .iter()
        .map(|item| (item.status_code, item.replayed))
        .collect();
    assert_eq!(codes, [(202, false), (200, true), (409, false)]);
    assert_eq!(items[1].result.as_ref().unwrap().id, "msg_0");
    assert_eq!(
        items[2].result.as_ref().unwrap_err().detail,
        "another payload"
    );
    let sent = &fake.seen()[0].body["items"];
    assert_eq!(sent.as_array().unwrap().len(), 3);
    assert_ne!(sent[0]["idempotency_key"], sent[1]["idempotency_key"]);
}

#[tokio::test]
async fn a_row_that_spoils_its_whole_call_does_not_hold_up_the_others() {
    let name = format!("shop-{}.db", std::process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let outbox = SqliteOutbox::open(&file).unwrap();
    let shop = rusqlite::Connection::open(&file).unwrap();
    for key in ["order-1", "order-2", "order-3"] {
        outbox::sqlite::enqueue(&shop, &order().idempotency_key(key)).unwrap();
    }
    let refuse = || {
        let title = json!({"title": "Payload Too Large", "status": 413});
        Reply::Answer(413, &[], title)
    };
    let take = |messages: &[&str]| {
        let mut items: Vec<_> = messages.iter().map(|id| record(id)).collect();
        items
            .iter_mut()
            .for_each(|item| item["status_code"] = json!(202));
        Reply::Answer(200, &[], json!({"data": items}))
    };
    let fake = Fake::start([refuse(), refuse(), take(&["msg_2", "msg_3"])]).await;
    let relay = Relay::new(fake.client(), outbox);

    let (spoilt, rest) = (relay.once().await.unwrap(), relay.once().await.unwrap());
    assert_eq!((spoilt.sent, spoilt.refused), (0, 1));
    assert_eq!((rest.sent, rest.refused), (2, 0));
    let calls = fake.seen();
    let sizes = calls
        .iter()
        .map(|call| call.body["items"].as_array().unwrap().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [3, 1, 2]);
    let refused = relay.outbox().refused(10).await.unwrap();
    assert_eq!(refused[0].idempotency_key, "order-1");
    assert!(refused[0].error.contains("413"), "{}", refused[0].error);
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&url, "hl_test")
        .unwrap()
        .with_backoff(Backoff::NONE);
    let error = client.healthz().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no connection to {url}; nothing was sent")
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let fake = Fake::start([Reply::Silence]).await;
    let client = fake.client().with_timeout(Duration::from_millis(50));
    let error = client.healthz().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let request = json!({
        "id": "req_2", "outcome": "duplicate", "cause": "provider_retry", "duplicate": true,
        "original_message_id": "msg_1", "response_status": 200,
    });
    let page = json!({"data": [request], "next_cursor": "c2"});
    let fake = Fake::start([Reply::Answer(200, &[], page)]).await;
    let filter = RequestFilter {
        outcome: Some(hooklatch_client::Outcome::Duplicate),
        ..RequestFilter::default()
    };
    let first = PageRequest {
        limit: Some(1),
        cursor: Some("c1".into()),
    };
    let page = fake.client().requests(&filter, &first).await.unwrap();
    assert_eq!(page.next_cursor.as_deref(), Some("c2"));
    assert_eq!(page.data[0].original_message_id.as_deref(), Some("msg_1"));
    let line = "GET /v1/requests?limit=1&cursor=c1&outcome=duplicate";
    assert_eq!(fake.seen()[0].line, line);
}

#[test]
fn an_unusable_address_is_refused_at_once() {
    for url in [
        "localhost:8420",
        "https://x",
        "http://x?y=1",
        "ftp://x",
        "not a url",
        "",
    ] {
        let error = Client::new(url, "hl_test").unwrap_err();
        assert!(matches!(error, Error::BaseUrl { .. }), "{url}: {error}");
    }
    assert!(matches!(
        Client::new("http://x", "a\nb"),
        Err(Error::ApiKey)
    ));
}

#[test]
fn the_api_key_is_never_printed() {
    let client = Client::new("http://x/", "hl_secret").unwrap();
    assert!(!format!("{client:?}").contains("hl_secret"));
}
