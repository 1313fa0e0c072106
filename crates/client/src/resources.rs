//! Everything but sending: configuration, history, and what a person asks of it.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Repeat;
use crate::client::to_json;
use crate::wire::{
    Attempt, AttemptOutcome, Cause, Claim, Connection, ConnectionInput, Delivery, Endpoint,
    EndpointInput, Freed, Message, MessageStatus, Outcome, Page, PageRequest, RequestRecord,
    Source, SourceInput, Trigger,
};
use crate::{Client, Error};

/// Which messages.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Through this source.
    pub source_id: Option<String>,
    /// With this status.
    pub status: Option<MessageStatus>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Under this key.
    pub key: Option<String>,
    /// That came at this time or later, as RFC 3339.
    pub after: Option<String>,
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// With this cause.
    pub cause: Option<Cause>,
    /// Through this source.
    pub source_id: Option<String>,
    /// Under this key.
    pub key: Option<String>,
}

/// Which attempts.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Made for this.
    pub trigger: Option<Trigger>,
    /// With this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// To this endpoint.
    pub endpoint_id: Option<String>,
}

/// Configuration.
impl Client {
    /// Makes a source.
    pub async fn create_source(&self, input: &SourceInput) -> Result<Source, Error> {
        self.create("/v1/sources", input).await
    }

    /// Makes a source, or changes the one of that name: a script can run it twice.
    pub async fn upsert_source(&self, input: &SourceInput) -> Result<Source, Error> {
        self.upsert("/v1/sources", input).await
    }

    /// One source.
    pub async fn source(&self, id: &str) -> Result<Source, Error> {
        self.get(of("/v1/sources", id)).await
    }

    /// Sources, newest first.
    pub async fn sources(&self, page: &PageRequest) -> Result<Page<Source>, Error> {
        self.get(Query::of(page).path("/v1/sources")).await
    }

    /// Makes an endpoint. Its secret is shown now and never again.
    pub async fn create_endpoint(&self, input: &EndpointInput) -> Result<Endpoint, Error> {
        self.create("/v1/endpoints", input).await
    }

    /// Makes an endpoint, or changes the one of that name: a script can run it twice.
    pub async fn upsert_endpoint(&self, input: &EndpointInput) -> Result<Endpoint, Error> {
        self.upsert("/v1/endpoints", input).await
    }

    /// One endpoint.
    pub async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.get(of("/v1/endpoints", id)).await
    }

    /// Endpoints, newest first.
    pub async fn endpoints(&self, page: &PageRequest) -> Result<Page<Endpoint>, Error> {
        self.get(Query::of(page).path("/v1/endpoints")).await
    }

    /// Makes a connection.
    pub async fn create_connection(&self, input: &ConnectionInput) -> Result<Connection, Error> {
        self.create("/v1/connections", input).await
    }

    /// Makes a connection, or changes the one of that name: a script can run it twice.
    pub async fn upsert_connection(&self, input: &ConnectionInput) -> Result<Connection, Error> {
        self.upsert("/v1/connections", input).await
    }

    /// One connection.
    pub async fn connection(&self, id: &str) -> Result<Connection, Error> {
        self.get(of("/v1/connections", id)).await
    }

    /// Connections, newest first.
    pub async fn connections(&self, page: &PageRequest) -> Result<Page<Connection>, Error> {
        self.get(Query::of(page).path("/v1/connections")).await
    }

    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        input: &impl Serialize,
    ) -> Result<T, Error> {
        let body = to_json(input)?;
        self.post(path.to_owned(), body, Repeat::Never)
            .await?
            .json()
    }

    async fn upsert<T: DeserializeOwned>(
        &self,
        path: &str,
        input: &impl Serialize,
    ) -> Result<T, Error> {
        let body = to_json(input)?;
        let answer = self.call(Method::PUT, path.to_owned(), body, Repeat::Safe);
        answer.await?.json()
    }
}

/// History.
impl Client {
    /// One message.
    pub async fn message(&self, id: &str) -> Result<Message, Error> {
        self.get(of("/v1/messages", id)).await
    }

    /// Messages, newest first.
    pub async fn messages(
        &self,
        filter: &MessageFilter,
        page: &PageRequest,
    ) -> Result<Page<Message>, Error> {
        let mut query = Query::of(page);
        query.add("source_id", filter.source_id.as_deref());
        query.add("status", filter.status.map(MessageStatus::as_str));
        query.add("event_type", filter.event_type.as_deref());
        query.add("key", filter.key.as_deref());
        query.add("after", filter.after.as_deref());
        self.get(query.path("/v1/messages")).await
    }

    /// The requests of a message: the original and its duplicates.
    pub async fn message_requests(
        &self,
        id: &str,
        page: &PageRequest,
    ) -> Result<Page<RequestRecord>, Error> {
        let path = format!("{}/requests", of("/v1/messages", id));
        self.get(Query::of(page).path(&path)).await
    }

    /// The deliveries of a message.
    pub async fn message_deliveries(
        &self,
        id: &str,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, Error> {
        let path = format!("{}/deliveries", of("/v1/messages", id));
        self.get(Query::of(page).path(&path)).await
    }

    /// One arrival.
    pub async fn request(&self, id: &str) -> Result<RequestRecord, Error> {
        self.get(of("/v1/requests", id)).await
    }

    /// Arrivals, newest first.
    pub async fn requests(
        &self,
        filter: &RequestFilter,
        page: &PageRequest,
    ) -> Result<Page<RequestRecord>, Error> {
        let mut query = Query::of(page);
        query.add("outcome", filter.outcome.map(Outcome::as_str));
        query.add("cause", filter.cause.map(Cause::as_str));
        query.add("source_id", filter.source_id.as_deref());
        query.add("key", filter.key.as_deref());
        self.get(query.path("/v1/requests")).await
    }

    /// One delivery.
    pub async fn delivery(&self, id: &str) -> Result<Delivery, Error> {
        self.get(of("/v1/deliveries", id)).await
    }

    /// The attempts of a delivery.
    pub async fn delivery_attempts(
        &self,
        id: &str,
        page: &PageRequest,
    ) -> Result<Page<Attempt>, Error> {
        let path = format!("{}/attempts", of("/v1/deliveries", id));
        self.get(Query::of(page).path(&path)).await
    }

    /// Attempts that have ended, newest first.
    pub async fn attempts(
        &self,
        filter: &AttemptFilter,
        page: &PageRequest,
    ) -> Result<Page<Attempt>, Error> {
        let mut query = Query::of(page);
        query.add("trigger", filter.trigger.map(Trigger::as_str));
        query.add("outcome", filter.outcome.map(AttemptOutcome::as_str));
        query.add("endpoint_id", filter.endpoint_id.as_deref());
        self.get(query.path("/v1/attempts")).await
    }

    /// The ledger's claims for a key, as the provider or the caller wrote it or as its checksum.
    pub async fn key(&self, key: &str) -> Result<Page<Claim>, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("key", Some(key));
        self.get(query.path("/v1/keys")).await
    }
}

/// What a person asks for. None of these is repeated by itself but [`Client::free_key`]: freeing
/// twice frees once.
impl Client {
    /// Frees a key: its next arrival is new. In one scope, or in all of the project's.
    pub async fn free_key(
        &self,
        key: &str,
        scope: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Freed, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("scope", scope);
        query.add("reason", reason);
        let path = query.path(&of("/v1/keys", key));
        let answer = self
            .call(Method::DELETE, path, Bytes::new(), Repeat::Safe)
            .await?;
        if answer.body.is_empty() {
            return Ok(Freed::default());
        }
        answer.json()
    }

    /// Starts every failed delivery of a message again.
    pub async fn retry_message(&self, id: &str) -> Result<(), Error> {
        self.ask(format!("{}/retry", of("/v1/messages", id))).await
    }

    /// Starts a delivery again.
    pub async fn retry_delivery(&self, id: &str) -> Result<(), Error> {
        self.ask(format!("{}/retry", of("/v1/deliveries", id)))
            .await
    }

    /// Calls a delivery off.
    pub async fn cancel_delivery(&self, id: &str) -> Result<(), Error> {
        self.ask(format!("{}/cancel", of("/v1/deliveries", id)))
            .await
    }

    /// Says that a request is no duplicate: it becomes a message of its own (D4).
    pub async fn release_request(&self, id: &str) -> Result<(), Error> {
        self.ask(format!("{}/release", of("/v1/requests", id)))
            .await
    }

    /// Discards a held request.
    pub async fn discard_request(&self, id: &str) -> Result<(), Error> {
        self.ask(format!("{}/discard", of("/v1/requests", id)))
            .await
    }

    async fn ask(&self, path: String) -> Result<(), Error> {
        self.post(path, Bytes::new(), Repeat::Never).await.map(drop)
    }
}

/// The path of one thing. An id or a key may hold anything, so it is escaped whole.
pub(crate) fn of(path: &str, id: &str) -> String {
    let mut text = format!("{path}/");
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// A query string in the making.
pub(crate) struct Query(Serializer<'static, String>);

impl Query {
    pub(crate) fn of(page: &PageRequest) -> Self {
        let mut query = Self(Serializer::new(String::new()));
        let limit = page.limit.map(|limit| limit.to_string());
        query.add("limit", limit.as_deref());
        query.add("cursor", page.cursor.as_deref());
        query
    }

    pub(crate) fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.append_pair(name, value);
        }
    }

    pub(crate) fn path(mut self, path: &str) -> String {
        let query = self.0.finish();
        if query.is_empty() {
            return path.to_owned();
        }
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(of("/v1/keys", "a/../b?c d"), "/v1/keys/a%2F..%2Fb%3Fc%20d");
    }

    #[test]
    fn a_query_holds_only_what_was_given() {
        let page = PageRequest {
            limit: Some(10),
            cursor: None,
        };
        let mut query = Query::of(&page);
        query.add("key", Some("a&b"));
        query.add("cause", None);
        assert_eq!(
            query.path("/v1/requests"),
            "/v1/requests?limit=10&key=a%26b"
        );
        let all = Query::of(&PageRequest::default());
        assert_eq!(all.path("/v1/requests"), "/v1/requests");
    }
}
