//! Figures: how much came, what became of it, what waits, and who has gone silent.
//!
//! `GET /v1/stats` counts over time. A figure is counted from history, so that it agrees with the
//! lists; the store adds up what is settled beside traffic ([`keep`]), so that it is answered at once
//! however much there is.

mod ask;
mod figures;
mod glance;
mod keep;

pub(crate) use ask::STEPS;
pub use ask::{STEPS_MAX, StatsQuery, report};
pub use figures::{
    AttemptFigures, EndpointFigures, RequestFigures, SourceFigures, StatsReport, StepFigures,
    WaitingFigures,
};
pub(crate) use glance::{Glance, Glances};
pub use keep::keep;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use hooklatch_core::config::Scope;

use crate::app::App;
use crate::caller::Caller;
use crate::history::{Parameters, answer};
use crate::problem::Problem;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/v1/stats", get(stats))
}

async fn stats(
    State(app): State<App>,
    caller: Caller,
    glance: Option<Extension<Glance>>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let query = ask::read(&mut parameters);
    parameters.finish()?;
    if glance.is_some() {
        return Ok(answer(&*glance::taken(&app, caller.project, query).await?));
    }
    Ok(answer(&report(&app, caller.project, query).await?))
}
