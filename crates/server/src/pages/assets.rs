//! The style sheet, the script and the icon: a file each, under a name that changes with them.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::app::App;
use crate::problem::{Kind, Problem};

const STYLE: &str = include_str!("assets/app.css");
const SCRIPT: &str = include_str!("assets/app.js");
const ICON: &str = include_str!("assets/icon.svg");

const STYLE_VERSION: u64 = version(STYLE.as_bytes());
const SCRIPT_VERSION: u64 = version(SCRIPT.as_bytes());
const ICON_VERSION: u64 = version(ICON.as_bytes());

pub(super) fn routes() -> Router<App> {
    Router::new().route("/assets/{version}/{name}", get(asset))
}

/// Where the style sheet is.
pub(super) fn style() -> String {
    format!("/assets/{STYLE_VERSION:x}/app.css")
}

/// Where the script is.
pub(super) fn script() -> String {
    format!("/assets/{SCRIPT_VERSION:x}/app.js")
}

/// Where the icon is.
pub(super) fn icon() -> String {
    format!("/assets/{ICON_VERSION:x}/icon.svg")
}

/// The newest is sent whatever version is asked for: during an upgrade a page of one version may
/// ask a node of another.
async fn asset(Path((_, name)): Path<(String, String)>) -> Response {
    let (kind, text) = match name.as_str() {
        "app.css" => ("text/css; charset=utf-8", STYLE),
        "app.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Problem::new(Kind::NotFound, "there is no such file").into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// A short name for a content: 64-bit FNV-1a (Fowler, Noll, Vo). It only tells versions apart.
const fn version(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < bytes.len() {
        hash ^= bytes[index] as u64;
        hash = hash.wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}
