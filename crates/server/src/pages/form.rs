//! What a form of the dashboard sends, and proof that it was our form.
//!
//! A browser sends the session's cookie to this host whoever wrote the form. Three things stand
//! before a change: the cookie is `SameSite=Strict`; the browser's own word on where the form comes
//! from must be this host; and the form must carry the session's number, which no other site can
//! read.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::frame::{Page, bare};
use super::session::Viewer;
use crate::app::App;
use crate::body;

/// The largest form: room for a script, or a long list of rules.
const FORM_BYTES_MAX: usize = 1024 * 1024;
/// Fields that are read of a form.
const FIELDS_MAX: usize = 200;
/// The field that proves that it is our form.
pub(super) const TOKEN_FIELD: &str = "form_token";

/// The request comes from a page of this host, as far as the browser says.
pub(super) struct SameSite;

/// The fields of a form.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

/// A form of ours, sent by somebody who has signed in.
pub(super) struct Submitted {
    pub viewer: Viewer,
    pub form: Form,
}

impl Form {
    /// A form that says nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The form of what a record holds.
    pub fn of(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let owned = |(name, value): (&'static str, String)| (name.to_owned(), value);
        Self(fields.into_iter().map(owned).collect())
    }

    /// The same with a box that is ticked.
    pub fn with(mut self, name: &'static str) -> Self {
        self.0.push((name.to_owned(), "on".to_owned()));
        self
    }

    /// The fields of a query.
    pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        Self(pairs.collect())
    }

    /// What a field says; none where it is missing or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether a box is ticked.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// The lines of a field that say anything.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }
}

impl FromRequestParts<App> for SameSite {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        if is_same_site(&parts.headers) {
            Ok(Self)
        } else {
            Err(refused("It came from another site.").into_response())
        }
    }
}

/// What browsers add by themselves, and pages cannot change; other clients may leave both out,
/// for they have no cookie that somebody else could use.
fn is_same_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match text(header::ORIGIN.as_str()) {
        None => true,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST.as_str())
        }
    }
}

impl FromRequest<App> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let whole = body::read(request.into_body(), FORM_BYTES_MAX, app)
            .await
            .map_err(IntoResponse::into_response)?;
        let fields = form_urlencoded::parse(&whole.bytes).into_owned();
        Ok(Self(fields.take(FIELDS_MAX).collect()))
    }
}

impl FromRequest<App> for Submitted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let _: SameSite = SameSite::from_request_parts(&mut parts, app).await?;
        let viewer = Viewer::from_request_parts(&mut parts, app).await?;
        let form = Form::from_request(Request::from_parts(parts, body), app).await?;
        if form.text(TOKEN_FIELD) != Some(&viewer.form_token) {
            return Err(refused("It belongs to a session that has ended.").into_response());
        }
        Ok(Self { viewer, form })
    }
}

fn refused(why: &str) -> Page {
    let page = maud::html! {
        p.wrong role="alert" { (why) " Nothing was changed." }
        p { a href="/" { "Go back to the dashboard" } " and try again." }
    };
    bare("The form was not accepted", page).with_status(StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_of_another_site_is_not_taken() {
        let host = ("host", "127.0.0.1:8420");
        for (more, taken) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "http://127.0.0.1:8420")], true),
            (&[("origin", "http://127.0.0.1:8421")], false),
            (&[("origin", "null")], false),
        ] {
            let headers = headers(&[&[host], more].concat());
            assert_eq!(is_same_site(&headers), taken, "{more:?}");
        }
    }

    #[test]
    fn lines_and_empty_fields_say_what_they_mean() {
        let form = Form::of([("a", " x \n\n y".into()), ("b", String::new())]);
        assert_eq!(form.lines("a"), ["x", "y"]);
        assert_eq!((form.text("b"), form.is_on("a")), (None, true));
    }
}
