//! Scripts, before they are trusted: looked at when they are saved, and tried on a sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use hooklatch_core::config::Scope;
use hooklatch_core::ids::{MessageId, SourceId};
use hooklatch_core::limits::SCRIPT_BYTES_MAX;
use hooklatch_core::transform::{TransformError, TransformInput};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::caller::Caller;
use crate::history::answer;
use crate::history::views::{Concealments, Payload, Shown};
use crate::json::ApiJson;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/transforms/test", post(test))
}

/// What is tried: a script on a request as it is written here, or on a message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Trial {
    script: Option<String>,
    request: Option<Sample>,
    message_id: Option<MessageId>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    path: String,
    body: Value,
}

/// What would be sent.
#[derive(Serialize)]
struct Tried<'a> {
    request: Made<'a>,
}

#[derive(Serialize)]
struct Made<'a> {
    headers: BTreeMap<&'a str, String>,
    body: Payload<'a>,
}

async fn test(
    State(app): State<App>,
    caller: Caller,
    ApiJson(trial): ApiJson<Trial>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let script = trial
        .script
        .filter(|script| script.len() <= SCRIPT_BYTES_MAX);
    let script = script.ok_or_else(|| {
        let detail = format!("should be JavaScript of at most {SCRIPT_BYTES_MAX} bytes");
        Problem::field("/script", detail)
    })?;
    let (input, source) = match (trial.request, trial.message_id) {
        (Some(sample), None) => (sampled(sample), None::<SourceId>),
        (None, Some(id)) => of_message(&app, &caller, id).await?,
        (Some(_), Some(_)) | (None, None) => {
            let detail = "give a request, or the id of a message";
            return Err(Problem::field("/request", detail));
        }
    };
    let input = input.map_err(|error| refusal(&error, "/request"))?;
    let made = app.transformer().transform(Arc::from(script), input).await;
    let made = made.map_err(|error| refusal(&error, "/script"))?;
    let concealments = Concealments::of(&app.directory().snapshot(), caller.project);
    let tried = Tried {
        request: Made {
            headers: concealments.for_source(source).headers(&made.headers),
            body: Payload::of(&made.body, Shown::Whole),
        },
    };
    Ok(answer(&tried))
}

type Input = Result<TransformInput, TransformError>;

fn sampled(sample: Sample) -> Input {
    let (body, is_json) = match sample.body {
        Value::String(text) => (text, false),
        body @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => (body.to_string(), true),
    };
    let headers = sample.headers.into_iter();
    let input = TransformInput {
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        query: sample.query.into_iter().collect(),
        path: sample.path,
        body: Bytes::from(body),
        is_json,
    };
    input.checked()
}

async fn of_message(
    app: &App,
    caller: &Caller,
    id: MessageId,
) -> Result<(Input, Option<SourceId>), Problem> {
    let view = app.store().message(caller.project, id).await?;
    let view = view.ok_or_else(|| Problem::not_found("message", id))?;
    let input = TransformInput::of(&view.message, &view.envelope, &view.body);
    Ok((input, view.message.source_id))
}

/// Refuses rules whose script cannot be used. `rules` are as the caller wrote them; what is wrong
/// with their form is told later.
pub(super) async fn check_scripts(app: &App, rules: Option<&[Value]>) -> Result<(), Problem> {
    for (at, rule) in rules.unwrap_or_default().iter().enumerate() {
        let script = rule.get("script").and_then(Value::as_str);
        let Some(script) = script.filter(|it| it.len() <= SCRIPT_BYTES_MAX) else {
            continue;
        };
        let checked = app.transformer().check(Arc::from(script)).await;
        checked.map_err(|error| refusal(&error, &format!("/rules/{at}/script")))?;
    }
    Ok(())
}

fn refusal(error: &TransformError, pointer: &str) -> Problem {
    let detail = error.to_string();
    match error {
        TransformError::Failed(_) | TransformError::TimedOut { .. } => {
            Problem::field(pointer, detail)
        }
        TransformError::Busy | TransformError::Unavailable(_) => Problem::unavailable(detail),
    }
}
