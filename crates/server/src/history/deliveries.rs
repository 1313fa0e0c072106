//! Deliveries and their attempts.

use axum::extract::State;
use axum::response::Response;
use hooklatch_core::config::Scope;
use hooklatch_core::delivery::Trigger;
use hooklatch_core::delivery::attempt::{Attempt, AttemptOutcome};
use hooklatch_core::delivery::lifecycle::{Command, CommandRefused};
use hooklatch_core::ids::DeliveryId;
use hooklatch_store::{AttemptFilter, Commanded};

use super::listing::{Listed, list, paged};
use super::parameters::Parameters;
use super::views::{AttemptRecord, DeliveryRecord};
use super::{PathText, answer};
use crate::app::App;
use crate::audit::{Said, note};
use crate::caller::Caller;
use crate::problem::{Kind, Problem};

const TRIGGERS: [Trigger; 7] = [
    Trigger::First,
    Trigger::Retry,
    Trigger::Manual,
    Trigger::Replay,
    Trigger::Redrive,
    Trigger::Recovery,
    Trigger::Failover,
];

const OUTCOMES: [AttemptOutcome; 5] = [
    AttemptOutcome::Delivered,
    AttemptOutcome::Failed,
    AttemptOutcome::Uncertain,
    AttemptOutcome::InProgress,
    AttemptOutcome::Rejected,
];

pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id: DeliveryId = path.id("delivery")?;
    parameters.finish()?;
    let delivery = app.store().delivery(caller.project, id).await?;
    let delivery = delivery.ok_or_else(|| Problem::not_found("delivery", id))?;
    Ok(answer(&DeliveryRecord::of(&delivery)))
}

pub(crate) async fn attempts_of(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id: DeliveryId = path.id("delivery")?;
    let page = parameters.page(Listed::Attempts);
    parameters.finish()?;
    let delivery = app.store().delivery(caller.project, id).await?;
    delivery.ok_or_else(|| Problem::not_found("delivery", id))?;
    let mut attempts = app.store().attempts_of(caller.project, id).await?;
    attempts.sort_by_key(|attempt| attempt.id);
    let page = paged(attempts, |attempt| attempt.id.number(), page);
    Ok(listed(&page.items, page.next))
}

pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
    said: Said,
) -> Result<Response, Problem> {
    let id = path.id("delivery")?;
    parameters.finish()?;
    let answer = command(&app, &caller, id, Command::Retry).await?;
    note(&app, &caller, "delivery.retry", id, said).await?;
    Ok(answer)
}

pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: PathText,
    parameters: Parameters,
    said: Said,
) -> Result<Response, Problem> {
    let id = path.id("delivery")?;
    parameters.finish()?;
    let answer = command(&app, &caller, id, Command::Cancel).await?;
    note(&app, &caller, "delivery.cancel", id, said).await?;
    Ok(answer)
}

async fn command(
    app: &App,
    caller: &Caller,
    id: DeliveryId,
    command: Command,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    match app.store().command(caller.project, id, command).await? {
        Commanded::Done(delivery) => Ok(answer(&DeliveryRecord::of(&delivery))),
        Commanded::Refused(refused) => Err(refusal(refused)),
        Commanded::NotFound => Err(Problem::not_found("delivery", id)),
    }
}

fn refusal(refused: CommandRefused) -> Problem {
    let kind = match refused {
        CommandRefused::UnderWay
        | CommandRefused::NotItsTurn
        | CommandRefused::AlreadyDelivered
        | CommandRefused::AlreadyEnded => Kind::Conflict,
        CommandRefused::HistoryDropped => Kind::Gone,
    };
    Problem::new(kind, refused.to_string())
}

pub(crate) async fn attempts(
    State(app): State<App>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let filter = AttemptFilter {
        trigger: parameters.one_of("trigger", &TRIGGERS, Trigger::as_str),
        outcome: parameters.one_of("outcome", &OUTCOMES, AttemptOutcome::as_str),
        endpoint_id: parameters.parsed("endpoint_id"),
        time: parameters.time_range(),
    };
    let page = parameters.page(Listed::Attempts);
    parameters.finish()?;
    let page = app.store().attempts(caller.project, filter, page).await?;
    Ok(listed(&page.items, page.next))
}

fn listed(attempts: &[Attempt], next: Option<i64>) -> Response {
    let records = attempts.iter().map(AttemptRecord::of).collect();
    list(records, Listed::Attempts, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_whose_history_was_dropped_is_gone_and_says_so() {
        let problem = refusal(CommandRefused::HistoryDropped);
        assert_eq!(problem.status(), http::StatusCode::GONE);
        assert!(problem.detail().contains("was dropped"), "{problem:?}");
        let conflict = refusal(CommandRefused::UnderWay);
        assert_eq!(conflict.status(), http::StatusCode::CONFLICT);
    }
}
