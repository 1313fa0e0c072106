//! What a provider hears when a run's end cannot be recorded: the vectors that the kits share.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_receiver::claim::{Claim, Claimed, Completion, Held, Hold, Saved, Sighting};
use hooklatch_receiver::key::ScopeKey;
use hooklatch_receiver::kit::Receiver;
use hooklatch_receiver::layer::{ReceiverLayer, Rules};
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::run::Settings;
use hooklatch_receiver::store::{Promise, Store, StoreError};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt};

use support::file::{Answer, file};

/// A store in memory that says of the end of a run what a vector has it say.
struct Scripted {
    inner: MemoryStore,
    vector: Answer,
    renewed: Arc<AtomicBool>,
}

fn hold(said: Option<&String>) -> Result<Hold, StoreError> {
    match said.map(String::as_str) {
        None => Ok(Hold::Kept),
        Some("fenced") => Ok(Hold::Fenced),
        Some("unavailable") => Err(StoreError::new("end", "the connection broke")),
        Some(other) => panic!("no store says {other}"),
    }
}

impl Store for Scripted {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        self.inner.claim(claim).await
    }

    async fn complete(
        &self,
        _: &Held,
        _: Option<&[u8]>,
        _: Duration,
    ) -> Result<Completion, StoreError> {
        if self.vector.complete.as_deref() == Some("gone") {
            return Ok(Completion::Gone);
        }
        let hold = hold(self.vector.complete.as_ref())?;
        Ok(match hold {
            Hold::Kept => Completion::Applied,
            Hold::Fenced => Completion::Fenced,
        })
    }

    async fn release(&self, _: &Held, _: Duration, _: &str) -> Result<Hold, StoreError> {
        hold(self.vector.release.as_ref())
    }

    async fn renew(&self, _: &Held, _: Duration) -> Result<Hold, StoreError> {
        let renewed = hold(self.vector.renew.as_ref());
        self.renewed.store(true, Ordering::SeqCst);
        renewed
    }

    async fn fail(&self, _: &Held, _: &str, _: Duration) -> Result<Hold, StoreError> {
        hold(self.vector.fail.as_ref())
    }

    async fn lookup(&self, key: &ScopeKey) -> Result<Option<Sighting>, StoreError> {
        self.inner.lookup(key).await
    }

    async fn save_step(&self, held: &Held, step: &str, result: &[u8]) -> Result<Saved, StoreError> {
        self.inner.save_step(held, step, result).await
    }

    async fn load_step(&self, held: &Held, step: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load_step(held, step).await
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        self.inner.sweep(limit).await
    }

    fn promise(&self) -> Promise {
        self.inner.promise()
    }
}

/// Status and receipt.
async fn answered(vector: &Answer) -> (u16, Option<String>) {
    let renewed = Arc::new(AtomicBool::new(false));
    let store = Scripted {
        inner: MemoryStore::new(),
        vector: vector.clone(),
        renewed: Arc::clone(&renewed),
    };
    let settings = Settings {
        lease: Duration::from_millis(30),
        ..Settings::default()
    };
    let verifier = serde_json::json!({"type": "api_key", "secret": "sesame"});
    let rules = Rules::custom("shop", verifier, &["body:$.id"]).unwrap();
    let layer = ReceiverLayer::new(Receiver::new(store, settings), rules);
    let (status, is_told) = (vector.handler_status, vector.renew.is_some());
    let handler = move |_: Request<Full<Bytes>>| {
        let renewed = Arc::clone(&renewed);
        async move {
            // It does not let itself be stopped: it is in the middle of its effect.
            while is_told && !renewed.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let response = Response::builder().status(status);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        }
    };
    let request = Request::post("/hooks").header("x-api-key", "sesame");
    let request = request.header("content-type", "application/json");
    let request = request.body(Full::from(r#"{"id": 7}"#)).unwrap();
    let service = layer.layer(tower::service_fn(handler));
    let response = service.oneshot(request).await.unwrap();
    let receipt = response.headers().get("hooklatch-receipt");
    let receipt = receipt.map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), receipt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn v5_an_effect_that_has_happened_is_answered_as_one_whatever_becomes_of_its_record() {
    let vectors = file().answers;
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let expected = (vector.status, vector.receipt.clone());
        let (id, name) = (&vector.id, &vector.name);
        assert_eq!(answered(&vector).await, expected, "{id} {name}");
    }
}
