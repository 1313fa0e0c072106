//! What sources, endpoints and connections have in common: they are paused, resumed and deleted.

use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::post;
use http::Method;
use serde_json::Value;

use super::api::encoded;
use super::form::Submitted;
use super::frame::Page;
use crate::app::App;

/// The routes of those commands for `things`, a word of the API's own paths such as `sources`.
pub(super) fn routes(things: &'static str) -> Router<App> {
    let told = |verb: &'static str| {
        post(async move |Path(id): Path<String>, submitted: Submitted| {
            let id = encoded(&id);
            tell(submitted, Method::POST, &format!("/v1/{things}/{id}{verb}")).await?;
            Ok::<_, Page>(Redirect::to(&format!("/{things}/{id}")))
        })
    };
    let deleted = post(async move |Path(id): Path<String>, submitted: Submitted| {
        let path = format!("/v1/{things}/{}", encoded(&id));
        tell(submitted, Method::DELETE, &path).await?;
        Ok::<_, Page>(Redirect::to(&format!("/{things}")))
    });
    Router::new()
        .route(&format!("/{things}/{{id}}/pause"), told("/pause"))
        .route(&format!("/{things}/{{id}}/resume"), told("/resume"))
        .route(&format!("/{things}/{{id}}/delete"), deleted)
}

async fn tell(Submitted { viewer, .. }: Submitted, method: Method, path: &str) -> Result<(), Page> {
    let done: Result<Value, _> = viewer.tell(method, path, &Value::Null).await;
    done.map(drop).map_err(|refusal| viewer.refused(&refusal))
}
