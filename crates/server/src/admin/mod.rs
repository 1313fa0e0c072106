//! What concerns the gateway as a whole: its projects, the keys that open them, and who changed
//! what. Projects and keys need a key that was made for it (`admin`).

mod api_keys;
mod audit;
mod projects;

use axum::Router;
use axum::routing::get;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/projects", get(projects::list).post(projects::create))
        .route("/v1/projects/{id}", get(projects::show))
        .route("/v1/api-keys", get(api_keys::list).post(api_keys::create))
        .route(
            "/v1/api-keys/{id}",
            get(api_keys::show).delete(api_keys::delete),
        )
        .route("/v1/audit", get(audit::list))
}

fn require_admin(caller: &Caller) -> Result<(), Problem> {
    if caller.admin {
        return Ok(());
    }
    Err(Problem::forbidden(
        "this needs an admin key: the first key of the gateway, or one that was made with \
         \"admin\": true",
    ))
}
