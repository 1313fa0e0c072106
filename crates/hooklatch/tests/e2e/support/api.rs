//! A client of the HTTP API that says what it expected when it is disappointed.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::http::{Answer, call};

/// One gateway and one key to it.
#[derive(Debug, Clone)]
pub struct Api {
    address: SocketAddr,
    authorization: String,
}

/// A source, as it was made.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its id.
    pub id: String,
    /// The path of its ingest URL: the port may change when the gateway is started again.
    pub path: String,
}

/// An endpoint, as it was made.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// What its deliveries are signed with.
    pub secret: String,
}

impl Api {
    /// A client of the gateway at `address`.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self {
            address,
            authorization: format!("Bearer {key}"),
        }
    }

    /// Asks once, as it is said.
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, String> {
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("content-type", "application/json"),
        ];
        call(self.address, method, path, &headers, body).await
    }

    /// Asks with JSON; the gateway must be there.
    pub async fn request(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => Bytes::new(),
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => body.to_string().into(),
        };
        let answer = self.ask(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What is at `path`, whatever the answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &Value::Null).await
    }

    /// What is at `path`.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// Posts, whatever the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path, body).await
    }

    /// Makes something.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        let text = answer.text();
        assert!(
            (200..300).contains(&answer.status),
            "POST {path} {body}: {} {text}",
            answer.status
        );
        answer.json()
    }

    /// Removes something.
    pub async fn delete(&self, path: &str) {
        let answer = self.request(Method::DELETE, path, &Value::Null).await;
        let text = answer.text();
        assert!(
            (200..300).contains(&answer.status),
            "DELETE {path}: {} {text}",
            answer.status
        );
    }

    /// Makes a source.
    pub async fn source(&self, source: &Value) -> Source {
        let made = self.create("/v1/sources", source).await;
        let url = text(&made, "ingest_url");
        let path = url
            .splitn(4, '/')
            .nth(3)
            .expect("an ingest URL is absolute");
        Source {
            id: text(&made, "id"),
            path: format!("/{path}"),
        }
    }

    /// Makes an endpoint that delivers to `url`, with more settings in `settings`.
    pub async fn endpoint(&self, name: &str, url: &str, settings: Value) -> Endpoint {
        let mut endpoint = settings;
        endpoint["name"] = json!(name);
        endpoint["url"] = json!(url);
        let made = self.create("/v1/endpoints", &endpoint).await;
        Endpoint {
            id: text(&made, "id"),
            secret: text(&made, "secret"),
        }
    }

    /// Routes a source to an endpoint.
    pub async fn connect(&self, source: &Source, endpoint: &Endpoint) {
        let name = format!("{} to {}", source.id, endpoint.id);
        let body = json!({"name": name, "source_id": source.id, "endpoint_id": endpoint.id});
        self.create("/v1/connections", &body).await;
    }

    /// Sends to a source's ingest URL.
    pub async fn ingest(
        &self,
        source: &Source,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        call(
            self.address,
            Method::POST,
            &source.path,
            headers,
            body.into(),
        )
        .await
    }

    /// Sends JSON to a source's ingest URL; it must be taken.
    pub async fn ingest_json(&self, source: &Source, body: &str) -> Value {
        let headers = [("content-type", "application/json")];
        let answer = self.ingest(source, &headers, body.to_owned()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        answer.json()
    }

    /// Every item of a list, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .read(&format!("{path}{separator}limit=200{cursor}"))
                .await;
            items.extend_from_slice(page["data"].as_array().expect("a list has data"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// A field that must be a text.
pub fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no text {field} in {value}"))
        .to_owned()
}
