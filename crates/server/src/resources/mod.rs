//! The resources that say what comes from where and goes whither.

mod backtests;
mod connections;
mod endpoint_state;
mod endpoints;
pub(crate) mod list;
mod projects;
mod retention;
mod shadows;
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
        .merge(retention::routes())
        .merge(backtests::routes())
        .merge(shadows::routes())
        .merge(projects::routes())
}
