//! A gateway over the reference store, on a clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hooklatch_core::address::Reach;
use hooklatch_core::config::{ApiKey, ProjectInput, Scope, SecretHash};
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome, Timing};
use hooklatch_core::delivery::lifecycle::Next;
use hooklatch_core::delivery::{Lane, Reason};
use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_server::bootstrap::bootstrap;
use hooklatch_server::directory::{Change, Directory, Document};
use hooklatch_server::{App, Settings, router};
use hooklatch_store::memory::MemoryStore;
use hooklatch_store::{
    Clock, Configuration, Deliveries, FinishAttempt, LeaseRequest, LeaseTerms, Terms,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub const OWNER: &str = "hl_owner_owner_owner_owner_owner_owner";
pub const READER: &str = "hl_reader_reader_reader_reader_reader";
pub const SENDER: &str = "hl_sender_sender_sender_sender_sender";
pub const STRANGER: &str = "hl_stranger_stranger_stranger_stranger";
pub const START: &str = "2026-01-31T12:00:00.000Z";

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct OneSecond;

impl LeaseTerms for OneSecond {
    fn terms(&self, _: Lane) -> Terms {
        Terms {
            capacity: 100,
            live_max: usize::MAX,
            span: Millis::from_seconds(1),
        }
    }
}

/// A gateway with one project, its owner, someone who may only read, someone who may only send,
/// and a stranger.
pub struct World {
    clock: Arc<TestClock>,
    pub store: Arc<MemoryStore>,
    router: Router,
    pub project: ProjectId,
}

pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The ids of a list, in its order.
pub fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap();
    data.iter()
        .map(|record| text(&record["id"]).to_owned())
        .collect()
}

impl World {
    pub async fn new() -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(start.as_millis())));
        let store = MemoryStore::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let sealing_key = SealingKey::from_bytes([7; 32]);
        let directory = Directory::open(Arc::clone(&store) as _, sealing_key, Reach::PublicOnly)
            .await
            .unwrap();
        bootstrap(&directory, Some(&Secret::from(OWNER)))
            .await
            .unwrap();
        let project = directory.snapshot().projects().next().unwrap().id;
        add_key(&directory, project, READER, &[Scope::Read]).await;
        add_key(&directory, project, SENDER, &[Scope::Send]).await;
        let other = add_project(&directory).await;
        add_key(&directory, other, STRANGER, &Scope::ALL).await;
        let app = App::new(Arc::clone(&store) as _, directory, Settings::default());
        Self {
            clock,
            store,
            router: router(app),
            project,
        }
    }

    pub fn pass(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status, text }
    }

    pub async fn api(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gateway.example")
            .header("authorization", format!("Bearer {key}"));
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.call(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.api(OWNER, "GET", path, None).await.ok()
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.api(OWNER, "POST", path, None).await
    }

    pub async fn make(&self, path: &str, body: Value) -> Value {
        self.api(OWNER, "POST", path, Some(body)).await.ok()
    }

    pub async fn endpoint(&self, name: &str) -> String {
        let body = json!({"name": name, "url": "https://93.184.215.14/hook", "tenant": "acme"});
        text(&self.make("/v1/endpoints", body).await["id"]).to_owned()
    }

    /// A source that leads to a new endpoint, if one is wanted.
    pub async fn source(&self, mut settings: Value, endpoint: Option<&str>) -> Source {
        settings["name"] = json!(format!("source {}", self.store.mint().await.unwrap()));
        let made = self.make("/v1/sources", settings).await;
        let id = text(&made["id"]).to_owned();
        if let Some(endpoint) = endpoint {
            let body = json!({"name": id, "source_id": id, "endpoint_id": endpoint});
            self.make("/v1/connections", body).await;
        }
        let url = text(&made["ingest_url"]);
        let path = url[url.find("/ingest/").unwrap()..].to_owned();
        Source { id, path }
    }

    pub async fn arrive(&self, source: &Source, body: &str) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/orders?id=1&access_token=hush", source.path))
            .header("content-type", "application/json")
            .header("x-signature", "hush")
            .header("x-tag", "a")
            .header("x-tag", "b");
        self.call(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// Arrives with credentials that are not to be shown.
    pub async fn arrive_with_proof(&self, source: &Source, body: &'static str) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(&source.path)
            .header("content-type", "application/json")
            .header("x-proof", "hush-hush")
            .header("cookie", "hush")
            .header("x-tag", "a")
            .header("x-tag", "b");
        self.call(request.body(Body::from(body)).unwrap()).await
    }

    /// Fails twice, for good.
    pub async fn fail_twice(&self) {
        let again = Next::Retry {
            after: Millis::from_seconds(5),
            counts: true,
        };
        assert_eq!(self.attempt(AttemptOutcome::Failed, again).await, 1);
        self.pass(5_000);
        let given_up = Next::Fail(Reason::AttemptsExhausted);
        assert_eq!(self.attempt(AttemptOutcome::Failed, given_up).await, 1);
    }

    /// Arrives with another payload under the key 1, and is held.
    pub async fn held(&self) -> (Source, Value, Value) {
        let settings = json!({"key": {"locations": ["body:$.id"]}, "on_conflict": "quarantine"});
        let endpoint = self.endpoint("held").await;
        let source = self.source(settings, Some(&endpoint)).await;
        let original = self.arrive(&source, r#"{"id": 1}"#).await.ok();
        let held = self.arrive(&source, r#"{"id": 1, "n": 2}"#).await.ok();
        assert_eq!(held["effect"], "held");
        (source, original, held)
    }

    /// Attempts everything that is due, with one result.
    pub async fn attempt(&self, outcome: AttemptOutcome, next: Next) -> usize {
        let terms = Arc::new(OneSecond);
        let leases = self
            .store
            .lease(LeaseRequest { limit: 100, terms })
            .await
            .unwrap();
        let count = leases.leased.len();
        for lease in leases.leased {
            let begun = lease.delivery.attempt_in_progress().unwrap();
            let attempt = attempted(begun, outcome);
            let finish = FinishAttempt {
                delivery_id: lease.delivery.id,
                token: attempt.id,
                attempt: Some(attempt),
                next,
            };
            self.store.finish(finish).await.unwrap();
        }
        count
    }
}

pub struct Source {
    pub id: String,
    pub path: String,
}

async fn add_project(directory: &Directory) -> ProjectId {
    let made = directory.change(ProjectId::from_number(0), |mut deciding| {
        deciding.making.project = ProjectId::from_number(deciding.numbers[0]);
        let name = Some("other".to_owned());
        let (project, _) = ProjectInput { name }.build(&mut deciding.making)?;
        Ok(Change {
            answer: project.id,
            documents: vec![Document::Project(project)],
        })
    });
    made.await.unwrap()
}

async fn add_key(directory: &Directory, project: ProjectId, key: &str, scopes: &[Scope]) {
    let made = directory.change(project, |deciding| {
        let id = ApiKeyId::from_number(deciding.numbers[0]);
        let first = ApiKey::first(id, project, &Secret::from(key), deciding.making.now);
        let key = ApiKey {
            name: key.to_owned(),
            scopes: scopes.iter().copied().collect(),
            admin: false,
            hash: SecretHash(hooklatch_core::token::api_key_hash(key)),
            ..first
        };
        Ok(Change {
            answer: (),
            documents: vec![Document::ApiKey(key)],
        })
    });
    made.await.unwrap();
}

fn attempted(begun: Attempt, outcome: AttemptOutcome) -> Attempt {
    Attempt {
        outcome,
        status_code: Some(503),
        error: Some("the endpoint answered 503".into()),
        request_headers: vec![
            ("webhook-id".into(), begun.message_id.to_string()),
            ("webhook-signature".into(), "v1,hush".into()),
        ],
        response_headers: vec![("server".into(), "shop".into())],
        response_body: Bytes::from_static("zu sp\u{e4}t".as_bytes()).slice(..6),
        response_truncated: true,
        duration_ms: 12,
        timing: Timing {
            dns_us: Some(1_500),
            tcp_us: None,
            tls_us: None,
            first_byte_us: Some(250),
        },
        ..begun
    }
}
