//! A gateway on a real socket, over the store in memory, and a client that says what it hears.

#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::address::Reach;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;
use hooklatch_server::bootstrap::bootstrap;
use hooklatch_server::directory::Directory;
use hooklatch_server::serve::{Limits, serve};
use hooklatch_server::{App, Helpers, Settings};
use hooklatch_store::memory::MemoryStore;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const API_KEY: &str = "hl_0123456789abcdef0123456789abcdef";

pub struct Gateway {
    pub address: SocketAddr,
    pub store: Arc<MemoryStore>,
    pub app: App,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The answer's JSON, after a look at the status and at what every answer has.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let id = self.header("x-request-id");
        assert!(
            id.is_some_and(|id| !id.is_empty()),
            "an answer without X-Request-Id"
        );
        if status >= 400 {
            let problem = self.json();
            assert_eq!(
                self.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(problem["status"], status, "{problem}");
            assert_eq!(problem["request_id"].as_str(), id, "{problem}");
            for member in ["type", "title", "detail"] {
                assert!(
                    problem[member]
                        .as_str()
                        .is_some_and(|text| !text.is_empty()),
                    "{problem}"
                );
            }
            return problem;
        }
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_with(Settings::default(), Limits::default()).await
    }

    pub async fn start_with(settings: Settings, limits: Limits) -> Self {
        let settings = Settings {
            reach: Reach::LoopbackToo,
            ..settings
        };
        Self::start_helped(settings, limits, Helpers::default()).await
    }

    /// One that reaches where the settings say, with these helpers.
    pub async fn start_helped(settings: Settings, limits: Limits, helpers: Helpers) -> Self {
        let store = MemoryStore::new();
        let sealing_key = SealingKey::from_bytes([7; 32]);
        let opened = Directory::open(store.clone(), sealing_key, settings.reach).await;
        let directory = opened.expect("an empty store opens");
        let key = Secret::from(API_KEY);
        bootstrap(&directory, Some(&key))
            .await
            .expect("the first start succeeds");
        Self::serving(store, directory, settings, limits, helpers).await
    }

    /// Another process over the same store.
    pub async fn another_node(&self) -> Self {
        let settings = self.app.settings().clone();
        let sealing_key = SealingKey::from_bytes([7; 32]);
        let opened = Directory::open(self.store.clone(), sealing_key, settings.reach).await;
        let directory = opened.expect("the store opened before");
        let helpers = Helpers::default();
        let limits = Limits::default();
        Self::serving(self.store.clone(), directory, settings, limits, helpers).await
    }

    async fn serving(
        store: Arc<MemoryStore>,
        directory: Arc<Directory>,
        settings: Settings,
        limits: Limits,
        helpers: Helpers,
    ) -> Self {
        let app = App::with_helpers(store.clone(), directory, settings, helpers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, app.clone(), limits, stop.clone()));
        Self {
            address,
            store,
            app,
            stop,
            served,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("the gateway listens")
    }

    /// One request on a connection of its own.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let stream = self.connect().await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("the gateway speaks HTTP");
        let driver = tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path);
        request = request.header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body.into()))
            .expect("a test sends what HTTP allows");
        let answer = sender
            .send_request(request)
            .await
            .expect("the gateway answers");
        let (parts, body) = answer.into_parts();
        let body = body
            .collect()
            .await
            .expect("the answer is whole")
            .to_bytes();
        driver.abort();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    /// A call of the API with the first key.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {API_KEY}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.call(method, path, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api("GET", path, Value::Null).await
    }

    /// Makes a source, and answers with it and the path of its ingest URL.
    pub async fn source(&self, settings: Value) -> (Value, String) {
        let source = self.api("POST", "/v1/sources", settings).await.expect(201);
        let url = source["ingest_url"]
            .as_str()
            .expect("a source has an ingest URL");
        let path = url.split_once("/ingest/").expect("it leads to ingest").1;
        (source.clone(), format!("/ingest/{path}"))
    }

    /// Makes an endpoint, and a connection from the source to it.
    pub async fn connected(&self, source: &Value, name: &str) -> Value {
        let url = format!("http://127.0.0.1:9/{name}");
        let endpoint = json!({"name": name, "url": url});
        let endpoint = self
            .api("POST", "/v1/endpoints", endpoint)
            .await
            .expect(201);
        let connection = json!({
            "name": format!("to {name}"),
            "source_id": source["id"],
            "endpoint_id": endpoint["id"],
        });
        self.api("POST", "/v1/connections", connection)
            .await
            .expect(201);
        endpoint
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call("POST", path, &[("content-type", "application/json")], body)
            .await
    }
}

/// Waits until something holds, which others bring about; fails after five seconds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let found = async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(5), found).await;
    found.expect("it did not happen within 5 s")
}
