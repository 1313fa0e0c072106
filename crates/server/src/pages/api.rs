//! Asks the API in this process, as whoever has signed in.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use super::session::Viewer;
use super::wire::Refusal;
use crate::api::acting;
use crate::problem::Problem;
use crate::stats::Glance;

/// The routes of the API, with everything that they need.
#[derive(Clone)]
pub(super) struct Api(Router);

/// What the API answered.
pub(super) struct Answer {
    pub status: StatusCode,
    body: Vec<u8>,
}

impl Api {
    pub fn new(routes: Router) -> Self {
        Self(routes)
    }

    /// Asks in the viewer's name, so that the audit log knows who it was.
    async fn ask(&self, viewer: &Viewer, method: Method, path: &str, body: Body) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(body)
            .expect("pages put together paths of visible characters");
        if let Some(host) = &viewer.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        request.extensions_mut().insert(viewer.caller.clone());
        request.extensions_mut().insert(Glance);
        let answered = self.0.clone().oneshot(request);
        // On the heap: it holds the futures of every handler there is.
        let answer = Box::pin(acting(Some(viewer.caller.key), answered)).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        let status = answer.status();
        let (mut head, body) = answer.into_parts();
        // A problem is written out where an answer leaves the process; here none does.
        if let Some(problem) = head.extensions.remove::<Problem>() {
            let body = problem.document(None).to_string().into_bytes();
            return Answer { status, body };
        }
        let body = body.collect().await;
        let body = body
            .map(|whole| whole.to_bytes().to_vec())
            .unwrap_or_default();
        Answer { status, body }
    }
}

impl Answer {
    /// What it says, or why it was refused.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        if self.status.is_success() {
            let text: &[u8] = if self.body.is_empty() {
                b"null"
            } else {
                &self.body
            };
            return serde_json::from_slice(text).map_err(|error| {
                tracing::error!(%error, "a page does not understand the API");
                Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR)
            });
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&self.body).ok();
        Err(refusal.unwrap_or_else(|| Refusal::of_status(self.status)))
    }
}

impl Viewer {
    /// What is at a path of the API.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.api
            .ask(self, Method::GET, path, Body::empty())
            .await
            .read()
    }

    /// The same where it may not be there, or not be for this viewer.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.get(path).await.ok()
    }

    /// Asks the API to do something.
    pub async fn tell<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, Refusal> {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.tell_text(method, path, text).await
    }

    /// The same in JSON that is written already, for what must stay as it is written.
    pub async fn tell_text<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, Refusal> {
        self.api
            .ask(self, method, path, Body::from(body))
            .await
            .read()
    }
}

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// A path with its query; parameters without a value are left out.
pub(super) fn with_query<'a>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_carries_cannot_leave_it() {
        assert_eq!(encoded("a/../b?c#d e+ü"), "a%2F..%2Fb%3Fc%23d%20e%2B%C3%BC");
        let path = with_query("/v1/messages", [("key", "a&b=c"), ("status", "")]);
        assert_eq!(path, "/v1/messages?key=a%26b%3Dc");
        assert_eq!(with_query("/v1/messages", []), "/v1/messages");
    }
}
