//! What an operator does: pause and resume, delete, rotate secrets, many deliveries at once, and for
//! how long the project keeps what.

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde_json::json;

use crate::call::Repeat;
use crate::client::to_json;
use crate::resources::of;
use crate::wire::{Connection, Endpoint, Replay, ReplayFilter, Retention, Source};
use crate::{Client, Error};

#[derive(Serialize)]
struct Many<'a> {
    filter: &'a ReplayFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Pausing may be asked twice, so it is repeated where that may help.
impl Client {
    /// Refuses what arrives with 503, for now.
    pub async fn pause_source(&self, id: &str) -> Result<Source, Error> {
        self.switch("/v1/sources", id, "pause").await
    }

    /// Takes what arrives again.
    pub async fn resume_source(&self, id: &str) -> Result<Source, Error> {
        self.switch("/v1/sources", id, "resume").await
    }

    /// Attempts no delivery, for now.
    pub async fn pause_endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.switch("/v1/endpoints", id, "pause").await
    }

    /// Attempts deliveries again.
    pub async fn resume_endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.switch("/v1/endpoints", id, "resume").await
    }

    /// Lets what comes by it wait.
    pub async fn pause_connection(&self, id: &str) -> Result<Connection, Error> {
        self.switch("/v1/connections", id, "pause").await
    }

    /// Sends what waited, and what comes.
    pub async fn resume_connection(&self, id: &str) -> Result<Connection, Error> {
        self.switch("/v1/connections", id, "resume").await
    }

    /// Deletes a source and its connections.
    pub async fn delete_source(&self, id: &str) -> Result<(), Error> {
        self.remove("/v1/sources", id).await
    }

    /// Deletes an endpoint and its connections.
    pub async fn delete_endpoint(&self, id: &str) -> Result<(), Error> {
        self.remove("/v1/endpoints", id).await
    }

    /// Deletes a connection.
    pub async fn delete_connection(&self, id: &str) -> Result<(), Error> {
        self.remove("/v1/connections", id).await
    }

    /// Signs with a new secret as well, shown this once; the one before goes on for so many seconds,
    /// or for a day.
    pub async fn rotate_endpoint_secret(
        &self,
        id: &str,
        overlap_seconds: Option<u32>,
    ) -> Result<Endpoint, Error> {
        let path = format!("{}/rotate-secret", of("/v1/endpoints", id));
        let body = match overlap_seconds {
            Some(seconds) => to_json(&json!({"overlap_seconds": seconds}))?,
            None => Bytes::new(),
        };
        self.post(path, body, Repeat::Never).await?.json()
    }

    async fn switch<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        id: &str,
        verb: &str,
    ) -> Result<T, Error> {
        let path = format!("{}/{verb}", of(path, id));
        self.post(path, Bytes::new(), Repeat::Safe).await?.json()
    }

    async fn remove(&self, path: &str, id: &str) -> Result<(), Error> {
        let answer = self.call(Method::DELETE, of(path, id), Bytes::new(), Repeat::Never);
        answer.await.map(drop)
    }
}

/// Many deliveries at once: a replay that starts by itself.
impl Client {
    /// Attempts them at once.
    pub async fn retry_deliveries(
        &self,
        filter: &ReplayFilter,
        reason: Option<&str>,
    ) -> Result<Replay, Error> {
        self.many("/v1/deliveries/retry", filter, reason).await
    }

    /// Calls them off.
    pub async fn cancel_deliveries(
        &self,
        filter: &ReplayFilter,
        reason: Option<&str>,
    ) -> Result<Replay, Error> {
        self.many("/v1/deliveries/cancel", filter, reason).await
    }

    async fn many(
        &self,
        path: &str,
        filter: &ReplayFilter,
        reason: Option<&str>,
    ) -> Result<Replay, Error> {
        let body = to_json(&Many { filter, reason })?;
        let answer = self.post(path.to_owned(), body, Repeat::Safe).await?;
        answer.json()
    }
}

/// What is kept.
impl Client {
    /// For how long the project keeps what.
    pub async fn retention(&self) -> Result<Retention, Error> {
        self.get("/v1/retention".to_owned()).await
    }

    /// Says for how long. What is left out is kept as long as the gateway's own settings say.
    pub async fn set_retention(&self, retention: &Retention) -> Result<Retention, Error> {
        let body = to_json(retention)?;
        let path = "/v1/retention".to_owned();
        let answer = self.call(Method::PUT, path, body, Repeat::Safe);
        answer.await?.json()
    }
}
