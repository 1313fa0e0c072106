//! What callers read when a request was not carried out.
//!
//! A person at the other end has to know three things: what was wrong, what to do, and whether
//! repeating is safe. Every refusal is one [`Problem`] (RFC 9457), whichever layer it comes from.
//! A problem is completed with the request's id on its way out, by [`crate::edge`].

use axum::response::{IntoResponse, Response};
use hooklatch_core::ids::RequestId;
use hooklatch_store::StoreError;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::seldom::Seldom;

/// What kind of refusal it is; the last part of the problem's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described by its title and its status")]
pub enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    Gone,
    TooLarge,
    Unprocessable,
    TooManyRequests,
    HeadersTooLarge,
    Internal,
    Unavailable,
}

/// A field whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldProblem {
    /// JSON pointer to the field.
    pub pointer: String,
    /// What is wrong with it and what to write instead.
    pub detail: String,
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    request: Option<RequestId>,
    // Apart, so that every `Result` with a problem in it stays small.
    more: Box<More>,
}

/// What some problems have beside the usual.
#[derive(Debug, Clone, Default)]
struct More {
    errors: Vec<FieldProblem>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How long a caller shall wait before it repeats, in seconds.
const RETRY_AFTER_SECONDS: u32 = 1;

impl Kind {
    /// The status that it is answered with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn slug(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::TooLarge => "too-large",
            Self::Unprocessable => "unprocessable",
            Self::TooManyRequests => "too-many-requests",
            Self::HeadersTooLarge => "headers-too-large",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Unauthenticated => "The credentials are missing or wrong",
            Self::Forbidden => "The API key may not do this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Timeout => "The request took too long to arrive",
            Self::Conflict => "The request conflicts with what is known",
            Self::Gone => "What the request needs was dropped",
            Self::TooLarge => "The body is too large",
            Self::Unprocessable => "A value cannot be used",
            Self::TooManyRequests => "There are too many requests",
            Self::HeadersTooLarge => "The headers are too large",
            Self::Internal => "The gateway failed",
            Self::Unavailable => "The gateway cannot take the request now",
        }
    }
}

impl Problem {
    /// A refusal of this kind; `detail` says what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            request: None,
            more: Box::default(),
        }
    }

    /// 400: what was sent cannot be understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// 401: nobody, or nobody that we know.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        let problem = Self::new(Kind::Unauthenticated, detail);
        problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the key's scopes do not cover this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// 404: the caller's project has no `what` with this id.
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        let detail = format!("this project has no {what} {id}; check the id and the API key");
        Self::new(Kind::NotFound, detail)
    }

    /// 409: it contradicts what is known.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// 413: the body is over a limit of bytes.
    pub fn too_large(bytes_max: usize) -> Self {
        let detail = format!("the body may have at most {bytes_max} bytes here");
        Self::new(Kind::TooLarge, detail)
    }

    /// 422: values that cannot be used.
    pub fn unprocessable(detail: impl Into<String>, errors: Vec<FieldProblem>) -> Self {
        let mut problem = Self::new(Kind::Unprocessable, detail);
        problem.more.errors = errors;
        problem
    }

    /// 422: one field that cannot be used.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        Self::fields(vec![FieldProblem { pointer, detail }])
    }

    /// 422: fields that cannot be used.
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        let named = |error: &FieldProblem| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer} {}", error.detail),
        };
        let details: Vec<String> = errors.iter().map(named).collect();
        Self::unprocessable(details.join("; "), errors)
    }

    /// 503: nothing was acknowledged; the caller shall repeat.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).retry_after(RETRY_AFTER_SECONDS)
    }

    /// 500: our own mistake. Log what broke before; the caller learns nothing of it.
    pub fn internal() -> Self {
        let detail = "the gateway failed; its log says why, and repeating may help";
        Self::new(Kind::Internal, detail)
    }

    /// The same with a wish when to repeat.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        // The last wish counts; of two lines anybody might read either.
        self.more
            .headers
            .retain(|(name, _)| *name != header::RETRY_AFTER);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.more.headers.push((name, value));
        self
    }

    /// The same with one more member, for what programs read.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.members.insert(name.to_owned(), value.into());
        self
    }

    /// The same about a request that was recorded, whose id it is answered under.
    #[must_use]
    pub fn about(mut self, request: RequestId) -> Self {
        self.request = Some(request);
        self
    }

    /// The request that it is about, where that was recorded.
    pub fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem as JSON, under an id for the call, unless it is about a recorded request.
    pub fn document(&self, call_id: Option<&str>) -> Value {
        let mut document = json!({
            "type": format!("urn:hooklatch:problem:{}", self.kind.slug()),
            "title": self.kind.title(),
            "status": self.status().as_u16(),
            "detail": self.detail,
        });
        let fields = document.as_object_mut().expect("it was made as an object");
        fields.extend(self.more.members.clone());
        let id = self
            .request
            .map(|id| id.to_string())
            .or_else(|| call_id.map(str::to_owned));
        if let Some(id) = id {
            fields.insert("request_id".to_owned(), id.into());
        }
        if !self.more.errors.is_empty() {
            fields.insert("errors".to_owned(), json!(self.more.errors));
        }
        document
    }

    /// The whole answer, under the request's id.
    pub fn into_answer(self, request_id: &str) -> Response {
        let body = self.document(Some(request_id)).to_string();
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut answer = (self.status(), content_type, body).into_response();
        answer.headers_mut().extend(self.more.headers);
        answer
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to the edge, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Of each failure the log hears once a second at most, however many requests meet it.
fn seldom_of(error: &StoreError) -> &'static Seldom {
    static KINDS: [Seldom; 5] = [const { Seldom::new() }; 5];
    &KINDS[match error {
        StoreError::Unavailable(_) => 0,
        StoreError::Full(_) => 1,
        StoreError::Unknown(_) => 2,
        StoreError::Overloaded => 3,
        StoreError::Unreadable(_) => 4,
    }]
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match &error {
            StoreError::Unavailable(cause)
            | StoreError::Full(cause)
            | StoreError::Unknown(cause) => {
                if let Some(left_out) = seldom_of(&error).says() {
                    let cause = cause.as_ref().map(|cause| cause.to_string());
                    tracing::error!(cause, left_out, "{detail}");
                }
                Self::unavailable(detail)
            }
            StoreError::Overloaded => {
                if let Some(left_out) = seldom_of(&error).says() {
                    tracing::warn!(left_out, "{detail}");
                }
                Self::unavailable(detail)
            }
            StoreError::Unreadable(_) => {
                if let Some(left_out) = seldom_of(&error).says() {
                    tracing::error!(left_out, "{detail}");
                }
                Self::internal()
            }
        }
    }
}

impl From<hooklatch_core::config::FieldError> for FieldProblem {
    fn from(error: hooklatch_core::config::FieldError) -> Self {
        Self {
            pointer: error.pointer,
            detail: error.detail,
        }
    }
}

impl From<Vec<hooklatch_core::config::FieldError>> for Problem {
    fn from(errors: Vec<hooklatch_core::config::FieldError>) -> Self {
        Self::fields(errors.into_iter().map(FieldProblem::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_when_to_repeat_is_the_only_one() {
        let answer = Problem::unavailable("later")
            .retry_after(30)
            .into_answer("req_1");
        let wishes = answer.headers().get_all(header::RETRY_AFTER);
        assert_eq!(wishes.iter().collect::<Vec<_>>(), ["30"]);
    }
}
