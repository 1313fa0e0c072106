//! Reads a request's JSON body, and says where it goes wrong.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::body;
use crate::problem::Problem;

/// A JSON body of the API, read whole: 413 over the limit, 400 where it is no JSON, 422 where a
/// field's value cannot be used. Its declared type is not looked at, since nothing but JSON can be
/// meant: a plain `curl -d` works. (Nor does that open a door to browsers: every call needs the
/// `Authorization` header, which they only add when asked.)
#[derive(Debug, Clone)]
pub struct ApiJson<T>(pub T);

/// The same, where a number must be kept exactly and no member may be lost: 422 where reading the
/// body would change it.
#[derive(Debug, Clone)]
pub struct ExactJson<T>(pub T);

/// The same, where all may be left out: no body, or `null`, is the default.
#[derive(Debug, Clone)]
pub struct JsonOrNothing<T>(pub T);

/// The text of a JSON body, for what must be kept as the caller wrote it.
#[derive(Debug)]
pub struct ApiText {
    /// The bytes as they came.
    pub text: Bytes,
    /// Their share of the memory for bodies: to be held as long as they are.
    pub share: Option<OwnedSemaphorePermit>,
}

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let ApiText { text, share } = ApiText::from_request(request, app).await?;
        let input = read(&text).map(Self);
        drop(share);
        input
    }
}

impl<T: DeserializeOwned> FromRequest<App> for ExactJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let ApiText { text, share } = ApiText::from_request(request, app).await?;
        let input = read(&text)?;
        hooklatch_core::config::check_exact(&text)?;
        drop(share);
        Ok(Self(input))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for JsonOrNothing<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let ApiText { text, share } = ApiText::from_request(request, app).await?;
        let input = if text.is_empty() {
            None
        } else {
            read::<Option<T>>(&text)?
        };
        drop(share);
        Ok(Self(input.unwrap_or_default()))
    }
}

/// What a JSON text says: 400 where it is no JSON, 422 where a value cannot be used.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let value = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    hooklatch_core::config::read(value).map_err(Problem::from)
}

impl FromRequest<App> for ApiText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (_, incoming): (_, Body) = request.into_parts();
        let whole = body::read(incoming, app.settings().api_body_bytes_max, app).await?;
        Ok(Self {
            text: whole.bytes,
            share: whole.share,
        })
    }
}

/// The problem of a text that is no JSON.
pub fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("the body is no JSON: {error}"))
}
