//! The client: one method for each thing that can be asked of the gateway.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::{Answer, Call, Repeat, Server, pool};
use crate::wire::{Message, NewMessage, NewMessageBody, Page};
use crate::{Backoff, Error, Problem, key};

/// How long one try of a call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one gateway, with one API key. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    server: Server,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.server.base)
            .field("api_key", &"***")
            .finish_non_exhaustive()
    }
}

/// What came of a send.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message: the new one, or the original as it is now.
    pub message: Message,
    /// Whether an earlier call had sent it: this one sent nothing (S2).
    pub replayed: bool,
    /// The key under which it was sent.
    pub idempotency_key: String,
    /// How often the call was made until it was answered.
    pub tries: u32,
}

/// What came of one item of a batch.
#[derive(Debug, Clone)]
pub struct BatchItem {
    /// The status that the item would have had as a call of its own.
    pub status_code: u16,
    /// Whether an earlier call, or an earlier item, had sent it.
    pub replayed: bool,
    /// The message, or why there is none.
    pub result: Result<Message, Problem>,
}

impl Client {
    /// A client of the gateway at `base_url`, for example `http://127.0.0.1:8420`.
    pub fn new(base_url: &str, api_key: &str) -> Result<Self, Error> {
        let base = base_url.trim_end_matches('/').to_owned();
        check_base(&base)?;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {api_key}")).map_err(|_| Error::ApiKey)?;
        authorization.set_sensitive(true);
        Ok(Self {
            server: Server {
                base,
                authorization,
                backoff: Backoff::default(),
                timeout: TIMEOUT,
                pool: pool(),
            },
        })
    }

    /// The same client with another patience.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.server.backoff = backoff;
        self
    }

    /// The same client with another limit on one try of a call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.server.timeout = timeout;
        self
    }

    /// Sends a message. Repeats itself until it is answered: under one key that is safe.
    pub async fn send(&self, message: &NewMessage) -> Result<Sent, Error> {
        let idempotency_key = message.idempotency_key.clone().unwrap_or_else(key::mint);
        let body = to_json(&message.with_key(&idempotency_key))?;
        let answer = self
            .post("/v1/webhooks/send".to_owned(), body, Repeat::Safe)
            .await?;
        Ok(Sent {
            message: answer.json()?,
            replayed: is_replayed(&answer),
            idempotency_key,
            tries: answer.tries,
        })
    }

    /// Sends up to 1,000 messages in one call; the answers are in the items' order (S7).
    pub async fn send_batch(&self, messages: &[NewMessage]) -> Result<Vec<BatchItem>, Error> {
        let minted =
            |message: &NewMessage| message.idempotency_key.clone().unwrap_or_else(key::mint);
        let keys: Vec<String> = messages.iter().map(minted).collect();
        let items = messages
            .iter()
            .zip(&keys)
            .map(|(message, key)| message.with_key(key));
        let body = to_json(&Batch {
            items: items.collect(),
        })?;
        let answer = self
            .post("/v1/webhooks/send/batch".to_owned(), body, Repeat::Safe)
            .await?;
        batch_items(&answer)
    }

    /// Sends items of a batch as they were written, each under its own key.
    #[cfg(any(feature = "outbox-postgres", feature = "outbox-sqlite"))]
    pub(crate) async fn send_items(&self, items: &[&RawValue]) -> Result<Vec<BatchItem>, Error> {
        #[derive(Serialize)]
        struct Items<'a> {
            // As they are written: nothing may change a byte of a payload.
            items: &'a [&'a RawValue],
        }
        let body = to_json(&Items { items })?;
        let path = "/v1/webhooks/send/batch".to_owned();
        let answer = self.post(path, body, Repeat::Safe).await?;
        batch_items(&answer)
    }

    /// Whether the gateway is up.
    pub async fn healthz(&self) -> Result<(), Error> {
        self.call(
            Method::GET,
            "/healthz".to_owned(),
            Bytes::new(),
            Repeat::Never,
        )
        .await
        .map(drop)
    }

    /// The server, for calls of another form.
    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, Error> {
        let answer = self
            .call(Method::GET, path, Bytes::new(), Repeat::Safe)
            .await?;
        answer.json()
    }

    pub(crate) async fn post(
        &self,
        path: String,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Answer, Error> {
        self.call(Method::POST, path, body, repeat).await
    }

    /// Makes a call whose answer comes line by line, each a JSON document.
    pub(crate) async fn post_lines(
        &self,
        path: String,
        body: Bytes,
        line: impl FnMut(serde_json::Value),
    ) -> Result<(), Error> {
        let call = Call {
            method: Method::POST,
            path,
            body,
            repeat: Repeat::Never,
        };
        self.server.lines(&call, line).await
    }

    /// The error of a call that was broken off on the server's side.
    pub(crate) fn broken_off(&self, told: &serde_json::Value) -> Error {
        let problem: Option<Problem> = serde_json::from_value(told.clone()).ok();
        match problem {
            Some(problem) if problem.status != 0 => Error::Refused(Box::new(problem)),
            Some(_) | None => Error::Interrupted {
                server: self.server.base.clone(),
                source: "the answer ended before its last line".into(),
            },
        }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: String,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Answer, Error> {
        let call = Call {
            method,
            path,
            body,
            repeat,
        };
        self.server.answer(&call).await
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    items: Vec<NewMessageBody<'a>>,
}

fn check_base(base: &str) -> Result<(), Error> {
    let bad = |reason| Error::BaseUrl {
        url: base.to_owned(),
        reason,
    };
    let uri: Uri = base.parse().map_err(|_| bad("it is not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(bad("this client speaks plain HTTP only")),
        Some(_) | None => return Err(bad("it must begin with http://")),
    }
    if uri.query().is_some() {
        return Err(bad("it must not have a query"));
    }
    Ok(())
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(Error::Payload)
}

fn is_replayed(answer: &Answer) -> bool {
    let header = answer.headers.get("idempotent-replayed");
    header.is_some_and(|value| value == "true")
}

fn batch_items(answer: &Answer) -> Result<Vec<BatchItem>, Error> {
    let page: Page<Box<RawValue>> = answer.json()?;
    let items = page.data.iter().map(|item| batch_item(item));
    items
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Unreadable {
            status: answer.status.as_u16(),
            source,
        })
}

fn batch_item(item: &RawValue) -> Result<BatchItem, serde_json::Error> {
    #[derive(Deserialize)]
    struct Mark {
        status_code: u16,
        #[serde(default)]
        replayed: bool,
    }
    let mark: Mark = serde_json::from_str(item.get())?;
    let status =
        StatusCode::from_u16(mark.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let result = if status.is_success() {
        Ok(serde_json::from_str(item.get())?)
    } else {
        Err(Problem::read(status, item.get().as_bytes()))
    };
    Ok(BatchItem {
        status_code: mark.status_code,
        replayed: mark.replayed,
        result,
    })
}
