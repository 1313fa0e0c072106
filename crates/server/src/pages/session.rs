//! Who looks at the dashboard: a session that an API key opened.
//!
//! A session is a sealed cookie, so that every node that has the encryption key can open it and
//! none has to remember it. It holds the hash of the API key that opened it, its end, and a random
//! number that its forms have to show (a page of another site can neither read nor guess it). The
//! key is looked up at every request: a session ends with its key, at the latest.

use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hooklatch_core::config::Scope;
use hooklatch_core::seal::SealingKey;
use hooklatch_core::time::Timestamp;
use hooklatch_core::token::api_key_hash;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;

use super::api::Api;
use super::form::{Form, SameSite};
use super::frame::{Page, bare};
use crate::app::{App, Kept, Scheme};
use crate::caller::Caller;
use crate::directory::fill;

/// The cookie's name.
const COOKIE: &str = "hooklatch_session";
/// How long a session lasts: a working day.
const SESSION_SECONDS: i64 = 12 * 3_600;
/// What the seal is bound to, so that no other sealed text passes for a session.
const OWNER: &str = "dashboard session 1";
const HASH_BYTES: usize = 32;
const NUMBER_BYTES: usize = 16;
const END_BYTES: usize = 8;

/// A session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    ends_at_ms: i64,
    key_hash: [u8; HASH_BYTES],
    number: [u8; NUMBER_BYTES],
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(super) struct Viewer {
    /// What the viewer may do.
    pub caller: Caller,
    /// The name of the project.
    pub project_name: String,
    /// What the session's forms have to show.
    pub form_token: String,
    /// The store's time when the page was asked for.
    pub now: Timestamp,
    /// The address under which the dashboard is seen.
    pub host: Option<HeaderValue>,
    /// Where the store keeps what it is given.
    pub kept: Kept,
    pub(super) api: Api,
}

impl Session {
    fn seal(&self, key: &SealingKey, nonce: [u8; 24]) -> String {
        let mut plain = Vec::with_capacity(END_BYTES + HASH_BYTES + NUMBER_BYTES);
        plain.extend(self.ends_at_ms.to_be_bytes());
        plain.extend(self.key_hash);
        plain.extend(self.number);
        key.seal(OWNER, &plain, nonce)
    }

    fn open(key: &SealingKey, text: &str, now: Timestamp) -> Option<Self> {
        let plain = key.open(OWNER, text).ok()?;
        let (end, rest) = plain.split_first_chunk::<END_BYTES>()?;
        let (key_hash, number) = rest.split_first_chunk::<HASH_BYTES>()?;
        let session = Self {
            ends_at_ms: i64::from_be_bytes(*end),
            key_hash: *key_hash,
            number: number.try_into().ok()?,
        };
        (now.as_millis() < session.ends_at_ms).then_some(session)
    }
}

impl Viewer {
    /// Whether the viewer's key has this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.caller.scopes.contains(&scope)
    }

    /// The viewer whose cookie these headers carry.
    pub fn recognised(parts: &Parts, app: &App) -> Option<Self> {
        let directory = app.directory();
        let now = app.store().now();
        let session = cookies(&parts.headers)
            .find_map(|text| Session::open(directory.sealing_key(), text, now))?;
        let snapshot = directory.snapshot();
        let key = snapshot.api_key(&session.key_hash)?;
        let project = snapshot.projects().find(|known| known.id == key.project)?;
        Some(Self {
            caller: Caller {
                project: key.project,
                key: key.id,
                scopes: key.scopes.clone(),
                admin: key.admin,
            },
            project_name: project.name.clone(),
            now,
            form_token: URL_SAFE_NO_PAD.encode(session.number),
            host: parts.headers.get(header::HOST).cloned(),
            kept: app.settings().kept,
            api: parts.extensions.get::<Api>()?.clone(),
        })
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let viewer = Self::recognised(parts, app);
        viewer.ok_or_else(|| {
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let next = if parts.method == http::Method::GET {
                path
            } else {
                "/"
            };
            Redirect::to(&super::api::with_query("/sign-in", [("next", next)])).into_response()
        })
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

/// Where somebody wanted to go.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

pub(super) async fn ask(Query(wanted): Query<Wanted>) -> Page {
    bare("Sign in", sign_in_form(&wanted.next, None))
}

pub(super) async fn sign_in(
    State(app): State<App>,
    _: SameSite,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let next = form.text("next").unwrap_or_default();
    let text = form.text("api_key").unwrap_or_default().trim();
    let hash = api_key_hash(text);
    if app.directory().snapshot().api_key(&hash).is_none() {
        let wrong =
            "No project has this API key. It starts with hl_ and is shown once, when it is made.";
        let page = bare("Sign in", sign_in_form(next, Some(wrong)));
        return page.with_status(StatusCode::UNAUTHORIZED).into_response();
    }
    let (mut number, mut nonce) = ([0; NUMBER_BYTES], [0; 24]);
    fill(&mut number);
    fill(&mut nonce);
    let session = Session {
        ends_at_ms: app.store().now().as_millis() + SESSION_SECONDS * 1_000,
        key_hash: hash,
        number,
    };
    let sealed = session.seal(app.directory().sealing_key(), nonce);
    let cookie = cookie(&sealed, SESSION_SECONDS, is_secure(&app, &headers));
    let target = if next.is_empty() { "/" } else { local(next) };
    ([(header::SET_COOKIE, cookie)], Redirect::to(target)).into_response()
}

pub(super) async fn sign_out(State(app): State<App>, _: SameSite, headers: HeaderMap) -> Response {
    let cookie = cookie("", 0, is_secure(&app, &headers));
    ([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response()
}

fn cookie(value: &str, seconds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// Whether the browser speaks TLS, with the gateway or with whatever stands before it.
fn is_secure(app: &App, headers: &HeaderMap) -> bool {
    let public = app.settings().public_url.as_deref();
    let forwarded = headers.get("x-forwarded-proto");
    app.settings().scheme == Scheme::Https
        || public.is_some_and(|url| url.starts_with("https://"))
        || forwarded.is_some_and(|proto| proto == "https")
}

/// A path of ours, whatever was asked for: a link that somebody was given leads nowhere else.
pub(super) fn local(next: &str) -> &str {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if inside { next } else { "/" }
}

fn sign_in_form(next: &str, wrong: Option<&str>) -> Markup {
    html! {
        form.sign-in method="post" action="/sign-in" {
            p { "Sign in with an API key of the project." }
            input type="hidden" name="next" value=(next);
            div.field {
                label for="api_key" { "API key" }
                input #api_key name="api_key" type="password" autocomplete="current-password"
                    required autofocus placeholder="hl_…" spellcheck="false"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby="api_key_hint";
                p.hint #api_key_hint {
                    "The first one is HOOKLATCH_API_KEY, or was printed when the gateway started \
                     for the first time."
                }
                @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            }
            button.primary type="submit" { "Sign in" }
            // The cookie is not sent where a link of another site leads here; from here on it is.
            @if wrong.is_none() && local(next) != "/" {
                p.hint { "Signed in already, and came by a link? " a href=(local(next)) { "Go on" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn session(ends_at_ms: i64) -> Session {
        Session {
            ends_at_ms,
            key_hash: [3; HASH_BYTES],
            number: [4; NUMBER_BYTES],
        }
    }

    #[test]
    fn a_session_opens_until_its_end_and_nowhere_else() {
        let key = SealingKey::from_bytes([1; 32]);
        let other = SealingKey::from_bytes([2; 32]);
        let sealed = session(1_001).seal(&key, [9; 24]);
        assert_eq!(Session::open(&key, &sealed, NOW), Some(session(1_001)));
        assert_eq!(Session::open(&other, &sealed, NOW), None);
        assert_eq!(
            Session::open(&key, &session(1_000).seal(&key, [9; 24]), NOW),
            None
        );
        let foreign = key.seal(
            "src_1",
            &[0; END_BYTES + HASH_BYTES + NUMBER_BYTES],
            [9; 24],
        );
        assert_eq!(Session::open(&key, &foreign, NOW), None);
    }

    #[test]
    fn a_cookie_is_found_among_others_and_is_out_of_scripts_reach() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; hooklatch_session=x=="),
        );
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("hooklatch_sessionx=2"),
        );
        assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["x=="]);
        let cookie = cookie("v", 5, true);
        for part in [
            "HttpOnly",
            "SameSite=Strict",
            "Secure",
            "Max-Age=5",
            "Path=/",
        ] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }

    #[test]
    fn after_signing_in_nobody_is_led_away() {
        assert_eq!(local("/messages?key=a"), "/messages?key=a");
        for text in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "",
            "x",
            "/a\r\nb",
        ] {
            assert_eq!(local(text), "/", "{text}");
        }
    }
}
