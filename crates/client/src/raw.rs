//! Calls whose answers are taken as they are: for tools that pass on what the server says, and for
//! the one call that tells how far it is.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::Repeat;
use crate::client::to_json;
use crate::{Client, Error};

/// How far a long call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Stored requests that have been looked at.
    pub looked_at: u64,
    /// How many there may be.
    pub expected: u64,
}

impl Client {
    /// What lies at a path, for example `/v1/sources?limit=100`.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn fetch(&self, path: &str) -> Result<Value, Error> {
        self.get(path.to_owned()).await
    }

    /// Puts a document to a path. A `PUT` may be made twice, so it is repeated where it may help.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn put(&self, path: &str, document: &Value) -> Result<Value, Error> {
        let body = to_json(document)?;
        let answer = self.call(Method::PUT, path.to_owned(), body, Repeat::Safe);
        answer.await?.json()
    }

    /// Deletes what lies at a path.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        let answer = self.call(Method::DELETE, path.to_owned(), Bytes::new(), Repeat::Never);
        answer.await.map(drop)
    }

    /// Makes any call, and answers what was written, character by character; nothing where the
    /// answer is empty. Only `GET` and `PUT` are repeated where that may help.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<Option<Box<RawValue>>, Error> {
        let body = document.map_or_else(|| Ok(Bytes::new()), to_json)?;
        let repeat = match method {
            Method::GET | Method::PUT => Repeat::Safe,
            _ => Repeat::Never,
        };
        let answer = self.call(method, path.to_owned(), body, repeat).await?;
        if answer.body.is_empty() {
            return Ok(None);
        }
        answer.json().map(Some)
    }

    /// What time the gateway's machine has, to the second, as HTTP writes it; none where a proxy
    /// has taken it away.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn date(&self) -> Result<Option<String>, Error> {
        let answer = self.call(
            Method::GET,
            "/healthz".to_owned(),
            Bytes::new(),
            Repeat::Never,
        );
        let headers = answer.await?.headers;
        let date = headers.get(http::header::DATE);
        Ok(date.and_then(|date| date.to_str().ok()).map(str::to_owned))
    }

    /// Tries a rule on the past of a source or a connection, and tells how far it is.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, refuses, or fails on the way.
    pub async fn backtest(
        &self,
        path: &str,
        trial: &Value,
        mut progress: impl FnMut(Progress),
    ) -> Result<Value, Error> {
        let body = to_json(trial)?;
        let mut outcome = None;
        let lines = self.post_lines(path.to_owned(), body, |line: Value| {
            let told = &line["progress"];
            if let (Some(looked_at), Some(expected)) =
                (told["looked_at"].as_u64(), told["expected"].as_u64())
            {
                progress(Progress {
                    looked_at,
                    expected,
                });
            } else {
                outcome = Some(line);
            }
        });
        lines.await?;
        let mut outcome = outcome.unwrap_or_default();
        match outcome.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(self.broken_off(&outcome["error"])),
        }
    }
}
