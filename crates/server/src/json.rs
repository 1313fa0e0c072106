//! Reads a request's JSON body, and says where it goes wrong.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::body;
use crate::problem::{Kind, Problem};

/// A JSON body of the API, read whole: 415 for another media type, 413 over the limit, 400 where
/// it is no JSON, 422 where a field's value cannot be used.
#[derive(Debug, Clone)]
pub struct ApiJson<T>(pub T);

/// The text of a JSON body, for what must be kept as the caller wrote it.
#[derive(Debug, Clone)]
pub struct ApiText(pub Bytes);

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let ApiText(text) = ApiText::from_request(request, app).await?;
        let value = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        hooklatch_core::config::read(value)
            .map(Self)
            .map_err(Problem::from)
    }
}

impl FromRequest<App> for ApiText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        let (_, incoming): (_, Body) = request.into_parts();
        let whole = body::read(incoming, app.settings().api_body_bytes_max, app).await?;
        Ok(Self(whole.bytes))
    }
}

/// A body without a type is taken for JSON, since nothing else can be meant.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let full = value.to_str().unwrap_or_default();
    let essence = full
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let detail = "send JSON with the header \"Content-Type: application/json\"";
    Err(Problem::new(Kind::MediaType, detail))
}

/// The problem of a text that is no JSON.
pub fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("the body is no JSON: {error}"))
}
