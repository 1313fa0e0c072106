//! The tower layer, from the signed request to the answer.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::verify::{SignedRequest, Verifier};
use hooklatch_receiver::claim::StateName;
use hooklatch_receiver::key::{Scope, ScopeKey};
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::layer::answer::{AnswerMode, Keyless, Policy, Settled};
use hooklatch_receiver::layer::{ReceiverLayer, Rules};
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::once::Work;
use hooklatch_receiver::run::Settings;
use hooklatch_receiver::store::Store;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};

use support::file::file;

type Body = Full<Bytes>;

const BODY: &str = r#"{"id": 7, "amount": 4200}"#;

fn rules() -> Rules {
    let verifier = serde_json::json!({"type": "api_key", "secret": "sesame"});
    Rules::custom("shop", verifier, &["header:x-event", "body:$.id"]).unwrap()
}

fn key_of(event: &str) -> ScopeKey {
    let scope = Scope {
        source: "shop",
        ..Scope::default()
    };
    ScopeKey::derive(&scope, &[event, "7"]).unwrap()
}

fn request(event: &str, body: &str) -> Request<Body> {
    Request::post("/hooks")
        .header("x-api-key", "sesame")
        .header("x-event", event)
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// A handler that counts, answers with a status and a text, and is asked through the layer.
struct Shop {
    kit: Receiver<MemoryStore>,
    layer: ReceiverLayer<MemoryStore>,
    ran: Arc<AtomicUsize>,
    status: u16,
}

struct Heard {
    status: u16,
    text: String,
    receipt: Option<String>,
    replayed: bool,
    retry_after: Option<String>,
    headers: http::HeaderMap,
}

impl Shop {
    fn new(status: u16, rules: Rules) -> Self {
        let settings = Settings {
            retry_after: Duration::ZERO,
            attempts_max: 2,
            ..Settings::default()
        };
        let kit = Receiver::new(MemoryStore::new(), settings);
        let layer = ReceiverLayer::new(kit.clone(), rules);
        Self {
            kit,
            layer,
            ran: Arc::default(),
            status,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Heard {
        let (ran, status) = (Arc::clone(&self.ran), self.status);
        let handler = move |request: Request<Body>| {
            let (ran, status) = (Arc::clone(&ran), status);
            async move {
                let work = request.extensions().get::<Work<MemoryStore>>();
                let attempt = work.map_or(0, Work::attempt);
                ran.fetch_add(1, Ordering::SeqCst);
                let response = Response::builder()
                    .status(status)
                    .header("content-type", "text/plain")
                    .header("set-cookie", "session=1")
                    .body(Full::<Bytes>::from(format!("attempt {attempt}")));
                Ok::<_, Infallible>(response.unwrap())
            }
        };
        let service = self.layer.layer(tower::service_fn(handler));
        heard(service.oneshot(request).await.unwrap()).await
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

async fn heard(response: Response<Body>) -> Heard {
    let (parts, body) = response.into_parts();
    let text = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let body = body.collect().await.unwrap().to_bytes();
    Heard {
        status: parts.status.as_u16(),
        text: String::from_utf8(body.to_vec()).unwrap(),
        receipt: text("hooklatch-receipt"),
        replayed: text("idempotency-replayed").is_some(),
        retry_after: text("retry-after"),
        headers: parts.headers.clone(),
    }
}

#[test]
fn k7_signatures_are_judged_as_in_every_kit() {
    for vector in file().signatures {
        let preset = hooklatch_core::provider::preset(&vector.scheme).unwrap();
        let secrets = serde_json::json!({"secrets": vector.secrets});
        let spec = hooklatch_core::provider::verifier_spec(Some(preset), Some(secrets)).unwrap();
        let headers: Vec<(&String, &String)> = vector.headers.iter().collect();
        let request = SignedRequest {
            method: "POST",
            url: "https://shop.example/hooks",
            headers: &headers,
            query: "",
            body: vector.body.as_bytes(),
        };
        let now = hooklatch_core::time::Timestamp::from_millis(vector.now_seconds * 1_000);
        let verified = Verifier::new(spec).unwrap().verify(&request, now);
        let (scheme, name) = (&vector.scheme, &vector.name);
        assert_eq!(
            verified.is_ok(),
            vector.valid,
            "{scheme}: {name}: {verified:?}"
        );
    }
}

#[tokio::test]
async fn v5_the_handler_runs_once_and_its_answer_is_given_again() {
    let shop = Shop::new(201, rules());
    let first = shop.ask(request("paid", BODY)).await;
    assert_eq!((first.status, first.text.as_str()), (201, "attempt 1"));
    assert_eq!(first.receipt.as_deref(), Some("processed"));
    assert!(first.headers.contains_key("set-cookie"));
    let again = shop.ask(request("paid", BODY)).await;
    assert_eq!((again.status, again.text.as_str()), (200, "attempt 1"));
    assert_eq!(again.receipt.as_deref(), Some("duplicate"));
    assert!(again.replayed && !first.replayed);
    assert!(!again.headers.contains_key("set-cookie"));
    assert_eq!(shop.ask(request("refunded", BODY)).await.status, 201);
    assert_eq!(shop.ran(), 2);
}

#[tokio::test]
async fn k7_no_record_is_made_for_a_request_that_is_not_verified() {
    let shop = Shop::new(200, rules());
    let mut forged = request("paid", BODY);
    forged
        .headers_mut()
        .insert("x-api-key", "wrong".parse().unwrap());
    assert_eq!(shop.ask(forged).await.status, 401);
    assert_eq!(shop.ran(), 0);
    let seen = shop.kit.store().lookup(&key_of("paid")).await.unwrap();
    assert_eq!(seen, None);
}

#[test]
fn v5_a_request_is_a_delivery_for_whoever_has_a_transaction_of_its_own() {
    let read = |request: Request<Body>| {
        let (parts, _) = request.into_parts();
        rules().delivery(&parts, BODY.as_bytes(), std::time::SystemTime::now())
    };
    assert_eq!(read(request("paid", BODY)).unwrap().key, key_of("paid"));
    assert_eq!(read(request("", BODY)).unwrap_err(), Settled::NoKey);
    let mut forged = request("paid", BODY);
    forged.headers_mut().remove("x-api-key");
    assert_eq!(read(forged).unwrap_err(), Settled::Unverified);
}

#[tokio::test]
async fn v5_another_payload_under_a_key_is_flagged_and_not_run() {
    let shop = Shop::new(200, rules());
    shop.ask(request("paid", BODY)).await;
    let other = shop
        .ask(request("paid", &BODY.replace("4200", "9900")))
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(other.headers["hooklatch-flag"], "payload_mismatch");
    // Another spelling of the same payload is the same payload.
    let respelled = shop
        .ask(request("paid", r#"{"amount":4200.0,"id":7}"#))
        .await;
    assert!(respelled.replayed);
    assert_eq!(shop.ran(), 1);
}

#[tokio::test]
async fn v5_a_failure_may_come_again_until_its_attempts_are_used_up() {
    let shop = Shop::new(500, rules());
    let failed = shop.ask(request("paid", BODY)).await;
    assert_eq!(
        (failed.status, failed.retry_after.as_deref()),
        (503, Some("0"))
    );
    assert_eq!(
        shop.ask(request("paid", BODY)).await.status,
        200,
        "the last attempt"
    );
    let dead = shop.ask(request("paid", BODY)).await;
    assert_eq!((dead.status, dead.receipt), (200, None));
    assert_eq!(shop.ran(), 2);
    let seen = shop
        .kit
        .store()
        .lookup(&key_of("paid"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.state, StateName::Dead);
    let error = "gave up after 2 attempts: the handler answered 500";
    assert_eq!(seen.error.as_deref(), Some(error));
}

#[tokio::test]
async fn o3_a_refusal_by_the_handler_is_final() {
    let shop = Shop::new(404, rules());
    let refused = shop.ask(request("paid", BODY)).await;
    assert_eq!((refused.status, refused.text.as_str()), (404, "attempt 1"));
    assert_eq!(refused.receipt.as_deref(), Some("rejected"));
    assert_eq!(shop.ask(request("paid", BODY)).await.status, 200);
    assert_eq!(shop.ran(), 1);
}

#[tokio::test]
async fn v1_a_request_without_a_key_is_refused_unless_it_may_run() {
    let keyless = || request("", BODY);
    let shop = Shop::new(200, rules());
    assert_eq!(shop.ask(keyless()).await.status, 400);
    let policy = |keyless| Policy {
        keyless,
        ..Policy::default()
    };
    let open = Shop::new(200, rules().with_policy(policy(Keyless::Unprotected)));
    open.ask(keyless()).await;
    open.ask(keyless()).await;
    let hashed = Shop::new(200, rules().with_policy(policy(Keyless::Content)));
    hashed.ask(keyless()).await;
    assert!(hashed.ask(keyless()).await.replayed);
    assert_eq!((shop.ran(), open.ran(), hashed.ran()), (0, 2, 1));
}

#[tokio::test]
async fn v5_a_client_of_an_api_gets_a_refusal_again() {
    let policy = Policy {
        mode: AnswerMode::Api,
        ..Policy::default()
    };
    let shop = Shop::new(422, rules().with_policy(policy));
    assert_eq!(shop.ask(request("paid", BODY)).await.status, 422);
    let again = shop.ask(request("paid", BODY)).await;
    assert_eq!((again.status, again.replayed), (422, true));
    let other = shop.ask(request("paid", r#"{"id": 7}"#)).await;
    assert_eq!(other.status, 409);
    assert_eq!(shop.ran(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_anything_else() {
    let shop = Shop::new(200, rules().with_body_bytes_max(8));
    assert_eq!(shop.ask(request("paid", BODY)).await.status, 413);
    assert_eq!(shop.ran(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_nothing() {
    let shop = Shop::new(200, rules());
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_started, may_go_on) = (Arc::clone(&started), Arc::clone(&go_on));
    let handler = move |_: Request<Body>| {
        let (started, go_on) = (Arc::clone(&has_started), Arc::clone(&may_go_on));
        async move {
            started.notify_one();
            go_on.notified().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    };
    let service = shop.layer.layer(tower::service_fn(handler));
    let waiting = tokio::spawn(service.oneshot(request("paid", BODY)));
    started.notified().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let busy = shop.ask(request("paid", BODY)).await;
    assert_eq!(
        (busy.status, busy.receipt.as_deref()),
        (503, Some("in-progress"))
    );
    assert!(busy.retry_after.is_some());
    go_on.notify_one();
    let completed = async {
        loop {
            let seen = shop.kit.store().lookup(&key_of("paid")).await.unwrap();
            if seen.is_some_and(|seen| seen.state == StateName::Completed) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), completed)
        .await
        .unwrap();
    assert_eq!(shop.ask(request("paid", BODY)).await.text, "done");
    assert_eq!(shop.ran(), 0);
}

#[test]
fn c4_a_known_provider_raises_the_retention_to_its_windows() {
    let rules = Rules::for_provider("stripe", &["whsec_x"]).unwrap();
    let kit = Receiver::new(MemoryStore::new(), Settings::default());
    let days = |settings: &Settings| settings.retention.as_secs() / 86_400;
    assert_eq!(days(kit.settings()), 7);
    let layer = ReceiverLayer::new(kit, rules);
    assert_eq!(
        days(layer.settings()),
        34,
        "3 days of retries, 30 of resends, and a margin"
    );
    assert!(Rules::for_provider("nobody", &["x"]).is_err());
    let fetches = Rules::for_provider("paypal", &["WH1"]).err().unwrap();
    assert!(fetches.to_string().contains("certificate"), "{fetches}");
}
