//! Trying a rule on the past, without acting.
//!
//! The answer is one JSON document. Whoever accepts `application/x-ndjson` gets a line of progress
//! now and then, and the document as the last line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use hooklatch_core::backtest::{Linted, Report, Trial, lint};
use hooklatch_core::config::{Connection, ConnectionInput, Origin, Scope, Source, Window};
use hooklatch_core::ids::{ProjectId, first_number_at};
use hooklatch_core::key::{Coverage, KeyRule};
use hooklatch_core::location::{Split, WildPath};
use hooklatch_core::provider::{Preset, preset};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{ScanOf, ScanStep};
use http::{HeaderMap, header};
use http_body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::app::App;
use crate::backtest::{BYTES_PER_PART, ROWS_PER_PART, run};
use crate::caller::Caller;
use crate::json::ApiJson;
use crate::path::Id;
use crate::problem::{Kind, Problem};

/// Requests that are looked at unless the caller asks for fewer or more.
const LIMIT_DEFAULT: u64 = 1_000_000;
/// Requests that may be looked at.
const LIMIT_MAX: u64 = 5_000_000;
/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_millis(100);
const NDJSON: &str = "application/x-ndjson";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/sources/{id}/backtest", post(of_source))
        .route("/v1/connections/{id}/backtest", post(of_connection))
}

/// What of the past is looked at.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Past {
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: Option<u64>,
}

/// A source's rule to try; what is left out is as the source has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SourceTrial {
    key: Option<KeyRule>,
    window_seconds: Option<Window>,
    fingerprint_exclude: Option<Vec<WildPath>>,
    split: Option<Split>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: Option<u64>,
}

/// A connection's rules to try; without any, its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConnectionTrial {
    rules: Option<Vec<Value>>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: Option<u64>,
}

/// A run to be made.
struct Planned {
    trial: Arc<Trial>,
    step: ScanStep,
    limit: u64,
    coverage: Option<Coverage>,
    preset: Option<&'static Preset>,
    warnings: Vec<String>,
    turn: OwnedSemaphorePermit,
}

async fn of_source(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    ApiJson(input): ApiJson<SourceTrial>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let ready = id
        .parse()
        .ok()
        .and_then(|id| snapshot.source(caller.project, id));
    let ready = ready.ok_or_else(|| Problem::not_found("source", &id))?;
    let source = &ready.source;
    let past = Past {
        after: input.after,
        before: input.before,
        limit: input.limit,
    };
    let warnings = split_warning(source, input.split.as_ref());
    let of = ScanOf::Source(source.id);
    let planned = Planned {
        trial: Arc::new(source_trial(source, input)?),
        step: step(caller.project, of, past),
        limit: limit(past)?,
        coverage: Some(ready.intake.coverage()),
        preset: source.provider.as_deref().and_then(preset),
        warnings,
        turn: turn(&app)?,
    };
    answer(app, &headers, planned).await
}

/// What a split of its own means for what the source has split before.
fn split_warning(source: &Source, asked: Option<&Split>) -> Vec<String> {
    match (&source.split, asked) {
        (Some(own), Some(asked)) if own != asked => vec![format!(
            "the source splits by {own}: its requests are stored as those elements, and the split \
             that is tried is looked for in each of them"
        )],
        (Some(_) | None, _) => Vec::new(),
    }
}

fn source_trial(source: &Source, input: SourceTrial) -> Result<Trial, Problem> {
    let rule = input.key.or_else(|| source.key.clone());
    let rule = rule.ok_or_else(|| {
        Problem::field("/key", "is missing, and the source has no key rule to try")
    })?;
    rule.validate().map_err(|errors| {
        let under = errors.into_iter().map(|error| error.under("/key"));
        Problem::from(under.collect::<Vec<_>>())
    })?;
    // What the source has split is stored in elements, each whole.
    let split = input
        .split
        .filter(|split| source.split.as_ref() != Some(split));
    Ok(Trial::Key {
        rule,
        split,
        exclude: input
            .fingerprint_exclude
            .unwrap_or_else(|| source.fingerprint_exclude.clone()),
        event_type: source.event_type.clone(),
        window: input.window_seconds.unwrap_or(source.window),
    })
}

async fn of_connection(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    ApiJson(input): ApiJson<ConnectionTrial>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let snapshot = app.directory().snapshot();
    let connection = id
        .parse()
        .ok()
        .and_then(|id| snapshot.connection(caller.project, id));
    let connection = connection.ok_or_else(|| Problem::not_found("connection", &id))?;
    let past = Past {
        after: input.after,
        before: input.before,
        limit: input.limit,
    };
    let connection = with_rules(&app, connection, input.rules)?;
    let source = match &connection.from {
        Origin::Source(source) => Some(*source),
        Origin::EventTypes(_) => None,
    };
    let ready = source.and_then(|source| snapshot.source(caller.project, source));
    let of = ScanOf::Connection {
        id: connection.id,
        source,
    };
    let planned = Planned {
        trial: Arc::new(Trial::of_connection(&connection)?),
        step: step(caller.project, of, past),
        limit: limit(past)?,
        coverage: ready.map(|ready| ready.intake.coverage()),
        preset: None,
        warnings: Vec::new(),
        turn: turn(&app)?,
    };
    answer(app, &headers, planned).await
}

/// The connection as it would be with other rules.
fn with_rules(
    app: &App,
    connection: &Connection,
    rules: Option<Vec<Value>>,
) -> Result<Connection, Problem> {
    let Some(rules) = rules else {
        return Ok(connection.clone());
    };
    let patch = json!({"rules": rules});
    let input = ConnectionInput::patched(connection, patch)?;
    app.directory().preview(connection.project, |deciding| {
        let place = hooklatch_core::config::ConnectionPlace {
            new_id: connection.id,
            existing: Some(connection),
            has_source: &|_| true,
            has_endpoint: &|_| true,
        };
        Ok(input.clone().build(place, &deciding.making)?)
    })
}

fn step(project: ProjectId, of: ScanOf, past: Past) -> ScanStep {
    ScanStep {
        project,
        of,
        from: past.after.map_or(0, first_number_at),
        below: past.before.map_or(i64::MAX, first_number_at),
        rows_max: ROWS_PER_PART,
        bytes_max: BYTES_PER_PART,
    }
}

fn limit(past: Past) -> Result<u64, Problem> {
    let limit = past.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("should be from 1 to {LIMIT_MAX}");
        return Err(Problem::field("/limit", detail));
    }
    Ok(limit)
}

/// One at a time: each takes all processors that traffic leaves.
fn turn(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    app.backtests().try_acquire_owned().map_err(|_| {
        Problem::new(
            Kind::TooManyRequests,
            "another backtest is under way; repeat this one when it has ended",
        )
    })
}

async fn answer(app: App, headers: &HeaderMap, planned: Planned) -> Result<Response, Problem> {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains(NDJSON)) {
        return Ok(stream(app, planned));
    }
    let report = carry_out(&app, planned, |_| true).await?;
    Ok(crate::history::answer(&report))
}

async fn carry_out(
    app: &App,
    planned: Planned,
    progress: impl FnMut(u64) -> bool + Send,
) -> Result<Report, Problem> {
    let trial = Arc::clone(&planned.trial);
    let ran = run(app.store(), trial, planned.step, planned.limit, progress).await?;
    let mut report = ran.report;
    report.warnings = planned.warnings;
    report.warnings.extend(lint(&Linted {
        rule: planned.trial.rule(),
        window: planned.trial.window(),
        coverage: planned.coverage.as_ref(),
        preset: planned.preset,
        held: &ran.held,
        report: &report,
    }));
    drop(planned.turn);
    Ok(report)
}

/// Progress line by line, and the report as the last line. Who hangs up ends the run.
fn stream(app: App, planned: Planned) -> Response {
    let (lines, told) = mpsc::channel::<Bytes>(4);
    tokio::spawn(async move {
        let size = app.store().scan_size(planned.step, usize::MAX).await;
        let expected = size.map_or(0, |size| size as u64).min(planned.limit);
        let mut last = Instant::now();
        let telling = lines.clone();
        let progress = move |looked_at: u64| {
            if last.elapsed() >= TOLD_EVERY {
                last = Instant::now();
                let told = json!({"looked_at": looked_at, "expected": expected.max(looked_at)});
                // A slow reader misses some.
                drop(telling.try_send(line(&json!({"progress": told}))));
            }
            !telling.is_closed()
        };
        let last = match carry_out(&app, planned, progress).await {
            Ok(report) => json!({"result": report}),
            Err(problem) => json!({
                "error": {"status": problem.status().as_u16(), "detail": problem.detail()}
            }),
        };
        drop(lines.send(line(&last)).await);
    });
    let mut response = Response::new(Body::new(Lines(told)));
    let kind = http::HeaderValue::from_static(NDJSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn line(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    Bytes::from(text)
}

/// Lines as a body.
struct Lines(mpsc::Receiver<Bytes>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
