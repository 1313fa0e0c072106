//! The resources that say what comes from where and goes whither.

mod connections;
mod endpoints;
pub(crate) mod list;
mod projects;
mod sources;
mod transforms;

pub(crate) use sources::base_url;

use axum::Router;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(sources::routes())
        .merge(endpoints::routes())
        .merge(connections::routes())
        .merge(transforms::routes())
        .merge(projects::routes())
}
