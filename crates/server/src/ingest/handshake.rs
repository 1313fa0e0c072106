//! What is said to a provider that asks whether somebody wants its events: what `core` says, to the
//! byte, and nothing of ours around it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hooklatch_core::provider::Answer;
use http::{HeaderValue, StatusCode, header};

use crate::edge::name_after;
use crate::problem::Problem;

/// The answer as a response.
pub(super) fn answer(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).expect("an answer has a status of HTTP");
    let mut response = (status, Body::from(answer.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(content_type) = answer.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        // A challenge is echoed, and nobody shall take it for a page.
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    }
    response
}

/// A refusal of which only the status is wanted, under the name of its record.
pub(super) fn without_body(refusal: &Response) -> Response {
    let recorded = refusal.extensions().get::<Problem>();
    let mut silent = refusal.status().into_response();
    if let Some(id) = recorded.and_then(Problem::request) {
        name_after(&mut silent, id);
    }
    silent
}
